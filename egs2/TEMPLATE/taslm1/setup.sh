#!/usr/bin/env bash
# Make a recipe directory: egs2/TEMPLATE/taslm1/setup.sh egs2/my_corpus/taslm1
# cmd.sh, db.sh, conf/ and local/ are the recipe's own; the rest is linked.
set -euo pipefail
template=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ $# -ne 1 ]; then
    echo "Usage: $0 <egs2/corpus/taslm1>" >&2
    exit 2
fi
target=$1
parent=$(dirname "$(dirname "${target}")")
if [ ! -d "${parent}/TEMPLATE/taslm1" ]; then
    echo "$0: ${target}: give a directory two levels below egs2" >&2
    exit 1
fi
mkdir -p "${target}/conf" "${target}/local"
for name in cmd.sh db.sh conf/slurm.conf; do
    [ -e "${target}/${name}" ] || cp "${template}/${name}" "${target}/${name}"
done
for name in taslm.sh path.sh utils scripts demo; do
    ln -sfn "../../TEMPLATE/taslm1/${name}" "${target}/${name}"
done
echo "Made ${target}: write conf/*.yaml, local/data.sh and run.sh (see egs2/mini_an4)"
