"""How likely a trained spoken LM of any design finds utterances.

Enters: the fields of utterances, as the design's preprocessor reads them. Leaves:
log-likelihoods by stream and reduction; of a pair also those of what follows its common
beginning (arXiv 2601.06329). Legend: B utterances, N entries of a field.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.espnet_spoken_lm_model import ESPnetSpokenLMModel
from espnet2_taste.slm.scoring import UtteranceScores, utterance_scores
from espnet2_taste.slm.word_parts import WordParts


class Scorer:
    """Utterances -> log-likelihoods.

    Args:
        model: In evaluation mode, its adapters not merged.
        preprocessor: Its data side; lays out the form that is scored.
        mask_other_vocab: See ``utterance_scores``.
        guidance: Likewise.
    """

    def __init__(
        self,
        model: ESPnetSpokenLMModel,
        preprocessor,
        mask_other_vocab: bool = False,
        guidance: float = 0.0,
    ):
        self.core = model.core
        self.preprocessor = preprocessor
        self.options = (mask_other_vocab, guidance)

    def __call__(
        self, names: Sequence[str], items: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, float]]:
        """Score a batch; padding changes no score.

        Args:
            names: B utterance ids.
            items: Their fields, e.g. ``text`` and ``codes`` (W, Q) for TASLM.

        Returns:
            Of each the reductions of ``UtteranceScores.table``.
        """
        rows = [self.preprocessor(name, item) for name, item in zip(names, items)]
        table = self.scores(rows).table()
        columns = {name: values.tolist() for name, values in table.items()}
        return [
            {name: values[row] for name, values in columns.items()}
            for row in range(len(names))
        ]

    def scores(self, rows: Sequence[Mapping[str, np.ndarray]]) -> UtteranceScores:
        """Likelihoods of every entry of B utterances, as they are preprocessed."""
        device = self.core.device
        batch = {name: value.to(device) for name, value in padded(rows).items()}
        return utterance_scores(self.core, batch, *self.options)


class WindowScorer:
    """Utterances and how many words of each its pair shares -> log-likelihoods.

    They are, by stream, those of the next words given the beginning (*localised*), and
    the same minus the likelihood of these words where nothing comes before them
    (*normalised*), which takes away how likely they are in any case.

    Args:
        scorer: Of whole utterances.
        window: Words that are scored, 0 for all that follow.

    Raises:
        ValueError: A negative window.
    """

    def __init__(self, scorer: Scorer, window: int):
        if window < 0:
            raise ValueError(f"window: expected words, 0 for all, found {window}")
        self.scorer = scorer
        self.window = window

    def __call__(
        self,
        names: Sequence[str],
        items: Sequence[Mapping[str, Any]],
        shared: Sequence[int],
    ) -> list[dict[str, float]]:
        """Score a batch; padding changes no score.

        Args:
            names: B utterance ids.
            items: Their fields, see ``Scorer``.
            shared: Words of each that come before the window, fewer than it has.

        Returns:
            ``text``, ``speech`` and ``both`` of each, ``_local`` and ``_normalised``.
        """
        rows = list(zip(names, items, shared, strict=True))
        side = self.scorer.preprocessor
        given = self.sums([WordParts(side, *row[:2]) for row in rows], shared)
        alone = self.sums([WordParts(side, *row) for row in rows], [0] * len(rows))
        return [
            {f"{key}_local": value for key, value in here.items()}
            | {f"{key}_normalised": here[key] - there[key] for key in here}
            for here, there in zip(given, alone)
        ]

    def sums(
        self, parts: Sequence[WordParts], firsts: Sequence[int]
    ) -> list[dict[str, float]]:
        """Sums over the window of each utterance.

        Args:
            parts: B utterances.
            firsts: Where the window of each begins.

        Returns:
            ``text``, ``speech`` and ``both`` of each.
        """
        scores = self.scorer.scores([part.data for part in parts])
        size = self.window or 10**9
        masks = [part.entries(n, n + size) for part, n in zip(parts, firsts)]
        text, speech = (
            _masked_sum(values, [pair[column] for pair in masks])
            for column, values in enumerate((scores.text, scores.speech))
        )
        pairs = zip(text, speech)
        return [{"text": a, "speech": b, "both": a + b} for a, b in pairs]


def padded(items: Sequence[Mapping[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    """Utterances as a batch, as the task's collate function makes it.

    Args:
        items: Fields of B utterances, each (N, ...); the fields are the same.

    Returns:
        Fields (B, N, ...), padded with -1 or, numbers with fractions, with 0, and
        ``<field>_lengths`` (B,).
    """
    batch = {}
    for name in items[0]:
        rows = [torch.from_numpy(item[name]) for item in items]
        value = 0.0 if rows[0].is_floating_point() else -1
        batch[name] = pad_sequence(rows, batch_first=True, padding_value=value)
        batch[f"{name}_lengths"] = torch.tensor([len(row) for row in rows])
    return batch


def _masked_sum(values: torch.Tensor, masks: Sequence[np.ndarray]) -> list[float]:
    """Sum of the marked entries of each row, (B, N) and B times at most (N,)."""
    rows = pad_sequence([torch.from_numpy(mask) for mask in masks], batch_first=True)
    rows = torch.nn.functional.pad(rows, (0, values.size(1) - rows.size(1)))
    return values.where(rows.to(values.device), 0.0).sum(dim=1).tolist()
