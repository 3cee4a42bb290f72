"""LibriSpeech's and LibriTTS's folders become tables; utterances are held out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.data.corpora import (
    hold_out,
    librispeech_rows,
    libritts_rows,
    read_part,
    split_tables,
)


def test_a_chapter_of_librispeech_has_one_file_of_transcripts(tmp_path):
    chapter = tmp_path / "19" / "198"
    chapter.mkdir(parents=True)
    (chapter / "19-198.trans.txt").write_text(
        "19-198-0000 THE RED DOG\n19-198-0001 IT'S HERE\n"
    )
    tables = read_part(tmp_path, librispeech_rows)
    assert tables.text == {"19-198-0000": "THE RED DOG", "19-198-0001": "IT'S HERE"}
    assert tables.wav["19-198-0001"] == str(chapter / "19-198-0001.flac")
    assert set(tables.utt2spk.values()) == {"19"}


def test_an_utterance_of_libritts_has_a_file_of_its_own(tmp_path):
    chapter = tmp_path / "84" / "121123"
    chapter.mkdir(parents=True)
    name = "84_121123_000007_000001"
    (chapter / f"{name}.normalized.txt").write_text("Maximilian, yes;\n two!")
    (chapter / f"{name}.original.txt").write_text("Maximilian, yes; 2!")
    tables = read_part(tmp_path, libritts_rows)
    assert tables.text == {name: "Maximilian, yes; two!"}
    assert tables.wav == {name: str(chapter / f"{name}.wav")}


def test_a_folder_without_utterances_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected <speaker>/<chapter>.*db.sh"):
        read_part(tmp_path / "none", librispeech_rows)


@given(
    st.dictionaries(st.sampled_from("abcde"), st.integers(1, 90), min_size=1),
    st.integers(0, 40),
)
def test_held_out_utterances_are_of_large_speakers_and_shared_evenly(sizes, number):
    utt2spk = {f"{who}-{i:02}": who for who, size in sizes.items() for i in range(size)}
    chosen = hold_out(utt2spk, number)
    counts = {who: sum(utt2spk[name] == who for name in chosen) for who in sizes}
    large = [who for who, size in sizes.items() if size >= 50]
    assert len(set(chosen)) == len(chosen) == sum(counts[who] for who in large)
    assert len(chosen) == min(number, len(chosen)) and chosen == sorted(chosen)
    free = [counts[who] for who in large if counts[who] < sizes[who] // 4]
    assert not free or max(free) - min(free) <= 1
    if number <= 12 and large:
        assert len(chosen) == number


def test_tables_are_split_without_loss(tmp_path):
    (tmp_path / "1" / "2").mkdir(parents=True)
    lines = "".join(f"1-2-{i:04} WORD\n" for i in range(4))
    (tmp_path / "1" / "2" / "1-2.trans.txt").write_text(lines)
    tables = read_part(tmp_path, librispeech_rows)
    rest, chosen = split_tables(tables, ["1-2-0001", "1-2-0003"])
    assert list(chosen.wav) == list(chosen.text) == ["1-2-0001", "1-2-0003"]
    assert list(rest.utt2spk) == ["1-2-0000", "1-2-0002"]
