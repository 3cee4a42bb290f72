"""Stages: what is done is kept, what changed is done again, and recipes are linked."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

EGS2 = Path(__file__).resolve().parents[2] / "egs2"
TEMPLATE = EGS2 / "TEMPLATE" / "taslm1"

STAGES = f"""
expdir=exp stage=${{STAGE:-1}} stop_stage=9 skip_stages=${{SKIP:-}} python=./python
. {TEMPLATE}/scripts/stages.sh
. {TEMPLATE}/scripts/training.sh
"""
TWO = STAGES + """
first() {
    begin one --files a.conf --values "$VALUE" --scope $SETS --outputs one || return 0
    mkdir -p one; echo one >> ran; touch "one/$VALUE"; $FAULT; finish
}
second() {
    begin two --after one --outputs two || return 0
    mkdir -p two; echo two >> ran; finish
}
run_stage 1 first first
run_stage 2 second second
"""


def run(cwd, script=TWO, **variables):
    """Run a script of stages."""
    settings = {"VALUE": "1", "SETS": "a b", "FAULT": "true", "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=cwd,
        env={**settings, **variables},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def recipe(tmp_path):
    """A folder with a configuration and both stages done once."""
    (tmp_path / "a.conf").write_text("x: 1\n")
    assert run(tmp_path).returncode == 0
    (tmp_path / "ran").write_text("")
    return tmp_path


def ran(folder) -> list[str]:
    return (folder / "ran").read_text().split()


def test_a_second_run_does_nothing(recipe):
    assert "done before" in run(recipe).stdout
    assert ran(recipe) == []


def test_a_changed_file_renews_this_stage_and_those_after_it(recipe):
    (recipe / "a.conf").write_text("x: 2\n")
    run(recipe)
    assert ran(recipe) == ["one", "two"]
    assert (recipe / "one.old/1").exists()


def test_a_changed_value_starts_with_fresh_outputs(recipe):
    run(recipe, VALUE="2")
    assert ran(recipe) == ["one", "two"]
    assert [path.name for path in (recipe / "one").iterdir()] == ["2"]


def test_more_sets_run_the_stage_again_on_what_is_there(recipe):
    run(recipe, SETS="a b c")
    assert ran(recipe) == ["one"]
    assert not (recipe / "one.old").exists()


def test_lost_outputs_are_made_again(recipe):
    (recipe / "two").rmdir()
    run(recipe)
    assert ran(recipe) == ["two"]


def test_an_interrupted_stage_goes_on_with_its_outputs(recipe):
    assert run(recipe, VALUE="2", FAULT="kill -9 $$").returncode != 0
    (recipe / "one/partial").touch()
    done = run(recipe, VALUE="2")
    assert done.returncode == 0
    assert (recipe / "one/partial").exists()
    assert ran(recipe) == ["one", "one", "two"]


def test_an_interrupted_stage_with_new_settings_starts_afresh(recipe):
    run(recipe, VALUE="2", FAULT="kill -9 $$")
    run(recipe, VALUE="3")
    assert [path.name for path in (recipe / "one").iterdir()] == ["3"]


def test_a_failing_command_ends_the_run_and_names_the_way_on(recipe):
    script = TWO.replace("run_stage 1", "trap report_failure EXIT; run_stage 1")
    done = run(recipe, script, VALUE="2", FAULT="false")
    assert done.returncode == 1
    assert "Stage 1 failed. Repeat the same command" in done.stderr
    assert ran(recipe) == ["one"]


def test_a_stage_needs_the_ones_before(tmp_path):
    (tmp_path / "a.conf").touch()
    done = run(tmp_path, STAGE="2")
    assert done.returncode == 1
    assert "stage 'one' has not been completed" in done.stderr


def test_a_missing_input_is_named(tmp_path):
    done = run(tmp_path)
    assert done.returncode == 1
    assert "a.conf is missing or empty" in done.stderr


def test_stages_can_be_left_out(recipe):
    (recipe / "a.conf").write_text("x: 2\n")
    run(recipe, SKIP="1")
    assert ran(recipe) == []


def test_a_job_left_over_by_a_killed_run_is_waited_for(tmp_path):
    script = STAGES + "lock_experiment; sleep 0.6 & kill -9 $$"
    start = time.monotonic()
    subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=False)
    done = subprocess.run(
        ["bash", "-c", STAGES + "lock_experiment; echo free"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert time.monotonic() - start > 0.5
    assert "waiting until it ends" in done.stdout
    assert done.stdout.endswith("free\n")


TRAINING = STAGES + """
train() {
    begin model --files a.conf --values "$VALUE" --check task --config a.conf \\
        --models model stats --outputs scores || return 0
    mkdir -p model stats scores; echo x >> model/epochs; touch "model/$VALUE"
    eval "$FAULT"; finish
}
run_stage 1 "" train
"""
PYTHON = """#!/bin/bash
for last; do :; done
echo "ValueError: quantizer: 'rvk' is none of rvq, fsq" | tee "$last/config.yaml"
echo "$*" >> checks
! grep -q rvk a.conf
"""


@pytest.fixture
def trained(tmp_path):
    """A model of value 1, and a Python that knows which configuration is wrong."""
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "a.conf").write_text("quantizer: rvq\n")
    assert run(tmp_path, TRAINING).returncode == 0
    return tmp_path


def models(folder) -> list[str]:
    """Which values the models are of, the one in use first."""
    paths = [*folder.glob("model/[0-9]*"), *folder.glob("model.*.old/[0-9]*")]
    return [path.name for path in paths]


def test_a_typing_error_leaves_the_model_where_it_is(trained):
    before = sorted(trained.rglob("*"))
    (trained / "a.conf").write_text("quantizer: rvk\n")
    done = run(trained, TRAINING)
    assert done.returncode == 1
    assert "'rvk' is none of rvq, fsq" in done.stderr
    assert "what was trained before is untouched" in done.stderr
    kept = [path for path in sorted(trained.rglob("*")) if "tried" not in str(path)]
    assert [path for path in kept if path.name != "checks"] == before
    (trained / "a.conf").write_text("quantizer: rvq\n")
    assert "done before" in run(trained, TRAINING).stdout
    assert models(trained) == ["1"]


def test_the_check_builds_what_the_training_would(trained):
    run(trained, TRAINING, VALUE="2")
    (check,) = (trained / "checks").read_text().splitlines()
    assert check.startswith("-m task --config a.conf --dry_run")


def test_trainings_side_by_side_are_tried_apart(trained):
    script = TRAINING.replace("begin model", "begin $1").replace("model stats", "$1")
    script = script.replace("model/", "$1/").replace('run_stage 1 "" train', "train $N")
    for name, value in (("a", "1"), ("b", "1"), ("a", "2"), ("b", "2")):
        assert run(trained, script, VALUE=value, N=name).returncode == 0
    lines = (trained / "checks").read_text().splitlines()
    places = [line.split()[-1] for line in lines]
    assert len(places) == len(set(places)) == 2


def test_no_model_is_deleted_and_an_earlier_one_comes_back(trained):
    for value in "231":
        assert run(trained, TRAINING, VALUE=value).returncode == 0
    assert sorted(models(trained)) == ["1", "2", "3"] and models(trained)[0] == "1"
    assert (trained / "model/epochs").read_text() == "x\nx\n"  # it went on
    assert len(list(trained.glob("stats.*.old"))) == 2
    assert [path.name for path in trained.glob("scores*")] == ["scores", "scores.old"]


def test_a_failed_change_can_be_taken_back(trained):
    assert run(trained, TRAINING, VALUE="2", FAULT="false").returncode == 1
    assert run(trained, TRAINING).returncode == 0
    assert sorted(models(trained)) == ["1", "2"] and models(trained)[0] == "1"


@pytest.mark.parametrize("ngpu, loaders, cpus", [("0", "1", 3), ("4", "4", 20)])
def test_a_training_asks_for_cpus_of_its_gpus_and_loaders(
    tmp_path, ngpu, loaders, cpus
):
    """Without a GPU, for its threads and its loaders."""
    script = STAGES + f"""
