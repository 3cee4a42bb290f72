#!/usr/bin/env bash
# What TASTE's vectors are worth, beside a finished run (stages 1 to 10 of run.sh): text
# alone, trained as long as the three steps together, and vectors of other words.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
seed=0
eval_sets="test test_newvoice"
recognizer=exp/asr      # as given to run.sh
run_opts=""             # further options that run.sh was given
# shellcheck disable=SC2034
help_message="Usage: $0 [--seed 0] [--eval_sets \"test test_newvoice\"]
           [--recognizer exp/asr] [--run_opts \"--num_threads 1\"]
    trains exp/taste_text_only_as_long_as_taste, renders it and exp/taste_vq_other_words,
    and writes exp/RESULTS.md again, in which each is a row"
. ./path.sh
. utils/parse_options.sh
python=${python:-python3}

render() {  # <experiment> <rendition> <options>: always anew, from what is trained now
    rm -rf "exp/$2/resynthesis"
    "${python}" -m espnet2_taste.bin.taste_resynthesize --taste_exp "exp/$1" \
        --unit_vocoder_exp exp/unit_vocoder --sets "${eval_sets}" --seed "${seed}" \
        --config conf/decode_taste.yaml --output_dir "exp/$2/resynthesis" "${@:3}"
}

config=$("${python}" -m espnet2_taste.bin.merge_configs --output_dir exp/conf \
    --changes conf/tuning/as_long_as_taste.yaml conf/train_taste_text_only.yaml)
given=()
[ "${recognizer}" = exp/asr ] || given=(--recognizer "${recognizer}")
# shellcheck disable=SC2086
./run.sh --stage 7 --stop_stage 7 --seed "${seed}" --taste_configs "${config}" \
    "${given[@]}" ${run_opts}
text_only=$(basename "${config#*train_}" .yaml)
render "${text_only}" "${text_only}"
render taste_vq taste_vq_other_words --exchange_words true
"${python}" -m espnet2_taste.bin.taste_score --taste_exp exp/taste_vq --expdir exp \
    --recognizer "${recognizer}" --dump_dir dump/raw --sets "${eval_sets}" \
    --output_dir exp/taste_vq/scores
"${python}" -m espnet2_taste.bin.write_results --expdir exp --dump_dir dump/raw \
    --output exp/RESULTS.md --taste_exp exp/taste_vq --test_sets "${eval_sets}"
