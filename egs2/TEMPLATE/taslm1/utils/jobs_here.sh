# Sourced by run.pl, stdout.pl and ssh.pl, after job_options.sh: jobs that this machine
# starts itself. They define `execute <job> <word>...`, which runs the words.
# shellcheck shell=bash disable=SC2154

to_log() {  # <log> <word>...: run the words with their output in the log
    "${@:2}" >"$1" 2>&1
}

framed() {  # <job> <word>...: what ran, its output and how it ended
    local status=0 start=${SECONDS}
    printf '# %q' "$2"
    printf ' %q' "${@:3}"
    printf '\n# Started at %s\n' "$(date)"
    execute "$@" || status=$?
    printf '# Ended (code %d) after %d seconds\n' "${status}" $((SECONDS - start))
    return "${status}"
}

run_one() {  # <job> <word>...: one job of the array
    local job=$1 log status=0 word
    local -a words=()
    for word in "${@:2}"; do
        words+=("${word//${job_name}/${job}}")
    done
    log=${job_log//${job_name}/${job}}
    if [ "${log}" = - ]; then log=/dev/stdout; else mkdir -p "$(dirname "${log}")"; fi
    to_log "${log}" framed "${job}" "${words[@]}" || status=$?
    if [ "${status}" -ne 0 ]; then
        echo "$(basename "$0"): job ${job} failed (code ${status}), see ${log}" >&2
    fi
    return "${status}"
}

run_jobs() {  # <word>...: every job of the array, job_limit at once
    if [ "${job_first}" -eq "${job_last}" ]; then
        run_one "${job_first}" "$@"
        return
    fi

    # Background jobs do not see Ctrl-C: pass it on to the whole process group.
    trap 'trap "" INT TERM; kill 0; exit 130' INT TERM
    local job process failed=0
    local -a processes=() running=()
    for ((job = job_first; job <= job_last; job++)); do
        while mapfile -t running < <(jobs -rp); [ "${#running[@]}" -ge "${job_limit}" ]; do
            wait -n || true
        done
        run_one "${job}" "$@" &
        processes+=($!)
    done
    # By process: `wait -n` finds no status of a job that ended before the call.
    for process in "${processes[@]}"; do
        wait "${process}" || failed=$((failed + 1))
    done
    [ "${failed}" -eq 0 ]
}
