# Sourced by the recipes' path.sh: settings every Python of a recipe needs.
# shellcheck shell=bash
export PYTHONIOENCODING=UTF-8
export TOKENIZERS_PARALLELISM=false
export HF_HUB_DISABLE_TELEMETRY=1
