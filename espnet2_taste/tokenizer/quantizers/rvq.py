"""Residual vector quantization with codebooks learned by moving averages.

Enters: vectors (B, N, D) with a mask. Leaves: quantized vectors, codes (B, N, Q) and
the commitment loss. Legend: B utterances, N positions, M valid positions, Q
codebooks, K codes, C latent features, D features.

Each codebook holds Euclidean means of the residuals it has seen (TASTE.md, section
3). Codebooks start by k-means on the first training batch, never in evaluation.
Under distributed training codebooks start, move and are revived by the vectors of all
ranks, as they would by those of the joint batch.
"""

import torch
from torch import nn

from espnet2_taste.ranks import (
    joint_mean,
    of_all_ranks,
    same_on_ranks,
    sum_over_ranks,
)
from espnet2_taste.structures import QuantizerOutput
from espnet2_taste.tokenizer.quantizers.abs_quantizer import share_and_perplexity
from espnet2_taste.tokenizer.quantizers.codebooks import (
    CodebookQuantizer,
    nearest,
)

EPSILON = 1e-5
USED_COUNT = 1e-2


def kmeans(samples: torch.Tensor, num_codes: int, iterations: int) -> tuple:
    """Lloyd's algorithm; an empty cluster keeps its mean.

    Args:
        samples: (M, C).
        num_codes: K; samples are drawn repeatedly when there are fewer.
        iterations: Rounds.

    Returns:
        Means (K, C) and cluster sizes (K,).
    """
    count = samples.size(0)
    order = torch.randperm(count, device=samples.device)
    picks = order[torch.arange(num_codes, device=samples.device) % count]
    means = samples[picks].clone()
    sizes = samples.new_zeros(num_codes)
    for _ in range(iterations):
        sums, sizes = _assigned(samples, nearest(samples, means), num_codes)
        filled = (sizes > 0).unsqueeze(-1)
        means = torch.where(filled, sums / sizes.clamp(min=1).unsqueeze(-1), means)
    return means, sizes


def _assigned(samples: torch.Tensor, codes: torch.Tensor, num_codes: int) -> tuple:
    """Sum and count of the samples of each code: (K, C), (K,)."""
    sums = samples.new_zeros(num_codes, samples.size(-1)).index_add(0, codes, samples)
    counts = torch.bincount(codes, minlength=num_codes).to(samples.dtype)
    return sums, counts


class EmaCodebook(nn.Module):
    """One codebook of K vectors.

    Args:
        num_codes: K.
        size: C.
        decay: Share of the past kept at each update.
        kmeans_iterations: Rounds of the start.
        revive_below: Codes whose moving count falls below are replaced by vectors of
            the batch; 0 never.
    """

    def __init__(
        self,
        num_codes: int,
        size: int,
        decay: float,
        kmeans_iterations: int,
        revive_below: float,
    ):
        super().__init__()
        self.decay = decay
        self.kmeans_iterations = kmeans_iterations
        self.revive_below = revive_below
        vectors = torch.randn(num_codes, size) * size**-0.5
        self.register_buffer("vectors", vectors)
        self.register_buffer("sums", vectors.clone())
        self.register_buffer("counts", torch.zeros(num_codes))
        self.register_buffer("initialized", torch.zeros(1))

    @torch.no_grad()
    def start(self, samples: torch.Tensor):
        """K-means on the first batch's valid residuals, (M, C), of all ranks."""
        samples = of_all_ranks(samples)
        means, sizes = kmeans(samples, len(self.counts), self.kmeans_iterations)
        self.vectors.copy_(same_on_ranks(means))
        self.counts.copy_(same_on_ranks(sizes))
        self.sums.copy_(self.vectors * self.counts.unsqueeze(-1))
        self.initialized.fill_(1.0)

    @torch.no_grad()
    def update(self, samples: torch.Tensor, codes: torch.Tensor):
        """Move the vectors towards the samples (M, C) with codes (M,)."""
        num_codes = len(self.counts)
        sums, counts = _assigned(samples, codes, num_codes)
        self.counts.lerp_(sum_over_ranks(counts), 1.0 - self.decay)
        self.sums.lerp_(sum_over_ranks(sums), 1.0 - self.decay)
        total = self.counts.sum()
        smoothed = (self.counts + EPSILON) / (total + num_codes * EPSILON) * total
        self.vectors.copy_(self.sums / smoothed.unsqueeze(-1))
        if self.revive_below > 0.0:
            self._revive(samples)

    def _revive(self, samples: torch.Tensor):
        dead = self.counts < self.revive_below
        if not dead.any():
            return
        samples = of_all_ranks(samples)
        drawn = torch.randint(len(samples), (len(dead),), device=samples.device)
        fresh = same_on_ranks(samples[drawn])  # (K, C)
        self.vectors.copy_(torch.where(dead.unsqueeze(-1), fresh, self.vectors))
        self.counts.masked_fill_(dead, self.revive_below)
        revived = self.vectors * self.revive_below
        self.sums.copy_(torch.where(dead.unsqueeze(-1), revived, self.sums))


