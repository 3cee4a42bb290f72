"""What is wrong with a set: refused as a whole, or left out with a reason."""

import pytest

from espnet2_taste.data.checks import check_name, find_audio, find_utterances
from espnet2_taste.data.kaldi_dir import KaldiDir


@pytest.fixture
def folder(tmp_path):
    """A set folder below a corpus folder with one recording."""
    (tmp_path / "corpus" / "wav").mkdir(parents=True)
    (tmp_path / "corpus" / "wav" / "a.wav").write_bytes(b"x")
    (tmp_path / "corpus" / "data" / "train").mkdir(parents=True)
    return tmp_path / "corpus" / "data" / "train"


@pytest.mark.parametrize("name", ["a/b", "../a", ".a", "-a", "a\\b", "a\tb", "x" * 201])
def test_ids_that_are_no_file_names_are_refused(name):
    with pytest.raises(ValueError, match="utterance.*Rename"):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "spk-1_2.3", "é中", "a-b", "x" * 200])
def test_other_ids_pass(name):
    check_name(name)


def test_paths_may_begin_at_any_folder_above_the_set(folder, monkeypatch):
    wanted = folder.parents[1] / "wav" / "a.wav"
    assert find_audio("wav/a.wav", folder).samefile(wanted)
    assert find_audio(str(wanted), folder) == wanted
    assert find_audio("a.wav", folder) is None
    assert find_audio("", folder) is None
    monkeypatch.chdir(wanted.parent)
    assert find_audio("a.wav", folder).samefile(wanted)


def test_each_utterance_left_out_has_its_reason(folder):
    tables = KaldiDir(
        {
            "b": "wav/a.wav",
            "a": "wav/a.wav",
            "empty": "wav/a.wav",
            "gone": "wav/none.wav",
            "nopath": "",
            "my": "file wav/a.wav",
        },
        {n: "word" for n in ("a", "gone", "nopath", "my", "noaudio")} | {"empty": ""},
        {"a": "s"},
    )
    usable, dropped = find_utterances(tables, folder)
    assert usable.text == {"a": "word"} and usable.utt2spk == {"a": "s"}
    assert dropped == {
        "b": "it has audio but no transcript in text",
        "noaudio": "it has a transcript but no audio in wav.scp",
        "empty": "its transcript is empty",
        "gone": "the audio file is missing: wav/none.wav",
        "nopath": "the audio file is missing: ",
        "my": "the audio file is missing: file wav/a.wav "
        "(is there a blank in the utterance id?)",
    }
