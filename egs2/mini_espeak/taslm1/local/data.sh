#!/usr/bin/env bash
# Stage 1: the sets of the recipe under data/, spoken by eSpeak NG (espeakng-loader).
set -euo pipefail
python=python3
scale=1.0
seed=0
nj=2
# shellcheck disable=SC2034
help_message="Usage: $0 [--python PYTHON] [--scale 1.0] [--seed 0] [--nj 2]"
. utils/parse_options.sh

exec "${python}" "$(dirname "$0")/make_corpus.py" --output_dir data \
    --scale "${scale}" --seed "${seed}" --nj "${nj}"
