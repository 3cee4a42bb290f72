"""How likely a trained spoken LM of any design finds utterances.

Enters: the fields of utterances, as the design's preprocessor reads them. Leaves:
log-likelihoods by stream and reduction. Legend: B utterances, N entries of a field.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.espnet_spoken_lm_model import ESPnetSpokenLMModel
from espnet2_taste.slm.scoring import UtteranceScores, utterance_scores


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
