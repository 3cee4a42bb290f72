#!/usr/bin/env bash
# Install the package and its extras, editable, and write the interpreter to env.done.
# Usage: [UPGRADE=1] setup_env.sh [interpreter]
# An interpreter of an environment that already has ESPnet is used in place, and what it
# has keeps its version unless UPGRADE=1; any other one becomes the base of tools/venv,
# which gets the versions of the lock. Safe to repeat after an interruption.
set -euo pipefail
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "${tools}")
venv=${tools}/venv
target="${root}[espeak,test,lint]"
cd "${tools}"  # pip splits PIP_CONSTRAINT at spaces: names without a folder are safe

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

kept_versions() {  # <interpreter> <lock>: the lock, with installed versions in their place
    "$1" - "$2" <<'PY'
import importlib.metadata, pathlib, sys
pins = dict(p.split("==") for p in pathlib.Path(sys.argv[1]).read_text().split())
for package in importlib.metadata.distributions():
    pins[package.name.lower().replace("_", "-")] = package.version
pins.pop("espnet2-taste", None)
print(*(f"{name}=={version}" for name, version in pins.items()), sep="\n")
PY
}

pip_install() {  # <interpreter> <uv or empty> <constraints> [option ...]: uv is faster
    local python=$1 uv=$2 pins=$3
    shift 3
    if [ -n "${uv}" ]; then
        "${uv}" pip install --python "${python}" --constraint "${pins}" \
            --build-constraint "${lock}" "$@"
    else
        "${python}" -m pip --version >/dev/null 2>&1 || "${python}" -m ensurepip
        PIP_CONSTRAINT=${pins} PIP_BUILD_CONSTRAINT=${lock} \
            "${python}" -m pip install "$@"
    fi
}

install_beside() {  # <interpreter> <uv or empty> <lock>: nothing installed may change
    kept_versions "$1" "$3" >kept.done
    if ! pip_install "$1" "$2" kept.done -e "${target}"; then
        echo "Beside what $1 has this cannot be installed. The tested versions would be:"
        pip_install "$1" "$2" "$3" --dry-run -e "${target}" 2>&1 \
            | grep -E '^( [-+] |Would install|error|ERROR)' || true
        echo "Let them be installed: make -C tools UPGRADE=1"
        return 1
    fi >&2
}

python=$("${tools}/find_python.sh" "${1:-}")
lock=constraints-py$("${python}" -c 'import sys; print("%d%d" % sys.version_info[:2])').txt
uv=$(command -v uv || true)
if has_espnet "${python}"; then
    [ -n "${uv}" ] || uv=$(command -v "$(dirname "${python}")/uv" || true)
    echo "Using the ESPnet environment of ${python}"
    if [ "${UPGRADE:-}" = 1 ]; then
        pip_install "${python}" "${uv}" "${lock}" -e "${target}"
    else
        install_beside "${python}" "${uv}" "${lock}"
    fi
else
    echo "Building ${venv} from ${python}"
    if ! same_version "${venv}/bin/python" "${python}"; then
        "${python}" -m venv --clear "${venv}"
    fi
    python=${venv}/bin/python
    if [ -z "${uv}" ] && pip_install "${python}" "" "${lock}" --quiet uv; then
        uv=${venv}/bin/uv
    fi
    pip_install "${python}" "${uv}" "${lock}" -e "${target}"
fi
"${python}" "${tools}/check_install.py"
printf '%s\n' "${python}" >"${tools}/env.done.tmp"
mv "${tools}/env.done.tmp" "${tools}/env.done"
