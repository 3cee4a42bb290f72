"""Pitch, voicing and loudness of units, which the units themselves hardly hold.

Enters: what a decoder knows of each unit (B, U, D). Leaves: rows as
``prosody.py`` has them (B, U, 3), and in training the loss of measured ones.

Legend: B utterances, U units, D features.
"""

import torch
from torch import nn
from torch.nn import functional

from espnet2_taste.prosody import FEATURES
from espnet2_taste.ranks import joint_mean

PITCH_SCALE = 0.1  # a tenth of a natural logarithm, 1.7 semitones, costs 1


class ProsodyHead(nn.Module):
    """Predicts the prosody of units, each from its own row alone.

    Args:
        size: Features D.
    """

    def __init__(self, size: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(size), nn.Linear(size, size), nn.SiLU()
        )
        self.out = nn.Linear(size, FEATURES)

    def loss(
        self, rows: torch.Tensor, measured: torch.Tensor, counted: torch.Tensor
    ) -> torch.Tensor:
        """How far measured prosody is from what is predicted.

        Args:
            rows: (B, U, D).
            measured: (B, U, 3).
            counted: Which units count, (B, U).

        Returns:
            Scalar: mean distance of log F0 of voiced units in tenths, cross-entropy of
            voicing, and mean distance of loudness.
        """
        log_f0, voicing, loudness = self.out(self.layers(rows)).unbind(-1)
        true_f0, voiced, level = measured.unbind(-1)
        weight = counted.to(rows)
        pitch = (log_f0 - true_f0).abs() / PITCH_SCALE * voiced * weight
        kind = functional.binary_cross_entropy_with_logits(
            voicing, voiced, reduction="none"
        )
        others = (kind + (loudness - level).abs()) * weight
        voiced_weight = (voiced * weight).sum()
        return joint_mean(pitch.sum(), voiced_weight) + joint_mean(
            others.sum(), weight.sum()
        )

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Predict.

        Args:
            rows: (B, U, D).

        Returns:
            (B, U, 3), as measured: log F0 is 0 where unvoiced.
        """
        log_f0, voicing, loudness = self.out(self.layers(rows)).unbind(-1)
        voiced = (voicing > 0).to(rows)
        return torch.stack([log_f0 * voiced, voiced, loudness], dim=-1)
