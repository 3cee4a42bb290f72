#!/usr/bin/env bash
# Run jobs on other machines that share this folder, in turn: `.queue/machines` has one
# host a line, as in Kaldi. Usage and logs are those of run.pl.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
# shellcheck source-path=SCRIPTDIR source=job_options.sh
. "${here}/job_options.sh"
# shellcheck source-path=SCRIPTDIR source=jobs_here.sh
. "${here}/jobs_here.sh"
parse_job_options "$@"

[ -s .queue/machines ] || { echo "ssh.pl: .queue/machines lists no hosts" >&2; exit 1; }
mapfile -t machines < <(grep -v '^[[:space:]]*\(#\|$\)' .queue/machines)

execute() {  # <job> <word>...
    local machine=${machines[$((($1 - 1) % ${#machines[@]}))]}
    printf '# on %s\n' "${machine}"
    # shellcheck disable=SC2029
    ssh -o BatchMode=yes "${machine}" bash -c "$(printf '%q' "$(printf 'cd %q\n' "${PWD}")
        set -e; [ ! -f ./path.sh ] || . ./path.sh
        export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}; $(printf '%q ' "${@:2}")")" </dev/null
}

run_jobs "${job_command[@]}"
