#!/usr/bin/env bash
# Stage 1: synthesize the sets of this recipe (local/make_corpus.py) under data/.
set -euo pipefail
python=python3
seed=0
scale=1.0           # 1: about 50 minutes of training audio
nj=$(nproc)
# shellcheck disable=SC2034
help_message="Usage: $0 [--python PYTHON] [--seed N] [--scale X] [--nj N]"
. utils/parse_options.sh
"${python}" local/make_corpus.py --output_dir data --seed "${seed}" \
    --scale "${scale}" --nj "${nj}"
