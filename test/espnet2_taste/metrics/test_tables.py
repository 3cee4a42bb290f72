"""Results on disk and on the page."""

import math

import numpy as np
import pytest

from espnet2_taste.data.files import read_json
from espnet2_taste.metrics.tables import (
    format_number,
    markdown_table,
    provenance,
    results_table,
    write_json,
)
from espnet2_taste.metrics.wer import WordErrors


def test_results_survive_the_disk(tmp_path):
    content = {"a": np.float32(0.5), "b": math.nan, "c": WordErrors(words=1)}
    write_json(tmp_path / "new" / "scores.json", content)
    back = read_json(tmp_path / "new" / "scores.json")
    assert back["a"] == 0.5 and back["b"] is None and back["c"]["words"] == 1
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["scores.json"]


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(ValueError, match="x.json: expected JSON"):
        read_json(tmp_path / "x.json")


def test_tables_write_missing_numbers_as_a_dash():
    table = markdown_table(["a", "b"], [[0.12345, math.nan], ["x|y", 3]])
    assert table.splitlines()[2:] == ["| 0.123 | - |", "| x\\|y | 3 |"]
    assert format_number(True) == "True"
    with pytest.raises(ValueError, match="expected 2 cells"):
        markdown_table(["a", "b"], [[1]])


def test_results_are_set_by_columns_shares_in_percent():
    results = {"a": {"wer": {"rate": 0.123}, "n": 3}, "b": {"wer": None}}
    columns = {"WER %": "wer.rate", "words": "n"}
    table = results_table("set", results, columns)
    assert table.splitlines()[0] == "| set | WER % | words |"
    assert table.splitlines()[2:] == ["| a | 12.3 | 3 |", "| b | - | - |"]


def test_provenance_names_command_and_versions():
    result = provenance("m", ["--sets", "a b"], {"tolerance": 0.05})
    assert result["command"] == 'python -m m --sets "a b"'
    assert result["versions"]["torch"] and result["settings"] == {"tolerance": 0.05}
