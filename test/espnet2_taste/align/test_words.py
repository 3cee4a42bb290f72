"""Word times from token times."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.align.words import (
    BoundaryRule,
    Sound,
    find_sound,
    place_words,
    word_cores,
)

RATE = 16000


def tone(*pieces):
    """Alternate sound and silence, lengths in seconds; negative means silent."""
    rng = np.random.default_rng(0)
    return np.concatenate(
        [
            rng.standard_normal(int(abs(s) * RATE)) * (0.1 if s > 0 else 0)
            for s in pieces
        ]
    )


def loud(seconds):
    return Sound(np.ones(int(round(seconds / 0.01)), bool), 0.01, seconds)


def test_edges_of_the_sound_are_found():
    sound = find_sound(tone(-0.3, 0.5, -0.2), RATE, 35.0)
    begin, end = sound.edges()
    assert begin == pytest.approx(0.3, abs=0.011)
    assert end == pytest.approx(0.8, abs=0.011)
    assert sound.duration == pytest.approx(1.0)


def test_longest_silence_between_two_times():
    sound = find_sound(tone(0.3, -0.1, 0.2, -0.2, 0.3), RATE, 35.0)
    begin, end = sound.longest_silence(0.1, 1.0)
    assert (begin, end) == (pytest.approx(0.6, abs=0.02), pytest.approx(0.8, abs=0.02))
    assert sound.longest_silence(0.05, 0.2) is None


def test_silent_recording_keeps_its_whole_length():
    assert find_sound(np.zeros(RATE), RATE, 35.0).edges() == (0.0, 1.0)


def test_gaps_are_divided_by_the_rule():
    cores = np.array([[0.1, 0.2], [0.4, 0.5]])
    rule = BoundaryRule(offset=0.0, split=0.25)
    first, second = place_words(["a", "b"], cores, loud(1.0), rule)
    assert (first.start, first.end) == (0.0, pytest.approx(0.25))
    assert (second.start, second.end) == (pytest.approx(0.25), pytest.approx(1.0))


def test_a_pause_belongs_to_no_word():
    speech = tone(0.4, -0.3, 0.4)
    sound = find_sound(speech, RATE, 35.0)
    cores = np.array([[0.1, 0.15], [0.9, 0.95]])
    first, second = place_words(["a", "b"], cores, sound, BoundaryRule())
    assert first.end == pytest.approx(0.4, abs=0.02)
    assert second.start == pytest.approx(0.7, abs=0.02)


def test_cores_join_the_tokens_of_a_word():
    times = np.array([[0, 1], [2, 3], [4, 5], [6, 7]], float)
    cores = word_cores(times, np.array([0, 0, 1, 2]))
    assert cores.tolist() == [[0, 3], [4, 5], [6, 7]]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.02, 0.5), min_size=2, max_size=12), st.floats(0, 1))
def test_words_never_overlap_and_keep_their_order(steps, split):
    edges = np.cumsum(steps)
    edges = edges[: len(edges) // 2 * 2]
    cores = edges.reshape(-1, 2)
    words = [str(i) for i in range(len(cores))]
    rule = BoundaryRule(split=split)
    timings = place_words(words, cores, loud(float(edges[-1]) + 0.2), rule)
    assert [t.word for t in timings] == words
    for left, right in zip(timings, timings[1:]):
        assert left.duration >= 0
        assert left.end <= right.start + 1e-9
