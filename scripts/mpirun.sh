#!/usr/bin/env bash
# mpirun with what this machine needs: --oversubscribe for more ranks than cores, permission to run as
# root where it is root who runs it, one thread a rank.  Usage: scripts/mpirun.sh RANKS COMMAND...
set -euo pipefail

ranks=$1
shift
cores=$(lscpu -p=CORE,SOCKET 2>/dev/null | grep -v '^#' | sort -u | wc -l) || cores=0
threads=$(nproc)
if ((cores < 1 || threads < cores)); then
    cores=$threads
fi
options=(-n "$ranks")
if ((ranks > cores)); then
    options+=(--oversubscribe)
fi
if [[ $(id -u) -eq 0 ]]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# shellcheck disable=SC2086  # MPIRUN_OPTIONS holds words
exec "${MPIRUN:-mpirun}" "${options[@]}" ${MPIRUN_OPTIONS:-} "$@"
