"""Work in parts: what is finished is kept, processes share it, tables are joined."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from espnet2_taste.cli.parts import Job, join_parts, run_job
from espnet2_taste.cli.results import usable, write_dropped


@dataclass(frozen=True)
class Shout(Job):
    """Writes each name in capitals; notes what it was asked for."""

    log: str
    fails_at: str = ""

    def load(self, device: str):
        return str.upper

    def work(self, model, names: Sequence[str], folder: Path, final: Path) -> None:
        if self.fails_at in names:
            raise RuntimeError("stopped")
        with open(self.log, "a") as stream:
            stream.write(" ".join(names) + "\n")
        lines = [f"{name} {model(name)} {final.name}\n" for name in names]
        (folder / "words").write_text("".join(lines))
        write_dropped(folder, {name: "why\tnot" for name in names if name == "b"})


NAMES = ["c", "a", "b", "e", "d"]


def test_parts_are_joined_in_order(tmp_path):
    job = Shout({"model": "m"}, 2, str(tmp_path / "log"))
    run_job(job, NAMES, tmp_path / "out", part_size=2, nj=1, ngpu=0)
    words = (tmp_path / "out" / "words").read_text().splitlines()
    assert words == ["a A 00000", "b B 00001", "c C 00000", "d D 00002", "e E 00001"]
    dropped = (tmp_path / "out" / "dropped.tsv").read_text().splitlines()
    assert dropped == ["utt\treason", "b\twhy not"]


def test_a_stopped_run_goes_on_where_it_was(tmp_path):
    job = Shout({"model": "m"}, 2, str(tmp_path / "log"), fails_at="e")
    with pytest.raises(RuntimeError, match="stopped"):
        run_job(job, NAMES, tmp_path / "out", part_size=2, nj=1, ngpu=0)
    again = Shout({"model": "m"}, 2, str(tmp_path / "log"))
    run_job(again, NAMES, tmp_path / "out", part_size=2, nj=1, ngpu=0)
    assert (tmp_path / "log").read_text().splitlines() == ["c a", "b e", "d"]
    run_job(again, NAMES, tmp_path / "out", part_size=2, nj=1, ngpu=0)
    assert len((tmp_path / "log").read_text().splitlines()) == 3
    assert not list((tmp_path / "out" / "parts").glob(".*"))


def test_other_settings_are_refused(tmp_path):
    job = Shout({"model": "m"}, 2, str(tmp_path / "log"))
    run_job(job, NAMES, tmp_path / "out", part_size=2, nj=1, ngpu=0)
    other = Shout({"model": "n"}, 2, str(tmp_path / "log"))
    with pytest.raises(ValueError, match="with model = m, this command has n"):
        run_job(other, NAMES, tmp_path / "out", part_size=2, nj=1, ngpu=0)
    with pytest.raises(ValueError, match="holds results with names"):
        run_job(job, NAMES[:2], tmp_path / "out", part_size=2, nj=1, ngpu=0)


def test_processes_share_the_parts(tmp_path, monkeypatch):
    source = Path(__file__).read_text().split("NAMES = ")[0]
    (tmp_path / "shout_job.py").write_text(source)  # where other processes find it
    monkeypatch.syspath_prepend(tmp_path)
    from shout_job import Shout as SharedShout

    job = SharedShout({"model": "m"}, 2, str(tmp_path / "log"))
    run_job(job, NAMES, tmp_path / "out", part_size=1, nj=2, ngpu=0)
    words = (tmp_path / "out" / "words").read_text().split()
    assert words[1::3] == ["A", "B", "C", "D", "E"]
    assert sorted((tmp_path / "log").read_text().split()) == sorted(NAMES)


def test_words_of_an_utterance_keep_their_order(tmp_path):
    for index, text in enumerate(["b 1 0.5 z\nb 1 0.9 a\n", "a 1 0.1 y\n"]):
        (tmp_path / str(index)).mkdir()
        (tmp_path / str(index) / "ctm").write_text(text)
    join_parts([tmp_path / "0", tmp_path / "1"], tmp_path)
    lines = (tmp_path / "ctm").read_text().splitlines()
    assert lines == ["a 1 0.1 y", "b 1 0.5 z", "b 1 0.9 a"]


def test_one_bad_utterance_does_not_spoil_its_batch():
    def work(names):
        if "bad" in names:
            raise ValueError(f"bad is among {len(names)}")
        return [name.upper() for name in names]

    dropped = {}
    assert usable(work, ["a", "bad", "c"], dropped) == {"a": "A", "c": "C"}
    assert dropped == {"bad": "bad is among 1"}
