"""The two mini recipes, all 14 stages, with models small enough for a test.

Enters: the recipe folders, copied. Leaves: RESULTS.md and archives; a second run that
changes nothing.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STEPS = ("text_only", "no_vq", "vq")
DEBUG = [
    *("--asr_config", "conf/train_asr_debug.yaml"),
    *("--units_config", "conf/units_debug.yaml"),
    *("--taste_configs", " ".join(f"conf/train_taste_{s}_debug.yaml" for s in STEPS)),
    *("--unit_vocoder_config", "conf/train_unit_vocoder_debug.yaml"),
    *("--text_lm_config", "conf/train_text_lm_debug.yaml"),
    *("--taslm_embed_config", "conf/train_taslm_embed_debug.yaml"),
    *("--taslm_token_config", "conf/train_taslm_token_debug.yaml"),
    *("--inference_config", "conf/decode_taslm_debug.yaml"),
]
RECIPES = {
    "mini_espeak": ["--local_data_opts", "--scale 0.02", "--nbpe", "60", *DEBUG],
    "mini_an4": [],
}


def run_recipe(folder: Path, options: list[str]) -> subprocess.CompletedProcess:
    """Run all stages of a recipe on one thread."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    command = ["bash", "run.sh", *options, "--stop_stage", "14", "--num_threads", "1"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True
    )


def snapshot(folder: Path) -> dict[Path, int]:
    """Modification time of every file of a recipe, locks left out."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != ".lock")
    return {path: path.stat().st_mtime_ns for path in files}


@pytest.fixture(scope="module", params=RECIPES)
def finished(request, tmp_path_factory):
    """A recipe after its first run: folder, options and what it printed."""
    root = tmp_path_factory.mktemp(request.param)
    ignored = shutil.ignore_patterns("data", "dump", "exp", "downloads")
    shutil.copytree(ROOT / "egs2", root / "egs2", symlinks=True, ignore=ignored)
    (root / "tools").symlink_to(ROOT / "tools")
    folder = root / "egs2" / request.param / "taslm1"
    options = RECIPES[request.param]
    run = run_recipe(folder, options)
    assert run.returncode == 0, (run.stdout + run.stderr)[-4000:]
    return folder, options, run.stdout + run.stderr


def test_all_stages_leave_their_results(finished):
    folder, _, output = finished
    results = (folder / "exp/RESULTS.md").read_text(encoding="utf-8")
    assert "WER" in results and "bit" in results.lower()
    assert (folder / "exp/packed/taste.zip").is_file()
    assert (folder / "exp/packed/taslm.zip").is_file()
    assert "Stage 14: finished" in output


def test_a_second_run_changes_nothing(finished):
    folder, options, _ = finished
    before = snapshot(folder)
    run = run_recipe(folder, options)
    assert run.returncode == 0, run.stderr[-2000:]
    assert snapshot(folder) == before
