"""Published pair folders: what pairs with what, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.data.audio import read_audio, write_audio
from espnet2_taste.data.checks import find_utterances
from espnet2_taste.data.ctm import read_rows
from espnet2_taste.data.kaldi_dir import read_kaldi_dir
from espnet2_taste.evaluation.pair_folders import (
    Candidate,
    SpokenPair,
    read_labelled,
    read_numbered,
    read_salmon,
    read_zerospeech,
    set_texts,
    write_pair_set,
)


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")


def names(pairs):
    return [
        (pair.positive.audio[-1].name, pair.negative.audio[-1].name) for pair in pairs
    ]


def test_salmon_by_part_and_number(tmp_path):
    for part in ("gender_consistency", "bg_alignment"):
        files = [f"sample_{i}_{k}.wav" for i in (10, 9, 0) for k in (1, 0)]
        touch(tmp_path / part, *files)
    parts = read_salmon(tmp_path)
    assert list(parts) == ["bg_alignment", "gender_consistency"]
    assert names(parts["bg_alignment"]) == [
        (f"sample_{i}_0.wav", f"sample_{i}_1.wav") for i in (0, 9, 10)
    ]
    assert list(read_salmon(tmp_path / "bg_alignment")) == ["bg_alignment"]


def test_salmon_with_a_hole(tmp_path):
    touch(tmp_path / "part", "sample_0_0.wav", "sample_0_1.wav", "sample_1_0.wav")
    with pytest.raises(ValueError, match="pair '1' has no sample_1_1.wav"):
        read_salmon(tmp_path)
    touch(tmp_path / "part", "sample_1.wav")
    with pytest.raises(ValueError, match="sample_1.wav: expected names such as"):
        read_salmon(tmp_path)
    with pytest.raises(ValueError, match="found no such folder"):
        read_salmon(tmp_path / "part" / "none")


def test_labelled_endings_follow_what_they_share(tmp_path):
    touch(tmp_path, "7_correct.wav", "7_incorrect.wav", "8_correct.wav")
    touch(tmp_path, "8_incorrect.wav", "8_mutual.wav")
    for kind, text in (("mutual", "Once upon "), ("correct", " a time.")):
        (tmp_path / f"8_{kind}.txt").write_text(text)
    seventh, eighth = read_labelled(tmp_path)[""]
    assert seventh.positive.audio == (tmp_path / "7_correct.wav",)
    assert eighth.positive.text == "Once upon a time." and eighth.negative.text is None
    assert [path.name for path in eighth.negative.audio] == [
        "8_mutual.wav",
        "8_incorrect.wav",
    ]
    (tmp_path / "7_incorrect.wav").unlink()
    with pytest.raises(ValueError, match="pair '7' has no 7_incorrect"):
        read_labelled(tmp_path)


GOLD = {
    "lexical": """id,filename,voice,frequency,word,phones,length,correct
1,aB,A,3,brick,B R IH K,4,1
1,aC,A,3,blick,B L IH K,4,0
1,aE,B,3,blick,B L IH K,4,0
1,aD,B,3,brick,B R IH K,4,1
""",
    "syntactic": """id,filename,voice,type,subtype,transcription,length,correct
