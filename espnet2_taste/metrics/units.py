"""Accuracy of predicted speech units, everywhere and where the unit changes.

Enters: logits (B, U, K) and target units (B, U). Leaves: hits and counts. On a small
corpus the previous unit predicts the next one so well that the overall accuracy says
little about what else a decoder knows; at changes it can not copy.

Legend: B utterances, U units, K classes.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class UnitCounts:
    """Hits over any number of units.

    Attributes:
        units: Units scored.
        top1: Units that were the best guess.
        top5: Units among the five best guesses.
        changes: Units that differ from the unit before.
        change_top1: Of those, best guesses.
        change_top5: Of those, among the five best guesses.
    """

    units: int = 0
    top1: int = 0
    top5: int = 0
    changes: int = 0
    change_top1: int = 0
    change_top5: int = 0

    def __add__(self, other: "UnitCounts") -> "UnitCounts":
        return UnitCounts(
            self.units + other.units,
            self.top1 + other.top1,
            self.top5 + other.top5,
            self.changes + other.changes,
            self.change_top1 + other.change_top1,
            self.change_top5 + other.change_top5,
        )

    def accuracies(self) -> dict[str, float]:
        """Rates: ``acc``, ``acc_top5``, ``acc_change`` and ``acc_change_top5``."""
        return {
            "acc": _ratio(self.top1, self.units),
            "acc_top5": _ratio(self.top5, self.units),
            "acc_change": _ratio(self.change_top1, self.changes),
            "acc_change_top5": _ratio(self.change_top5, self.changes),
        }


def count_unit_hits(
    logits: torch.Tensor, units: torch.Tensor, lengths: torch.Tensor
) -> UnitCounts:
    """Compare teacher-forced predictions with the truth.

    Args:
        logits: Scores of every class, (B, U, K); more columns than units (an end
            symbol) or more positions (the end itself) are allowed.
        units: True units, (B, U).
        lengths: Valid units, (B,).

    Returns:
        The counts. The first unit of an utterance is no change.

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
    return UnitCounts(*(int(mask.sum()) for mask in counted))


def _ratio(hits: int, count: int) -> float:
    return hits / count if count else float("nan")
