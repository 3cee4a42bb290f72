#!/usr/bin/env bash
# Run a command on this machine with its output in a log file.
# Usage: run.pl [--max-jobs-run N] [JOB=1:4] log/x.JOB.log command [arguments]
# JOB is replaced by the job number in the log name and in every argument; the words
# are run as they are, no shell reads them again. The options --gpu, --mem,
# --num_threads, --name and --time that cluster scripts need are accepted, unused.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
# shellcheck source-path=SCRIPTDIR source=job_options.sh
. "${here}/job_options.sh"
parse_job_options "$@"
set -- "${job_command[@]}"

run_one() {  # <job number>: one job, its log framed by what ran and how it ended
    local job=$1 log status=0 start=${SECONDS} word
    local -a words=()
    shift
    log=${job_log//${job_name}/${job}}
    for word in "$@"; do
        words+=("${word//${job_name}/${job}}")
    done
    [ "${log}" = - ] && log=/dev/stdout
    [ "${log}" = /dev/stdout ] || mkdir -p "$(dirname "${log}")"
    {
        printf '# %q' "${words[0]}"
        printf ' %q' "${words[@]:1}"
        printf '\n# Started at %s\n' "$(date)"
        "${words[@]}" || status=$?
        printf '# Ended (code %d) after %d seconds\n' "${status}" $((SECONDS - start))
    } >"${log}" 2>&1
    if [ "${status}" -ne 0 ]; then
        echo "run.pl: a job failed (code ${status}), see ${log}" >&2
    fi
    return "${status}"
}

if [ "${job_first}" -eq "${job_last}" ]; then
    run_one "${job_first}" "$@"
    exit
fi

# Background jobs do not see Ctrl-C: pass it on to the whole process group.
trap 'trap "" INT TERM; kill 0; exit 130' INT TERM
failed=0
running=0
for ((job = job_first; job <= job_last; job++)); do
    if [ "${running}" -ge "${job_limit}" ]; then
        wait -n || failed=$((failed + 1))
        running=$((running - 1))
    fi
    run_one "${job}" "$@" &
    running=$((running + 1))
done
while [ "${running}" -gt 0 ]; do
    wait -n || failed=$((failed + 1))
    running=$((running - 1))
done
[ "${failed}" -eq 0 ]
