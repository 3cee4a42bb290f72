#!/usr/bin/env bash
# Synthetic English with known word times: a tokenizer and a spoken LM on a CPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# What local/data.sh makes; a folder of other data (--data_dir) has sets of its own.
made=(--slm_train_set train_slm --test_sets "test test_newvoice"
    --swap_sets "swap_slow swap_fast" --voice_swap_sets "swap_woman swap_man"
    --pair_sets "pairs_style pairs_voice pairs_coherent" --prompt_sets "prompts"
    --question_pairs pairs_coherent --sft_sets "train_slm dev" --extra_text data/text_extra)
for option in "$@"; do
    [ "${option}" != --data_dir ] || made=()
done

./taslm.sh \
    --train_set train \
    --valid_set dev \
    "${made[@]}" \
    --guided_attention true --refine_times true \
    --resynthesis_config conf/decode_taste.yaml \
    "$@"
