"""Mini LibriSpeech's local/data.py: its layout, a download, real recordings."""

import importlib.util
import os
import tarfile
from pathlib import Path

import pytest
from librispeech_layout import write_corpus

from espnet2_taste.data.kaldi_dir import read_kaldi_dir

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "egs2/mini_librispeech/taslm1/local/data.py"
REALSPEECH = Path(
    os.environ.get("TASTE_REALSPEECH", ROOT.parent / "shared" / "realspeech")
)


@pytest.fixture
def data(monkeypatch, tmp_path):
    """The script as a module, in an empty recipe folder."""
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("mini_librispeech_data", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_part(part: Path, speaker: str, utterances: int) -> None:
    """A part with one chapter of one speaker, without audio."""
    chapter = part / speaker / "1"
    chapter.mkdir(parents=True)
    lines = [f"{speaker}-1-{i:04} WORD {i}\n" for i in range(utterances)]
    (chapter / f"{speaker}-1.trans.txt").write_text("".join(lines))


def test_known_readers_are_held_out_and_unknown_ones_are_the_test_set(data, tmp_path):
    write_part(tmp_path / "corpus/train-clean-5", "19", 60)
    write_part(tmp_path / "corpus/dev-clean-2", "26", 3)
    data.main(["--corpus", "corpus", "--held_out", "5"])
    sets = {
        name: read_kaldi_dir(tmp_path / "data" / name)
        for name in ("train", "dev", "test")
    }
    assert {name: len(tables.wav) for name, tables in sets.items()} == {
        "train": 55,
        "dev": 5,
        "test": 3,
    }
    assert set(sets["dev"].utt2spk.values()) == {"19"}
    assert set(sets["test"].utt2spk.values()) == {"26"}


def test_missing_parts_are_downloaded_once(data, tmp_path):
    for part in data.PARTS:
        write_part(tmp_path / "made/LibriSpeech" / part, "7", 60)
        with tarfile.open(tmp_path / f"{part}.tar.gz", "w:gz") as stream:
            stream.add(tmp_path / "made/LibriSpeech", "LibriSpeech")
    command = ["--corpus", "downloads", "--url", tmp_path.as_uri()]
    data.main(command)
    for part in data.PARTS:
        (tmp_path / f"{part}.tar.gz").unlink()
    data.main(command)
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == ["LibriSpeech"]
    assert len(read_kaldi_dir(tmp_path / "data/train").wav) == 60 - 15


def test_a_missing_corpus_says_where_to_name_it(data):
    with pytest.raises(SystemExit, match="train-clean-5: expected.*db.sh"):
        data.main(["--corpus", "nowhere"])


@pytest.mark.skipif(
    not (REALSPEECH / "data").is_dir(), reason="no real recordings (TASTE_REALSPEECH)"
)
def test_real_recordings_in_librispeechs_layout_become_the_three_sets(data, tmp_path):
    extra = REALSPEECH.with_name("realspeech_extra")
    write_corpus(tmp_path / "corpus", [REALSPEECH, extra])
    data.main(["--corpus", "corpus"])
    sets = {
        name: read_kaldi_dir(tmp_path / "data" / name)
        for name in ("train", "dev", "test")
    }
    assert {name: len(tables.wav) for name, tables in sets.items()} == {
        "train": 438,
        "dev": 24,
        "test": 26,
    }
    assert set(sets["dev"].utt2spk.values()) == {"19", "26", "27"}
    speakers = [set(sets[name].utt2spk.values()) for name in ("train", "test")]
    assert not speakers[0] & speakers[1] and list(map(len, speakers)) == [10, 8]
    assert all(Path(path).is_file() for path in sets["train"].wav.values())
    assert sets["train"].text["LJ-LJ001-0002"] == "IN BEING COMPARATIVELY MODERN"
