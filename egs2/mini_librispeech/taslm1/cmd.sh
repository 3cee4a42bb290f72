# Sourced by taslm.sh: how jobs are run, as in ESPnet's recipes. `local` is this machine;
# the other backends take their partitions, memory and hosts from conf/slurm.conf,
# conf/queue.conf, conf/pbs.conf or .queue/machines. train_cmd starts work on data, decode_cmd
# networks on CPUs, cuda_cmd trainings and what needs a GPU; each may be given options.
# shellcheck shell=bash
cmd_backend=${cmd_backend:-local}

case ${cmd_backend} in
    local) _runner=run.pl ;;        # this machine
    stdout) _runner=stdout.pl ;;    # this machine, logs on the screen as well
    ssh) _runner=ssh.pl ;;          # the hosts of .queue/machines
    slurm) _runner=slurm.pl ;;      # sbatch
    sge) _runner=queue.pl ;;        # qsub of Grid Engine
    pbs) _runner=pbs.pl ;;          # qsub of PBS
    *)
        echo "cmd.sh: cmd_backend=${cmd_backend}: choose local, stdout, ssh, slurm, sge or pbs" >&2
        return 1
        ;;
esac
if ! command -v "${_runner}" >/dev/null; then
    echo "cmd.sh: cmd_backend=${cmd_backend} needs ${_runner}: copy it from the folder" \
        "egs2/TEMPLATE/asr1/utils of ESPnet to a folder of PATH" >&2
    return 1
fi
export train_cmd=${_runner} cuda_cmd=${_runner} decode_cmd=${_runner}
unset _runner
