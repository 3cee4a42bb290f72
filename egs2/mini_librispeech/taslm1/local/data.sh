#!/usr/bin/env bash
# Stage 1: Mini LibriSpeech (SLR31) as data/{train,dev,test}.
set -euo pipefail
python=python3
corpus=""               # folder with train-clean-5 and dev-clean-2; default: as in db.sh
held_out=24             # utterances of known readers in data/dev
# shellcheck disable=SC2034
help_message="Usage: $0 [--python PYTHON] [--corpus DIR] [--held_out N]"
. utils/parse_options.sh
. ./db.sh
corpus=${corpus:-${MINI_LIBRISPEECH}}
if [ -z "${corpus}" ]; then
    echo "$0: set MINI_LIBRISPEECH in db.sh to a folder, or to downloads" >&2
    exit 1
fi
options=()
[ "${corpus}" != downloads ] || options=(--url https://www.openslr.org/resources/31)
"${python}" local/data.py --corpus "${corpus}" --held_out "${held_out}" \
    --output_dir data "${options[@]}"
