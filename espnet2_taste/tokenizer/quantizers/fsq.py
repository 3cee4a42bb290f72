"""Residual finite scalar quantization: grids instead of learned codebooks.

Enters: vectors (B, N, D) with a mask. Leaves: quantized vectors and codes (B, N, Q);
there is no commitment loss. Legend: B utterances, N positions, Q codebooks, K codes, C
latent features, D features.

Each latent feature lies in (-1, 1) and is rounded to one of its levels (Mentzer et al.,
2023). A further codebook rounds what is left, whose range is smaller by the number of
steps, with the same levels. The grid of each codebook is written out as a table of K =
product of the levels vectors, so that codes mean what they mean for other quantizers.
"""

import math
from collections.abc import Sequence

import torch

from espnet2_taste.structures import QuantizerOutput
from espnet2_taste.tokenizer.quantizers.abs_quantizer import share_and_perplexity
from espnet2_taste.tokenizer.quantizers.codebooks import CodebookQuantizer

USED_COUNT = 1e-2
LARGEST = 65536


def grid(levels: Sequence[int]) -> torch.Tensor:
    """All combinations of evenly spaced levels from -1 to 1.

    Args:
        levels: Levels of each of the C features, at least two.

    Returns:
        (K, C), K being their product; the last feature changes fastest.

    Example:
        >>> grid([2, 3]).tolist()[:3]
        [[-1.0, -1.0], [-1.0, 0.0], [-1.0, 1.0]]
    """
    axes = [torch.linspace(-1.0, 1.0, count) for count in levels]
    return torch.cartesian_prod(*axes).reshape(-1, len(levels))


class FiniteScalarQuantizer(CodebookQuantizer):
    """Projection, tanh, Q residual grids, projection back.

    Args:
        dim: Features D.
        num_codebooks: Q.
        levels: Levels of each latent feature; K is their product, C their number. A
            second codebook refines a feature that has three or more.
        quantize_dropout: Train with a random number of leading codebooks.
        decay: Share of the past kept by the counts of used codes.

    Raises:
        ValueError: A feature has fewer than two levels, or the table is too large.
    """

    def __init__(
        self,
        dim: int,
        num_codebooks: int = 4,
        levels: Sequence[int] = (8, 4, 4, 4),
        quantize_dropout: bool = True,
        decay: float = 0.99,
    ):
        size = math.prod(levels)
        if not levels or min(levels) < 2 or size > LARGEST:
            raise ValueError(
                f"quantizer_conf.levels {list(levels)} make {size} codes: give at "
                f"least two levels a feature, {LARGEST} codes at most"
            )
        super().__init__(dim, num_codebooks, size, len(levels), quantize_dropout)
        self.decay = decay
        steps = torch.tensor([count - 1.0 for count in levels])  # (C,)
        exponents = torch.arange(num_codebooks)[:, None]
        scales = steps**-exponents  # (Q, C)
        tables = grid(levels) * scales[:, None]  # (Q, K, C)
        self.register_buffer("grids", tables, persistent=False)
        self.register_buffer("counts", torch.zeros(num_codebooks, size))

    def tables(self) -> torch.Tensor:
        """See ``CodebookQuantizer.tables``."""
        return self.grids

    def to_latent(self, x: torch.Tensor) -> torch.Tensor:
        """See ``CodebookQuantizer.to_latent``; the result lies in (-1, 1)."""
        return self.project_in(x).tanh()

    def forward(self, x, mask=None):
        """See ``AbsQuantizer.forward``."""
        if mask is None:
            mask = torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device)
        depth = self.draw_depth(x.device)
        with torch.autocast(x.device.type, enabled=False):
            latent = self.to_latent(x.float())  # (B, N, C)
            codes = self.codes_from_latent(latent)  # (B, N, Q)
            codes[..., depth:] = -1
            codes = codes.masked_fill(~mask.unsqueeze(-1), -1)
            total = self.latent(codes)
            if self.training:
                self._count(codes[mask])
                total = latent + (total - latent).detach()  # straight through
            total = total * mask.unsqueeze(-1)
            return QuantizerOutput(self.project_out(total), codes, x.new_zeros(()))

    @torch.no_grad()
    def _count(self, codes: torch.Tensor):
        """Remember which codes (M, Q) are used."""
        for counts, index in zip(self.counts, codes.unbind(-1)):
            seen = torch.bincount(index[index >= 0], minlength=self.codebook_size)
            counts.lerp_(seen.to(counts), 1.0 - self.decay)

    def usage(self) -> tuple[torch.Tensor, torch.Tensor]:
        """See ``AbsQuantizer.usage``, from the moving counts."""
        used, perplexity = share_and_perplexity(self.counts, USED_COUNT)
        return used.mean(), perplexity.mean()
