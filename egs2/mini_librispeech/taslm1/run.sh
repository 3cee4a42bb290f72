#!/usr/bin/env bash
# Mini LibriSpeech (SLR31): Whisper's words and states, a tokenizer and a spoken LM.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

./taslm.sh \
    --train_set train \
    --valid_set dev \
    --test_sets "dev test" \
    --recognizer openai/whisper-tiny.en \
    --lm HuggingFaceTB/SmolLM2-135M-Instruct \
    --guided_attention true --refine_times true --systems_ctm ctm_aligned \
    --speed_perturb_factors "0.9 1.0 1.1" \
    --resynthesis_config conf/decode_taste.yaml \
    "$@"
