"""Work in parts: what is finished is kept, processes share it, tables are joined."""

import os
import signal
import subprocess
import sys
import time
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
    killed_at: str = ""
    loads: bool = True
    waits_for: str = ""

    def load(self, device: str):
        if not self.loads:
            raise ValueError("no such model")
        return str.upper

    def work(self, model, names: Sequence[str], folder: Path) -> None:
        if self.fails_at in names:
            raise RuntimeError("stopped")
        if self.killed_at in names:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.waits_for:
            Path(f"{self.waits_for}.{os.getpid()}").touch()
            while not Path(self.waits_for).exists():
                time.sleep(0.01)
        with open(self.log, "a") as stream:
            stream.write(" ".join(names) + "\n")
        lines = [f"{name} {model(name)}\n" for name in names if name != "b"]
        (folder / "words").write_text("".join(lines))
        (folder / "wav.scp").write_text(f"{names[0]} audio/{names[0]}.wav\n")
        write_dropped(folder, {name: "why\tnot" for name in names if name == "b"})


NAMES = ["c", "a", "b", "e", "d"]
INPUTS = dict.fromkeys(NAMES, "same")
ONE = {"part_size": 2, "nj": 1, "ngpu": 0}


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


@pytest.fixture
def job(log):
    return Shout({"model": "m"}, 2, str(log))


@pytest.fixture
def shared(tmp_path, log, monkeypatch):
    """The same class where other processes find it."""
    source = Path(__file__).read_text().split("NAMES = ")[0]
    (tmp_path / "shout_job.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    from shout_job import Shout as SharedShout

    return lambda **options: SharedShout({"model": "m"}, 1, str(log), **options)


def test_parts_are_joined_in_order_with_paths_from_the_output(tmp_path, job):
    outcome = run_job(job, INPUTS, tmp_path / "out", **ONE)
    words = (tmp_path / "out" / "words").read_text().splitlines()
    assert words == ["a A", "c C", "d D", "e E"]
    dropped = (tmp_path / "out" / "dropped.tsv").read_text().splitlines()
    assert dropped == ["utt\treason", "b\twhy not"]
    assert (outcome.count, outcome.dropped) == (5, {"b": "why not"})
    wavs = (tmp_path / "out" / "wav.scp").read_text().splitlines()
    assert wavs[0] == "b parts/00001/audio/b.wav"


def test_a_stopped_run_goes_on_where_it_was(tmp_path, job, log):
    failing = Shout(job.settings, 2, job.log, fails_at="e")
    with pytest.raises(RuntimeError, match="stopped"):
        run_job(failing, INPUTS, tmp_path / "out", **ONE)
    for _ in range(2):
        run_job(job, INPUTS, tmp_path / "out", **ONE)
        assert log.read_text().splitlines() == ["c a", "b e", "d"]
    assert not list((tmp_path / "out" / "parts").glob(".*"))


def test_only_what_changed_is_done_again(tmp_path, job, log):
    run_job(job, INPUTS, tmp_path / "out", **ONE)
    changed = INPUTS | {"a": "other", "b": "other"}
    run_job(job, changed, tmp_path / "out", **ONE)
    assert log.read_text().splitlines()[3:] == ["a b"]
    run_job(job, changed | {"f": "more"}, tmp_path / "out", **ONE)
    assert log.read_text().splitlines()[4:] == ["f"]
    words = (tmp_path / "out" / "words").read_text().splitlines()
    assert words == ["a A", "c C", "d D", "e E", "f F"]
    assert len((tmp_path / "out" / "dropped.tsv").read_text().splitlines()) == 2


def test_other_settings_and_other_folders_are_refused(tmp_path, job):
    run_job(job, INPUTS, tmp_path / "out", **ONE)
    other = Shout({"model": "n"}, 2, job.log)
    with pytest.raises(ValueError, match="with model = m, this command has n"):
        run_job(other, INPUTS, tmp_path / "out", **ONE)
    with pytest.raises(ValueError, match="utterances that this command does not name"):
        run_job(job, {"c": "same", "a": "same"}, tmp_path / "out", **ONE)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "wav.scp").write_text("a a.wav\n")
    with pytest.raises(ValueError, match="was not made by this command"):
        run_job(job, INPUTS, tmp_path / "data", **ONE)
    (tmp_path / "out" / "parts" / "00001" / "record.json").write_text("{")
    with pytest.raises(ValueError, match="00001/record.json is missing or damaged"):
        run_job(job, INPUTS, tmp_path / "out", **ONE)


