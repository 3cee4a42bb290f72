"""Import what the package is built on; say in a line what is wrong and what to do.

Enters: the running interpreter, this repository. Leaves: versions and one line for each
optional package that is absent on stdout; status 1 and a line for each fault on stderr.
Imported are every module that ``espnet2_taste`` names in an import, with the names
taken from it, and every compiled package of the lock.
"""

import ast
import importlib
import importlib.metadata
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "espnet2_taste"


def locked_versions(lock: Path) -> dict[str, str]:
    """Return the version of each distribution that a lock names."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def lock_of_interpreter() -> Path:
    """Return the lock of the running Python."""
    major, minor = sys.version_info[:2]
    return ROOT / "tools" / f"constraints-py{major}{minor}.txt"


def differing_versions(locked: dict[str, str]) -> list[str]:
    """Return the installed distributions whose version is not that of the lock."""
    found = {name: installed_version(name) for name in locked}
    return [
        f"{name} {version} (tested: {locked[name]})"
        for name, version in found.items()
        if version and version.split("+")[0] != locked[name]
    ]


def installed_version(distribution: str) -> str | None:
    """Return the installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def named_imports(folder: Path) -> dict[str, set[str]]:
    """Return the foreign modules that Python files import, with the names they take."""
    found: dict[str, set[str]] = {}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and not node.level:
                found.setdefault(node.module, set()).update(a.name for a in node.names)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    found.setdefault(alias.name, set())
    own = {folder.name, *sys.stdlib_module_names}
    return {m: found[m] for m in sorted(found) if m.split(".")[0] not in own}


def compiled_packages(distributions: list[str]) -> Iterator[str]:
    """Yield the import names of installed distributions that hold shared objects."""
    for distribution in distributions:
        if installed_version(distribution):
            files = importlib.metadata.files(distribution) or []
            folders = {f.parts[0] for f in files if f.suffix == ".so" and f.parts[1:]}
            yield from sorted(name for name in folders if name.isidentifier())


def import_fault(module: str, names: set[str]) -> str | None:
    """Import ``names`` from ``module``; return what went wrong in one line."""
    try:
        imported = importlib.import_module(module)
        for name in names:
            if not hasattr(imported, name):
                importlib.import_module(f"{module}.{name}")
    except Exception as error:  # a library that does not load may raise anything
        text = " ".join(str(error).split())
        return f"{type(error).__name__}: {text}"
    return None


def absent_extras() -> dict[str, str]:
    """Return the distributions of extras that are not installed, with their extra."""
    absent = {}
    for line in importlib.metadata.requires(PACKAGE) or []:
        distribution = re.match(r"[\w.-]+", line)[0]
        extra = re.search(r"extra == [\"'](.+?)[\"']", line)
        if extra and installed_version(distribution) is None:
            absent.setdefault(distribution, extra[1])
    return absent


def faults(locked: dict[str, str], optional: set[str]) -> dict[str, list[str]]:
    """Return what goes wrong in imports, each reason with the modules it stops."""
    wanted = named_imports(ROOT / PACKAGE)
    for name in compiled_packages(list(locked)):
        wanted.setdefault(name, set())
    found: dict[str, list[str]] = {}
    for module, names in wanted.items():
        if module.split(".")[0] not in optional:
            reason = import_fault(module, names)
            if reason:
                found.setdefault(reason, []).append(module)
    return found


def main() -> int:
    """Report; return the exit status."""
    lock = lock_of_interpreter()
    locked = locked_versions(lock)
    differing = differing_versions(locked)
    print(f"python {platform.python_version()} ({sys.executable})")
    for line in differing:
        print(f"differs from {lock.name}: {line}")
    absent = absent_extras()
    for package, extra in absent.items():
        print(f"not installed: {package} (pip install '{PACKAGE}[{extra}]')")
    bad = faults(locked, {name.replace("-", "_") for name in absent})
    remedy = "UPGRADE=1 (tested versions)" if differing else "clean all"
    for reason, modules in bad.items():
        fault = f"{', '.join(modules)} cannot be imported ({reason})"
        print(f"{fault}: make -C tools {remedy}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
