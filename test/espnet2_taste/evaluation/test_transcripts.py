"""Transcripts with their source, and recognition of whole folders."""

import numpy as np
import pytest

from espnet2_taste.align.abs_aligner import AbsAligner, AlignedUtterance
from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.ctm import read_rows, write_rows
from espnet2_taste.data.kaldi_dir import read_table, write_table
from espnet2_taste.evaluation.transcripts import (
    is_recognized,
    read_prompts,
    read_transcripts,
    recognize_folder,
)


class Ear(AbsAligner):
    """Hears as many "la" as there are tenths of a second."""

    sample_rate = 16000

    def transcribe(self, speech):
        return [("la",) * (len(wave) // 1600) for wave in speech]

    def time_words(self, speech, words):
        assert all(list(row) == [] for row in words)
        return [AlignedUtterance((), problem="no words") for _ in speech]


@pytest.fixture
def folder(tmp_path):
    for name, samples in (("a", 3200), ("b", 100)):
        write_audio(tmp_path / f"{name}.wav", np.full(samples, 0.1), 16000)
    wavs = {name: str(tmp_path / f"{name}.wav") for name in "abc"}
    write_table(tmp_path / "wav.scp", wavs)
    return tmp_path


def test_every_recording_gets_a_line(folder):
    assert not is_recognized(folder, "ear")
    found = recognize_folder(folder, Ear, "ear")
    assert found == "3 recordings, 2 without a word"
    assert read_table(folder / "text_recognized") == {"a": "la la", "b": "", "c": ""}
    assert [row["utt"] for row in read_rows(folder / "not_recognized.tsv")] == ["c"]
    said = read_transcripts(folder, "text_recognized")
    assert said.source == "recognized by ear" and said.texts["a"] == "la la"
    assert is_recognized(folder, "ear") and not is_recognized(folder, "another ear")


def test_a_source_is_known_or_given(folder):
    write_table(folder / "text", {"a": "la"})
    write_table(folder / "text_whisper", {"a": "la"})
    assert "own words" in read_transcripts(folder, "text").source
    given = read_transcripts(folder, "text_whisper", "whisper-large-v3")
    assert given.source == "whisper-large-v3"
    with pytest.raises(ValueError, match="text_whisper: .*--transcript_source"):
        read_transcripts(folder, "text_whisper")
    with pytest.raises(ValueError, match="bin.recognize"):
        read_transcripts(folder, "text_recognized")


def test_prompts_are_those_that_were_continued(tmp_path):
    prompts, continued = tmp_path / "prompts", tmp_path / "continued"
    (continued / "prompt").mkdir(parents=True)
    prompts.mkdir()
    write_table(prompts / "text", {"a": "one two three", "b": "four five six"})
    assert read_prompts(continued, prompts, 2) == {"a": "one two", "b": "four five"}
    write_rows(prompts / "prompt_words", ("utt", "n_words"), [("b", 1)])
    assert read_prompts(continued, prompts, 2) == {"b": "four"}
    write_table(continued / "prompt" / "text", {"a": "won to"})
    assert read_prompts(continued, prompts, 2) == {"a": "won to"}
