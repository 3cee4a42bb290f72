"""Masks of padded sequences.

Enters: lengths (B,). Leaves: masks (B, T), True at valid positions.

Legend: B utterances, T positions.
"""

import torch


def length_mask(lengths: torch.Tensor, size: int) -> torch.Tensor:
    """True at the valid positions of sequences padded on the right.

    Args:
        lengths: Valid positions, (B,).
        size: T, the padded length.

    Returns:
        Boolean mask (B, T).

    Example:
        >>> length_mask(torch.tensor([1, 2]), 2).int().tolist()
        [[1, 0], [1, 1]]
    """
    return torch.arange(size, device=lengths.device) < lengths[:, None]
