#!/usr/bin/env bash
# Smoke test of all stages on the AN4 recordings inside the espnet wheel; tiny models.
# Three training recordings lack letters of the others, hence --max_unknown.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

./taslm.sh \
    --train_set train \
    --valid_set train_dev \
    --test_sets "test" \
    --guided_attention true \
    --nbpe 30 \
    --max_unknown 0.2 \
    --asr_config conf/train_asr_debug.yaml \
    --units_config conf/units_debug.yaml \
    --taste_configs "conf/train_taste_text_only_debug.yaml conf/train_taste_no_vq_debug.yaml conf/train_taste_vq_debug.yaml" \
    --unit_vocoder_config conf/train_unit_vocoder_debug.yaml \
    --text_lm_config conf/train_text_lm_debug.yaml \
    --taslm_embed_config conf/train_taslm_embed_debug.yaml \
    --taslm_token_config conf/train_taslm_token_debug.yaml \
    --inference_config conf/decode_slm_debug.yaml \
    "$@"