ngpu={ngpu} num_workers={loaders} num_nodes=2 OMP_NUM_THREADS=2 cuda_cmd=slurm.pl
python=echo; train_model task exp/model
"""
    asked = run(tmp_path, script).stdout
    assert f"--cmd slurm.pl --name model --num_threads {cpus} --log" in asked
    assert f"--ngpu {ngpu} --num_nodes 2 " in asked


SIDE = STAGES + """
parallel=${PARALLEL:-2} OMP_NUM_THREADS=4 current_stage=7
work() { begin "$1" --outputs "$1" || return 0; mkdir -p "$1"
         echo "$1 ${OMP_NUM_THREADS}" >> ran; eval "${FAULT}"; finish; }
trap report_failure EXIT
side_by_side work a b c
echo end
"""


@pytest.mark.parametrize("parallel, threads", [("1", "4"), ("2", "2"), ("8", "1")])
def test_independent_work_shares_the_threads(tmp_path, parallel, threads):
    done = run(tmp_path, SIDE, PARALLEL=parallel)
    assert done.stdout.endswith("end\n")
    lines = sorted((tmp_path / "ran").read_text().splitlines())
    assert lines == [f"{name} {threads}" for name in "abc"]
    run(tmp_path, SIDE, PARALLEL=parallel)
    assert len((tmp_path / "ran").read_text().splitlines()) == 3


def test_no_more_than_asked_run_at_once(tmp_path):
    fault = "touch on.$1; ls -d on.* | wc -l >> counts; sleep 0.2; rm on.$1"
    run(tmp_path, SIDE, FAULT=fault)
    assert max(map(int, (tmp_path / "counts").read_text().split())) == 2


def test_one_failure_lets_the_others_end_and_ends_the_run(tmp_path):
    done = run(tmp_path, SIDE, FAULT="[ $1 != a ]")
    assert done.returncode == 1 and "end" not in done.stdout
    assert "Stage 7 failed. Repeat the same command" in done.stderr
    assert (tmp_path / "exp/.stages/c.done").exists()
    assert (tmp_path / "exp/.stages/a.begun").exists()
    again = run(tmp_path, SIDE)
    assert again.stdout.endswith("end\n")
    assert sorted(ran(tmp_path)[::2]) == list("aabc")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_what_runs_in_the_background(tmp_path, sent):
    """Background jobs of a script ignore Ctrl-C by themselves."""
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", SIDE],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "FAULT": "bash -c 'sleep 60; true'"},
        start_new_session=True,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        # A test run in the background ignores Ctrl-C, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (tmp_path / "ran").exists() or len(ran(tmp_path)) < 4:
        time.sleep(0.05)
    os.kill(process.pid, sent)
    process.wait(timeout=10)
    time.sleep(0.2)
    command = ["ps", "-s", str(process.pid), "-o", "stat="]
    states = subprocess.run(command, capture_output=True, text=True).stdout.split()
    assert [state for state in states if not state.startswith("Z")] == []


def test_setup_links_a_recipe(tmp_path):
    (tmp_path / "egs2/TEMPLATE").mkdir(parents=True)
    (tmp_path / "egs2/TEMPLATE/taslm1").symlink_to(TEMPLATE)
    target = tmp_path / "egs2/new/taslm1"
    subprocess.run([TEMPLATE / "setup.sh", target], check=True, capture_output=True)
    for name in ("taslm.sh", "path.sh", "scripts/stages.sh", "utils/run.pl", "cmd.sh"):
        assert (target / name).is_file()
    (target / "cmd.sh").write_text("mine")
    subprocess.run([TEMPLATE / "setup.sh", target], check=True, capture_output=True)
    assert (target / "cmd.sh").read_text() == "mine"


def test_setup_refuses_another_place(tmp_path):
    command = [TEMPLATE / "setup.sh", tmp_path / "x/y"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "two levels below egs2" in done.stderr


def shell_files() -> list[Path]:
    folders = [TEMPLATE, EGS2 / "mini_espeak/taslm1", EGS2 / "mini_an4/taslm1"]
    names = ["*.sh", "local/*.sh", "scripts/*.sh", "utils/*.sh", "utils/*.pl"]
    found = [path for folder in folders for name in names for path in folder.glob(name)]
    return sorted(path for path in found if path.resolve() == path)


@pytest.mark.parametrize("path", shell_files(), ids=lambda p: str(p.relative_to(EGS2)))
def test_shell_is_well_formed(path):
    subprocess.run(["bash", "-n", path], check=True)


@pytest.mark.parametrize("name", ["data", "tokenizer", "slm", "jobs"])
def test_stage_functions_stay_short(name):
    text = (TEMPLATE / f"scripts/{name}.sh").read_text()
    for block in text.split("\n}\n")[:-1]:
        body = block[block.index("() {") :]
        assert body.count("\n") <= 26, body.splitlines()[0]


@pytest.mark.parametrize(
    "first, last, skip, message",
    [
        ("nine", "13", "", "there is no stage 'nine': stages are numbers from 1 to 17"),
        ("18", "18", "", "there is no stage '18'"),
        ("0", "13", "", "there is no stage '0'"),
        ("1", "13", "8 x", "there is no stage 'x'"),
        ("14", "13", "", "comes after --stop_stage 13: give --stop_stage 14"),
    ],
)
def test_a_choice_without_any_stage_is_an_error(tmp_path, first, last, skip, message):
    choice = f"stage={first} stop_stage={last} skip_stages='{skip}'"
    done = run(tmp_path, f"{STAGES}\n{choice}\ncheck_stages 17; echo reached")
    assert done.returncode != 0 and "reached" not in done.stdout
    assert message in done.stdout + done.stderr


def test_a_choice_of_stages_passes(tmp_path):
    choice = "stage=8 stop_stage=17 skip_stages='8 09'"
    assert run(tmp_path, f"{STAGES}\n{choice}\ncheck_stages 17").returncode == 0