def test_a_command_without_results_does_not_claim_its_output(tmp_path, job):
    broken = Shout({"model": "n"}, 2, job.log, loads=False)
    with pytest.raises(ValueError, match="no such model"):
        run_job(broken, INPUTS, tmp_path / "out", **ONE)
    lost = Shout({"model": "n"}, 2, job.log)
    assert run_job(lost, {"b": "x"}, tmp_path / "out", **ONE).dropped
    assert run_job(lost, {"a": "x"}, tmp_path / "out", **ONE).dropped == {}
    assert run_job(lost, {"b": "x"}, tmp_path / "same", **ONE).dropped
    assert run_job(job, {"a": "x"}, tmp_path / "same", **ONE).dropped == {}
    with pytest.raises(ValueError, match="the list is empty"):
        run_job(job, {}, tmp_path / "other", **ONE)
    assert not (tmp_path / "other").exists()


def test_ids_that_cannot_name_a_file_cost_themselves(tmp_path, job, log):
    outcome = run_job(job, {"../../x": "", "a": ""}, tmp_path / "out", **ONE)
    assert log.read_text() == "a\n"
    assert list(outcome.dropped) == ["../../x"]
    assert "no slash" in (tmp_path / "out" / "dropped.tsv").read_text()


def test_processes_share_the_parts(tmp_path, shared, log):
    run_job(shared(), INPUTS, tmp_path / "out", part_size=64, nj=2, ngpu=0)
    words = (tmp_path / "out" / "words").read_text().splitlines()
    assert words == ["a A", "c C", "d D", "e E"]
    assert sorted(log.read_text().split()) == sorted(NAMES)
    assert len(log.read_text().splitlines()) > 2  # the bar moves


def test_a_model_that_does_not_load_ends_all_processes(tmp_path, shared):
    with pytest.raises(ValueError, match="no such model"):
        run_job(shared(loads=False), INPUTS, tmp_path / "out", 64, nj=2, ngpu=0)


def test_a_killed_process_is_an_error_and_the_run_goes_on(tmp_path, shared, log):
    with pytest.raises(RuntimeError, match="was killed.*repeat the command"):
        run_job(shared(killed_at="d"), INPUTS, tmp_path / "out", 64, nj=2, ngpu=0)
    run_job(shared(), INPUTS, tmp_path / "out", part_size=64, nj=2, ngpu=0)
    words = (tmp_path / "out" / "words").read_text().splitlines()
    assert words == ["a A", "c C", "d D", "e E"]


COMMAND = """
import sys
from pathlib import Path

from espnet2_taste.cli import main, tokenize
from espnet2_taste.cli.parts import run_job
from shout_job import Shout

if __name__ == "__main__":
    _, log, waits_for, output = sys.argv
    job = Shout({"model": "m"}, 1, log, waits_for=waits_for)
    inputs = dict.fromkeys("cabed", "same")
    tokenize.run = lambda args: run_job(job, inputs, Path(output), 64, nj=2, ngpu=0)
    main.main(["tokenize", "--model", "m", "--wav", "x", "--output", output])
"""


def processes_of(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_ctrl_c_ends_all_processes_with_one_line(tmp_path, shared, log):
    (tmp_path / "command.py").write_text(COMMAND)
    go = tmp_path / "go"
    call = [sys.executable, tmp_path / "command.py", log, go, tmp_path / "out"]
    folders = [str(tmp_path), str(Path(__file__).parents[3])]
    known = os.environ.get("PYTHONPATH")
    variables = os.environ | {"PYTHONPATH": ":".join(folders + [known] * bool(known))}
    options = dict(env=variables, stderr=subprocess.PIPE, text=True)
    # what a shell starts in the background is started with Ctrl-C ignored
    options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    command = subprocess.Popen(call, start_new_session=True, **options)
    while len(list(tmp_path.glob("go.*"))) < 2 and command.poll() is None:
        time.sleep(0.01)  # both are at work
    os.killpg(command.pid, signal.SIGINT)
    _, errors = command.communicate()
    while processes_of(command.pid):  # the one that counts shared memory is the last
        time.sleep(0.01)
    assert command.returncode == 130
    assert errors.splitlines()[-1].startswith("espnet2-taste tokenize: stopped; ")
    assert "Traceback" not in errors and "Interrupt" not in errors
    go.touch()
    subprocess.run(call, check=True, **options)
    words = (tmp_path / "out" / "words").read_text().splitlines()
    assert words == ["a A", "c C", "d D", "e E"]


def test_words_of_an_utterance_keep_their_order(tmp_path):
    for index, text in enumerate(["b 1 0.5 z\nb 1 0.9 a\n", "a 1 0.1 y\nb 1 0 old\n"]):
        (tmp_path / str(index)).mkdir()
        (tmp_path / str(index) / "ctm").write_text(text)
    join_parts({"b": tmp_path / "0", "a": tmp_path / "1"}, tmp_path)
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
