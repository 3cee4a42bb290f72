# Sourced by taslm.sh: what every ESPnet training needs.
# shellcheck shell=bash disable=SC2154

set_data() {  # <"name type path">...: array data, SET in a path being train or valid set
    local part set item name type path
    data=()
    for part in train valid; do
        set=${train_set}
        [ "${part}" = train ] || set=${valid_set}
        for item in "$@"; do
            read -r name type path <<<"${item}"
            data+=("--${part}_data_path_and_name_and_type"
                "${path//SET/${set}},${name},${type}")
        done
    done
}

write_shapes() {  # <stats dir> <name> <options>: lengths of the sets in data, added to it
    local stats=$1 name=$2
    shift 2
    "${python}" -m espnet2_taste.bin.data shapes --output_dir "${stats}" \
        --shape "${name}" "$@" "${data[@]}"
    set_shapes "${stats}" "${name}"
}

set_shapes() {  # <stats dir> <name>: adds the lengths of the sets to data
    need "$1/train/$2_shape" "$1/valid/$2_shape"
    data+=(--train_shape_file "$1/train/$2_shape" --valid_shape_file "$1/valid/$2_shape")
}

train_model() {  # <module> <experiment dir> <options>: train, or go on where it stopped
    local module=$1 experiment=$2 cpus=$((OMP_NUM_THREADS + num_workers))
    shift 2
    [ "${ngpu}" -eq 0 ] || cpus=$((ngpu * (1 + num_workers)))
    log "Training ${experiment}: see ${experiment}/train.log"
    "${python}" -m espnet2.bin.launch \
        --cmd "${cuda_cmd} --name $(basename "${experiment}") --num_threads ${cpus}" \
        --log "${experiment}/train.log" --ngpu "${ngpu}" --num_nodes "${num_nodes}" \
        --init_file_prefix "${experiment}/.dist_init_" \
        --multiprocessing_distributed true -- \
        "${python}" -m "${module}" --resume true \
        --num_workers "${num_workers}" --output_dir "${experiment}" "$@"
}

check_model() {  # <module> <options of train_model>: can its parts be built from them?
    local tried=${step_stamp}.tried   # of this step: others are tried at once
    rm -rf "${tried}"
    mkdir -p "${tried}"
    "${python}" -m "$@" --dry_run true --output_dir "${tried}" \
        >"${tried}/log" 2>&1 && return
    tail -n 5 "${tried}/log" >&2
    die "this training cannot begin (${tried}/log); what was trained before is untouched"
}
