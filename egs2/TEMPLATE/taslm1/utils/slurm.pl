#!/usr/bin/env bash
# Run a command through Slurm's sbatch and wait for it.
# Usage: slurm.pl [--gpu N] [--mem 8G] [--num_threads N] [--num_nodes N] [--time T]
#            [--max-jobs-run N] [--config conf/slurm.conf] [JOB=1:4] log command ...
# conf/slurm.conf has lines `name arguments`, where `command` lists what every job gets
# and `gpu=*`, `mem=*`, ... say how an option becomes sbatch arguments ($0: its value).
# The id of the job is kept beside the log while it lives: when this script is stopped the
# job is cancelled, and the same log is refused to a second job, from any host.
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

failed_jobs() {  # of an array: the logs of those that did not end well
    local job
    "${job_array}" || return 0
    for ((job = job_first; job <= job_last; job++)); do
        [ "$(tail -n 1 "${job_log//${job_name}/${job}}")" = "# Ended (code 0)" ] ||
            echo "slurm.pl: job ${job} failed, see ${job_log//${job_name}/${job}}"
    done
}

processes=${job_options[gpu]:-1}    # of a node, which share its CPUs: one for each GPU
[ "${processes}" -ge 1 ] || processes=1
read -r -a arguments <<<"$(configured command)"
for option in "${!job_options[@]}"; do
    read -r -a more <<<"$(configured "${option}" "${job_options[${option}]}")"
    arguments+=("${more[@]}")
done

log=${job_log//${job_name}/%a}
folder=$(dirname "${job_log//${job_name}/1}")
mkdir -p "${folder}"
id_file=${folder}/.slurm.$(basename "${job_log}").id
if [ -s "${id_file}" ] && squeue --noheader --jobs "$(cat "${id_file}")" 2>/dev/null | grep -q .; then
    echo "slurm.pl: job $(cat "${id_file}") that writes ${job_log} still lives: wait for it," \
        "or end it with scancel $(cat "${id_file}")" >&2
    exit 1
fi

script=$(mktemp "${folder}/.slurm.XXXXXX.sh")
sbatch=""
end() {  # of this script, by whatever: the job ends with it
    trap '' INT TERM
    [ -z "${sbatch}" ] || ! kill -0 "${sbatch}" 2>/dev/null || scancel "$(cat "${id_file}")" || true
    rm -f "${script}" "${id_file}"
}
trap end EXIT
trap 'exit 130' INT TERM
# shellcheck disable=SC2016
{
    printf '#!/usr/bin/env bash\ncd %q\n' "${PWD}"
    printf '%s\n' '[ ! -f ./path.sh ] || . ./path.sh' \
        "export OMP_NUM_THREADS=\$((\${SLURM_CPUS_PER_TASK:-1} / ${processes} > 0 ?" \
        "    \${SLURM_CPUS_PER_TASK:-1} / ${processes} : 1))" \
        'export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}'
    for word in "${job_command[@]}"; do
        printf '%q ' "${word}" |
            if "${job_array}"; then sed "s/${job_name}/\${SLURM_ARRAY_TASK_ID}/g"; else cat; fi
    done
    printf '\nstatus=$?\necho "# Ended (code ${status})"\nexit "${status}"\n'
} >"${script}"
if "${job_array}"; then
    arguments+=(--array "${job_first}-${job_last}%${job_options[max_jobs_run]:-1000}")
fi
: >"${id_file}"
# stdbuf: the id is written when the job is submitted, not when it has ended.
stdbuf -oL sbatch --parsable --wait --export=ALL --open-mode=append --output "${log}" \
    --error "${log}" "${arguments[@]}" "${script}" >"${id_file}" &
sbatch=$!
if ! wait "${sbatch}"; then
    echo "slurm.pl: a job failed, see ${job_log}" >&2
    failed_jobs >&2
    exit 1
fi