class ResidualQuantizer(CodebookQuantizer):
    """Projection, Q residual codebooks, projection back.

    Args:
        dim: Features D.
        num_codebooks: Q.
        codebook_size: K.
        latent_size: Features C of the codes.
        decay: Share of the past kept by the moving averages.
        kmeans_iterations: Rounds of the codebooks' start.
        quantize_dropout: Train with a random number of leading codebooks.
        revive_below: Moving count below which a code is replaced; 0 never.
    """

    def __init__(
        self,
        dim: int,
        num_codebooks: int = 4,
        codebook_size: int = 512,
        latent_size: int = 256,
        decay: float = 0.99,
        kmeans_iterations: int = 10,
        quantize_dropout: bool = True,
        revive_below: float = 0.0,
    ):
        super().__init__(
            dim, num_codebooks, codebook_size, latent_size, quantize_dropout
        )
        self.codebooks = nn.ModuleList(
            EmaCodebook(
                codebook_size, latent_size, decay, kmeans_iterations, revive_below
            )
            for _ in range(num_codebooks)
        )

    def tables(self) -> list[torch.Tensor]:
        """See ``CodebookQuantizer.tables``."""
        return [book.vectors for book in self.codebooks]

    def forward(self, x, mask=None):
        """See ``AbsQuantizer.forward``."""
        if mask is None:
            mask = torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device)
        depth = self.draw_depth(x.device)
        with torch.autocast(x.device.type, enabled=False):
            residual = self.project_in(x.float())  # (B, N, C)
            total, loss, codes = torch.zeros_like(residual), x.new_zeros(()), []
            for codebook in self.codebooks[:depth]:
                step = self._quantize(codebook, residual, mask)
                total, loss = total + step.quantized, loss + step.loss
                codes.append(step.codes)
                residual = residual - step.quantized.detach()
            codes += [torch.full_like(codes[0], -1)] * (self.num_codebooks - depth)
            return QuantizerOutput(
                self.project_out(total), torch.stack(codes, -1), loss
            )

    def _quantize(
        self, codebook: EmaCodebook, residual: torch.Tensor, mask: torch.Tensor
    ) -> QuantizerOutput:
        """One codebook: residual (B, N, C) -> quantized (B, N, C), codes (B, N)."""
        samples = residual.detach()[mask]  # (M, C)
        if self.training and not codebook.initialized.item():
            codebook.start(samples)
        codes = nearest(residual.detach(), codebook.vectors)  # (B, N)
        vectors = codebook.vectors[codes]  # (B, N, C)
        loss = residual.new_zeros(())
        if self.training:
            codebook.update(samples, codes[mask])
            squares = (residual[mask] - vectors[mask]).square().mean(-1)  # (M,)
            loss = joint_mean(squares.sum(), len(squares))
            vectors = residual + (vectors - residual).detach()
        quantized = vectors * mask.unsqueeze(-1)
        return QuantizerOutput(quantized, codes.masked_fill(~mask, -1), loss)

    def usage(self) -> tuple[torch.Tensor, torch.Tensor]:
        """See ``AbsQuantizer.usage``, from the moving counts."""
        counts = torch.stack([book.counts for book in self.codebooks])  # (Q, K)
        used, perplexity = share_and_perplexity(counts, USED_COUNT)
        return used.mean(), perplexity.mean()
