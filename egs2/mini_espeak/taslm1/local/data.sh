#!/usr/bin/env bash
# Make the sets of the recipe under data/ with eSpeak NG (pip: espeakng-loader).
# Usage: local/data.sh [--scale 1.0] [--seed 0] [--nj N]
set -euo pipefail

exec "${python:-python3}" "$(dirname "$0")/make_corpus.py" --output_dir data "$@"
