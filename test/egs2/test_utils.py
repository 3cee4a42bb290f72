"""The helpers of recipes: options, jobs on this machine and on Slurm."""

import os
import subprocess
from pathlib import Path

import pytest

TEMPLATE = Path(__file__).resolve().parents[2] / "egs2" / "TEMPLATE" / "taslm1"
UTILS = TEMPLATE / "utils"


def bash(script: str, *arguments: str, cwd=None, env=None):
    """Run a bash script, return the finished process."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script, "script", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **(env or {})},
    )


OPTIONS = f"""
nj=4 tag="" use_it=false help_message="the help"
. {UTILS}/parse_options.sh
printf '%s|' "$nj" "$tag" "$use_it" "$@"
"""


def test_options_set_declared_variables_and_leave_the_rest():
    done = bash(OPTIONS, "--nj", "8", "--use-it", "true", "--tag", "", "a b", "--nj")
    assert done.stdout == "8||true|a b|--nj|"


def test_option_values_are_never_run(tmp_path):
    done = bash(OPTIONS, "--tag", f"$(touch {tmp_path}/x) `id` ; 'q\" \\")
    assert done.stdout == f"4|$(touch {tmp_path}/x) `id` ; 'q\" \\|false|"
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--unknown", "1"], "unknown option --unknown"),
        (["--PATH", "/"], "unknown option --PATH"),
        (["--nj"], "--nj needs a value"),
        (["--use_it", "yes"], "--use_it takes true or false, not 'yes'"),
        (["--a[$(id)]", "1"], "unknown option"),
    ],
)
def test_wrong_options_are_refused(arguments, message):
    done = bash(OPTIONS, *arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_options_of_a_file_come_before_those_of_the_command(tmp_path):
    (tmp_path / "c.conf").write_text("nj=2\ntag=file\n")
    done = bash(OPTIONS, "--nj", "9", "--config", str(tmp_path / "c.conf"))
    assert done.stdout == "9|file|false|"


def test_help_is_printed():
    done = bash(OPTIONS, "--help")
    assert (done.returncode, done.stdout) == (0, "the help\n")


def test_run_replaces_the_job_number_and_keeps_words(tmp_path):
    command = [UTILS / "run.pl", "--gpu", "0", "JOB=2:4", "log/x.JOB.log"]
    words = ["printf", "[%s]", "JOB", "a b", "$(id)", "n=JOB;"]
    subprocess.run([*command, *words], cwd=tmp_path, check=True)
    for job in (2, 3, 4):
        log = (tmp_path / f"log/x.{job}.log").read_text()
        assert f"[{job}][a b][$(id)][n={job};]" in log
        assert "# Ended (code 0)" in log


def test_run_without_jobs_leaves_the_word_job_alone(tmp_path):
    subprocess.run([UTILS / "run.pl", "x.log", "echo", "JOB"], cwd=tmp_path, check=True)
    assert "\nJOB\n" in (tmp_path / "x.log").read_text()


@pytest.mark.parametrize("jobs", [[], ["JOB=1:3"]])
def test_run_reports_a_failed_job(tmp_path, jobs):
    command = [UTILS / "run.pl", *jobs, "JOB.log", "bash", "-c", "exit 3"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "code 3" in done.stderr


def fake(folder: Path, name: str, text: str) -> dict[str, str]:
    """A command that comes first on PATH; gives the environment."""
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def test_jobs_of_an_array_take_the_gpus_in_turn(tmp_path):
    show = ["bash", "-c", "echo gpu=$CUDA_VISIBLE_DEVICES"]
    environment = fake(tmp_path, "nvidia-smi", "#!/bin/bash\nprintf '0\\n1\\n'\n")
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    command = [UTILS / "run.pl", "--gpu", "1", "JOB=1:3", "JOB.log", *show]
    subprocess.run(command, cwd=tmp_path, check=True, env=environment)
    logs = [(tmp_path / f"{job}.log").read_text() for job in (1, 2, 3)]
    assert ["gpu=0\n" in logs[0], "gpu=1\n" in logs[1], "gpu=0\n" in logs[2]] == [
        True
    ] * 3


def test_stdout_shows_what_it_logs_and_fails_as_the_job_does(tmp_path):
    command = [UTILS / "stdout.pl", "x.log", "bash", "-c", "echo shown; exit 3"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 3
    assert "\nshown\n" in done.stdout
    assert (tmp_path / "x.log").read_text() == done.stdout


FAKE_SSH = """#!/usr/bin/env bash
shift 2
echo "host $1"
shift
cd / && exec bash -c "$*"
"""


def test_ssh_gives_jobs_to_the_hosts_in_turn(tmp_path):
    (tmp_path / ".queue").mkdir()
    (tmp_path / ".queue/machines").write_text("# ours\none\n\ntwo\n")
    environment = fake(tmp_path, "ssh", FAKE_SSH)
    words = ["printf", "[%s]", "JOB", "a b", "$(id)", "it's"]
    command = [UTILS / "ssh.pl", "JOB=1:3", "JOB.log", *words]
    subprocess.run(command, cwd=tmp_path, check=True, env=environment)
    for job, host in (1, "one"), (2, "two"), (3, "one"):
        log = (tmp_path / f"{job}.log").read_text()
        assert f"host {host}\n" in log and f"[{job}][a b][$(id)][it's]" in log
    failing = [UTILS / "ssh.pl", "x.log", "bash", "-c", "pwd; exit 4"]
    assert subprocess.run(failing, cwd=tmp_path, env=environment).returncode == 4
    assert f"\n{tmp_path}\n" in (tmp_path / "x.log").read_text()


@pytest.mark.parametrize("backend", ["local", "stdout", "ssh", "slurm"])
def test_backends_name_scripts_that_are_there(backend):
    script = f". {TEMPLATE}/cmd.sh; command -v $train_cmd $cuda_cmd $decode_cmd"
    path = f"{UTILS}:{os.environ['PATH']}"
    done = bash(script, env={"cmd_backend": backend, "PATH": path})
    assert len(set(done.stdout.split())) == 1 and done.returncode == 0


@pytest.mark.parametrize(
    "backend, message",
    [("sge", "needs queue.pl: copy it"), ("pbs", "pbs.pl"), ("x", "choose local")],
)
def test_backends_that_are_not_there_are_named(backend, message):
    done = bash(f". {TEMPLATE}/cmd.sh", env={"cmd_backend": backend})
    assert done.returncode == 1 and message in done.stderr


def test_run_limits_how_many_run_at_once(tmp_path):
    script = "mkdir lock && sleep 0.05 && rmdir lock"
    command = [UTILS / "run.pl", "--max-jobs-run", "1", "JOB=1:4", "JOB.log"]
    subprocess.run([*command, "bash", "-c", script], cwd=tmp_path, check=True)


@pytest.mark.parametrize("limit", [1, 2, 10])
def test_jobs_that_end_at_once_count_as_done(limit):
    """Before they are waited for, which `wait -n` answers with an error."""
    script = f"""
        . {UTILS}/jobs_here.sh
        execute() {{ return 0; }}
        to_log() {{ return 0; }}
        job_name=JOB job_first=1 job_last=3 job_limit={limit} job_log=-
        for i in {{1..100}}; do run_jobs true || exit 1; done
    """
    assert bash(script).returncode == 0


def test_run_asks_for_a_log_per_job(tmp_path):
    command = [UTILS / "run.pl", "JOB=1:2", "same.log", "true"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "must contain JOB" in done.stderr


FAKE_SBATCH = """#!/usr/bin/env bash
printf '%s\\n' "$@" > arguments
for SLURM_ARRAY_TASK_ID in 1 2; do export SLURM_ARRAY_TASK_ID; bash "${@: -1}"; done
"""


def test_slurm_turns_options_into_sbatch_arguments(tmp_path):
    sbatch = tmp_path / "sbatch"
    sbatch.write_text(FAKE_SBATCH)
    sbatch.chmod(0o755)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/slurm.conf").write_text(
        (TEMPLATE / "conf/slurm.conf").read_text()
    )
    command = [UTILS / "slurm.pl", "--gpu", "2", "--mem", "8G", "JOB=1:2"]
    subprocess.run(
        [*command, "log/JOB.log", "bash", "-c", 'echo "$1" >out.JOB', "-", "a b $(id)"],
        cwd=tmp_path,
        check=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    arguments = (tmp_path / "arguments").read_text().split("\n")
    for option, value in [
        ("--gres", "gpu:2"),
        ("--mem", "8G"),
        ("--array", "1-2%1000"),
    ]:
        assert arguments[arguments.index(option) + 1] == value
    assert arguments[arguments.index("--output") + 1] == "log/%a.log"
    assert (tmp_path / "out.1").read_text() == "a b $(id)\n"
    assert (tmp_path / "out.2").exists()
    assert not list((tmp_path / "log").glob(".slurm*"))
