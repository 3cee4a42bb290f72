"""Which interpreter builds the environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FIND = Path(__file__).resolve().parents[2] / "tools" / "find_python.sh"
GOOD = f'exec {sys.executable} "$@"'


def script(path: Path, body: str) -> Path:
    """Write an executable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def find(tmp_path, *arguments):
    """Run the search with only tmp_path/bin and system tools in reach."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    for tool in ("env", "bash", "dirname"):
        if not (tmp_path / "bin" / tool).exists():
            source = next(
                Path(p) / tool
                for p in ("/usr/bin", "/bin", *os.environ["PATH"].split(":"))
                if (Path(p) / tool).exists()
            )
            (tmp_path / "bin" / tool).symlink_to(source)
    env = {"PATH": str(tmp_path / "bin"), "PYENV_ROOT": str(tmp_path / "pyenv")}
    return subprocess.run([FIND, *arguments], env=env, capture_output=True, text=True)


def test_a_given_interpreter_is_taken(tmp_path):
    done = find(tmp_path, sys.executable)
    assert Path(done.stdout.strip()).exists()


def test_a_given_interpreter_that_cannot_do_it_is_refused(tmp_path):
    done = find(tmp_path, str(script(tmp_path / "bin/python3.11", "exit 1")))
    assert done.returncode == 1
    assert "not a working Python 3.12 or 3.13" in done.stderr


def test_a_shim_without_a_version_behind_it_is_passed_over(tmp_path):
    script(tmp_path / "bin/python3.13", "echo 'not installed' >&2; exit 127")
    script(tmp_path / "bin/python3.12", GOOD)
    assert find(tmp_path).returncode == 0


def test_versions_of_pyenv_are_found(tmp_path):
    script(tmp_path / "pyenv/versions/3.12.9/bin/python", GOOD)
    assert find(tmp_path).returncode == 0


def test_uv_is_asked_last(tmp_path):
    script(tmp_path / "bin/uv", '[ "$2" = find ] && echo /from/uv; exit 0')
    assert find(tmp_path).stdout == "/from/uv\n"


@pytest.mark.parametrize("uv", [None, "exit 1"])
def test_nothing_found_is_one_clear_line(tmp_path, uv):
    if uv:
        script(tmp_path / "bin/uv", uv)
    done = find(tmp_path)
    assert done.returncode == 1
    assert "make -C tools PYTHON=" in done.stderr
    assert done.stderr.count("\n") == 1
