"""What quantizers with tables of code vectors share.

Enters: codes (..., Q) or latents (..., C). Leaves: latents, vectors (..., D) or codes.
Legend: Q codebooks, K codes, C latent features, D features.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import nn

from espnet2_taste.ranks import same_on_ranks
from espnet2_taste.tokenizer.quantizers.abs_quantizer import AbsQuantizer


def nearest(
    x: torch.Tensor, vectors: torch.Tensor, squares: torch.Tensor | None = None
) -> torch.Tensor:
    """Index of the nearest vector.

    Args:
        x: (..., C).
        vectors: (K, C).
        squares: Squared lengths of the vectors, (K,), where they are known.

    Returns:
        (...,).
    """
    flat = x.reshape(-1, x.size(-1))
    squares = squared_lengths(vectors) if squares is None else squares
    distances = torch.addmm(squares, flat, vectors.T, alpha=-2.0)
    return distances.argmin(dim=-1).view(x.shape[:-1])


def squared_lengths(vectors: torch.Tensor) -> torch.Tensor:
    """(..., K, C) -> (..., K)."""
    return vectors.square().sum(-1)


class CodebookQuantizer(AbsQuantizer):
    """Projection, Q residual codebooks, projection back.

    Args:
        dim: Features D.
        num_codebooks: Q.
        codebook_size: K.
        latent_size: Features C of the codes.
        quantize_dropout: Train with a random number of leading codebooks.
    """

    is_sum = True

    def __init__(
        self,
        dim: int,
        num_codebooks: int,
        codebook_size: int,
        latent_size: int,
        quantize_dropout: bool,
    ):
        super().__init__()
        self.dim = dim
        self.num_codebooks = num_codebooks
        self.codebook_size = codebook_size
        self.latent_size = latent_size
        self.quantize_dropout = quantize_dropout
        self.project_in = nn.Linear(dim, latent_size)
        self.project_out = nn.Linear(latent_size, dim)
        self.register_buffer("squares", None, persistent=False)

    @abstractmethod
    def tables(self) -> Sequence[torch.Tensor]:
        """Code vectors of each codebook: Q tensors (K, C)."""

    def hold_tables(self) -> None:
        """See ``AbsQuantizer.hold_tables``: a search reads them once, not twice."""
        self.squares = squared_lengths(torch.stack(list(self.tables()))).detach()

    def train(self, mode: bool = True):
        """Tables may change from here on."""
        self.squares = None
        return super().train(mode)

    def draw_depth(self, device: torch.device) -> int:
        """How many leading codebooks this training step uses, same on all ranks."""
        if not (self.training and self.quantize_dropout):
            return self.num_codebooks
        depth = torch.randint(1, self.num_codebooks + 1, (1,), device=device)
        return int(same_on_ranks(depth))

    def to_latent(self, x: torch.Tensor) -> torch.Tensor:
        """What is quantized: (..., D) -> (..., C)."""
        return self.project_in(x)

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """See ``AbsQuantizer.project``."""
        return self.project_out(self.to_latent(x))

    def code_vectors(self, codes: torch.Tensor) -> torch.Tensor:
        """Vectors of each codebook: (..., Q') -> (..., Q', C), zero where -1."""
        rows = codes.clamp(min=0).unbind(-1)
        pairs = zip(rows, self.tables())
        parts = [nn.functional.embedding(index, table) for index, table in pairs]
        return torch.stack(parts, dim=-2) * (codes >= 0).unsqueeze(-1)

    def latent(self, codes: torch.Tensor) -> torch.Tensor:
        """See ``AbsQuantizer.latent``; fewer than Q leading codes are allowed."""
        return self.code_vectors(codes).sum(dim=-2)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """See ``AbsQuantizer.decode``."""
        return self.project_out(self.latent(codes))

    @torch.no_grad()
    def codes_from_latent(self, latent: torch.Tensor) -> torch.Tensor:
        """See ``AbsQuantizer.codes_from_latent``."""
        residual, codes, tables = latent.float(), [], self.tables()
        squares = [None] * len(tables) if self.squares is None else self.squares
        for table, lengths in zip(tables, squares):
            codes.append(nearest(residual, table, lengths))
            residual = residual - nn.functional.embedding(codes[-1], table)
        return torch.stack(codes, dim=-1)


def lone_codes(quantizer: AbsQuantizer, device: torch.device) -> torch.Tensor:
    """Every code of every codebook, the other codebooks absent.

    Args:
        quantizer: Gives the sizes.
        device: Where the codes are made.

    Returns:
        (Q, K, Q).
    """
    books, size = quantizer.num_codebooks, quantizer.codebook_size
    codes = torch.full((books, size, books), -1, dtype=torch.int64, device=device)
    for book in range(books):
        codes[book, :, book] = torch.arange(size, device=device)
    return codes


@torch.no_grad()
def code_spread(
    quantizer: AbsQuantizer, vectors: Callable[[torch.Tensor], torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where vectors of codes lie, each code of a codebook as often as the others.

    Args:
        quantizer: Gives the sizes.
        vectors: Its ``latent`` or ``decode``, (..., Q) -> (..., C): a constant and one
            vector a code.

    Returns:
        Their mean, (C,), and their root mean square around it, a scalar of at least a
        millionth.
    """
    lone = lone_codes(quantizer, next(quantizer.parameters()).device)
    constant = vectors(torch.full_like(lone[0, 0], -1))  # (C,)
    table = vectors(lone) - constant  # (Q, K, C)
    spread = table.var(dim=1, unbiased=False).sum(dim=0)  # (Q, K, C) -> (C,)
    mean = constant + table.mean(dim=1).sum(dim=0)
    return mean, spread.mean().sqrt().clamp(min=1e-6)
