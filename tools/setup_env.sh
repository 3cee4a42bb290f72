#!/usr/bin/env bash
# Install the package and its extras, editable, and write the interpreter to env.done.
# Usage: setup_env.sh [interpreter]
# An interpreter of an environment that already has ESPnet is used in place;
# any other one becomes the base of tools/venv. Safe to repeat after an interruption.
set -euo pipefail
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "${tools}")
venv=${tools}/venv
extras="espeak,test,lint"

has_espnet() {  # in a virtual or conda environment, with a recent espnet
    "$1" - <<'PY' >/dev/null 2>&1
import importlib.metadata, pathlib, sys
conda = (pathlib.Path(sys.prefix) / "conda-meta").is_dir()
own = sys.prefix != sys.base_prefix or conda
release = importlib.metadata.version("espnet").split(".")[0]
sys.exit(not (own and int(release) >= 202611))
PY
}

same_version() {
    local query='import sys; print(sys.version_info[:2])'
    [ "$("$1" -c "${query}" 2>/dev/null)" = "$("$2" -c "${query}")" ]
}

install() {  # <interpreter> <uv or empty>: uv is several times faster than pip
    local python=$1 uv=$2 target="${root}[${extras}]"
    if [ -n "${uv}" ] && "${uv}" pip install --python "${python}" -e "${target}"; then
        return 0
    fi
    "${python}" -m pip --version >/dev/null 2>&1 || "${python}" -m ensurepip
    "${python}" -m pip install -e "${target}"
}

python=$("${tools}/find_python.sh" "${1:-}")
uv=$(command -v uv || true)
if has_espnet "${python}"; then
    [ -n "${uv}" ] || uv=$(command -v "$(dirname "${python}")/uv" || true)
    echo "Using the ESPnet environment of ${python}"
else
    echo "Building ${venv} from ${python}"
    if ! same_version "${venv}/bin/python" "${python}"; then
        "${python}" -m venv --clear "${venv}"
    fi
    python=${venv}/bin/python
    if [ -z "${uv}" ] && "${python}" -m pip install --quiet uv; then
        uv=${venv}/bin/uv
    fi
fi
install "${python}" "${uv}"
"${python}" "${tools}/check_install.py"
printf '%s\n' "${python}" >"${tools}/env.done.tmp"
mv "${tools}/env.done.tmp" "${tools}/env.done"
