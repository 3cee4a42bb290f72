"""What the ranks of a distributed training share, and means over their joint batch.

Enters: tensors of one rank. Leaves: the same on all ranks, or a share of a mean so that
gradients, which ESPnet averages over ranks, are those of the joint batch. In a single
process everything is as it is. All ranks must call a function equally often.

Legend: M rows, C features.
"""

import torch
import torch.distributed as dist
from torch.nn import functional


def _world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def same_on_ranks(x: torch.Tensor) -> torch.Tensor:
    """The first rank's tensor on all ranks."""
    if _world_size() > 1:
        dist.broadcast(x, src=0)
    return x


def sum_over_ranks(x: torch.Tensor) -> torch.Tensor:
    """The sum of all ranks' tensors, which have no gradient; in place."""
    if _world_size() > 1:
        dist.all_reduce(x)
    return x


def of_all_ranks(x: torch.Tensor) -> torch.Tensor:
    """The rows (M, C) of all ranks, in their order; M may differ from rank to rank."""
    world = _world_size()
    if world == 1:
        return x
    counts = [torch.zeros(1, dtype=torch.int64, device=x.device) for _ in range(world)]
    dist.all_gather(counts, torch.full_like(counts[0], len(x)))
    longest = int(max(counts))
    parts = [x.new_empty(longest, x.size(1)) for _ in range(world)]
    dist.all_gather(parts, functional.pad(x, (0, 0, 0, longest - len(x))))
    return torch.cat([part[:count] for part, count in zip(parts, counts)])


def joint_mean(total: torch.Tensor, count: torch.Tensor | int) -> torch.Tensor:
    """A rank's share of a mean: the average over ranks is the joint batch's mean.

    Args:
        total: Sum of this rank's values; or values or their weights one by one, (...).
        count: How many (or the sum of their weights), without gradient.

    Returns:
        ``total`` times the number of ranks, divided by the count of all ranks; zero
        where there is nothing.
    """
    joint = sum_over_ranks(torch.as_tensor(count, device=total.device).float().clone())
    return total * _world_size() / torch.where(joint > 0, joint, 1.0)


def joint_weight(count: int, device: torch.device) -> torch.Tensor:
    """ESPnet's weight of a batch whose losses are ``joint_mean``: equal on all ranks.

    Args:
        count: Utterances of this rank.
        device: Of the result.

    Returns:
        Utterances a rank on average, scalar.
    """
    return sum_over_ranks(torch.tensor(float(count), device=device)) / _world_size()
