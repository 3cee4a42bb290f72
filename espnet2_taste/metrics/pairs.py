"""How often is the better of two candidates given the higher score?

Enters: scores of the preferred and of the other candidate of each pair. Leaves: the
share of pairs in the right order, ties counted half, with a bootstrap interval (as in
SALMON and StoryCloze; paper, section 4.2).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from espnet2_taste.metrics.statistics import bootstrap_interval, mean


def pair_accuracy(
    preferred: Sequence[float], other: Sequence[float], seed: int = 0
) -> dict[str, float]:
    """Compare the scores of each pair.

    Args:
        preferred: Scores of the candidates that should win, (n,), higher is better.
        other: Scores of their counterparts, (n,).
        seed: Seed of the bootstrap.

    Returns:
        Numbers of ``pairs`` and ``ties``, ``accuracy``: the share in the right order,
        ties one half, and ``low`` and ``high`` of its 95 % bootstrap interval; nan
        without pairs.

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
    return _result(len(wins), mean(wins), (preferred == other).sum(), low, high)


def _result(pairs: int, accuracy: float, ties: int, low: float, high: float) -> dict:
    ends = {"low": float(low), "high": float(high)}
    return {"pairs": pairs, "accuracy": accuracy, "ties": int(ties), **ends}


def mean_accuracy(results: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean over sets, each of the same weight whatever its size.

    Args:
        results: One a set (the six consistency parts make the paper's SALMON).

    Returns:
        As :func:`pair_accuracy`: sums of pairs and ties, mean accuracy and its
        interval, of 2000 resamples in which every set keeps its size; nan without sets
        or if a set has no pairs.
    """
    pairs, ties = (sum(result[key] for result in results) for key in ("pairs", "ties"))
    if not results or not all(result["pairs"] for result in results):
        return _result(pairs, float("nan"), ties, float("nan"), float("nan"))
    rng = np.random.default_rng(0)
    resampled = []
    for result in results:
        count, tied = result["pairs"], result["ties"]
        won = round(result["accuracy"] * count - tied / 2)
        shares = np.array([won, tied, count - tied - won]) / count
        counts = rng.multinomial(count, shares, size=2000)  # (2000, 3)
        resampled.append((counts[:, 0] + counts[:, 1] / 2) / count)
    low, high = np.quantile(np.mean(resampled, axis=0), [0.025, 0.975])
    accuracy = mean([result["accuracy"] for result in results])
    return _result(pairs, accuracy, ties, low, high)
