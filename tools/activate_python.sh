# Sourced by the recipes' path.sh and the Makefile: puts the environment made by
# `make -C tools` first on PATH. Without one, the caller's own Python is used.
# shellcheck shell=bash
_taste_tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -s "${_taste_tools}/env.done" ]; then
    _taste_python=$(cat "${_taste_tools}/env.done")
    if [ -x "${_taste_python}" ]; then
        PATH=$(dirname "${_taste_python}"):${PATH}
        export PATH
    else
        echo "${_taste_python} is gone: run make -C tools clean all" >&2
    fi
    unset _taste_python
fi
unset _taste_tools
# Without stored bytecode every start of a Python compiles ESPnet and torch anew: 12 s more.
unset PYTHONDONTWRITEBYTECODE
