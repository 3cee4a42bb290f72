"""utils/slurm.pl on two real Slurm nodes; skipped where Slurm is not installed.

CONTRIBUTING says which packages bring it.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml

from espnet2_taste.text.training import train_lm_tokenizer

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "egs2/TEMPLATE/taslm1"
NODES = ROOT / "test/support/slurm_nodes.sh"
TRAINING = f"""
PATH={TEMPLATE}/utils:$PATH
. {TEMPLATE}/scripts/stages.sh
. {TEMPLATE}/scripts/training.sh
cmd_backend=slurm
. {TEMPLATE}/cmd.sh
python={sys.executable} ngpu=0 num_nodes=2 num_workers=0 OMP_NUM_THREADS=2
train_model espnet2_taste.bin.text_lm_train exp/text_lm --config train.yaml "$@"
"""
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(name) for name in PROGRAMS),
    reason="Slurm is not installed, or this is not root",
)


@pytest.fixture(scope="module")
def cluster():
    """Environment in which both nodes are found."""
    folder = Path(tempfile.mkdtemp(prefix="slurm"))  # sockets need a short path
    try:
        subprocess.run([NODES, "start", folder], check=True)
        yield {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    finally:
        subprocess.run([NODES, "stop", folder], check=True)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def recipe(tmp_path):
    """A recipe folder with the configuration alone."""
    (tmp_path / "conf").mkdir()
    shutil.copy(TEMPLATE / "conf/slurm.conf", tmp_path / "conf")
    return tmp_path


def command(*words):
    return [TEMPLATE / "utils/slurm.pl", *words]


def squeue(cluster, form="%i"):
    """What the queue holds, a line a job."""
    call = ["squeue", "--noheader", "--format", form]
    return subprocess.check_output(call, env=cluster, text=True).split()


def wait_until(what):
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_jobs_of_an_array_get_their_words_cpus_and_threads(recipe, cluster):
    show = 'echo "[$1] $OMP_NUM_THREADS $SLURM_CPUS_PER_TASK"; env | grep =align'
    words = ["bash", "-c", show, "-", "a b $(id) JOB"]
    options = ["--name", "align", "--num_threads", "4", "JOB=1:3", "log/JOB.log"]
    subprocess.run(command(*options, *words), cwd=recipe, env=cluster, check=True)
    for job in (1, 2, 3):
        log = (recipe / f"log/{job}.log").read_text()
        assert f"[a b $(id) {job}] 4 4\nSLURM_JOB_NAME=align\n" in log
    assert not list((recipe / "log").glob(".slurm*"))


def test_gpus_share_the_cpus_of_a_job(recipe, cluster):
    (recipe / "conf/slurm.conf").write_text("num_threads=* --cpus-per-task $0\n")
    options = ["--gpu", "2", "--num_threads", "6", "--num_threads", "2", "x.log"]
    show = ["bash", "-c", "echo threads $OMP_NUM_THREADS"]
    subprocess.run(command(*options, *show), cwd=recipe, env=cluster, check=True)
    assert "threads 3\n" in (recipe / "x.log").read_text()


def test_a_failed_job_names_itself(recipe, cluster):
    words = ["JOB=1:3", "log/JOB.log", "bash", "-c", "[ JOB != 2 ]"]
    done = subprocess.run(
        command(*words), cwd=recipe, env=cluster, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "job 2 failed, see log/2.log" in done.stderr
    assert "job 1 failed" not in done.stderr and "job 3 failed" not in done.stderr


def test_the_job_ends_with_the_script_and_a_second_is_refused(recipe, cluster):
    sleep = command("--name", "long", "exp/train.log", "sleep", "600")
    first = subprocess.Popen(sleep, cwd=recipe, env=cluster)
    try:
        wait_until(lambda: "long" in squeue(cluster, "%j"))
        kept = recipe / "exp/.slurm.train.log.id"
        wait_until(lambda: kept.read_text().split() == squeue(cluster))
        again = subprocess.run(
            sleep, cwd=recipe, env=cluster, capture_output=True, text=True
        )
        assert again.returncode == 1 and "that writes exp/train.log" in again.stderr
        assert f"scancel {kept.read_text().strip()}" in again.stderr
    finally:
        first.send_signal(signal.SIGTERM)
        first.wait()
    wait_until(lambda: not squeue(cluster))
    assert not kept.exists()


def test_a_script_that_was_killed_leaves_the_id_of_its_job(recipe, cluster):
    sleep = command("exp/train.log", "sleep", "600")
    first = subprocess.Popen(sleep, cwd=recipe, env=cluster, start_new_session=True)
    kept = recipe / "exp/.slurm.train.log.id"
    wait_until(lambda: squeue(cluster) and kept.read_text().split() == squeue(cluster))
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    again = subprocess.run(sleep, cwd=recipe, env=cluster, capture_output=True)
    assert again.returncode == 1
    subprocess.run(["scancel", kept.read_text().strip()], env=cluster, check=True)
    wait_until(lambda: not squeue(cluster))
    quick = command("exp/train.log", "true")
    subprocess.run(quick, cwd=recipe, env=cluster, check=True)


def test_a_training_runs_on_two_nodes(recipe, cluster):
    """By the recipes' own function: a process on each node, one group of both."""
    sentences = ["the red dog runs home", "a small bird sings"] * 4
    train_lm_tokenizer(sentences, recipe / "tokenizer", vocab_size=280)
    lines = [f"utt{number} {text}\n" for number, text in enumerate(sentences)]
    (recipe / "text").write_text("".join(lines))
    config = {
        "lm_conf": {"model_type": "llama", "hidden_size": 16, "intermediate_size": 16}
        | {"num_hidden_layers": 1, "num_attention_heads": 2},
        **{"tokenizer_path": "tokenizer", "max_epoch": 1, "batch_type": "unsorted"},
        **{"batch_size": 4, "use_matplotlib": False, "use_tensorboard": False},
    }
    (recipe / "train.yaml").write_text(yaml.safe_dump(config))
    options = ["bash", "-euc", TRAINING, "-"]
    for part in ("train", "valid"):
        options += [f"--{part}_data_path_and_name_and_type", "text,text,text"]
        options += [f"--{part}_shape_file", "text"]
    environment = {**cluster, "PYTHONPATH": str(ROOT)}
    subprocess.run(options, cwd=recipe, env=environment, check=True)
    assert ":0/2]" in (recipe / "exp/text_lm/train.log").read_text()  # rank 0 of 2
    jobs = subprocess.check_output(["scontrol", "show", "job"], env=cluster, text=True)
    assert "JobName=text_lm\n" in jobs and " NodeList=one,two\n" in jobs
    assert (recipe / "exp/text_lm/1epoch.pth").is_file()
