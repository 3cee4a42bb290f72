"""Word times and tables with headers on disk."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.data.ctm import (
    read_ctm,
    read_rows,
    read_times,
    word_time_rows,
    write_ctm,
    write_rows,
)
from espnet2_taste.data.kaldi_dir import write_table
from espnet2_taste.structures import WordTiming

TIMES = st.integers(0, 300000).map(lambda tick: tick / 10000)
WORDS = st.builds(WordTiming, st.sampled_from(["a", "baker", "l’été"]), TIMES, TIMES)


@given(st.dictionaries(st.sampled_from("abcd"), st.lists(WORDS, min_size=1)))
def test_word_times_read_back_as_written(tmp_path_factory, timings):
    path = tmp_path_factory.mktemp("ctm") / "ctm"
    write_ctm(path, timings)
    assert read_ctm(path) == timings


def test_comments_confidences_and_windows_line_ends_are_accepted(tmp_path):
    path = tmp_path / "ctm"
    path.write_bytes(b";; made by hand\r\na 1 0.5 0.25 word 0.99\r\n")
    assert read_ctm(path) == {"a": [WordTiming("word", 0.5, 0.25)]}


@pytest.mark.parametrize(
    "line, complaint",
    [
        ("a 1 0.5 0.25", "expected 'utterance channel start duration word'"),
        ("a 1 x 0.25 word", "expected 'utterance channel start duration word'"),
        ("a 1 -0.5 0.25 word", "utterance 'a' has a word at -0.5 s"),
        ("a 1 nan 0.25 word", "at least 0"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, complaint):
    path = tmp_path / "ctm"
    path.write_text(f"a 1 0 0.5 fine\n{line}\n")
    with pytest.raises(ValueError, match=f"line 2: .*{complaint}"):
        read_ctm(path)


def test_rows_read_back_by_column(tmp_path):
    write_rows(tmp_path / "t", ("utt", "n"), [("a", 1), ("b c", 2)])
    assert read_rows(tmp_path / "t") == [
        {"utt": "a", "n": "1"},
        {"utt": "b c", "n": "2"},
    ]


@pytest.mark.parametrize("sign", ["\u2028", "\x85", "\x1c", "\x0b"])
def test_lines_end_at_line_feeds_alone(tmp_path, sign):
    rows = [(f"a{sign}b", 1)]
    write_rows(tmp_path / "t", ("word", "times"), rows)
    assert read_rows(tmp_path / "t") == [{"word": f"a{sign}b", "times": "1"}]


def test_a_row_of_another_width_is_named(tmp_path):
    (tmp_path / "t").write_text("utt\tn\na\t1\t2\n")
    with pytest.raises(ValueError, match="line 2: expected 2 columns .utt, n."):
        read_rows(tmp_path / "t")


@pytest.mark.parametrize("read", [read_ctm, read_rows])
def test_a_missing_file_is_named(tmp_path, read):
    with pytest.raises(ValueError, match="nothing"):
        read(tmp_path / "nothing")


def test_rows_of_numbers_come_back(tmp_path):
    timings = {"u1": [WordTiming("a", 0.1, 0.25), WordTiming("b", 0.35, 0.5)]}
    rows = word_time_rows(timings, {"u1": "a b", "u2": "c"})
    write_table(tmp_path / "word_times", rows)
    times = read_times(tmp_path / "word_times")
    np.testing.assert_allclose(times["u1"], [[0.1, 0.35], [0.35, 0.85]], rtol=1e-6)
    assert times["u2"].tolist() == [[0, 0]]  # of unknown time
    found = WordTiming.of_words(["a", "b"], times["u1"].tolist())
    assert [word.word for word in found] == ["a", "b"]
    assert [word.end for word in found] == pytest.approx([0.35, 0.85])
