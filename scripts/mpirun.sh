#!/usr/bin/env bash
# mpirun with what this machine needs: that of the MPI which the program is linked with (Debian's names),
# more ranks than cores, permission to run as root where it is root who runs it, one thread a rank.
# Usage: scripts/mpirun.sh RANKS COMMAND...
# MPIRUN_PROGRAM: the program whose MPI counts, where COMMAND only starts it; MPIRUN: another launcher; MPIRUN_OPTIONS: more options; MPIRUN_SHARED=1: others use the cores too, so
# ranks are not bound, and who waits yields.
set -euo pipefail

ranks=$1
shift

launcher=${MPIRUN:-mpirun}
family=openmpi
for program in "$1" ${MPIRUN_PROGRAM:+"$MPIRUN_PROGRAM"}; do
    if [[ $(ldd "$(command -v "$program")" 2>/dev/null) == *libmpich* ]]; then
        family=mpich
    fi
done
if [[ -z ${MPIRUN:-} ]] && command -v "mpirun.$family" >/dev/null; then
    launcher=mpirun.$family
fi

cores=$(lscpu -p=CORE,SOCKET 2>/dev/null | grep -v '^#' | sort -u | wc -l) || cores=0
threads=$(nproc)
if ((cores < 1 || threads < cores)); then
    cores=$threads
fi
options=(-n "$ranks")
if [[ $family == openmpi ]]; then
    if ((ranks > cores)); then
        options+=(--oversubscribe)
    fi
    if [[ ${MPIRUN_SHARED:-} ]]; then
        options+=(--bind-to none --mca mpi_yield_when_idle 1)
    fi
    if [[ $(id -u) -eq 0 ]]; then
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi
fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# shellcheck disable=SC2086  # MPIRUN_OPTIONS holds words
exec "$launcher" "${options[@]}" ${MPIRUN_OPTIONS:-} "$@"
