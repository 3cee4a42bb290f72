#!/usr/bin/env bash
# Print the path of a Python 3.13 or 3.12 that can build an environment.
# Usage: find_python.sh [interpreter]
# Order: the given interpreter; python3.13/python3.12 on PATH; pyenv's versions; uv's.
set -euo pipefail

usable() {  # a shim that names an absent version, or a Python without venv, is refused
    "$1" -c 'import sys, ensurepip, venv
sys.exit(not (3, 12) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1
}

real_path() {
    "$1" -c 'import sys; print(sys.executable)'
}

given=${1:-}
if [ -n "${given}" ]; then
    if ! usable "${given}"; then
        echo "PYTHON=${given}: not a working Python 3.12 or 3.13 with venv" >&2
        exit 1
    fi
    real_path "${given}"
    exit 0
fi

shopt -s nullglob
pyenv_versions=${PYENV_ROOT:-${HOME:-/root}/.pyenv}/versions
candidates=(python3.13 python3.12 python3)
for path in "${pyenv_versions}"/3.13*/bin/python "${pyenv_versions}"/3.12*/bin/python; do
    candidates+=("${path}")
done
for candidate in "${candidates[@]}"; do
    if usable "${candidate}"; then
        real_path "${candidate}"
        exit 0
    fi
done

if command -v uv >/dev/null && uv python install 3.12 >&2; then
    uv python find --managed-python 3.12
    exit 0
fi
echo "No Python 3.12 or 3.13 found (PATH, ${pyenv_versions}, uv):" \
    "install one, or give it: make -C tools PYTHON=/path/to/python3.12" >&2
exit 1
