"""Agreement and intervals of ratings against slow loops and known values."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.metrics.ratings import (
    crossed_interval,
    krippendorff_alpha,
    mean_pairwise_correlation,
)

NAN = float("nan")


def draw(seed, listeners, items, share=0.3):
    rng = np.random.default_rng(seed)
    ratings = rng.integers(1, 6, (listeners, items)).astype(float)
    ratings[rng.random((listeners, items)) < share] = NAN
    return ratings


def alpha_slowly(ratings):
    units = [column[~np.isnan(column)] for column in ratings.T]
    units = [unit for unit in units if len(unit) > 1]
    values = [v for unit in units for v in unit]
    observed = sum(
        (a - b) ** 2 / (len(unit) - 1) for unit in units for a in unit for b in unit
    )
    expected = sum((a - b) ** 2 for a in values for b in values) / (len(values) - 1)
    return 1 - observed / expected if expected else NAN


def test_alpha_of_the_known_example():
    """Three coders, fifteen units; interval alpha is published as 0.811."""
    ratings = [
        [NAN] * 5 + [3, 4, 1, 2, 1, 1, 3, 3, NAN, 3],
        [1, NAN, 2, 1, 3, 3, 4, 3] + [NAN] * 7,
        [NAN, NAN, 2, 1, 3, 4, 4, NAN, 2, 1, 1, 3, 3, NAN, 4],
    ]
    assert krippendorff_alpha(np.array(ratings)) == pytest.approx(0.811, abs=5e-4)


@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(2, 8))
def test_alpha_equals_a_loop(seed, listeners, items):
    ratings = draw(seed, listeners, items)
    found, expected = krippendorff_alpha(ratings), alpha_slowly(ratings)
    assert found == pytest.approx(expected, nan_ok=True)


def test_what_does_not_exist_is_nan():
    assert math.isnan(krippendorff_alpha(np.full((3, 4), 2.0)))
    assert math.isnan(krippendorff_alpha(np.array([[1, NAN], [NAN, 2]])))
    assert math.isnan(crossed_interval(np.full((2, 2), NAN))[0])
    assert math.isnan(mean_pairwise_correlation(np.array([[1.0, 2.0, 3.0]])))


def test_agreement_of_copies_and_opposites():
    first = np.array([1.0, 2, 3, 4, 5])
    assert krippendorff_alpha(np.stack([first, first])) == pytest.approx(1)
    assert krippendorff_alpha(np.stack([first, first[::-1]])) < 0
    assert mean_pairwise_correlation(np.stack([first, 2 * first])) == pytest.approx(1)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 6))
def test_interval_is_that_of_a_loop(seed, listeners, items):
    ratings = draw(seed, listeners, items)
    if np.isnan(ratings).all():
        return
    rng = np.random.default_rng(3)
    rows = rng.multinomial(listeners, np.full(listeners, 1 / listeners), size=50)
    columns = rng.multinomial(items, np.full(items, 1 / items), size=50)
    means = []
    for row, column in zip(rows, columns):
        cells = np.repeat(np.repeat(ratings, row, axis=0), column, axis=1)
        if not np.isnan(cells).all():
            means.append(np.nanmean(cells))
    expected = np.quantile(means, [0.025, 0.975]) if means else [NAN, NAN]
    found = crossed_interval(ratings, draws=50, seed=3)
    assert found == pytest.approx(tuple(expected), nan_ok=True)


def test_one_listener_more_or_less_matters():
    """Drawing single ratings would promise too much when listeners differ."""
    ratings = np.repeat([[1.0], [3.0], [5.0]], 40, axis=1)
    low, high = crossed_interval(ratings)
    assert low < 2 and high > 4
