"""Design and arithmetic of the swap study."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.metrics.swap import (
    SwapReading,
    choose_words,
    exchange,
    measure_leakage,
    score_pitch_swaps,
    score_swaps,
)
from espnet2_taste.structures import WordTiming


def timed(durations):
    starts = np.cumsum([0, *durations[:-1]])
    return tuple(WordTiming("w", s, d) for s, d in zip(starts, durations))


@given(st.text(max_size=8), st.integers(1, 20), st.integers(0, 9))
def test_choice_is_repeatable_and_without_neighbours(name, num_words, seed):
    chosen = choose_words(name, num_words, seed)
    assert chosen == choose_words(name, num_words, seed)
    assert 1 <= len(chosen) <= max(1, round(num_words / 4))
    assert all(b - a > 1 for a, b in zip(chosen, chosen[1:]))
    assert all(0 <= index < num_words for index in chosen)


def test_choices_differ_between_utterances():
    assert len({choose_words(f"u{i}", 9) for i in range(20)}) > 5


@given(st.integers(0, 100), st.integers(1, 9))
def test_exchanging_twice_gives_the_codes_back(seed, num_words):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 9, (2, num_words, 3))
    chosen = choose_words("u", num_words, seed)
    once = exchange(first, second, chosen)
    kept = [i for i in range(num_words) if i not in chosen]
    assert (once[0][kept] == first[kept]).all()
    assert (once[0][list(chosen)] == second[list(chosen)]).all()
    twice = exchange(*once, chosen)
    assert (twice[0] == first).all() and (twice[1] == second).all()


def test_readings_of_different_texts_are_refused():
    with pytest.raises(ValueError, match="pairs.tsv"):
        exchange(np.zeros((3, 2)), np.zeros((4, 2)), [0])


def test_a_perfect_swap():
    slow, fast = timed([0.4, 0.4, 0.4, 0.4]), timed([0.2, 0.2, 0.2, 0.2])
    mixed_slow, mixed_fast = timed([0.4, 0.2, 0.4, 0.4]), timed([0.2, 0.4, 0.2, 0.22])
    scores = score_swaps(
        [
            SwapReading("s", "slow", "fast", (1,), slow, mixed_slow, fast),
            SwapReading("f", "fast", "slow", (1,), fast, mixed_fast, slow),
        ]
    )
    assert scores["share_right"] == scores["share_right_slow"] == 1.0
    assert scores["way"] == pytest.approx(1.0)
    assert scores["unswapped_words"] == 6
    assert scores["unswapped_change"] == 0.0


def test_no_change_is_not_the_right_way():
    slow = timed([0.4, 0.4])
    scores = score_swaps([SwapReading("s", "slow", "fast", (0,), slow, slow, slow)])
    assert scores["share_right"] == 0.0 and math.isnan(scores["way"])
    assert math.isnan(scores["share_right_fast"])
    assert math.isnan(score_swaps([])["share_right"])


def test_neighbours_are_told_from_the_rest():
    own = timed([0.2] * 5)
    swapped = timed([0.3, 0.3, 0.2, 0.2, 0.2])
    scores = score_swaps([SwapReading("f", "fast", "slow", (0,), own, swapped, own)])
    assert scores["unswapped_change_neighbours"] == pytest.approx(0.5)
    assert scores["unswapped_change"] == 0.0


@given(st.integers(1, 12), st.integers(0, 999))
def test_leakage_by_distance_equals_a_loop(num_words, seed):
    rng = np.random.default_rng(seed)
    readings = []
    for name in ("s", "t"):
        chosen = choose_words(name, num_words, seed)
        own, swapped, other = rng.uniform(0.1, 0.9, (3, num_words)).round(2)
        timings = map(timed, (own, swapped, other))
        readings.append(SwapReading(name, "slow", "fast", chosen, *timings))
    curve = measure_leakage(readings)
    assert [point["distance"] for point in curve] == [0, 1, 2, 3]
    for point in curve:
        changes, ways = [], []
        for reading in readings:
            rows = zip(reading.own, reading.swapped, reading.other)
            for index, (a, b, c) in enumerate(rows):
                near = min(abs(index - chosen) for chosen in reading.chosen)
                if near != point["distance"]:
                    continue
                changes.append(abs(b.duration - a.duration) / a.duration)
                if abs(c.duration - a.duration) >= 0.02:
                    move = b.duration - a.duration
                    ways.append(move / (c.duration - a.duration))
        assert point["words"] == len(changes)
        for found, values in ((point["change"], changes), (point["way"], ways)):
            if values:
                assert found == pytest.approx(np.median(values))
            else:
                assert math.isnan(found)


def test_between_voices_each_word_has_a_way_of_its_own():
    own, other = timed([0.2, 0.4, 0.3, 0.3]), timed([0.4, 0.2, 0.3, 0.31])
    swapped = timed([0.3, 0.5, 0.4, 0.2])
    reading = SwapReading("w", "woman", "man", (0, 1, 2, 3), own, swapped, other)
    scores = score_swaps([reading])
    assert scores["swapped_words"] == 2  # the last two are as long in both
    assert (scores["share_right_fast"], scores["share_right_slow"]) == (1.0, 0.0)
    assert scores["way"] == pytest.approx(0.0)  # between 0.5 and -0.5


def test_the_way_of_pitch_is_in_semitones():
    own = np.array([200.0, 200.0, np.nan, 200.0])
    other = np.array([100.0, 199.0, 100.0, 100.0])
    swapped = np.array([200.0 / 2**0.5, 150.0, 150.0, 200.0 * 2 ** (1 / 12)])
    words = timed([0.2] * 4)
    pitch = (own, swapped, other)
    chosen = (0, 1, 2)  # the second says nothing, the third has no voice
    reading = SwapReading("w", "woman", "man", chosen, words, words, words, pitch)
    scores = score_pitch_swaps([reading])
    assert scores["swapped_words"] == 1 and scores["way"] == pytest.approx(0.5)
    assert scores["unswapped_words"] == 1
    assert scores["unswapped_semitones"] == pytest.approx(1.0)
    assert math.isnan(score_pitch_swaps([])["way"])
