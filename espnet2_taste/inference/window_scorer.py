"""Likelihood of what follows the common beginning of a pair (arXiv 2601.06329).

Enters: utterances and how many words of each its pair shares. Leaves, by stream, the
likelihood of the next words given the beginning (*localised*), and the same minus the
likelihood of these words where nothing comes before them (*normalised*), which takes
away how likely they are in any case.

Legend: B utterances, N entries of an utterance.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.inference.scorer import Scorer
from espnet2_taste.slm.word_parts import WordParts


class WindowScorer:
    """Utterances with shared words -> log-likelihoods.

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


def _masked_sum(values: torch.Tensor, masks: Sequence[np.ndarray]) -> list[float]:
    """Sum of the marked entries of each row, (B, N) and B times at most (N,)."""
    rows = pad_sequence([torch.from_numpy(mask) for mask in masks], batch_first=True)
    rows = torch.nn.functional.pad(rows, (0, values.size(1) - rows.size(1)))
    return values.where(rows.to(values.device), 0.0).sum(dim=1).tolist()
