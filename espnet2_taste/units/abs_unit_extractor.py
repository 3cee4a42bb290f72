"""What every source of speech units offers.

Enters: waveforms (B, S). Leaves: units (B, U) at ``unit_rate``, -1 at padding.
Legend: B utterances, S samples, U units.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping

import torch

from espnet2_taste.units.batches import SpeechBatch
from espnet2_taste.units.fitted import AbsFitted


class AbsUnitExtractor(AbsFitted):
    """Speech to discrete units.

    Attributes:
        num_units: Size of the inventory; units are 0 .. num_units - 1.
        unit_rate: Units a second.
    """

    num_units: int
    unit_rate: float

    @abstractmethod
    def forward(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Units of a batch.

        Args:
            speech: (B, S).
            speech_lengths: Valid samples, (B,).

        Returns:
            Units (B, U) int64, -1 at padding, and their lengths (B,).
        """

    def fit(self, batches: Iterable[SpeechBatch], seed: int) -> Mapping[str, float]:
        """Learn from training speech; an extractor with given units learns nothing.

        Args:
            batches: The training set, once.
            seed: Makes the result repeatable.

        Returns:
            Numbers worth recording.
        """
        return {}
