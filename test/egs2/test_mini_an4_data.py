"""The AN4 recordings inside the espnet wheel become sets."""

import importlib.util
import io
import tarfile
from pathlib import Path

import pytest

from espnet2_taste.data.formatting import AudioForm, format_set
from espnet2_taste.data.kaldi_dir import read_kaldi_dir

SCRIPT = Path(__file__).resolve().parents[2] / "egs2/mini_an4/taslm1/local/data.py"


@pytest.fixture
def data(monkeypatch, tmp_path):
    """The script as a module, in an empty recipe folder."""
    spec = importlib.util.spec_from_file_location("mini_an4_data", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    return module


def has_archive() -> bool:
    """Whether the installed espnet brings the recordings."""
    try:
        return importlib.util.find_spec("egs3.mini_an4.esp2_asr") is not None
    except ImportError:
        return False


@pytest.mark.skipif(not has_archive(), reason="this espnet came without egs3/mini_an4")
def test_the_recordings_become_three_sets_that_can_be_used(data, tmp_path):
    data.main([])
    data.main([])
    sizes = {}
    for name in ("train", "train_dev", "test"):
        tables = read_kaldi_dir(tmp_path / "data" / name)
        assert list(tables.wav) == sorted(tables.wav)
        assert all(
            "<s>" not in text and "(" not in text for text in tables.text.values()
        )
        result = format_set(Path("data", name), Path("dump", name), AudioForm())
        sizes[name] = (result.kept, result.dropped)
    assert sizes == {"train": (3, 0), "train_dev": (2, 0), "test": (2, 0)}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "downloads", "dump"]


def test_an_archive_that_reaches_outside_is_refused(data, tmp_path, monkeypatch):
    archive = tmp_path / "bad.tar.gz"
    with tarfile.open(archive, "w:gz") as stream:
        member = tarfile.TarInfo("../outside")
        member.size = 1
        stream.addfile(member, io.BytesIO(b"x"))
    monkeypatch.setattr(data, "find_archive", lambda: archive)
    with pytest.raises(SystemExit, match="data.py: error: "):
        data.main([])
    assert not (tmp_path.parent / "outside").exists()
    assert not (tmp_path / "downloads").exists()


def test_without_the_archive_the_remedy_is_named(data, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="set AN4 in db.sh"):
        data.main([])


def test_a_transcript_that_cannot_be_read_is_shown(data, tmp_path):
    (tmp_path / "an4_test.fileids").write_text("x/s/a-s-b\n")
    (tmp_path / "an4_test.transcription").write_text("NO NAME HERE\n")
    with pytest.raises(RuntimeError, match="cannot read 'NO NAME HERE'"):
        data.read_utterances(tmp_path, "test")
