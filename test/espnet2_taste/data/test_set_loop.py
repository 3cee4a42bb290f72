"""Sets are worked on once, with one tool."""

from pathlib import Path

import pytest

from espnet2_taste.data.set_loop import finish_sets


def test_only_what_is_not_finished_is_done_and_the_tool_loaded_once(tmp_path, capsys):
    folders = [tmp_path / name for name in "abc"]
    folders[1].mkdir()
    loads = []

    def load():
        loads.append(1)
        return "tool"

    def work(tool, folder):
        folder.mkdir()
        return f"made with a {tool}"

    here = (load, work, None, None)
    for _ in range(2):
        finish_sets("command", folders, lambda folder: folder.is_dir(), *here)
    assert loads == [1]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{folders[0]}: made with a tool"
    assert lines[1:] == [
        f"{folders[2]}: made with a tool",
        "command: all sets are done",
    ]


def test_what_jobs_left_in_parts_is_joined_without_a_tool(tmp_path, capsys):
    for number in ("0002", "0001"):
        (tmp_path / "parts" / number / "a").mkdir(parents=True)

    def join(parts, folder):
        folder.mkdir()
        return " ".join(part.parent.name for part in parts)

    folders = [tmp_path / name for name in "ab"]
    given = (Path.is_dir, pytest.fail, pytest.fail, tmp_path / "parts", join)
    finish_sets("command", folders[:1], *given)
    assert capsys.readouterr().out == f"{folders[0]}: 0001 0002\n"
    with pytest.raises(ValueError, match="no part of 'b'"):
        finish_sets("command", folders, *given)
