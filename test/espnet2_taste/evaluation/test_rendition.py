"""Scores of a set against itself and against a distorted copy."""

import numpy as np
import pytest
from ark_sets import pack_audio

from espnet2_taste.align.sets import AlignedSet
from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.ctm import write_ctm
from espnet2_taste.data.kaldi_dir import KaldiDir, write_kaldi_dir, write_table
from espnet2_taste.evaluation.rendition import (
    read_original,
    score_original,
    score_rendition,
)
from espnet2_taste.structures import WordTiming

RATE = 16000
UTTERANCES = {
    "u1": [(0.3, 120), (0.5, 150), (0.2, 100)],
    "u2": [(0.4, 210), (0.6, 180)],
}


def voice(seconds, f0):
    times = np.arange(int(seconds * RATE)) / RATE
    return 0.2 * sum(np.sin(2 * np.pi * f0 * k * times) / k for k in (1, 2, 3, 4))


@pytest.fixture(params=["files", "ark"])
def folder(tmp_path, request):
    wavs, timings = {}, {}
    for name, words in UTTERANCES.items():
        wavs[name] = str(tmp_path / f"{name}.wav")
        write_audio(wavs[name], np.concatenate([voice(*word) for word in words]), RATE)
        starts = np.cumsum([0] + [seconds for seconds, _ in words])
        timings[name] = [
            WordTiming(f"w{i}", float(starts[i]), seconds)
            for i, (seconds, _) in enumerate(words)
        ]
    texts = {name: " ".join(t.word for t in words) for name, words in timings.items()}
    speakers = {"u1": "low", "u2": "high"}
    write_kaldi_dir(tmp_path, KaldiDir(wavs, texts, speakers))
    if request.param == "ark":
        pack_audio(tmp_path)
    write_ctm(tmp_path / "ctm", timings)
    write_ctm(tmp_path / "ctm_aligned", timings)
    write_table(tmp_path / "text_asr", texts | {"u2": "w0"})
    return tmp_path


def test_a_set_against_itself_is_perfect(folder):
    original = read_original(folder)
    aligned = AlignedSet(original.timings, original.texts, {})
    scores, values = score_rendition(original, aligned, original.wavs)
    assert scores["wer"]["rate"] == 0
    assert scores["durations"]["pearson"] == pytest.approx(1)
    assert scores["durations_against_truth"]["share_within"] == 1
    assert scores["pitch"]["pearson"] == pytest.approx(1)
    assert scores["left_out"] == {} and "durations_predicted" not in scores
    np.testing.assert_allclose(values["f0"][0][:2], [120, 150], rtol=0.05)


def test_words_that_are_missing_count(folder):
    original = read_original(folder)
    assert score_original(original)["wer"]["deletions"] == 1
    aligned = AlignedSet({"u1": original.timings["u1"]}, {}, {"u2": "no audio"})
    scores, _ = score_rendition(original, aligned, original.wavs)
    assert scores["wer"]["rate"] == 1.0
    assert scores["left_out"] == {"u2": "no audio"}
    assert scores["durations"]["words"] == 3


def test_what_the_unit_decoder_chose_is_compared_without_the_aligner(folder):
    original = read_original(folder)
    missed = AlignedSet({"u1": original.timings["u1"]}, original.texts, {})
    scores, _ = score_rendition(
        original, missed, original.wavs, predicted=original.timings
    )
    assert scores["durations_predicted"]["words"] == 5
    assert scores["durations_predicted"]["share_within"] == 1


def test_refined_times_are_what_predicted_ones_are_compared_with(folder):
    known = read_original(folder).timings
    longer = {
        name: [WordTiming(t.word, t.start, 1.5 * t.duration) for t in words]
        for name, words in known.items()
    }
    write_ctm(folder / "ctm_refined", longer)
    original = read_original(folder)
    aligned = AlignedSet(original.timings, original.texts, {})
    scores, _ = score_rendition(original, aligned, original.wavs, predicted=longer)
    assert scores["durations_predicted"]["share_within"] == 1
    assert scores["durations"]["share_within"] == 1
