"""Features without the mean and the scale that they have over a training.

Enters and leaves: (B, N, D). Legend: B utterances, N text tokens, D features.

The word vectors of a trained recognizer's decoder lie far from zero, and a few
directions hold nearly all of their spread. What learns from them looks at those alone:
of 384 features projected to 64, 4 directions were left. Relative: batch normalisation
(Ioffe and Szegedy 2015), but with running moments in training too, so that a vector
does not depend on its batch. Not part of the published system.
"""

import torch
from torch import nn

from espnet2_taste.ranks import sum_over_ranks

SLOWEST = 0.01  # share of a batch in the moments; the mean of all batches before that


class RunningScale(nn.Module):
    """Takes away the running mean and divides by the running deviation.

    Args:
        size: Features D.
    """

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("variance", torch.ones(size))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def forward(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Scale features; in training their moments are counted first.

        Args:
            x: (B, N, D).
            valid: Which of them count, (B, N).

        Returns:
            (B, N, D).
        """
        if self.training:
            self._count(x.detach()[valid].to(self.mean))
        return (x - self.mean) * (self.variance + 1e-5).rsqrt()

    def _count(self, rows: torch.Tensor) -> None:
        """Move the moments towards those of rows (R, D) of all ranks, if there are any;
        no gradient goes there."""
        count = sum_over_ranks(self.mean.new_tensor(float(len(rows))))
        if not count:
            return
        self.batches += 1
        share = (1 / self.batches).clamp(min=SLOWEST).to(self.mean)
        self.mean.lerp_(sum_over_ranks(rows.sum(0)) / count, share)
        squares = (rows - self.mean).square().sum(0)
        self.variance.lerp_(sum_over_ranks(squares) / count, share)
