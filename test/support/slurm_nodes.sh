#!/usr/bin/env bash
# Two Slurm nodes on this machine, for tests of utils/slurm.pl and of recipes on a cluster.
# Needs the packages slurmctld, slurmd, slurm-client and munge of Debian, and root.
# Usage: slurm_nodes.sh start FOLDER    then: export SLURM_CONF=FOLDER/slurm.conf
#        slurm_nodes.sh stop FOLDER
# The folder gets configuration, state and logs, and should have a short path.
set -euo pipefail
if [ $# -ne 2 ] || [[ ! $1 =~ ^(start|stop)$ ]]; then
    echo "Usage: $0 start|stop <folder>" >&2
    exit 2
fi
mkdir -p "$2"
folder=$(cd "$2" && pwd)
export SLURM_CONF=${folder}/slurm.conf

stop() {  # those processes whose ids are in the folder
    local file
    for file in "${folder}"/*.pid; do
        [ ! -s "${file}" ] || kill "$(cat "${file}")" 2>/dev/null || true
        rm -f "${file}"
    done
}

write_configuration() {
    local host port
    host=$(hostname -s)
    port=$((20000 + RANDOM % 20000))
    cat >"${SLURM_CONF}" <<EOF
ClusterName=recipes
SlurmctldHost=${host}(127.0.0.1)
SlurmctldPort=${port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=${folder}/munge.socket
CredType=cred/munge
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool.%n
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd.%n.pid
SlurmctldLogFile=${folder}/slurmctld.log
SlurmdLogFile=${folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_min_interval=0
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
KillWait=2
ReturnToService=2
NodeName=one NodeHostname=${host} NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=8
NodeName=two NodeHostname=${host} NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=8
PartitionName=all Nodes=one,two Default=YES State=UP
EOF
}

start() {
    local node
    stop
    mkdir -p "${folder}/state" "${folder}/spool.one" "${folder}/spool.two"
    chmod 755 "${folder}"
    head -c 1024 /dev/urandom >"${folder}/munge.key"
    chmod 600 "${folder}/munge.key"
    munged --force --key-file "${folder}/munge.key" --socket "${folder}/munge.socket" \
        --pid-file "${folder}/munged.pid" --log-file "${folder}/munged.log" \
        --seed-file "${folder}/munged.seed"
    write_configuration
    slurmctld -c
    for node in one two; do slurmd -c -N "${node}"; done
    for _ in $(seq 100); do
        [ "$(sinfo --noheader --states idle --format %D 2>/dev/null)" != 2 ] || return 0
        sleep 0.3
    done
    sinfo --long >&2
    tail -n 5 "${folder}"/*.log >&2
    return 1
}

"$1"
