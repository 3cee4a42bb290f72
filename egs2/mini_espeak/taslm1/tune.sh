#!/usr/bin/env bash
# What the choices of conf/tuning give beside a finished run (stages 1 to 10 of run.sh):
# each is trained with the same short budget and renders the test set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
nj=2
tastes="value_layer_shallow value_layer_last value_layer_mix quantizer_none quantizer_fsq word_pooling_off"
vocoders="flow hifigan"
budget=conf/tuning/short.yaml
vocoder_budget=conf/tuning/short_vocoder.yaml
set_name="test"
# shellcheck disable=SC2034
help_message="Usage: $0 [--nj 2] [--tastes \"value_layer_last ...\"] [--vocoders \"flow ...\"]
    [--budget YAML] [--vocoder_budget YAML]
    trains exp_variants/taste_* and exp_variants/vocoder_*, nj at once, and writes
    exp_variants/RESULTS.md; the row TASTE is the recipe's own, with its full budget"
. ./path.sh
. utils/parse_options.sh
python=${python:-python3}
variants=exp_variants

share() {  # <directory> <experiment>...: of the finished run, with the stamps that say so
    local dir=$1 name
    shift
    mkdir -p "${dir}/.stages"
    for name in "$@"; do
        ln -sfn "${PWD}/exp/${name}" "${dir}/${name}"
        cp "exp/.stages/${name}.done" "${dir}/.stages"
    done
}

render() {  # <experiment> <options>
    local exp=$1
    shift
    "${python}" -m espnet2_taste.bin.taste_resynthesize --sets "${set_name}" \
        --config conf/decode_taste.yaml --output_dir "${exp}/resynthesis" "$@"
}

try_taste() {  # <name of a file in conf/tuning>
    local dir=${variants}/.$1 first rest
    local merge=(-m espnet2_taste.bin.merge_configs --output_dir "${variants}/conf/$1")
    share "${dir}" asr units taste_stats
    rest=$("${python}" "${merge[@]}" --changes "${budget}" conf/train_taste_{no_vq,vq}.yaml)
    # shellcheck disable=SC2086
    rest=$("${python}" "${merge[@]}" --changes "conf/tuning/$1.yaml" ${rest})
    first=$("${python}" "${merge[@]}" --changes "conf/tuning/$1.yaml" conf/train_taste_text_only.yaml)
    ./run.sh --expdir "${dir}" --stage 7 --stop_stage 7 --num_threads 1 \
        --taste_configs "${first} ${rest}"
    ln -sfn ".$1/taste_vq_$(basename "${budget}" .yaml)_$1" "${variants}/taste_$1"
    render "${variants}/taste_$1" --taste_exp "${variants}/taste_$1" \
        --unit_vocoder_exp exp/unit_vocoder
}

try_vocoder() {  # <name>: conf/tuning/train_unit_vocoder_<name>.yaml
    local dir=${variants}/.vocoder_$1 config
    share "${dir}" units
    config=$("${python}" -m espnet2_taste.bin.merge_configs --output_dir "${variants}/conf" \
        --changes "${vocoder_budget}" "conf/tuning/train_unit_vocoder_$1.yaml")
    ./run.sh --expdir "${dir}" --stage 8 --stop_stage 8 --num_threads 1 \
        --unit_vocoder_config "${config}"
    ln -sfn ".vocoder_$1/unit_vocoder" "${variants}/vocoder_$1"
    render "${variants}/vocoder_$1" --from_units true \
        --unit_vocoder_exp "${variants}/vocoder_$1"
}

score() {
    "${python}" -m espnet2_taste.bin.taste_score --taste_exp exp/taste_vq \
        --expdir "${variants}" --recognizer exp/asr --dump_dir dump/raw \
        --sets "${set_name}" --output_dir "${variants}/scores"
    "${python}" -m espnet2_taste.bin.write_results --expdir "${variants}" \
        --output "${variants}/RESULTS.md"
}

mkdir -p "${variants}"
{
    for name in ${tastes}; do echo "try_taste ${name}"; done
    for name in ${vocoders}; do echo "try_vocoder ${name}"; done
} >"${variants}/jobs"
export -f share render try_taste try_vocoder
export variants python budget vocoder_budget set_name
xargs -P "${nj}" -I{} bash -euo pipefail -c "{}" <"${variants}/jobs"
ln -sfn "${PWD}/exp/units" "${variants}/units"
ln -sfn "${PWD}/exp/unit_vocoder" "${variants}/unit_vocoder"
score
