# Sourced by taslm.sh: messages, stages, and stamps that say what is done.
# shellcheck shell=bash disable=SC2154
#
# A stage function reads
#     begin NAME [--after NAME...] [--files FILE...] [--values VALUE...] [--scope VALUE...]
#                [--check MODULE OPTION...] [--outputs PATH...] [--models PATH...]
#                [--parts PATH...] || return 0
#     ...commands...
#     finish
# `begin` compares what the stage is made from (the stages it comes after, contents of
# files, values) with the stamp of the last run, ${expdir}/.stages/NAME.done:
#   the same, and all outputs are there   -> nothing to do, `begin` returns 1
#   interrupted, or only --scope (the list of sets) differs -> the commands run again;
#       they keep complete outputs, trainings resume
#   different -> the training that --check names is tried without data (check_model in
#       training.sh), then the old outputs are moved: --outputs to PATH.old, which is
#       replaced; --models to PATH.DATE.old, which is kept and, when the former settings
#       are asked for again, comes back. --parts of jobs (jobs.sh) are removed. The stage
#       then starts afresh.

log() {
    printf '%s (%s:%s:%s) %s\n' "$(date '+%Y-%m-%dT%H:%M:%S')" \
        "$(basename "${BASH_SOURCE[1]}")" "${BASH_LINENO[0]}" "${FUNCNAME[1]}" "$*"
}

die() {
    printf '%s error: %s\n' "$(date '+%Y-%m-%dT%H:%M:%S')" "$*" >&2
    exit 1
}

make_python_one_word() {  # "python -m coverage run --append" becomes a script of that
    [[ ${python} == *[[:space:]]* ]] && [ ! -x "${python}" ] || return 0
    mkdir -p "${expdir}"
    printf '#!/usr/bin/env bash\nexec %s "$@"\n' "${python}" >"${expdir}/.python"
    chmod +x "${expdir}/.python"
    python=${expdir}/.python
}

check_stages() {  # <last stage>: refuse a choice of stages of which none would run
    local number
    for number in "${stage}" "${stop_stage}" ${skip_stages}; do
        [[ ${number} =~ ^[0-9]{1,4}$ ]] && [ "${number}" -ge 1 ] && [ "${number}" -le "$1" ] ||
            die "there is no stage '${number}': stages are numbers from 1 to $1"
    done
    [ "${stage}" -le "${stop_stage}" ] ||
        die "--stage ${stage} comes after --stop_stage ${stop_stage}: give --stop_stage ${stage}"
}

need() {  # <path>...: each is a directory or a file with something in it
    local path
    for path in "$@"; do
        [ -d "${path}" ] || [ -s "${path}" ] ||
            die "${path} is missing or empty: an earlier stage makes it, see --help"
    done
}

_outputs_exist() {
    local path
    for path in "${step_outputs[@]}"; do
        [ -d "${path}" ] || [ -s "${path}" ] || return 1
    done
}

_identity_of() {  # <stage name>: what its stamp says it was made from
    local stamp=${expdir}/.stages/$1.done
    [ -s "${stamp}" ] || die "stage '$1' has not been completed: run it first"
    head -n 1 "${stamp}"
}

_set_aside() {  # outputs made from other settings, those of the identity `previous`
    local path date
    rm -rf "${step_parts[@]}"
    date=$(date +%Y%m%d-%H%M%S)
    while [ -e "${step_stamp}.${date}.old" ]; do sleep 1; date=$(date +%Y%m%d-%H%M%S); done
    for path in "${step_outputs[@]}"; do
        [ -e "${path}" ] || continue
        if [[ " ${step_models[*]} " == *" ${path} "* ]]; then
            log "${path} was made from other settings: kept as ${path}.${date}.old"
            mv "${path}" "${path}.${date}.old"
            printf '%s\n' "${previous}" >"${step_stamp}.${date}.old"
        else
            log "${path} was made from other settings: moved to ${path}.old"
            rm -rf "${path}.old"
            mv "${path}" "${path}.old"
        fi
    done
}

