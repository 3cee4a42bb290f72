#!/usr/bin/env bash
# As run.pl, with the output on the screen as well as in the log.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
# shellcheck source-path=SCRIPTDIR source=job_options.sh
. "${here}/job_options.sh"
# shellcheck source-path=SCRIPTDIR source=jobs_here.sh
. "${here}/jobs_here.sh"
parse_job_options "$@"

execute() {  # <job> <word>...
    "${@:2}"
}

to_log() {  # <log> <word>...
    if [ "$1" = /dev/stdout ]; then "${@:2}" 2>&1; else "${@:2}" 2>&1 | tee "$1"; fi
}

run_jobs "${job_command[@]}"
