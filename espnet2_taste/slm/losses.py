"""Losses of spoken LMs, those of TASLM in the symbols of the paper (section 3.3).

Enters: predictions and targets with a mask of the rows that count. Leaves: scalars
or one value a row. Nothing here knows a module.

Legend: B utterances, L or T rows, S streams, X ids of a stream, N marked rows of the
utterance that has most, C latent size; ``...`` any leading shape.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from espnet2_taste.ranks import joint_mean


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Average over the entries of a mask.

    Args:
        values: (...).
        mask: (...) bool.

    Returns:
        Scalar; zero (with a graph) where the mask is empty.
    """
    count = mask.sum().clamp(min=1)
    return torch.where(mask, values, torch.zeros_like(values)).sum() / count


def weighted_mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Average with weights over the joint batch of all ranks, for what is trained.

    Args:
        values: (...); any value, infinity too, where the weight is zero.
        weights: (...) bool or float.

    Returns:
        Scalar, this rank's share (see ``ranks.joint_mean``); zero without weights.
    """
    total = (torch.where(weights > 0, values, 0.0) * weights).sum()
    return joint_mean(total, weights.sum())


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross entropy of text ids, or of the codes of each codebook.

    Args:
        logits: (..., V).
        labels: (...), -1 where there is no target.

    Returns:
        Nats, (...), zero without a target.
    """
    flat = F.cross_entropy(
        logits.float().flatten(0, -2),
        labels.flatten(),
        ignore_index=-1,
        reduction="none",
    )
    return flat.view_as(labels)


def cell_nats(logits: Sequence[torch.Tensor], grid: torch.Tensor) -> torch.Tensor:
    """Cross entropy of every cell of grids.

    Args:
        logits: Of each stream, S times (B, T, X).
        grid: (B, T, S), -1 at padding.

    Returns:
        Nats, (B, T, S), zero at padding.
    """
    columns = zip(logits, grid.unbind(dim=-1))
    return torch.stack([cross_entropy(*pair) for pair in columns], dim=-1)


def compact(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Find the marked rows of each utterance, in order.

    Args:
        mask: (B, T) bool.

    Returns:
        Their rows, (B, N), 0 after the last, and which of the N exist, (B, N) bool.
    """
    counts = mask.sum(dim=1)
    order = (~mask).to(torch.int8).argsort(dim=1, stable=True)
    size = int(counts.max()) if counts.numel() else 0
    exists = torch.arange(size, device=mask.device) < counts[:, None]
    return order[:, :size].masked_fill(~exists, 0), exists


def latent_regression(z: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """L_reg: squared distance of the sampled latent to the target latent.

    Args:
        z: Sampled latent, (..., C).
        c: Target latent, (..., C).

    Returns:
        Mean over C, (...).
    """
    return (z - c).square().mean(dim=-1)


def latent_kl(mu: torch.Tensor, logvar: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """L_KL: divergence of N(mu, sigma^2) from N(c, 1).

    Args:
        mu: Predicted mean, (..., C).
        logvar: log sigma^2, (C,) or (..., C).
        c: Target latent, (..., C).

    Returns:
        Mean over C, (...).
    """
    return 0.5 * (logvar.exp() + (mu - c).square() - 1.0 - logvar).mean(dim=-1)
