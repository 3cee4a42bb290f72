"""Dropout whose random numbers cost little on a CPU.

Enters: (...). Leaves: (...), in training with each value zero with probability ``p``
and the others larger in proportion. Torch draws a number for each value, which is a
tenth of a LoRA step on a CPU. 16 bits are enough: one number serves four values.
"""

import torch
from torch import nn

STEPS = 2**16
"""Different numbers of 16 bits: ``p`` is rounded to a multiple of 1 / STEPS."""


class Dropout(nn.Dropout):
    """``nn.Dropout``, two to three times as fast on a CPU in training.

    Example:
        >>> layer = Dropout(0.5).eval()
        >>> layer(torch.ones(2))
        tensor([1., 1.])
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(...) -> (...)."""
        if not self.training:
            return x
        dropped = round(self.p * STEPS)
        if not 0 < dropped < STEPS or x.device.type != "cpu":
            return super().forward(x)
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64)
        numbers = words.random_(-(2**63), None).view(torch.int16)
        kept = numbers[: x.numel()].view(x.shape) >= dropped - STEPS // 2
        return x * (kept * (STEPS / (STEPS - dropped))).to(x.dtype)
