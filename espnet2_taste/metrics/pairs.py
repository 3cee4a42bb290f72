"""How often is the better of two candidates given the higher score?

Enters: scores of the preferred and of the other candidate of each pair. Leaves: the
share of pairs in the right order, ties counted half, with a bootstrap interval (as in
SALMON and StoryCloze; paper, section 4.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from espnet2_taste.metrics.statistics import bootstrap_interval


@dataclass(frozen=True)
class PairAccuracy:
    """Result over all pairs.

    Attributes:
        pairs: Number of pairs.
        accuracy: Share in the right order, ties one half.
        ties: Number of ties.
        low: Lower end of the 95 % bootstrap interval.
        high: Upper end.
    """

    pairs: int
    accuracy: float
    ties: int
    low: float
    high: float


def pair_accuracy(
    preferred: Sequence[float], other: Sequence[float], seed: int = 0
) -> PairAccuracy:
    """Compare the scores of each pair.

    Args:
        preferred: Scores of the candidates that should win, (n,), higher is better.
        other: Scores of their counterparts, (n,).
        seed: Seed of the bootstrap.

    Returns:
        Accuracy and interval; nan without pairs.

    Raises:
        ValueError: The numbers of scores differ, or a score is nan.
    """
    preferred = np.asarray(preferred, dtype=np.float64)
    other = np.asarray(other, dtype=np.float64)
    if preferred.shape != other.shape:
        raise ValueError(
            f"expected pairs, found {preferred.shape} and {other.shape} scores"
        )
    missing = np.flatnonzero(np.isnan(preferred) | np.isnan(other))
    if len(missing):
        raise ValueError(f"pair {missing[0]} has a score that is not a number")
    wins = np.where(preferred == other, 0.5, preferred > other)
    low, high = bootstrap_interval(wins, seed=seed)
    accuracy = float(wins.mean()) if len(wins) else float("nan")
    ties = int((preferred == other).sum())
    return PairAccuracy(len(wins), accuracy, ties, low, high)
