"""The few statistics every measure of this package is made of.

Enters: paired or single samples, (n,). Leaves: correlations and intervals. A
correlation that does not exist (fewer than three pairs, or one side constant) is
nan, never zero.
"""

from collections.abc import Iterable, Sequence
from zlib import crc32

import numpy as np


def utterance_rng(seed: int, name: str) -> np.random.Generator:
    """Random numbers of one utterance, whatever set, order or ratio it is used in."""
    return np.random.default_rng([seed, crc32(name.encode("utf-8"))])


def mean(values: Sequence[float]) -> float:
    """Mean of samples, (n,), as a plain number; nan without any."""
    return float(np.mean(values)) if len(values) else float("nan")


def pearson(x: Sequence[float], y: Sequence[float]) -> float:
    """Pearson correlation.

    Args:
        x: Samples, (n,).
        y: Samples paired with ``x``, (n,).

    Returns:
        Correlation, nan where it is undefined.

    Raises:
        ValueError: The lengths differ.

    Example:
        >>> pearson([1, 2, 3], [2, 4, 6])
        1.0
    """
    from scipy.stats import pearsonr

    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.shape != y.shape:
        raise ValueError(f"expected paired samples, found {x.shape} and {y.shape}")
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(pearsonr(x, y).statistic)


def center_by_group(x: Sequence[float], groups: Sequence[str]) -> np.ndarray:
    """Subtract from each sample the mean of its group.

    Args:
        x: Samples, (n,).
        groups: Group of each sample, (n,).

    Returns:
        Centred samples, (n,).
    """
    x = np.asarray(x, dtype=np.float64)
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.bincount(index)
    return x - (np.bincount(index, weights=x) / counts)[index]


def pearson_within(
    x: Sequence[float], y: Sequence[float], groups: Sequence[str]
) -> float:
    """Pearson correlation of what remains when group means are taken away.

    Args:
        x: Samples, (n,).
        y: Samples paired with ``x``, (n,).
        groups: Group of each pair, e.g. its utterance or speaker, (n,).

    Returns:
        Correlation within groups, nan where it is undefined.
    """
    if not len(x):
        return float("nan")
    return pearson(center_by_group(x, groups), center_by_group(y, groups))


def pearson_given(
    x: Sequence[float], y: Sequence[float], given: Sequence[float]
) -> float:
    """Partial correlation: that of what a line through ``given`` leaves of both.

    Args:
        x: Samples, (n,).
        y: Samples paired with ``x``, (n,).
        given: What may explain both, (n,).

    Returns:
        Correlation, nan where it is undefined.
    """
    from scipy.stats import linregress

    if len(given) < 3 or np.ptp(given) == 0:
        return pearson(x, y)
    lines = (linregress(given, values) for values in (x, y))
    left = [
        np.asarray(values) - line.slope * np.asarray(given)
        for values, line in zip((x, y), lines)
    ]
    return pearson(*left)


def bootstrap_interval(samples: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean of one sample, of 2000 resamples.

    Args:
        samples: Observations, (n,).
        seed: Seed of the resampling.

    Returns:
        Lower and upper end: the observation if there is one, (nan, nan) without any.
    """
    from scipy.stats import bootstrap

    values = np.asarray(samples, dtype=np.float64)
    if len(values) < 2:
        only = float(values[0]) if len(values) else float("nan")
        return only, only
    rng = np.random.default_rng(seed)
    options = {"n_resamples": 2000, "method": "percentile", "rng": rng}
    low, high = bootstrap((values,), np.mean, **options).confidence_interval
    return float(low), float(high)


def mean_interval(samples: Iterable[float], seed: int = 0) -> dict[str, float]:
    """Mean over utterances with its 95 % bootstrap interval.

    Args:
        samples: One an utterance.
        seed: Seed of the resampling.

    Returns:
        ``mean``, ``low``, ``high``, nan without utterances; ``utterances``.
    """
    samples = list(samples)
    low, high = bootstrap_interval(samples, seed=seed)
    count = len(samples)
    return {"mean": mean(samples), "low": low, "high": high, "utterances": count}
