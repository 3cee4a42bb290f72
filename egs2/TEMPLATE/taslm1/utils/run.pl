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
# shellcheck source-path=SCRIPTDIR source=jobs_here.sh
. "${here}/jobs_here.sh"
parse_job_options "$@"

execute() {  # <job> <word>...: jobs of an array take the GPUs of this machine in turn
    local -a gpus=()
    if "${job_array}" && [ "${job_options[gpu]:-0}" = 1 ]; then
        IFS=, read -r -a gpus <<<"${CUDA_VISIBLE_DEVICES-$(visible_gpus)}"
    fi
    if [ "${#gpus[@]}" -gt 1 ]; then
        export CUDA_VISIBLE_DEVICES=${gpus[$((($1 - 1) % ${#gpus[@]}))]}
    fi
    "${@:2}"
}

visible_gpus() {  # their numbers, separated by commas
    nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null | paste -sd, || true
}

run_jobs "${job_command[@]}"
