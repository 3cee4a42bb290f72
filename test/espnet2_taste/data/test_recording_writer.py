"""Recordings in files and in arks: the same samples for ESPnet and for this package."""

import pickle

import numpy as np
import pytest
import soundfile

from espnet2_taste.data.audio import as_file, read_audio, read_header
from espnet2_taste.data.audio_arks import file_of, open_recording
from espnet2_taste.data.checks import find_audio
from espnet2_taste.data.kaldi_dir import write_table
from espnet2_taste.data.recording_writer import FORMATS, RecordingWriter

RATE = 16000


@pytest.fixture
def speech():
    rng = np.random.default_rng(0)
    return {
        name: np.round(rng.uniform(-16384, 16384, size)) / 32768
        for name, size in (("a", 400), ("büro", 407))
    }


def write(folder, speech, audio_format):
    with RecordingWriter(folder, RATE, audio_format) as writer:
        wavs = {name: writer(name, wave) for name, wave in speech.items()}
    write_table(folder / "wav.scp", wavs)
    return wavs


@pytest.mark.parametrize("audio_format", FORMATS)
def test_what_is_written_is_read_by_its_entry(tmp_path, speech, audio_format):
    for name, entry in write(tmp_path / "set", speech, audio_format).items():
        found, rate = read_audio(entry)
        assert rate == RATE and found.dtype == np.float32
        np.testing.assert_array_equal(found, speech[name])
        header = read_header(entry)
        assert (header.frames, header.samplerate) == (len(speech[name]), RATE)


@pytest.mark.parametrize("audio_format", FORMATS)
def test_espnet_trains_on_the_same_samples(tmp_path, speech, audio_format):
    from espnet2.train.dataset import DATA_TYPES

    write(tmp_path / "set", speech, audio_format)
    kind = "kaldi_ark" if audio_format.endswith(".ark") else "sound"
    kwargs = {"float_dtype": "float32"}
    table = DATA_TYPES[kind]["func"](str(tmp_path / "set/wav.scp"), **kwargs)
    for name, wave in speech.items():
        np.testing.assert_array_equal(table[name], wave)


def test_an_ark_is_one_file_named_by_its_later_folder(tmp_path, speech):
    with RecordingWriter(tmp_path / "new", RATE, "flac.ark", tmp_path / "set") as new:
        entries = [new(name, wave) for name, wave in speech.items()]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["audio.ark"]
    assert {file_of(entry) for entry in entries} == {str(tmp_path / "set/audio.ark")}
    (tmp_path / "new").rename(tmp_path / "set")
    np.testing.assert_array_equal(read_audio(entries[1])[0], speech["büro"])


def test_a_place_is_found_from_the_folder_of_the_set(tmp_path, speech):
    entry = write(tmp_path / "set", speech, "wav.ark")["a"]
    short = entry.removeprefix(f"{tmp_path}/")
    assert str(find_audio(short, tmp_path / "set")) == entry
    assert find_audio("other.ark:3", tmp_path / "set") is None


def test_other_programs_get_a_file(tmp_path, speech):
    entry = write(tmp_path / "set", speech, "flac.ark")["büro"]
    copy = as_file(entry, tmp_path / "copies/b.wav")
    np.testing.assert_array_equal(soundfile.read(copy)[0], speech["büro"])
    assert as_file(copy, tmp_path / "unused.wav") == copy
    assert not (tmp_path / "unused.wav").exists()


def test_nothing_but_whole_audio_is_read(tmp_path, speech):
    entry = write(tmp_path, speech, "wav.ark")["büro"]
    ark = tmp_path / "audio.ark"
    for offset in ("0", "99999999"):
        with pytest.raises(ValueError, match="is no audio of an ark; run stage 2"):
            open_recording(f"{ark}:{offset}")
    ark.write_bytes(ark.read_bytes()[:-5])
    with pytest.raises(ValueError, match="the ark ends within"):
        read_audio(entry)
    ark.write_bytes(b"a PKL" + pickle.dumps([1]))
    with pytest.raises(ValueError, match="is no audio of an ark"):
        read_audio(f"{ark}:2")
    with pytest.raises(ValueError, match="the audio file is missing"):
        read_audio(f"{tmp_path}/other.ark:2")


def test_an_id_that_leaves_the_folder_is_refused(tmp_path, speech):
    for audio_format in ("wav", "wav.ark"):
        with pytest.raises(ValueError, match="may hold no slash"):
            write(tmp_path / "set", {"../a": speech["a"]}, audio_format)
    assert not (tmp_path / "set/a.wav").exists()


def test_samples_that_are_no_numbers_are_refused(tmp_path):
    with RecordingWriter(tmp_path, RATE, "flac.ark") as writer:
        with pytest.raises(ValueError, match="a: the speech made holds NaN"):
            writer("a", np.array([0.0, np.nan]))
