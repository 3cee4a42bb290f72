"""Tables of Kaldi-style directories: any form in, one form out."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.data.kaldi_dir import (
    KaldiDir,
    read_kaldi_dir,
    read_table,
    sort_keys,
    speakers_to_utterances,
    write_kaldi_dir,
    write_table,
)

IDS = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x2FFF, categories=["L", "N"]),
    min_size=1,
    max_size=8,
)


@given(st.dictionaries(IDS, st.sampled_from(["", "one", "two words", "l’été “x”"])))
def test_a_table_reads_back_as_written(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("table") / "text"
    write_table(path, table)
    assert read_table(path) == table
    assert list(read_table(path)) == sort_keys(table)


def test_keys_are_sorted_as_sort_does_with_bytes(tmp_path):
    keys = ["b-1", "b", "a10", "a1-x", "a1", "B", "é", "z", "a_1"]
    done = subprocess.run(
        ["sort"],
        input="\n".join(keys) + "\n",
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert sort_keys(keys) == done.stdout.split()


def test_windows_line_ends_marks_tabs_and_disorder_are_accepted(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbfb\tsecond  one\r\n\r\na first\r\nc\r\n")
    assert read_table(path) == {"b": "second  one", "a": "first", "c": ""}


def test_a_key_twice_is_refused_with_its_line(tmp_path):
    path = tmp_path / "wav.scp"
    path.write_text("a x.wav\nb y.wav\na z.wav\n")
    with pytest.raises(ValueError, match="line 3: 'a' occurs twice.*[Rr]emove"):
        read_table(path)


def test_other_encodings_are_refused_with_the_remedy(tmp_path):
    path = tmp_path / "text"
    path.write_bytes("a caf\xe9\n".encode("latin-1"))
    with pytest.raises(ValueError, match="UTF-8.*0xe9.*iconv"):
        read_table(path)


@pytest.mark.parametrize("missing", ["wav.scp", "text"])
def test_a_missing_table_is_named(tmp_path, missing):
    for name in {"wav.scp", "text"} - {missing}:
        (tmp_path / name).write_text("a x\n")
    with pytest.raises(ValueError, match=missing):
        read_kaldi_dir(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        read_kaldi_dir(tmp_path / "nowhere")


def test_without_utt2spk_every_utterance_is_a_speaker(tmp_path):
    (tmp_path / "wav.scp").write_text("a x.wav\nb y.wav\n")
    (tmp_path / "text").write_text("a one\nb two\n")
    assert read_kaldi_dir(tmp_path).utt2spk == {"a": "a", "b": "b"}


def test_a_set_reads_back_as_written(tmp_path):
    tables = KaldiDir(
        {"s2-a": "2.wav", "s1-b": "1.wav", "s1-a": "0.wav"},
        {"s2-a": "x", "s1-b": "y", "s1-a": "z"},
        {"s2-a": "s2", "s1-b": "s1", "s1-a": "s1"},
    )
    write_kaldi_dir(tmp_path / "set", tables)
    assert read_kaldi_dir(tmp_path / "set") == tables
    assert (tmp_path / "set" / "spk2utt").read_text() == "s1 s1-a s1-b\ns2 s2-a\n"
    assert not list((tmp_path / "set").glob("*.tmp"))


def test_tables_over_different_utterances_are_refused(tmp_path):
    with pytest.raises(ValueError, match="differ at 'b'"):
        write_kaldi_dir(tmp_path, KaldiDir({"a": "x", "b": "y"}, {"a": "t"}, {}))


def test_speakers_collect_their_utterances():
    assert speakers_to_utterances({"b": "s", "a": "s", "c": "t"}) == {
        "s": "a b",
        "t": "c",
    }
