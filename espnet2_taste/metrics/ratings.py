"""Ratings by people: intervals that know who rated what, and how far people agree.

Enters: ratings (L, T) of L listeners and T items, nan where there is none. Leaves: the
mean's interval when other listeners had heard other items, and two measures of
agreement. What does not exist is nan.
"""

import numpy as np

from espnet2_taste.metrics.statistics import pearson


def crossed_interval(
    ratings: np.ndarray, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % bootstrap interval of the mean rating over listeners and items.

    Listeners and items are both drawn anew: ratings of one listener resemble each
    other, and so do those of one item, so that drawing single ratings would promise
    too much.

    Args:
        ratings: (L, T), nan where there is none.
        draws: Resamples.
        seed: Seed of the resampling.

    Returns:
        Lower and upper end; nan without ratings.
    """
    ratings = np.asarray(ratings, dtype=np.float64)
    there = ~np.isnan(ratings)
    if not there.any():
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    listeners, items = ratings.shape
    rows = rng.multinomial(listeners, np.full(listeners, 1 / listeners), size=draws)
    columns = rng.multinomial(items, np.full(items, 1 / items), size=draws)
    total = ((rows @ np.where(there, ratings, 0.0)) * columns).sum(axis=1)  # (draws,)
    count = ((rows @ there.astype(np.float64)) * columns).sum(axis=1)
    means = total[count > 0] / count[count > 0]
    if not len(means):
        return float("nan"), float("nan")
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def krippendorff_alpha(ratings: np.ndarray) -> float:
    """Krippendorff's alpha with the interval metric (squared differences).

    1 is perfect agreement, 0 what chance gives. Items with one rating do not count.

    Args:
        ratings: (L, T), nan where there is none.

    Returns:
        Alpha; nan if no item has two ratings or all ratings are equal.
    """
    ratings = np.asarray(ratings, dtype=np.float64)
    there = ~np.isnan(ratings)
    paired = there.sum(axis=0) > 1
    ratings, there = ratings[:, paired], there[:, paired]
    values = ratings[there]
    if not len(values) or np.ptp(values) == 0:
        return float("nan")
    values = np.where(there, ratings - values.mean(), 0.0)  # (L, T)
    counts = there.sum(axis=0)
    squares = (values**2).sum(axis=0)
    sums = values.sum(axis=0)
    observed = ((counts * squares - sums**2) / (counts - 1)).sum()
    number = counts.sum()
    expected = (number * squares.sum() - sums.sum() ** 2) / (number - 1)
    return float(1 - observed / expected)


def mean_pairwise_correlation(ratings: np.ndarray) -> float:
    """Mean Pearson correlation of two listeners over the items that both rated.

    Args:
        ratings: (L, T), nan where there is none.

    Returns:
        Mean over the pairs of listeners for which it exists; nan without any.
    """
    ratings = np.asarray(ratings, dtype=np.float64)
    found = []
    for first in range(len(ratings)):
        for second in range(first + 1, len(ratings)):
            both = ~np.isnan(ratings[[first, second]]).any(axis=0)
            found.append(pearson(ratings[first, both], ratings[second, both]))
    found = [value for value in found if not np.isnan(value)]
    return float(np.mean(found)) if found else float("nan")
