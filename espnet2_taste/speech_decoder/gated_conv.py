"""Gated convolutions over a sequence, towards both sides or the past alone.

Enters: vectors (B, T, D). Leaves: vectors (B, T, D), each of which depends on a fixed
number of neighbours, which is stated. A causal block also takes one position after the
other, with a window of the positions before.

Source: gated linear units over convolutions, Dauphin et al. 2017, with a residual.

Legend: B utterances, T positions, D features, K positions a filter sees.
"""

import torch
from torch import nn
from torch.nn import functional

from espnet2_taste.dropout import Dropout


class GatedConv(nn.Module):
    """Norm, convolution, gate, linear map, dropout, and the input added.

    Args:
        size: Features D.
        kernel_size: Positions K a filter sees; odd unless causal.
        causal: Whether it sees only its own position and those before.
        dropout_rate: Dropout of what is added.
        dilation: Distance of the positions that a filter sees.

    Raises:
        ValueError: An even filter that is not causal, or a distance below 1.
    """

    def __init__(
        self,
        size: int,
        kernel_size: int,
        causal: bool,
        dropout_rate: float = 0.0,
        dilation: int = 1,
    ):
        super().__init__()
        if kernel_size < 1 or (kernel_size % 2 == 0 and not causal):
            raise ValueError(
                f"expected an odd kernel size towards both sides, got {kernel_size}"
            )
        if dilation < 1:
            raise ValueError(f"expected a dilation of 1 or more, got {dilation}")
        self.dilation = dilation
        self.before = dilation * (kernel_size - 1 if causal else kernel_size // 2)
        self.after = 0 if causal else dilation * (kernel_size // 2)
        self.norm = nn.LayerNorm(size)
        self.conv = nn.Conv1d(size, 2 * size, kernel_size, dilation=dilation)
        self.linear = nn.Linear(size, size)
        self.dropout = Dropout(dropout_rate)

    def forward(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Convolve whole sequences.

        Args:
            x: (B, T, D).
            valid: False at padding, which no other position sees, (B, T).

        Returns:
            (B, T, D).
        """
        normed = self.norm(x) * valid.unsqueeze(-1)
        wide = functional.pad(normed.mT, (self.before, self.after))
        return x + self._rest(self.conv(wide).mT)

    def start_window(self, x: torch.Tensor) -> torch.Tensor:
        """Window (B, before, D) before the first position, for batch and type of x."""
        return x.new_zeros(len(x), self.before, x.size(-1))

    def step(
        self, x: torch.Tensor, window: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One more position of a causal block.

        Args:
            x: (B, D).
            window: From ``start_window`` or the step before, (B, before, D).

        Returns:
            (B, D) and the window of the next step.
        """
        seen = torch.cat([window, self.norm(x).unsqueeze(1)], dim=1)
        filtered = seen[:, :: self.dilation]  # (B, K, D)
        weight = self.conv.weight.flatten(1)  # (2 D, D K)
        wide = functional.linear(filtered.mT.flatten(1), weight, self.conv.bias)
        return x + self._rest(wide), seen[:, 1:]

    def _rest(self, wide: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.linear(functional.glu(wide, dim=-1)))


class GatedConvStack(nn.Module):
    """Blocks one after the other.

    Args:
        size: Features D.
        num_blocks: How many.
        kernel_size: See ``GatedConv``.
        causal: See ``GatedConv``.
        dropout_rate: See ``GatedConv``.
        dilation: Of each block this many times that of the block before, as in WaveNet
            (van den Oord et al. 2016); up to ``kernel_size`` no position is left out.
    """

    def __init__(
        self,
        size: int,
        num_blocks: int,
        kernel_size: int,
        causal: bool = False,
        dropout_rate: float = 0.0,
        dilation: int = 1,
    ):
        super().__init__()
        self.blocks = nn.ModuleList(
            GatedConv(size, kernel_size, causal, dropout_rate, dilation**block)
            for block in range(num_blocks)
        )

    @property
    def after(self) -> int:
        """Positions after its own that an output depends on."""
        return sum(block.after for block in self.blocks)

    @property
    def before(self) -> int:
        """Positions before its own that an output depends on."""
        return sum(block.before for block in self.blocks)

    def forward(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """See ``GatedConv.forward``."""
        for block in self.blocks:
            x = block(x, valid)
        return x

    def start_windows(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Windows of all blocks before the first position."""
        return [block.start_window(x) for block in self.blocks]

    def step(self, x: torch.Tensor, windows: list[torch.Tensor]) -> torch.Tensor:
        """One more position (B, D) of causal blocks; the windows move on in place."""
        for index, block in enumerate(self.blocks):
            x, windows[index] = block.step(x, windows[index])
        return x
