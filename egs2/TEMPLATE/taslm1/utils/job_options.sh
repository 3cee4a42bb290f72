# Sourced by the job scripts beside it: reads `[options] [JOB=1:4] log command...` into
#   job_name job_first job_last   array variable (JOB 1 1 when there is none)
#   job_limit job_log job_command job_options (associative: gpu, mem, ...)
# shellcheck shell=bash disable=SC2034

parse_job_options() {
    job_name=JOB job_first=1 job_last=1 job_limit=1000000 job_array=false
    declare -gA job_options=()
    while [[ ${1:-} == --* ]]; do
        [ $# -ge 2 ] || { echo "$0: option $1 needs a value" >&2; exit 2; }
        local key=${1#--}
        key=${key//-/_}
        # ESPnet's launch asks for a thread a GPU after what the recipe asks for.
        [ "${key}" = num_threads ] && [ "${job_options[num_threads]:-0}" -gt "$2" ] ||
            job_options[${key}]=$2
        shift 2
    done
    job_limit=${job_options[max_jobs_run]:-${job_limit}}
    if [[ ${1:-} =~ ^([A-Za-z_][A-Za-z0-9_]*)=([0-9]+):([0-9]+)$ ]]; then
        job_name=${BASH_REMATCH[1]} job_array=true
        job_first=${BASH_REMATCH[2]} job_last=${BASH_REMATCH[3]}
        shift
    fi
    if [ $# -lt 2 ] || [ "${job_first}" -gt "${job_last}" ]; then
        echo "Usage: $0 [options] [JOB=first:last] <log> <command> [arguments]" >&2
        exit 2
    fi
    job_log=$1
    shift
    job_command=("$@")
    if "${job_array}" && [ "${job_first}" -lt "${job_last}" ] &&
        [[ ${job_log} != *"${job_name}"* ]]; then
        echo "$0: the log name '${job_log}' must contain ${job_name}" >&2
        exit 2
    fi
    # Without an array nothing is replaced: a name no argument can contain.
    "${job_array}" || job_name=$'\x01'
}
