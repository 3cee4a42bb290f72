"""The command of stage 1 for corpora on disk."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet2_taste.bin import data
from espnet2_taste.data.formatting import AudioForm, format_set
from espnet2_taste.data.kaldi_dir import read_kaldi_dir


@pytest.fixture
def corpus(tmp_path):
    """A corpus with audio beside its folder of sets, unsorted, Windows line ends."""
    folder = tmp_path / "corpus" / "data" / "dev"
    folder.mkdir(parents=True)
    (tmp_path / "corpus" / "wav").mkdir()
    soundfile.write(tmp_path / "corpus" / "wav" / "a.wav", np.ones(9), 16000)
    (folder / "wav.scp").write_bytes(b"b wav/none.wav\r\na wav/a.wav\r\n")
    (folder / "text").write_bytes("b “quoted”\r\na caf\u00e9\r\n".encode())
    (folder / "ctm").write_bytes(b"a 1 0 1 caf\r\n")
    return folder.parent


def test_sets_are_sorted_and_their_audio_is_found_from_anywhere(
    corpus, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    data.main(
        ["copy", "--source", "corpus/data", "--sets", "dev", "--output_dir", "data"]
    )
    tables = read_kaldi_dir(tmp_path / "data" / "dev")
    assert list(tables.wav) == ["a", "b"] and tables.text["a"] == "café"
    assert tables.wav["a"] == str(corpus.parent / "wav" / "a.wav")
    assert b"\r" not in (tmp_path / "data" / "dev" / "ctm").read_bytes()


def test_a_second_run_changes_nothing(corpus, tmp_path):
    options = ["--source", str(corpus), "--sets", "dev", "--output_dir"]
    data.main(["copy", *options, str(tmp_path / "data")])
    before = (tmp_path / "data" / "dev" / "wav.scp").stat().st_mtime_ns
    data.main(["copy", *options, str(tmp_path / "data")])
    assert (tmp_path / "data" / "dev" / "wav.scp").stat().st_mtime_ns == before


def test_a_set_that_is_not_there_is_named_with_those_that_are(corpus, tmp_path):
    options = ["--source", str(corpus), "--sets", "train", "--output_dir"]
    with pytest.raises(SystemExit, match="data copy: .*no such set.*holds: dev"):
        data.main(["copy", *options, str(tmp_path / "data")])


def test_malformed_sets_are_refused(corpus, tmp_path):
    (corpus / "dev" / "wav.scp").write_text("a/b wav/a.wav\n")
    options = ["--source", str(corpus), "--sets", "dev", "--output_dir"]
    with pytest.raises(SystemExit, match="utterance 'a/b'.*Rename"):
        data.main(["copy", *options, str(tmp_path / "data")])
    assert not (tmp_path / "data" / "dev").exists()


def test_commands_and_segments_hold_from_anywhere(corpus, tmp_path, monkeypatch):
    speech = np.random.default_rng(0).normal(0, 0.1, 16000)
    soundfile.write(corpus.parent / "wav" / "a.wav", speech, 16000)
    (corpus / "dev" / "wav.scp").write_text("r cat wav/a.wav |\n")
    (corpus / "dev" / "text").write_text("".join(f"{name} x\n" for name in "abcd"))
    (corpus / "dev" / "segments").write_text("a r 0 0.5\nb r 0.5 1\nc r\nd s 0 1\n")
    monkeypatch.chdir(tmp_path)
    data.main(
        ["copy", "--source", str(corpus), "--sets", "dev", "--output_dir", "data"]
    )
    result = format_set(Path("data/dev"), Path("dump/dev"), AudioForm())
    assert (result.kept, result.dropped) == (2, 2)


def test_a_corpus_is_never_its_own_copy(corpus):
    options = ["--source", str(corpus), "--sets", "dev", "--output_dir", str(corpus)]
    with pytest.raises(SystemExit, match="not made by this command"):
        data.main(["copy", *options])
    assert (corpus / "dev" / "text").is_file()
