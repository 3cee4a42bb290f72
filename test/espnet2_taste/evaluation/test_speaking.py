"""Who is followed, whose voice is nearest, and how far claimed times are off."""

from types import SimpleNamespace

import numpy as np
import pytest

from espnet2_taste.evaluation import speaking
from espnet2_taste.evaluation.saying_report import saying_tables
from espnet2_taste.evaluation.speaking import (
    followed_by,
    stream_speed,
    timing_agreement,
    voices_named,
)
from espnet2_taste.structures import WordTiming


def test_each_text_follows_another_recording_of_its_speaker():
    followed = followed_by({"b": "x", "a": "x", "c": "x", "d": "y", "e": "z", "f": "z"})
    assert followed == {"a": "b", "b": "c", "c": "a", "e": "f", "f": "e"}


def test_times_are_compared_border_by_border():
    claimed = {"u": [WordTiming("a", 0.0, 0.5), WordTiming("b", 0.5, 0.5)], "v": []}
    aligned = {"u": [WordTiming("a", 0.02, 0.5), WordTiming("b", 0.5, 0.6)]}
    found = timing_agreement(claimed, aligned)
    assert found["words"] == 2 and found["share_within"] == 0.75
    assert found["median_difference"] == pytest.approx(0.02)
    assert found["median_signed"] == pytest.approx(-0.02)
    assert timing_agreement({}, aligned) == {"words": 0}


def test_the_nearest_voice_is_named_whatever_its_length():
    means = {"x": np.array([1.0, 0.0]), "y": np.array([0.0, 5.0])}
    said = {("a", "x"): np.array([3.0, 1.0]), ("b", "x"): np.array([1.0, 2.0])}
    assert voices_named(said, means) == 0.5
    assert np.isnan(voices_named({}, means))


def test_a_table_a_set():
    row = {
        "wer": {"rate": 0.1},
        "durations": {"pearson": 0.9},
        "rate": {"pearson": float("nan")},
        "voice_named": 1.0,
        "timings": {"words": 0},
    }
    speed = {"words": 9, "first": 0.5, "seconds": 2.0, "share": 0.25}
    speed |= {"real_time_factor": 0.125, "at_once": 2.0, "largest_share": 0.375}
    speed |= {"prompts": 8, "turns": 5}
    study = {"sets": {"test": {"plain": row}}, "streaming": speed}
    title, table, line = saying_tables(study)
    assert "9 words is written, its speech begins after 0.500 s, 25.0% of the" in line
    assert (
        "2.00 s of a call" in line and "5 turns over 8 prompts; at most 37.5%" in line
    )
    assert title == "### Texts of `test`"
    expected = "| TASLM | 10.0 | 0.900 | - | 100.0 | 0 | - | - |"
    assert table.splitlines()[-1] == expected


class Clocked:
    """An LM whose calls take stated seconds, a hundred times longer the first time."""

    sample_rate = 8

    def __init__(self):
        self.now, self.begun = 0.0, []
        self.tokenizer, self.vocoder = self, self

    def wait(self, seconds):
        self.now += seconds * (100 if len(self.begun) < 2 else 1)

    def perf_counter(self):
        return self.now

    def continue_(self, prompt):
        self.wait(10)

    def decode(self, tokens, voice):
        self.wait(5)

    def stream_speech(self, prompt, voice):
        self.begun.append(0)
        for size in (0, 7, 9):
            self.begun[-1] += 1
            self.wait(2)
            yield SimpleNamespace(wave=np.zeros(size))


def test_speech_begins_with_the_first_piece_that_has_samples(monkeypatch):
    lm = Clocked()
    monkeypatch.setattr(speaking, "time", lm)
    found = stream_speed(lm, ["a", "b"], [0, 1], turns=3)
    assert lm.begun == [3] * 8  # a new stream each turn, one of them not counted
    assert found == {
        **{"prompts": 2, "turns": 3, "first": 4.0, "seconds": 6.0, "at_once": 15.0},
        **{"share": 4 / 15, "largest_share": 4 / 15, "real_time_factor": 3.0},
    }
