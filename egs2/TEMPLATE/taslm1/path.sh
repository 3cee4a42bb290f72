# Sourced by taslm.sh in a recipe directory: the environment and the helper scripts.
# shellcheck shell=bash disable=SC1091
MAIN_ROOT=${PWD}/../../..
export PATH=${PWD}/utils:${PATH}
export LC_ALL=C.UTF-8
. "${MAIN_ROOT}/tools/activate_python.sh"
. "${MAIN_ROOT}/tools/extra_path.sh"
if [ -f local/path.sh ]; then
    . local/path.sh
fi
