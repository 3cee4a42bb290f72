"""Lines of code are those that hold a token and no docstring or comment."""

import importlib.util
from pathlib import Path

import pytest

PLACE = Path(__file__).parents[2] / "tools" / "code_lines.py"
SPEC = importlib.util.spec_from_file_location("code_lines", PLACE)
tool = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tool)


@pytest.mark.parametrize(
    "source, lines",
    [
        ("", 0),
        ('"""A module.\n\nTwo parts.\n"""\n\nx = 1  # one\n# no\n', 1),
        ("def f(\n    a,\n):\n    'Doc.'\n\n    return '''a\nb'''\n", 5),
        ("class A:\n    x = 1\n    '''Of A.'''\n", 2),
    ],
)
def test_count(source, lines):
    assert tool.code_lines(source) == lines


def test_folders_and_the_sum_are_printed(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.py").write_text("x = 1\ny = 2\n")
    (tmp_path / "two.py").write_text("x = 1\n")
    tool.main([str(tmp_path)])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [["2", "1", "a"], ["1", "1", "two.py"], ["3", "2", str(tmp_path)]]
