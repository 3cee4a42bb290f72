"""Correlations and intervals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.metrics.statistics import (
    bootstrap_interval,
    center_by_group,
    mean_interval,
    pearson,
    pearson_given,
    pearson_within,
)


@given(st.integers(0, 1000), st.integers(3, 40))
def test_pearson_equals_numpy(seed, size):
    x, y = np.random.default_rng(seed).standard_normal((2, size))
    assert pearson(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])


def test_pearson_is_nan_where_it_does_not_exist():
    assert math.isnan(pearson([1, 1, 1], [1, 2, 3]))
    assert math.isnan(pearson([1, 2], [1, 2]))
    assert math.isnan(pearson_within([], [], []))
    with pytest.raises(ValueError, match="paired"):
        pearson([1, 2, 3], [1, 2])


def test_group_means_do_not_count():
    x, y = [1, 2, 11, 12], [5, 4, 25, 24]
    assert pearson(x, y) > 0.9
    assert pearson_within(x, y, ["a", "a", "b", "b"]) == pytest.approx(-1)
    assert center_by_group([1, 3, 5], ["a", "a", "b"]).tolist() == [-1, 1, 0]


@given(st.integers(0, 1000), st.integers(4, 40))
def test_a_partial_correlation_is_that_of_the_inverse_covariance(seed, size):
    x, y, z = np.random.default_rng(seed).standard_normal((3, size))
    precision = np.linalg.inv(np.cov([x, y, z]))
    expected = -precision[0, 1] / np.sqrt(precision[0, 0] * precision[1, 1])
    assert pearson_given(x, y, z) == pytest.approx(expected, abs=1e-6)


def test_nothing_is_explained_by_a_constant():
    x, y = [1, 2, 4, 3], [2, 2, 5, 1]
    assert pearson_given(x, y, [7, 7, 7, 7]) == pearson(x, y)


def test_interval_holds_the_mean_and_is_repeatable():
    samples = np.random.default_rng(0).standard_normal(200)
    low, high = bootstrap_interval(samples)
    assert low < samples.mean() < high
    assert bootstrap_interval(samples) == (low, high)
    assert all(map(math.isnan, bootstrap_interval([])))
    assert bootstrap_interval([3.0]) == (3.0, 3.0)
    assert bootstrap_interval([1.0, 1.0]) == (1.0, 1.0)


def test_means_come_with_their_interval():
    found = mean_interval(iter([1.0, 2.0, 6.0]))
    assert found["mean"] == 3 and found["utterances"] == 3
    assert (found["low"], found["high"]) == bootstrap_interval([1.0, 2.0, 6.0])
    assert math.isnan(mean_interval([])["mean"])
