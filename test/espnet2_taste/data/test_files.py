"""Files are whole, whoever writes them at the same time."""

import pytest

from espnet2_taste.data.files import whole_file
from espnet2_taste.data.kaldi_dir import read_table, write_lines


def test_two_writers_at_once_leave_one_whole_file(tmp_path):
    path = tmp_path / "units_shape"

    def lines():
        yield "a 1"
        write_lines(path, ["a 1", "b 2"])  # another stage, in the middle of this one
        yield "b 2"

    write_lines(path, lines())
    assert read_table(path) == {"a": "1", "b": "2"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text("before")
    with pytest.raises(KeyError), whole_file(path) as part:
        part.write_text("half")
        raise KeyError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
