"""Sets are worked on once, with one tool."""

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

    for _ in range(2):
        finish_sets("command", folders, lambda folder: folder.is_dir(), load, work)
    assert loads == [1]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{folders[0]}: made with a tool"
    assert lines[1:] == [
        f"{folders[2]}: made with a tool",
        "command: all sets are done",
    ]
