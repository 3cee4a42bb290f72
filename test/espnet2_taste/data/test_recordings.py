"""Entries of wav.scp: files, commands, places in ark files."""

import pickle
import shlex

import numpy as np
import pytest
import soundfile
from omniio import kaldi

from espnet2_taste.data.audio_arks import file_of
from espnet2_taste.data.recordings import (
    cut,
    find_recording,
    is_command,
    read_recording,
)

RATE = 16000


@pytest.fixture
def speech():
    return np.random.default_rng(0).uniform(-0.5, 0.5, 4000).astype(np.float32)


@pytest.fixture
def folder(tmp_path, speech):
    """A corpus whose sets lie two folders below it."""
    (tmp_path / "wav").mkdir()
    soundfile.write(tmp_path / "wav" / "a.flac", speech, RATE)
    soundfile.write(tmp_path / "wav" / "a.wav", speech, RATE)
    (tmp_path / "data" / "train").mkdir(parents=True)
    return tmp_path / "data" / "train"


def read(entry, folder):
    read_recording.cache_clear()
    return read_recording(find_recording(entry, folder))


@pytest.mark.parametrize(
    "entry",
    ["wav/a.wav", "wav/a.flac", "cat wav/a.flac |", "  cat 'wav/a.wav' | cat |"],
)
def test_files_and_commands_give_the_same_samples(entry, folder, speech):
    found, rate = read(entry, folder)
    assert rate == RATE and found.dtype == np.float32
    np.testing.assert_allclose(found, speech, atol=1e-4)


def test_a_header_without_the_length_is_read_to_the_end(folder, speech):
    """As sox and ffmpeg write to a pipe."""
    content = bytearray((folder.parents[1] / "wav" / "a.wav").read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
    (folder / "pipe.wav").write_bytes(content)
    found, _ = read(f"cat {folder}/pipe.wav |", folder)
    np.testing.assert_allclose(found, speech, atol=1e-4)


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_places_in_the_ark_files_of_espnets_dumps(form, folder, speech):
    ark = folder / "data.ark"
    kaldi.save_ark(
        str(ark),
        {"u1": (RATE, speech), "u2": (RATE, speech[:3000])},
        scp=str(folder / "wav.scp"),
        write_function="soundfile",
        write_kwargs={"format": form},
    )
    lines = [line.split() for line in (folder / "wav.scp").read_text().splitlines()]
    for (_, entry), samples in zip(lines, (speech, speech[:3000])):
        assert file_of(entry) == str(ark)
        found, rate = read(entry, folder)
        assert rate == RATE
        np.testing.assert_allclose(found, samples, atol=1e-4)
    relative = lines[1][1].removeprefix(f"{folder.parents[1]}/")
    assert len(read(relative, folder)[0]) == 3000


def test_plain_wav_in_an_ark_is_scaled_to_one(folder, speech):
    content = (folder.parents[1] / "wav" / "a.wav").read_bytes()
    (folder / "raw.ark").write_bytes(b"u1 " + content)
    found, _ = read(f"{folder}/raw.ark:3", folder)
    np.testing.assert_allclose(found, speech, atol=1e-4)


def test_a_pickle_in_an_ark_is_not_loaded(folder):
    class Bomb:
        def __reduce__(self):
            return (open, (str(folder / "ran"), "w"))

    (folder / "bad.ark").write_bytes(b"u1 PKL" + pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="bad.ark:3 cannot be read"):
        read(f"{folder}/bad.ark:3", folder)
    assert not (folder / "ran").exists()


def test_an_array_is_no_audio(folder):
    kaldi.save_ark(str(folder / "feats.ark"), {"u1": np.zeros((2, 3), np.float32)})
    with pytest.raises(ValueError, match="feats.ark:3 holds an array"):
        read(f"{folder}/feats.ark:3", folder)


@pytest.mark.parametrize("content", [b"u1 RIFFxx", b"u1 AUDIO\x01\x08fLaC", b""])
def test_a_torn_ark_is_named(content, folder):
    (folder / "torn.ark").write_bytes(content)
    with pytest.raises(ValueError, match="torn.ark:3"):
        read(f"{folder}/torn.ark:3", folder)


def test_commands_that_fail_say_so(folder):
    with pytest.raises(ValueError, match="'nosuchtool a ' failed|failed: .*nosuchtool"):
        read("nosuchtool a |", folder)
    with pytest.raises(ValueError, match="cannot be read"):
        read("echo hello |", folder)


def test_relative_paths_of_commands_begin_where_the_files_are(folder, monkeypatch):
    entry = find_recording("flac -c -d -s wav/a.flac |", folder)
    assert entry == f"cd {shlex.quote(str(folder.parents[1]))} && flac -c -d -s " + (
        "wav/a.flac |"
    )
    monkeypatch.chdir(folder.parents[1])
    assert find_recording("cat wav/a.flac |", folder) == "cat wav/a.flac |"
    assert is_command(entry) and not is_command("a.ark:3")


def test_what_is_not_there_is_not_found(folder):
    for entry in ("wav/b.wav", "wav/b.ark:12", "", "wav/a.wav:x"):
        assert find_recording(entry, folder) is None


def test_parts_of_a_recording():
    speech = np.arange(100.0)
    assert cut(speech, 10, 2.0, 5.0).tolist() == list(range(20, 50))
    assert len(cut(speech, 10, 9.0, -1)) == len(cut(speech, 10, 9.0, 99.0)) == 10
    for begin, end in ((-1.0, 2.0), (10.0, 11.0), (3.0, 3.0)):
        with pytest.raises(ValueError, match="no part of a recording of 10.00 s"):
            cut(speech, 10, begin, end)
