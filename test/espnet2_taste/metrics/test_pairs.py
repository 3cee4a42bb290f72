"""Pair accuracy and tempo."""

import math

import pytest

from espnet2_taste.metrics.pairs import mean_accuracy, pair_accuracy
from espnet2_taste.metrics.rates import follow_rates, speaking_rate
from espnet2_taste.structures import WordTiming


def test_ties_count_half():
    result = pair_accuracy([1, 2, 3, 0], [0, 2, 4, -1])
    assert (result["accuracy"], result["ties"], result["pairs"]) == (0.625, 1, 4)
    assert result["low"] <= result["accuracy"] <= result["high"]


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="pair 1"):
        pair_accuracy([1, float("nan")], [0, 0])
    with pytest.raises(ValueError, match="expected pairs"):
        pair_accuracy([1], [0, 0])
    assert math.isnan(pair_accuracy([], [])["accuracy"])


def test_sets_of_any_size_weigh_the_same():
    many = pair_accuracy([1.0] * 90 + [0.0] * 10, [0.5] * 100)
    few = pair_accuracy([1.0, 0.0, 0.5, 1.0], [0.5, 0.5, 0.5, 0.5])
    result = mean_accuracy([many, few])
    assert result["accuracy"] == pytest.approx((0.9 + 0.625) / 2)
    assert (result["pairs"], result["ties"]) == (104, 1)
    assert result["low"] < result["accuracy"] < result["high"]
    alone = mean_accuracy([many])
    assert (alone["low"], alone["high"]) == pytest.approx(
        (many["low"], many["high"]), abs=0.02
    )
    assert math.isnan(mean_accuracy([])["accuracy"])
    assert math.isnan(mean_accuracy([many, pair_accuracy([], [])])["low"])


def test_tempo_of_words():
    words = [WordTiming("a", 0.5, 0.25), WordTiming("b", 1.0, 0.5)]
    assert speaking_rate(words) == pytest.approx(2.0)
    assert math.isnan(speaking_rate([]))


def test_unknown_tempi_are_left_out():
    prompts = {"a": 1, "b": 2, "c": 3, "d": float("nan")}
    result = follow_rates(prompts, {"a": 2, "b": 4, "c": 6, "d": 1, "e": 9})
    assert result["pearson"] == pytest.approx(1)
    assert (result["utterances"], result["left_out"]) == (3, 1)
    assert follow_rates(prompts, {"a": 2})["left_out"] == 3