7,aB,A,agreement,x,"dogs, they bark",3,0
7,aC,A,agreement,x,dogs bark,2,1
""",
}


def write_gold(folder, kind, files=("aB", "aC", "aD", "aE")):
    touch(folder, *(f"{name}.wav" for name in files))
    (folder / "gold.csv").write_text(GOLD[kind])


def test_zerospeech_pairs_by_id_and_voice(tmp_path):
    write_gold(tmp_path / "lexical" / "dev", "lexical")
    parts = read_zerospeech(tmp_path / "lexical")
    assert list(parts) == ["dev"]
    assert names(parts["dev"]) == [("aB.wav", "aC.wav"), ("aD.wav", "aE.wav")]
    assert [pair.name for pair in parts["dev"]] == ["1_A", "1_B"]
    assert parts["dev"][0].negative.text == "blick"
    write_gold(tmp_path / "syntactic", "syntactic")
    (pair,) = read_zerospeech(tmp_path / "syntactic")[""]
    assert pair.positive.text == "dogs bark"
    assert pair.negative.text == "dogs, they bark"


def test_zerospeech_with_holes(tmp_path):
    with pytest.raises(ValueError, match="expected gold.csv, or folders with it"):
        read_zerospeech(tmp_path)
    write_gold(tmp_path, "lexical", ["aB"])
    with pytest.raises(ValueError, match="aC.wav is missing"):
        read_zerospeech(tmp_path)
    touch(tmp_path, "aC.wav", "aD.wav", "aE.wav")
    lines = GOLD["lexical"].splitlines(keepends=True)
    (tmp_path / "gold.csv").write_text("".join(lines[:-1]))
    with pytest.raises(ValueError, match=r"pair '1_B' has the lines \['0'\]"):
        read_zerospeech(tmp_path)
    (tmp_path / "gold.csv").write_text("filename,id\naB,1\n")
    with pytest.raises(ValueError, match="expected the column voice"):
        read_zerospeech(tmp_path)


@settings(max_examples=25)
@given(count=st.integers(1, 30), start=st.integers(0, 3))
def test_numbers_pair_in_their_order(tmp_path_factory, count, start):
    folder = tmp_path_factory.mktemp("flat")
    touch(folder, *(f"{start + i}_x.wav" for i in range(2 * count)))
    expected = [
        (f"{start + 2 * i}_x.wav", f"{start + 2 * i + 1}_x.wav") for i in range(count)
    ]
    assert names(read_numbered(folder)[""]) == expected


def test_numbers_without_partner_are_refused(tmp_path):
    touch(tmp_path, "0_a.wav", "1_a.wav", "2_a.wav")
    with pytest.raises(ValueError, match="2_a.wav has no partner"):
        read_numbered(tmp_path)
    touch(tmp_path, "4_a.wav")
    with pytest.raises(ValueError, match="number 3 is missing"):
        read_numbered(tmp_path)
    touch(tmp_path, "4_b.wav")
    with pytest.raises(ValueError, match="5 recordings have 4 numbers"):
        read_numbered(tmp_path)
    touch(tmp_path, "4_b.flac")
    with pytest.raises(ValueError, match="4_b.wav: it has the same name as 4_b.flac"):
        read_numbered(tmp_path)


def test_a_table_has_a_text_for_every_file():
    member = Candidate((Path("part/m.wav"), Path("part/p.wav")), None)
    pairs = [SpokenPair("1", member, Candidate((Path("a/n.wav"),), "so"))]
    (found,) = set_texts(pairs, {"part/m": "so it", "part/p": "is"})
    assert (found.positive.text, found.negative.text) == ("so it is", "so")
    with pytest.raises(ValueError, match="part/p.wav: it has no transcript"):
        set_texts(pairs, {"part/m": "so it", "p": "is"})


def test_a_set_goes_through_the_stages(tmp_path):
    for name, samples in (("m", 4000), ("p", 1600), ("n", 800)):
        write_audio(tmp_path / f"{name}.wav", np.full(samples, 0.1), 8000)
    mutual, positive, negative = (tmp_path / f"{n}.wav" for n in "mpn")
    pairs = [
        SpokenPair("0", Candidate((positive,), "yes"), Candidate((negative,), None)),
        SpokenPair(
            "1",
            Candidate((mutual, positive), "so it is"),
            Candidate((mutual, negative), "so it was"),
        ),
    ]
    with pytest.raises(ValueError, match="n.wav: it has no transcript"):
        set_texts(pairs, {})
    pairs = set_texts(pairs, {f"{tmp_path.name}/n": "no"})
    target = tmp_path / "data" / "cloze"
    assert write_pair_set(target, pairs, {"made": 1})
    assert not write_pair_set(target, pairs, {"made": 1})
    tables, dropped = find_utterances(read_kaldi_dir(target), target)
    assert not dropped and tables.text["cloze-0-neg"] == "no"
    assert tables.wav["cloze-0-pos"] == str(positive)
    speech, rate = read_audio(tables.wav["cloze-1-neg"])
    assert (len(speech), rate) == (4800, 8000)
    assert tables.utt2spk["cloze-1-neg"] == "cloze-1"
    rows = read_rows(target / "pairs.tsv")
    assert rows[1] == {"positive": "cloze-1-pos", "negative": "cloze-1-neg"}
