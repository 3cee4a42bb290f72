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


def mean_accuracy(
    results: Sequence[PairAccuracy], draws: int = 2000, seed: int = 0
) -> PairAccuracy:
    """Mean over sets, each of the same weight whatever its size.

    Args:
        results: One a set (the six consistency parts make the paper's SALMON).
        draws: Resamples of the bootstrap, in which every set keeps its size.
        seed: Seed of the bootstrap.

    Returns:
        Sums of pairs and ties, mean accuracy and its interval; nan without sets or if
        a set has no pairs.
    """
    pairs, ties = (sum(getattr(r, key) for r in results) for key in ("pairs", "ties"))
    if not results or not all(result.pairs for result in results):
        return PairAccuracy(pairs, float("nan"), ties, float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    resampled = []
    for result in results:
        won = round(result.accuracy * result.pairs - result.ties / 2)
        lost = result.pairs - result.ties - won
        shares = np.array([won, result.ties, lost]) / result.pairs
        counts = rng.multinomial(result.pairs, shares, size=draws)  # (draws, 3)
        resampled.append((counts[:, 0] + counts[:, 1] / 2) / result.pairs)
    low, high = np.quantile(np.mean(resampled, axis=0), [0.025, 0.975])
    accuracy = float(np.mean([result.accuracy for result in results]))
    return PairAccuracy(pairs, accuracy, ties, float(low), float(high))
