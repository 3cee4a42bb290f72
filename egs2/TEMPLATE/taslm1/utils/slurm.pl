#!/usr/bin/env bash
# Run a command through Slurm's sbatch and wait for it.
# Usage: slurm.pl [--gpu N] [--mem 8G] [--num_threads N] [--num_nodes N] [--time T]
#            [--max-jobs-run N] [--config conf/slurm.conf] [JOB=1:4] log command ...
# conf/slurm.conf has lines `name arguments`, where `command` lists what every job gets
# and `gpu=*`, `mem=*`, ... say how an option becomes sbatch arguments ($0: its value).
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
# shellcheck source-path=SCRIPTDIR source=job_options.sh
. "${here}/job_options.sh"
parse_job_options "$@"

config=${job_options[config]:-conf/slurm.conf}
[ -f "${config}" ] || { echo "slurm.pl: ${config} does not exist" >&2; exit 1; }

configured() {  # <name> [value]: sbatch arguments of a line of the configuration
    local name=$1 value=${2:-} key rest
    while read -r key rest; do
        if [ "${key}" = "${name}=${value}" ] || [ "${key}" = "${name}=*" ] ||
            { [ -z "${value}" ] && [ "${key}" = "${name}" ]; }; then
            printf '%s\n' "${rest//\$0/${value}}"
            return
        fi
    done <"${config}"
}

read -r -a arguments <<<"$(configured command)"
for option in "${!job_options[@]}"; do
    read -r -a more <<<"$(configured "${option}" "${job_options[${option}]}")"
    arguments+=("${more[@]}")
done

log=${job_log//${job_name}/%a}
mkdir -p "$(dirname "${job_log//${job_name}/1}")"
script=$(mktemp "$(dirname "${job_log//${job_name}/1}")/.slurm.XXXXXX.sh")
trap 'rm -f "${script}"' EXIT
{
    printf '#!/usr/bin/env bash\ncd %q\n' "${PWD}"
    printf '%s\n' '[ ! -f ./path.sh ] || . ./path.sh'
    for word in "${job_command[@]}"; do
        printf '%q ' "${word}" |
            if "${job_array}"; then sed "s/${job_name}/\${SLURM_ARRAY_TASK_ID}/g"; else cat; fi
    done
    printf '\n'
} >"${script}"
if "${job_array}"; then
    arguments+=(--array "${job_first}-${job_last}%${job_options[max_jobs_run]:-1000}")
fi
sbatch --wait --export=ALL --open-mode=append --output "${log}" --error "${log}" \
    "${arguments[@]}" "${script}" ||
    { echo "slurm.pl: a job failed, see ${job_log}" >&2; exit 1; }
