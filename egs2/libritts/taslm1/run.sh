#!/usr/bin/env bash
# LibriTTS, the published configuration: Whisper large-v3, S3 units, Llama-3.2-1B.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

./taslm.sh \
    --train_set train \
    --valid_set dev \
    --test_sets "test" \
    --recognizer openai/whisper-large-v3 \
    --lm meta-llama/Llama-3.2-1B \
    --resynthesis_config conf/decode_taste.yaml \
    --ngpu 8 \
    "$@"
