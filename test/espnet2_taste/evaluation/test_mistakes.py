"""Sets with wrong words: repeatable, nested by rate, and collected into a curve."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.bin import data, tables
from espnet2_taste.data.ctm import read_ctm, read_rows, write_ctm
from espnet2_taste.data.kaldi_dir import read_table, write_table
from espnet2_taste.evaluation.mistakes import mistake_words
from espnet2_taste.structures import WordTiming

WORDS = ["a", "b", "c", "d"]


@given(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=30),
    st.floats(0, 100),
    st.floats(0, 100),
)
def test_mistakes_are_nested_and_wrong(words, one, other):
    few, many = sorted((one, other))
    least, most = (mistake_words(words, WORDS, rate) for rate in (few, many))
    assert len(least) == len(most) == len(words)
    for word, first, second in zip(words, least, most):
        assert first in WORDS and second in WORDS
        assert first == word or second == first
    assert mistake_words(words, WORDS, 0) == words
    everything = mistake_words(words, WORDS, 100)
    assert all(a != b for a, b in zip(words, everything))


def test_the_share_is_met_over_many_words():
    words = WORDS * 500
    found = mistake_words(words, WORDS, 20)
    assert sum(a != b for a, b in zip(words, found)) / 2000 == pytest.approx(
        0.2, abs=0.03
    )


@pytest.fixture
def dump(tmp_path):
    folder = tmp_path / "test"
    folder.mkdir()
    texts = {f"u{n}": " ".join(WORDS[n:] + WORDS[:n]) for n in range(4)}
    write_table(folder / "text", texts)
    write_table(folder / "wav.scp", {name: f"{name}.wav" for name in texts})
    times = {
        name: [WordTiming(w, n / 2, 0.4) for n, w in enumerate(text.split())]
        for name, text in texts.items()
    }
    for name in ("ctm", "ctm_refined"):
        write_ctm(folder / name, times)
    return tmp_path


def run(dump, *more):
    data.main(["mistakes", "--dump_dir", str(dump), "--sets", "test", *more])


def test_a_set_with_mistakes_keeps_its_times(dump, capsys):
    run(dump, "--percent", "0 50")
    right, wrong = dump / "test_wrong0", dump / "test_wrong50"
    assert read_table(right / "text") == read_table(dump / "test" / "text")
    texts, times = read_table(wrong / "text"), read_ctm(wrong / "ctm")
    assert read_ctm(wrong / "ctm_refined") == times
    assert texts != read_table(dump / "test" / "text")
    assert read_table(wrong / "wav.scp") == read_table(dump / "test" / "wav.scp")
    for name, row in read_ctm(dump / "test" / "ctm").items():
        assert [t.word for t in times[name]] == texts[name].split()
        assert [t.start for t in times[name]] == [t.start for t in row]
    run(dump, "--percent", "50")
    assert "done before" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="expected 0 to 100 %"):
        run(dump, "--percent", "101")


def test_scores_become_a_curve(dump):
    run(dump, "--percent", "10")
    (dump / "swap").mkdir()
    scores = []
    for name, wer, way in (("test_wrong10", 0.3, 0.5), ("test", 0.1, 0.8)):
        row = {"wer": {"rate": wer}, "durations": {"pearson": 1 - wer}}
        tokenizer = {"study": "tokenizer", "sets": {name: {"TASTE": row}}}
        swap = {"study": "swap", "settings": {"sets": f"{name} other"}}
        swap["scores"] = {"share_right": way, "way": way}
        for kind, study in (("tokenizer", tokenizer), ("swap", swap)):
            scores.append(dump / f"{kind}_{name}.json")
            scores[-1].write_text(json.dumps(study))
    output = dump / "curve.tsv"
    options = ["--scores", " ".join(map(str, scores)), "--output", str(output)]
    options += ["--dump_dir", str(dump)]
    tables.main(["mistakes", *options, "--rendition", "TASTE"])
    rows = read_rows(output)
    assert [row["wrong %"] for row in rows] == ["0.0", "10.0"]
    assert [row["way"] for row in rows] == ["0.8", "0.5"]
    assert [float(row["WER %"]) for row in rows] == pytest.approx([10, 30])
    assert output.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(SystemExit, match="no rendition 'VQ'"):
        tables.main(["mistakes", *options, "--rendition", "VQ"])
