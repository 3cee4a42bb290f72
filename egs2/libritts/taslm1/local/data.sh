#!/usr/bin/env bash
# Stage 1: LibriTTS, LibriSpeech or both (db.sh) as data/{train,dev,test}.
set -euo pipefail
python=python3
train="train-clean-100 train-clean-360 train-other-500"
valid=dev-clean
test="test-clean"
# shellcheck disable=SC2034
help_message="Usage: $0 [--python PYTHON] [--train \"PART PART\"] [--valid PART] [--test PART]"
. utils/parse_options.sh
. ./db.sh
options=()
[ -z "${LIBRITTS}" ] || options+=(--libritts "${LIBRITTS}")
[ -z "${LIBRISPEECH}" ] || options+=(--librispeech "${LIBRISPEECH}")
"${python}" local/data.py "${options[@]}" --train "${train}" --valid "${valid}" \
    --test "${test}" --output_dir data
