"""What is installed comes from the lock; nothing an environment has is changed."""

import importlib.metadata
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "tools").glob("constraints-py*.txt"))
OWN_LOCK = f"constraints-py{sys.version_info[0]}{sys.version_info[1]}.txt"


def pins(lock):
    """The versions of a lock, which must all be exact."""
    versions = {}
    for line in lock.read_text().splitlines():
        name, version = line.split("==")
        assert name == canonicalize_name(name)
        versions[name] = version
    return versions


@pytest.fixture(scope="module")
def requirements():
    """Every requirement that setup.py names, those of the extras included."""
    with mock.patch("setuptools.setup") as setup:
        runpy.run_path(str(ROOT / "setup.py"))
    options = setup.call_args.kwargs
    lines = [*options["install_requires"], *sum(options["extras_require"].values(), [])]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_is_pinned_to_a_version_that_setup_allows(lock, requirements):
    versions = pins(lock)
    for requirement in requirements:
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_what_the_requirements_need_is_pinned_as_well(requirements):
    versions = pins(ROOT / "tools" / OWN_LOCK)
    waiting, seen = [(r, "") for r in requirements], set()
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        environment = default_environment() | {"extra": extra}
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        assert name in versions, f"{requirement} is not in the lock"
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                try:
                    needed = importlib.metadata.requires(name) or []
                except importlib.metadata.PackageNotFoundError:
                    needed = []  # of an extra that is not installed here
                waiting += [(Requirement(line), wanted) for line in needed]


def test_no_lock_names_where_packages_come_from():
    for lock in LOCKS:
        assert "://" not in lock.read_text()
        assert "--" not in lock.read_text()


@pytest.fixture
def run_setup_env(tmp_path):
    """Run a copy of setup_env.sh with a uv that writes down what it is asked."""
    tools = tmp_path / "tools"
    left = shutil.ignore_patterns("venv", "*.done")
    shutil.copytree(ROOT / "tools", tools, ignore=left)
    (tools / "check_install.py").write_text("")
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()

    def run(python, uv_answer="exit 0", **env):
        uv.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n{uv_answer}\n')
        uv.chmod(0o755)
        path = f"{uv.parent}:{os.environ['PATH']}"
        done = subprocess.run(
            [tools / "setup_env.sh", python],
            env=os.environ | {"PATH": path, "UPGRADE": ""} | env,
            capture_output=True,
            text=True,
        )
        return done, (tmp_path / "calls").read_text().splitlines(), tools

    return run


def test_an_own_environment_gets_the_versions_of_the_lock(run_setup_env, tmp_path):
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}"
    venv = tmp_path / "tools" / "venv" / "bin"
    venv.mkdir(parents=True)
    (venv / "python").symlink_to(base)
    _, calls, _ = run_setup_env(base)
    assert len(calls) == 1
    assert f"--constraint {OWN_LOCK} --build-constraint {OWN_LOCK}" in calls[0]


def test_an_environment_in_place_keeps_what_it_has(run_setup_env):
    _, calls, tools = run_setup_env(sys.executable)
    assert len(calls) == 1 and "--constraint kept.done" in calls[0]
    kept = pins(tools / "kept.done")
    assert kept["torch"] == importlib.metadata.version("torch")
    assert set(pins(tools / OWN_LOCK)) <= set(kept)


def test_changes_of_an_environment_in_place_are_listed_not_made(run_setup_env):
    answer = 'case "$*" in *--dry-run*) echo " - torch==1.0" >&2;; *) exit 1;; esac'
    done, calls, tools = run_setup_env(sys.executable, answer)
    assert done.returncode == 1
    assert " - torch==1.0\n" in done.stderr and "UPGRADE=1" in done.stderr
    assert all("kept.done" in call or "--dry-run" in call for call in calls)
    assert not (tools / "env.done").exists()


def test_changes_are_made_when_asked_for(run_setup_env):
    _, calls, _ = run_setup_env(sys.executable, UPGRADE="1")
    assert len(calls) == 1 and f"--constraint {OWN_LOCK}" in calls[0]
