#!/usr/bin/env bash
# Installs into a scratch folder, then builds and runs a small C program against it with nothing but
# MPI's compiler (MPICC) and pkg-config's answer: shared and static.  Usage: scripts/check-install.sh [BUILD]
set -euo pipefail
cd "$(dirname "$0")/.."

build=${1:-build}
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
# Staged first, as a packager does: nothing may be written outside DESTDIR.
make --no-print-directory BUILD="$build" PREFIX=/nowhere/lockstep DESTDIR="$prefix/stage" install >/dev/null
test -x "$prefix/stage/nowhere/lockstep/bin/lockstep" && test ! -e /nowhere
make --no-print-directory BUILD="$build" PREFIX="$prefix" install >/dev/null

cat >"$prefix/user.c" <<'END'
#include <lockstep/build.h>
#include <lockstep/lr.h>
#include <lockstep/mpi.h>
#include <stdio.h>
int main(int argc, char **argv) {
    ls_comm *comm = NULL;
    MPI_Init(&argc, &argv);
    if (ls_comm_create(MPI_COMM_WORLD, &comm) != LS_OK)
        return 1;
    printf("%s %g %d\n", ls_build_version(), ls_ramp_lr(LS_RAMP_EXPONENTIAL, 1e-4, 1, 5, 2),
           ls_comm_size(comm));
    ls_comm_free(comm);
    MPI_Finalize();
    return 0;
}
END

export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
expected="$(pkg-config --modversion lockstep) 0.01 1"
try() { # name, flags...
    local name=$1 answer
    shift
    "${MPICC:-mpicc}" "$prefix/user.c" -o "$prefix/$name" "$@"
    answer=$(LD_LIBRARY_PATH=$prefix/lib scripts/mpirun.sh 1 "$prefix/$name")
    [[ $answer == "$expected" ]] || { echo "$name: '$answer', not '$expected'" >&2 && return 1; }
}

# shellcheck disable=SC2046  # flags are words
try shared $(pkg-config --cflags --libs lockstep)
ldd "$prefix/shared" | grep -q 'liblockstep[.]so' || { echo 'shared: linked without liblockstep.so' >&2 && exit 1; }
exported=$(nm -D --defined-only "$prefix/lib/liblockstep.so" | awk '$3 !~ /^ls_/ { print $3 }')
[[ -z $exported ]] || { echo "exported, but not ls_*: $exported" >&2 && exit 1; }

rm "$prefix"/lib/liblockstep.so*
# shellcheck disable=SC2046
try static $(pkg-config --cflags --libs --static lockstep)
[[ $("$prefix/bin/lockstep" --version) == "lockstep "* ]]
if command -v man >/dev/null && man -l "$prefix/share/man/man1/lockstep.1" 2>&1 >/dev/null | grep .; then
    echo 'the man page has errors' >&2
    exit 1
fi
echo 'install: shared, static and staged installs work'
