# Sourced by taslm.sh: stages 11 to 14, the spoken language model, results, archives.
# shellcheck shell=bash disable=SC2154

variants() {  # fills the array variants with the TASLMs to train: name=config
    variants=()
    [ -z "${taslm_embed_config}" ] || variants+=("taslm_embed=${taslm_embed_config}")
    [ -z "${taslm_token_config}" ] || variants+=("taslm_token=${taslm_token_config}")
}

train_text_lm() {  # a small text backbone, exported as an HF directory
    begin text_lm --after text --files "${text_lm_config}" --values "${seed}" \
        --outputs "${expdir}/llm_base/config.json" || return 0
    "${python}" -m espnet2_taste.bin.text_lm_train --config "${text_lm_config}" \
        --output_dir "${expdir}/text_lm" --seed "${seed}" --ngpu "${ngpu}" \
        --resume true >"${expdir}/text_lm.log" 2>&1 ||
        { tail -n 20 "${expdir}/text_lm.log" >&2; die "see ${expdir}/text_lm.log"; }
    finish
}

train_taslm() {  # <name> <config>
    local name=$1 config=$2 part
    local -a data=()
    begin "${name}" --after codes --files "${config}" --values "${lm}" "${seed}" \
        --outputs "${expdir}/${name}/config.yaml" || return 0
    collect_stats espnet2_taste.bin.taslm_train "${expdir}/${name}_stats" \
        --config "${config}" "${data[@]}"
    for part in train valid; do
        data+=("--${part}_shape_file" "${expdir}/${name}_stats/${part}/text_shape")
    done
    train_model espnet2_taste.bin.taslm_train "${expdir}/${name}" --config "${config}" \
        --seed "${seed}" "${data[@]}"
    need "${expdir}/${name}/${inference_model}"
    finish
}
