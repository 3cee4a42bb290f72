"""Stage 15: nothing is uploaded unless it is asked for, and both models are."""

import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "egs2/TEMPLATE/taslm1/scripts"
COMMAND = """
set -euo pipefail
. "$1/stages.sh"; . "$1/slm.sh"
expdir=exp python=echo skip_upload_hf=$2 hf_repo=$3
stage_15_upload
"""


def run(folder, skip, repo):
    command = ["bash", "-c", COMMAND, "stage", str(SCRIPTS), skip, repo]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture()
def recipe(tmp_path):
    (tmp_path / "exp" / "packed").mkdir(parents=True)
    for name in ("taste", "taslm"):
        (tmp_path / "exp" / "packed" / f"{name}.zip").write_text("archive")
    return tmp_path


def test_nothing_is_uploaded_by_default(recipe):
    done = run(recipe, "true", "user/name")
    assert done.returncode == 0 and "--archive" not in done.stdout
    assert "Nothing is uploaded" in done.stdout


def test_both_models_are_uploaded_when_asked(recipe):
    done = run(recipe, "false", "user/name")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 2
    assert "exp/packed/taste.zip --hf_repo user/name" in lines[0]
    assert "exp/packed/taslm.zip --hf_repo user/name_taslm" in lines[1]


def test_what_is_missing_is_named(recipe):
    done = run(recipe, "false", "")
    assert done.returncode == 1 and "needs --hf_repo user/name" in done.stderr
    (recipe / "exp" / "packed" / "taste.zip").unlink()
    done = run(recipe, "false", "user/name")
    assert done.returncode == 1 and "exp/packed/taste.zip is missing" in done.stderr
