"""Mean F0 of words."""

import numpy as np
import pytest

from espnet2_taste.metrics.word_pitch import score_pitch, word_mean_f0
from espnet2_taste.structures import WordTiming


def test_only_voiced_frames_of_the_word_count():
    pitch = np.array([0, 100, 110, 0, 0, 200, 0, 0, 0, 0.0])
    words = [WordTiming("a", 0.0, 0.05), WordTiming("b", 0.05, 0.05)]
    means = word_mean_f0(pitch, words)
    assert means[0] == 105 and np.isnan(means[1])


def test_speakers_do_not_help_within_speakers():
    first = [100, 110, 200, 210, np.nan]
    second = [110, 100, 210, 200, 150]
    scores = score_pitch(first, second, list("aabbb"), ["u", "u", "v", "v", "v"])
    assert scores["pearson"] > 0.9
    assert scores["pearson_within_speaker"] == pytest.approx(-1)
    assert (scores["words"], scores["unvoiced"]) == (4, 1)


def test_semitones():
    scores = score_pitch([100.0], [200.0], ["a"], ["u"])
    assert scores["mean_absolute_semitones"] == pytest.approx(12)
