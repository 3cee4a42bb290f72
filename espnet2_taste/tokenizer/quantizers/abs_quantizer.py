"""What every quantizer offers.

Enters: vectors (B, N, D) with a mask (B, N). Leaves: ``QuantizerOutput``. Legend: B
utterances, N positions, Q codebooks, K codes in each, C latent features, D features.
"""

from abc import ABC, abstractmethod

import torch
from torch import nn

from espnet2_taste.structures import QuantizerOutput


class AbsQuantizer(nn.Module, ABC):
    """A vector quantizer with residual codebooks (paper, section 3.1.3).

    Attributes:
        dim: Features D outside.
        num_codebooks: Q; 0 without codes.
        codebook_size: K.
        latent_size: Features C of the code vectors.
        is_sum: Whether :meth:`decode` is a sum of one vector a code and a constant.
    """

    is_sum = False
    dim: int
    num_codebooks: int
    codebook_size: int
    latent_size: int

    @abstractmethod
    def forward(
        self, x: torch.Tensor, mask: torch.Tensor | None = None
    ) -> QuantizerOutput:
        """Quantize; in training codebooks may learn from the input.

        Args:
            x: (B, N, D).
            mask: Valid positions, (B, N) bool; all when not given.

        Returns:
            Quantized vectors, codes (-1 at padding) and the commitment loss.
        """

    @abstractmethod
    def project(self, x: torch.Tensor) -> torch.Tensor:
        """Pass the bottleneck without codes: (B, N, D) -> (B, N, D)."""

    @abstractmethod
    def latent(self, codes: torch.Tensor) -> torch.Tensor:
        """Sum of code vectors; -1 counts as zero: (..., Q) -> (..., C)."""

    @abstractmethod
    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes (..., Q) -> vectors (..., D)."""

    @abstractmethod
    def codes_from_latent(self, latent: torch.Tensor) -> torch.Tensor:
        """Nearest codes of latents: (..., C) -> (..., Q)."""

    def hold_tables(self) -> None:
        """Prepare many searches in tables that stay as they are until ``train``."""

    @abstractmethod
    def usage(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Share of codes in use and perplexity, each a mean over codebooks."""

    @torch.no_grad()
    def encode(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Codes without learning: (B, N, D), mask (B, N) -> (B, N, Q).

        Raises:
            RuntimeError: The quantizer is in training mode.
        """
        if self.training:
            raise RuntimeError("encode() needs evaluation mode: call eval() first")
        return self.forward(x, mask).codes


def code_statistics(
    codes: torch.Tensor, codebook_size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Codebook use of a set of codes.

    Args:
        codes: (M, Q), -1 where there is none.
        codebook_size: K.

    Returns:
        Share of codes used and perplexity of each codebook, both (Q,).
    """
    counts = torch.stack(
        [torch.bincount(c[c >= 0], minlength=codebook_size) for c in codes.unbind(1)]
    )
    return share_and_perplexity(counts.float(), 0.0)


def share_and_perplexity(
    counts: torch.Tensor, threshold: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Counts (Q, K) -> share of codes above ``threshold`` and perplexity, (Q,)."""
    shares = counts / counts.sum(dim=-1, keepdim=True).clamp(min=1e-8)
    entropy = torch.special.entr(shares).sum(dim=-1)
    return (counts > threshold).float().mean(dim=-1), entropy.exp()
