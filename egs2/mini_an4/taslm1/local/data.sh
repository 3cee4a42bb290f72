#!/usr/bin/env bash
# Stage 1: the AN4 utterances inside the espnet wheel as data/{train,train_dev,test}.
set -euo pipefail
python=python3
# shellcheck disable=SC2034
help_message="Usage: $0 [--python PYTHON]"
. utils/parse_options.sh
. ./db.sh
if [ -z "${AN4}" ]; then
    echo "$0: set AN4 in db.sh to a folder, or to downloads" >&2
    exit 1
fi
"${python}" local/data.py --downloads "${AN4}" --output_dir data
