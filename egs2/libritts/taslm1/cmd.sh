# Sourced by taslm.sh: how jobs are run. Give cmd_backend=slurm for a cluster
# (conf/slurm.conf says how), or replace the commands by your own.
# shellcheck shell=bash
cmd_backend=${cmd_backend:-local}

case ${cmd_backend} in
    local)
        export train_cmd="run.pl"
        export cuda_cmd="run.pl"
        export decode_cmd="run.pl"
        ;;
    slurm)
        export train_cmd="slurm.pl"
        export cuda_cmd="slurm.pl"
        export decode_cmd="slurm.pl"
        ;;
    *)
        echo "cmd.sh: cmd_backend=${cmd_backend}: choose local or slurm" >&2
        return 1
        ;;
esac
