"""LibriTTS's local/data.py: its layout, LibriSpeech beside it, what is missing."""

import importlib.util
from pathlib import Path

import pytest

from espnet2_taste.data.kaldi_dir import read_kaldi_dir

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "egs2/libritts/taslm1/local/data.py"


@pytest.fixture
def data(monkeypatch, tmp_path):
    """The script as a module, beside a look-alike of both corpora."""
    for part in ("train-clean-100", "dev-clean", "test-clean"):
        chapter = tmp_path / "tts/LibriTTS" / part / "84" / "1"
        chapter.mkdir(parents=True)
        (chapter / f"84_1_{part}.normalized.txt").write_text("Yes, sir.")
        chapter = tmp_path / "speech" / part / "19" / "1"
        chapter.mkdir(parents=True)
        (chapter / "19-1.trans.txt").write_text(f"19-1-{part} NO SIR\n")
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("libritts_data", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_both_corpora_become_one_set_a_part(data, tmp_path):
    corpora = ["--libritts", "tts", "--librispeech", "speech"]
    data.main([*corpora, "--train", "train-clean-100 dev-clean"])
    train = read_kaldi_dir(tmp_path / "data/train")
    assert sorted(train.text.values()) == ["NO SIR", "NO SIR", "Yes, sir.", "Yes, sir."]
    assert set(train.utt2spk.values()) == {"19", "84"}
    assert len(read_kaldi_dir(tmp_path / "data/test").wav) == 2


def test_a_part_that_is_missing_is_named(data):
    with pytest.raises(SystemExit, match="train-clean-360: expected <speaker>"):
        data.main(["--libritts", "tts"])
    with pytest.raises(SystemExit, match="set LIBRITTS or LIBRISPEECH in db.sh"):
        data.main([])
