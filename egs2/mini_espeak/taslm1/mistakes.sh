#!/usr/bin/env bash
# What errors of a recognizer cost, beside a finished run (stages 1 to 10 of run.sh): codes,
# renditions and swaps of transcripts in which a share of the words is wrong.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
seed=0
percent="0 5 10 20"
# shellcheck disable=SC2034
help_message="Usage: $0 [--seed 0] [--percent \"0 5 10 20\"]
    writes exp/taste_vq/mistakes/mistakes.tsv, a row a rate, and mistakes.png"
. ./path.sh
. utils/parse_options.sh
python=${python:-python3}
taste=exp/taste_vq
output=${taste}/mistakes
spoken=(--taste_exp "${taste}" --unit_vocoder_exp exp/unit_vocoder
    --config conf/decode_taste.yaml --seed "${seed}")

names() {  # <set>: its names with mistakes
    printf "$1_wrong%s " ${percent}
}

"${python}" -m espnet2_taste.bin.data mistakes --sets "test swap_slow swap_fast" \
    --percent "${percent}" --seed "${seed}"
"${python}" -m espnet2_taste.bin.taste_tokenize --taste_exp "${taste}" \
    --sets "$(names test)$(names swap_slow)$(names swap_fast)" --output_dir "${taste}/codes"
"${python}" -m espnet2_taste.bin.taste_resynthesize "${spoken[@]}" \
    --sets "$(names test)" --output_dir "${taste}/resynthesis"
"${python}" -m espnet2_taste.bin.taste_score --taste_exp "${taste}" --recognizer exp/asr \
    --sets "$(names test)" --output_dir "${output}/tokenizer"
for rate in ${percent}; do
    "${python}" -m espnet2_taste.bin.taste_swap "${spoken[@]}" --recognizer exp/asr \
        --sets "swap_slow_wrong${rate} swap_fast_wrong${rate}" \
        --output_dir "${output}/swap_wrong${rate}"
done
"${python}" -m espnet2_taste.bin.tables mistakes --rendition TASTE \
    --scores "$(echo "${output}"/*/scores.json)" --output "${output}/mistakes.tsv"
