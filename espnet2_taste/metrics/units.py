"""Accuracy of predicted speech units, everywhere and where the unit changes.

Enters: logits (B, U, K) and target units (B, U). Leaves: hits and counts. On a small
corpus the previous unit predicts the next one so well that the overall accuracy says
little about what else a decoder knows; at changes it can not copy.

Legend: B utterances, U units, K classes.
"""

from collections import Counter

import torch

COUNTS = ("units", "top1", "top5", "changes", "change_top1", "change_top5")


def unit_accuracies(counts: Counter) -> dict[str, float]:
    """Rates of hits, nan without units.

    Args:
        counts: Sums of what ``count_unit_hits`` gives.

    Returns:
        ``acc``, ``acc_top5``, ``acc_change`` and ``acc_change_top5``.
    """
    rates = {"acc": ("top1", "units"), "acc_top5": ("top5", "units")}
    rates["acc_change"] = ("change_top1", "changes")
    rates["acc_change_top5"] = ("change_top5", "changes")
    return {
        name: counts[hits] / counts[every] if counts[every] else float("nan")
        for name, (hits, every) in rates.items()
    }


def count_unit_hits(
    logits: torch.Tensor, units: torch.Tensor, lengths: torch.Tensor
) -> Counter:
    """Compare teacher-forced predictions with the truth.

    Args:
        logits: Scores of every class, (B, U, K); more columns than units (an end
            symbol) or more positions (the end itself) are allowed.
        units: True units, (B, U).
        lengths: Valid units, (B,).

    Returns:
        ``units`` scored, ``top1``: those that were the best guess, ``top5``: among the
        five best ones; ``changes``: units that differ from the one before, the first of
        an utterance left out, and of those ``change_top1`` and ``change_top5``.

    Raises:
        ValueError: There are fewer predictions than units.
    """
    batch, size = units.shape
    if logits.size(0) != batch or logits.size(1) < size:
        raise ValueError(
            f"expected logits for {batch} x {size} units, found {tuple(logits.shape)}"
        )
    best = logits[:, :size].topk(min(5, logits.size(2)), dim=2).indices  # (B, U, 5)
    match = best == units[:, :, None]
    positions = torch.arange(size, device=units.device)
    valid = positions < lengths[:, None]
    first = match[:, :, 0] & valid
    five = match.any(2) & valid
    change = torch.zeros_like(valid)
    change[:, 1:] = (units[:, 1:] != units[:, :-1]) & valid[:, 1:]
    counted = (valid, first, five, change, first & change, five & change)
    return Counter(dict(zip(COUNTS, (int(mask.sum()) for mask in counted))))
