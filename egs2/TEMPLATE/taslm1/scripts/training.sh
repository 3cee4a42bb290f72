# Sourced by taslm.sh: the two calls every ESPnet task needs.
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

set_shapes() {  # <stats dir> <name>: adds the lengths found by collect_stats to data
    need "$1/train/$2_shape" "$1/valid/$2_shape"
    data+=(--train_shape_file "$1/train/$2_shape" --valid_shape_file "$1/valid/$2_shape")
}

collect_stats() {  # <module> <stats dir> <options>: lengths and statistics of the sets
    local module=$1 stats=$2 key_file n
    shift 2
    if [ "${stats_nj}" -le 1 ]; then
        "${python}" -m "${module}" --collect_stats true --ngpu 0 --num_workers 0 \
            --output_dir "${stats}" "$@" >"${stats}.log" 2>&1 ||
            { tail -n 20 "${stats}.log" >&2; die "collect_stats failed: ${stats}.log"; }
        return
    fi
    mkdir -p "${stats}/logdir"
    for key_file in train valid; do
        local set=${train_set}
        [ "${key_file}" = train ] || set=${valid_set}
        local -a parts=()
        for ((n = 1; n <= stats_nj; n++)); do
            parts+=("${stats}/logdir/${key_file}.${n}.scp")
        done
        split_scp.py "${dumpdir}/raw/${set}/wav.scp" "${parts[@]}"
    done
    # shellcheck disable=SC2086
    ${train_cmd} JOB=1:"${stats_nj}" "${stats}/logdir/stats.JOB.log" \
        "${python}" -m "${module}" --collect_stats true --ngpu 0 "$@" \
        --train_shape_file "${stats}/logdir/train.JOB.scp" \
        --valid_shape_file "${stats}/logdir/valid.JOB.scp" \
        --output_dir "${stats}/logdir/stats.JOB"
    parts=()
    for ((n = 1; n <= stats_nj; n++)); do
        parts+=(--input_dir "${stats}/logdir/stats.${n}")
    done
    "${python}" -m espnet2.bin.aggregate_stats_dirs "${parts[@]}" --output_dir "${stats}"
}

train_model() {  # <module> <experiment dir> <options>: train, or go on where it stopped
    local module=$1 experiment=$2
    shift 2
    log "Training ${experiment}: see ${experiment}/train.log"
    "${python}" -m espnet2.bin.launch \
        --cmd "${cuda_cmd} --name $(basename "${experiment}")" \
        --log "${experiment}/train.log" --ngpu "${ngpu}" --num_nodes "${num_nodes}" \
        --init_file_prefix "${experiment}/.dist_init_" \
        --multiprocessing_distributed true -- \
        "${python}" -m "${module}" --resume true --num_workers "${num_workers}" \
        --output_dir "${experiment}" "$@"
}
