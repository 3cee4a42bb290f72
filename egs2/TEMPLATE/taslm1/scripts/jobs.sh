# Sourced by taslm.sh: work on lists of utterances, as jobs.
# shellcheck shell=bash disable=SC2154
#
#     in_jobs FROM TO NAME TABLES SETS COMMAND OPTION...
# splits the TABLES of the sets of FROM into parts of at most 1000 utterances, below
# TO/parts/NAME, runs COMMAND ("data pitch") on them in JOB=1:nj jobs with a log each, and joins what they
# leave to the sets of TO. {in} and {out} before options are the folders of the sets and
# of the results. A repeated call does the parts that are missing. With `--ngpu 1` among
# the options every job gets a GPU and there are --inference_nj of them, else --nj.
# What needs whole sets (scores, after the recognition of all speech in jobs) is one job:
#     in_one_job NAME COMMAND OPTION...
# Both are started by ${train_cmd}; networks, which have the option --ngpu, by ${decode_cmd}
# and on a GPU by ${cuda_cmd}, as in ESPnet's recipes.

set_runner() {  # <option>...: fills runner, how such a command is started, and gpu
    runner=${train_cmd} gpu=0
    [[ " $* " != *" --ngpu "* ]] || runner=${decode_cmd}
    [[ " $* " != *" --ngpu 1 "* ]] || { runner=${cuda_cmd} gpu=1; }
}

in_jobs() {
    local from=$1 to=$2 name=$3 tables=$4 names=$5
    local parts=${to}/parts/$3 jobs=${nj} gpu runner results threads
    local -a command
    read -r -a command <<<"-m espnet2_taste.bin.$6"
    shift 6
    results=${parts}/out
    [ "${from}" != "${to}" ] || results=${parts}
    set_runner "$@"
    [ "${gpu}" = 0 ] || jobs=${inference_nj}
    "${python}" -m espnet2_taste.bin.data split --dump_dir "${from}" --sets "${names}" \
        --tables "${tables}" --parts_dir "${parts}" --nj "${jobs}" \
        --resolve "$([ "${from}" = "${raw}" ] && echo false || echo true)"
    jobs=$(cat "${parts}/num_jobs")
    threads=$((OMP_NUM_THREADS / jobs > 0 ? OMP_NUM_THREADS / jobs : 1))
    log "${name}: ${jobs} jobs, see ${parts}/log"
    set_places "${parts}" "${results}" "$@"
    OMP_NUM_THREADS=${threads} ${runner} --name "${name}" --gpu "${gpu}" \
        --num_threads "${threads}" "JOB=1:${jobs}" "${parts}/log/JOB.log" \
        "${python}" "${command[@]}" --sets "@${parts}/JOB.sets" "${placed[@]}"
    set_places "${from}" "${to}" "$@"
    "${python}" "${command[@]}" --sets "${names}" --parts_dir "${results}" "${placed[@]}"
}

in_one_job() {  # <name> <command> <option>...: work that is not split, as a job with a log
    local name=$1 gpu runner log=${expdir}/log/$1.log
    local -a command
    read -r -a command <<<"-m espnet2_taste.bin.$2"
    shift 2
    set_runner "$@"
    log "${name}: see ${log}"
    ${runner} --name "${name}" --gpu "${gpu}" --num_threads "${OMP_NUM_THREADS}" "${log}" \
        "${python}" "${command[@]}" "$@" || {
        tail -n 5 "${log}" >&2
        return 1
    }
}

set_places() {  # <in> <out> <option>...: fills placed, options with the folders in them
    local in=$1 out=$2
    shift 2
    placed=("${@/#\{in\}/${in}}")
    placed=("${placed[@]/#\{out\}/${out}}")
}
