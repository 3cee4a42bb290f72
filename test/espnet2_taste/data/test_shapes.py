"""Lengths without a model: of every type of table; bad tables are refused."""

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.data.arks import write_ark, write_numbers
from espnet2_taste.data.kaldi_dir import write_table
from espnet2_taste.data.recording_writer import RecordingWriter
from espnet2_taste.data.shapes import DataTable, measure_lengths


@pytest.fixture
def tables(tmp_path):
    """A set of two utterances, as a training names its tables."""
    (tmp_path / "text").write_text("a1 a red dog\nb1 dogs\n")
    write_numbers(tmp_path, "units", {"a1": "5 5 12 7", "b1": "3 1"}, np.int32)
    write_ark(tmp_path, "codes", {"a1": np.ones((3, 2)), "b1": np.ones((1, 2))})
    wavs = {"a1": 320, "b1": 160}
    for name, samples in wavs.items():
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(samples), 16000)
    scp = "".join(f"{name} {tmp_path / name}.wav\n" for name in wavs)
    (tmp_path / "wav.scp").write_text(scp)
    return [
        DataTable(tmp_path / "wav.scp", "speech", "sound"),
        DataTable(tmp_path / "text", "text", "text"),
        DataTable(tmp_path / "units.scp", "units", "kaldi_ark"),
        DataTable(tmp_path / "codes.scp", "codes", "kaldi_ark"),
    ]


def count(text):
    return len(text.split())


def test_each_type_is_measured_in_its_own_way(tables):
    assert measure_lengths(tables, "speech", count) == {"a1": 320, "b1": 160}
    assert measure_lengths(tables, "text", count) == {"a1": 3, "b1": 1}
    assert measure_lengths(tables, "units", count) == {"a1": 4, "b1": 2}
    assert measure_lengths(tables, "codes", count) == {"a1": 3, "b1": 1}


def test_recordings_in_an_ark_are_measured_in_samples(tables, tmp_path):
    with RecordingWriter(tmp_path, 16000, "flac.ark") as writer:
        wavs = {n: writer(n, np.zeros(s)) for n, s in (("a1", 320), ("b1", 160))}
    write_table(tmp_path / "wav.scp", wavs)
    tables[0] = DataTable(tmp_path / "wav.scp", "speech", "kaldi_ark")
    assert measure_lengths(tables, "speech", count) == {"a1": 320, "b1": 160}


def test_samples_counted_in_stage_2_are_taken(tables, tmp_path):
    (tmp_path / "utt2num_samples").write_text("a1 7\nb1 8\n")
    assert measure_lengths(tables, "speech", count) == {"a1": 7, "b1": 8}
    (tmp_path / "utt2num_samples").write_text("a1 7\n")  # of another set
    assert measure_lengths(tables, "speech", count) == {"a1": 320, "b1": 160}


def test_tables_of_different_utterances_are_refused(tables, tmp_path):
    write_numbers(tmp_path, "units", {"a1": "5"}, np.int32)
    with pytest.raises(
        ValueError, match=r"wav.scp and .*units.scp differ at 'b1' \(1 utt"
    ):
        measure_lengths(tables, "speech", count)


def test_a_lost_recording_is_named(tables, tmp_path):
    (tmp_path / "b1.wav").unlink()
    with pytest.raises(ValueError, match="b1.wav.*run stage 2 again"):
        measure_lengths(tables, "speech", count)


@pytest.mark.parametrize(
    "name, message", [("spembs", "none of this name"), ("times", "found 'text_float'")]
)
def test_what_cannot_be_measured_is_named(tables, name, message):
    times = DataTable(tables[1].path, "times", "text_float")
    with pytest.raises(ValueError, match=f"--shape {name}: .*{message}"):
        measure_lengths([*tables, times], name, count)


def test_an_empty_set_is_refused(tmp_path):
    (tmp_path / "text").write_text("\n")
    table = DataTable(tmp_path / "text", "text", "text")
    with pytest.raises(ValueError, match="no utterances"):
        measure_lengths([table], "text", count)


@given(st.text(min_size=1), *[st.from_regex(r"[a-z_]+", fullmatch=True)] * 2)
def test_the_triple_of_espnet_may_have_commas_in_its_path(path, name, kind):
    table = DataTable.parse(f"{path},{name},{kind}")
    assert (table.name, table.type) == (name, kind)


def test_another_form_is_refused():
    with pytest.raises(ValueError, match="expected 'path,name,type', found 'wav.scp'"):
        DataTable.parse("wav.scp")
