"""Recipes copied to a folder of a test and run there as a user runs them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def copy_recipe(root: Path, name: str) -> Path:
    """Copy the recipes below ``root``, without their results; gives one's folder."""
    ignored = shutil.ignore_patterns("data", "dump", "exp", "downloads")
    shutil.copytree(ROOT / "egs2", root / "egs2", symlinks=True, ignore=ignored)
    (root / "tools").symlink_to(ROOT / "tools")
    return root / "egs2" / name / "taslm1"


def start_recipe(folder: Path, options: list[str], **environment) -> subprocess.Popen:
    """Start stages 1 to 14 on one thread, in a process group of its own.

    Args:
        folder: Of the recipe; gets ``run.log``.
        options: Of its ``run.sh``.
        **environment: Variables; ``PYTHONPATH`` comes before the repository.
    """
    paths = [environment.pop("PYTHONPATH", None), str(ROOT)]
    variables = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": ":".join(filter(None, paths)),
        **environment,
    }
    command = ["bash", "run.sh", "--stop_stage", "14", "--num_threads", "1", *options]
    with (folder / "run.log").open("w") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            start_new_session=True,
            stdout=log,
            stderr=log,
        )


def snapshot(folder: Path) -> dict[Path, int]:
    """Modification time of every file of a recipe, locks left out."""
    left_out = (".lock", "run.log")
    files = (p for p in folder.rglob("*") if p.is_file() and p.name not in left_out)
    return {path: path.stat().st_mtime_ns for path in files}