_bring_back() {  # models that were made from the present settings and then set aside
    local path stamp date
    stamp=$(grep -slxF "${identity}" "${step_stamp}".*.old | tail -n 1) || return 0
    date=${stamp#"${step_stamp}."}
    for path in "${step_models[@]}"; do
        [ -e "${path}.${date}" ] || continue
        log "${path}.${date} was made from these settings: it is used again"
        mv "${path}.${date}" "${path}"
    done
    rm "${stamp}"
}

begin() {
    local name=$1 part="" item="" identity scope_text previous=""
    local -a after=() files=() values=() scope=() check=()
    step_outputs=() step_models=() step_parts=()
    shift
    for item in "$@"; do
        case ${item} in
            --after | --files | --values | --scope | --check | --outputs | --models | --parts)
                part=${item#--}
                ;;
            *)
                case ${part} in
                    after) after+=("$(_identity_of "${item}")") || exit 1 ;;
                    files) need "${item}"; files+=("$(sha256sum <"${item}")") ;;
                    values) values+=("${item}") ;;
                    scope) scope+=("${item}") ;;
                    check) check+=("${item}") ;;
                    outputs) step_outputs+=("${item}") ;;
                    parts) step_parts+=("${item}") ;;
                    models) step_outputs+=("${item}"); step_models+=("${item}") ;;
                    *) die "begin ${name}: '${item}' follows no option" ;;
                esac
                ;;
        esac
    done
    identity=$(printf '%s\0' "${name}" "${after[@]}" -- "${files[@]}" -- "${values[@]}" |
        sha256sum | cut -d ' ' -f 1)
    scope_text="scope: ${scope[*]:-}"
    step_stamp=${expdir}/.stages/${name}
    mkdir -p "${expdir}/.stages"
    if [ -s "${step_stamp}.begun" ]; then
        previous=$(head -n 1 "${step_stamp}.begun")
    elif [ -s "${step_stamp}.done" ]; then
        previous=$(head -n 1 "${step_stamp}.done")
        if [ "$(cat "${step_stamp}.done")" = "${identity}"$'\n'"${scope_text}" ] &&
            _outputs_exist; then
            log "${name}: done before"
            return 1
        fi
    fi
    if [ -n "${previous}" ] && [ "${previous}" != "${identity}" ]; then
        [ "${#check[@]}" -eq 0 ] || check_model "${check[@]}"
        _set_aside
        _bring_back
    fi
    printf '%s\n%s\n' "${identity}" "${scope_text}" >"${step_stamp}.begun"
    rm -f "${step_stamp}.done"
    log "${name}: started"
}

finish() {
    need "${step_outputs[@]}"
    mv "${step_stamp}.begun" "${step_stamp}.done"
}

asked_for() {  # <number>: whether the options want this stage
    [ "$1" -ge "${stage}" ] && [ "$1" -le "${stop_stage}" ] &&
        [[ " ${skip_stages} " != *" $1 "* ]]
}

run_stage() {  # <number> <title> <function>: run it if it was asked for
    local number=$1 title=$2 function=$3 start=${SECONDS}
    asked_for "${number}" || return 0
    current_stage=${number}
    log "Stage ${number}: ${title}"
    "${function}"
    log "Stage ${number}: finished after $((SECONDS - start)) s"
    current_stage=""
}

side_by_side() {  # <function> <argument>...: a call for each argument, ${parallel} at once
    local function=$1 argument process failed=""
    local threads=$((OMP_NUM_THREADS / parallel))
    local -a processes=()
    shift
    if [ "${parallel}" -le 1 ] || [ $# -le 1 ]; then
        for argument in "$@"; do "${function}" "${argument}"; done
        return
    fi
    for argument in "$@"; do
        if [ "${#processes[@]}" -ge "${parallel}" ]; then
            wait "${processes[0]}" || failed=yes
            processes=("${processes[@]:1}")
        fi
        (
            export OMP_NUM_THREADS=$((threads > 1 ? threads : 1))
            "${function}" "${argument}"
        ) &
        processes+=($!)
    done
    for process in "${processes[@]}"; do
        wait "${process}" || failed=yes
    done
    [ -z "${failed}" ] || exit 1
}

end_processes() {  # <process>...: and those below them; in the background Ctrl-C is ignored
    local process children
    for process in "$@"; do
        children=$(cat "/proc/${process}/task/"*/children 2>/dev/null || true)
        kill -TERM "${process}" 2>/dev/null || true
        # shellcheck disable=SC2086
        end_processes ${children}
    done
}

report_failure() {  # EXIT trap: how to go on
    local status=$?
    # shellcheck disable=SC2046
    end_processes $(jobs -p)
    if [ "${status}" -ne 0 ] && [ -n "${current_stage:-}" ]; then
        printf 'Stage %s failed. Repeat the same command to go on from there' \
            "${current_stage}" >&2
        printf ' (what is complete is kept).\n' >&2
    fi
}

lock_experiment() {  # children inherit the lock: left-over jobs of a killed run hold it
    mkdir -p "${expdir}"
    exec 9>"${expdir}/.lock"
    if ! flock --nonblock 9; then
        log "Another run still works in ${expdir}: waiting until it ends"
        flock 9
    fi
}
