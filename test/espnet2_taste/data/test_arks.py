"""Arrays on disk: what is written is read, nothing that an entry says is ever run."""

import pickle
from pathlib import Path

import kaldiio
import numpy as np
import pytest

from espnet2_taste.data.arks import ArkTable, write_ark, write_numbers
from espnet2_taste.data.kaldi_dir import read_table, write_table
from espnet2_taste.data.recording_writer import RecordingWriter


@pytest.fixture
def folder(tmp_path):
    arrays = {"b": np.arange(6).reshape(3, 2), "a": np.array([0.5, -1.0])}
    write_ark(tmp_path, "codes", arrays, relative=True)
    return tmp_path


def test_a_folder_can_be_moved_and_kaldi_reads_the_same(folder, tmp_path, monkeypatch):
    moved = folder.rename(tmp_path.with_name(tmp_path.name + "_moved"))
    table = ArkTable(moved / "codes.scp")
    assert list(table) == ["a", "b"] and len(table) == 2 and "c" not in table
    np.testing.assert_array_equal(table["b"], np.arange(6).reshape(3, 2))
    monkeypatch.chdir(moved)
    for name, array in kaldiio.load_scp("codes.scp").items():
        np.testing.assert_array_equal(table[name], array)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(2, 3), (4,), (0,), (0, 2)])
def test_plain_arrays_of_kaldi_are_read(tmp_path, dtype, shape):
    wanted = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    kaldiio.save_ark(
        str(tmp_path / "x.ark"), {"u": wanted}, scp=str(tmp_path / "x.scp")
    )
    found = ArkTable(tmp_path / "x.scp")["u"]
    assert found.dtype == wanted.dtype and found.shape in (shape, (0, 0))
    np.testing.assert_array_equal(found, wanted.reshape(found.shape))


class Touch:
    """An object that makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_nothing_of_an_entry_is_run(folder):
    mark = folder / "mark"
    bomb = folder / "codes.ark"
    bomb.write_bytes(b"PKL" + pickle.dumps(Touch(mark)))
    for entry in (f"touch {mark} |", f"| touch {mark}", "codes.ark:0", "codes.ark"):
        (folder / "codes.scp").write_text(f"u {entry}\n")
        with pytest.raises(ValueError, match="codes.scp, utterance 'u'"):
            ArkTable(folder / "codes.scp")["u"]
    assert not mark.exists()


def test_a_table_for_other_readers_is_checked_whole(folder, monkeypatch):
    monkeypatch.chdir(folder)
    table = (folder / "codes.scp").read_text()
    ArkTable("codes.scp").check()
    for dtype in (np.int32, np.float32):
        write_numbers(Path(), "units", {"a": "3 1 2", "b": ""}, dtype)
        ArkTable("units.scp").check()
    for name in ("codes[0].ark", "codes.ark|"):  # plain, but read in another way
        (folder / name).write_bytes((folder / "codes.ark").read_bytes())
    (folder / "bomb.ark").write_bytes(b"PKL" + pickle.dumps(Touch(folder / "mark")))
    for entry in ("touch mark |", "bomb.ark:0", "codes[0].ark:2", "codes.ark|:2"):
        (folder / "codes.scp").write_text(f"{table}u {entry}\n")
        with pytest.raises(ValueError, match="codes.scp, utterance 'u'"):
            ArkTable("codes.scp").check()
    monkeypatch.chdir(folder.parent)
    (folder / "codes.scp").write_text(table)
    with pytest.raises(ValueError, match="missing"):  # as ESPnet would look for it
        ArkTable(folder / "codes.scp").check()


@pytest.mark.parametrize("form", ["wav.ark", "flac.ark"])
def test_recordings_pass_the_check_as_espnet_reads_them(tmp_path, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    wave = np.linspace(-0.5, 0.5, 400)
    with RecordingWriter(Path("set"), 16000, form) as write:
        write_table(Path("set/wav.scp"), {"a": write("a", wave)})
    ArkTable("set/wav.scp").check()
    rate, samples = kaldiio.load_scp("set/wav.scp")["a"]
    assert rate == 16000 and len(samples) == 400


@pytest.mark.parametrize(
    "entry, message",
    [
        ("codes.ark:-1", "no 'file:offset'"),
        ("codes.ark:2[0:1]", "no 'file:offset'"),
        ("gone.ark:2", "missing"),
        ("/dev/zero:0", "missing"),
        ("codes.ark:3", "no plain Kaldi array"),
        ("codes.ark:9999999", "no plain Kaldi array"),
    ],
)
def test_wrong_entries_are_named(folder, entry, message):
    (folder / "codes.scp").write_text(f"u {entry}\n")
    with pytest.raises(ValueError, match=f"utterance 'u'.*{message}.*get the table"):
        ArkTable(folder / "codes.scp")["u"]


def test_a_missing_table_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="x.scp not found: run stage 9"):
        ArkTable(tmp_path / "x.scp", "run stage 9")


def test_damaged_arks_are_read_or_refused(folder):
    """Bytes changed, cut and repeated at random places."""
    rng, ark = np.random.default_rng(1), folder / "codes.ark"
    whole = ark.read_bytes()
    refused = 0
    for _ in range(400):
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for place in rng.integers(len(damaged), size=rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        ark.write_bytes(damaged)
        for name in ("a", "b"):
            try:
                assert np.isfinite(ArkTable(folder / "codes.scp")[name]).all()
            except ValueError as error:
                assert "codes.scp" in str(error)
                refused += 1
    assert refused > 200


def test_numbers_are_read_by_utterance_as_trainings_do(tmp_path):
    from espnet2.train.dataset import ESPnetDataset

    units = {"a": "3 1 -1 70000", "b": "7"}
    times = {"a": "0.0000 0.2500 0.5000 1.1250", "b": "0 0"}
    write_numbers(tmp_path, "units", units, np.int32)
    write_numbers(tmp_path, "word_times", times, np.float32)
    assert read_table(tmp_path / "units") == units
    tables = [
        (str(tmp_path / f"{n}.scp"), n, "kaldi_ark") for n in ("units", "word_times")
    ]
    _, found = ESPnetDataset(tables)["a"]
    assert found["units"].dtype == np.int64 and found["word_times"].dtype == np.float32
    np.testing.assert_array_equal(found["units"], [3, 1, -1, 70000])
    np.testing.assert_allclose(found["word_times"], [0, 0.25, 0.5, 1.125])
