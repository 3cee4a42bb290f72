"""Comparison of word durations."""

import math

import numpy as np
import pytest

from espnet2_taste.metrics.durations import pair_words, score_durations
from espnet2_taste.structures import WordTiming


def reading(durations, words="abcdefgh"):
    timings, start = [], 0.1
    for word, duration in zip(words, durations):
        timings.append(WordTiming(word, start, duration))
        start += duration
    return timings


def test_identical_readings_agree():
    readings = {"u1": reading([0.1, 0.2, 0.3]), "u2": reading([0.2, 0.1, 0.5])}
    scores = score_durations(pair_words(readings, readings))
    assert scores["pearson"] == pytest.approx(1)
    assert scores["pearson_within"] == pytest.approx(1)
    assert scores["share_within"] == 1.0
    assert (scores["words"], scores["utterances"]) == (6, 2)


def test_a_tempo_that_follows_only_the_utterance_fails_within():
    reference = {"u1": reading([0.1, 0.2, 0.1]), "u2": reading([0.4, 0.5, 0.4])}
    rendition = {"u1": reading([0.2, 0.1, 0.2]), "u2": reading([0.5, 0.4, 0.5])}
    scores = score_durations(pair_words(reference, rendition))
    assert scores["pearson"] > 0.7
    assert scores["pearson_within"] == pytest.approx(-1)


def test_what_the_spelling_says_counts_not_beyond_letters():
    words = ["a", "bbb", "ccccc", "dddd"]
    by_letters = [0.1 * len(word) for word in words]
    noise, other = np.array([[0.01, -0.01, 0.02, -0.02], [0.01, 0.02, -0.02, -0.01]])
    first = {"u": reading(by_letters + noise, words)}
    second = {"u": reading(by_letters + other, words)}
    scores = score_durations(pair_words(first, second))
    assert scores["pearson"] > 0.98 > 0.5 > scores["pearson_beyond_letters"]


def test_tolerance_decides_the_share():
    reference = {"u": reading([0.1, 0.2, 0.3, 0.4])}
    rendition = {"u": reading([0.1, 0.23, 0.36, 0.5])}
    pairs = pair_words(reference, rendition)
    assert score_durations(pairs, 0.05)["share_within"] == 0.5
    assert score_durations(pairs, 0.05)["share_within_half"] == 0.25
    assert score_durations(pairs, 0.025)["share_within"] == 0.25
    assert score_durations(pairs)["mean_difference"] == pytest.approx(0.0475)


def test_what_cannot_be_compared_is_listed():
    pairs = pair_words(
        {"u1": reading([0.1]), "u2": reading([0.1])},
        {"u2": reading([0.1], words="z")},
    )
    assert pairs.left_out == {"u1": "no rendition", "u2": "the words differ"}
    scores = score_durations(pairs)
    assert scores["words"] == 0 and math.isnan(scores["pearson"])
    assert np.isnan(scores["share_within"])
