#!/usr/bin/env bash
# Installs into a scratch folder, then builds and runs the examples against it with nothing but MPI's
# compilers (MPICC, MPICXX, MPIFC) and pkg-config's answer, shared and static, and compares their networks with
# the program's.  Usage: scripts/check-install.sh [BUILD]
set -euo pipefail
cd "$(dirname "$0")/.."

build=${1:-build}
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
fail() {
    echo "$*" >&2
    exit 1
}
# Staged first, as a packager does: nothing may be written outside DESTDIR.
make --no-print-directory BUILD="$build" PREFIX=/nowhere/lockstep DESTDIR="$prefix/stage" install >/dev/null
test -x "$prefix/stage/nowhere/lockstep/bin/lockstep" && test ! -e /nowhere
make --no-print-directory BUILD="$build" PREFIX="$prefix" install >/dev/null
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
lockstep=$prefix/bin/lockstep
[[ $("$lockstep" --version) == "lockstep $(pkg-config --modversion lockstep) "* ]] || fail 'the versions differ'

# What is exported is what the headers say, and what ends the process is not called.
exported=$(nm -D --defined-only "$prefix/lib/liblockstep.so" | awk '{ print $3 }' | sort)
declared=$(sed -n 's/^LS_API [^(]*[ *]\(ls_[a-z_0-9]*\)(.*/\1/p' "$prefix"/include/lockstep/*.h | sort)
[[ $exported == "$declared" ]] || fail "exported or declared only: $(diff <(echo "$exported") <(echo "$declared"))"
ends=$(nm -D --undefined-only "$prefix/lib/liblockstep.so" |
    grep -wE 'MPI_Init|MPI_Init_thread|MPI_Finalize|MPI_Abort|exit|abort' || true)
[[ -z $ends ]] || fail "the library calls $ends"

# The points of own_loop.c; what the program makes of them.
awk 'BEGIN { OFS = ","; print "x,y,class"
             for (i = 0; i < 210; i++) print i * 37 % 101 + 60 * (i % 3), i * 53 % 89, i % 3 }' >"$prefix/points.csv"
"$lockstep" convert --train-inputs "$prefix/points.csv" -o "$prefix/points.h5" >/dev/null
digest_of_program() { # units, learning rate
    cat >"$prefix/config.yaml" <<END
data: {file: $prefix/points.h5, test_inputs: none}
seed: 7
batch: {size: 40, slices: 8}
train: {lr: $2, epochs: 3}
schedule: {kind: constant}
model: {layers: [dense: {units: $1}, relu, dense: {units: 3}]}
END
    rm -rf "$prefix/run"
    "$lockstep" train "$prefix/config.yaml" --quiet --out "$prefix/run" | sed -n 's/^digest //p'
}
narrow=$(digest_of_program 16 0.05) wide=$(digest_of_program 24 0.05) found=$(digest_of_program 16 auto)

run() { # ranks, program, arguments...
    LD_LIBRARY_PATH=$prefix/lib scripts/mpirun.sh "$@"
}
try() { # name, flags...
    local name=$1 answer
    shift
    rm -rf "$prefix/even" "$prefix/odd" && mkdir "$prefix/even" "$prefix/odd"
    "${MPICC:-mpicc}" scripts/examples/own_loop.c -o "$prefix/own_loop" "$@"
    for ranks in 1 3; do
        answer=$(run "$ranks" "$prefix/own_loop")
        [[ $answer =~ "digest $narrow"[[:space:]]"first point: class 0 with probability 0."[5-9] ]] ||
            fail "$name: '$answer', not 'digest $narrow' and class 0"
        auto=$(run "$ranks" "$prefix/own_loop" "$prefix/even")
        [[ $auto == *"digest $found"* ]] || fail "$name: '$auto', not 'digest $found', with the LR found"
    done
    c=$answer
    "${MPICXX:-mpicxx}" scripts/examples/halves.cpp -o "$prefix/halves" "$@"
    answer=$(run 3 "$prefix/halves" "$prefix/points.h5" "$prefix/even" "$prefix/odd" | sort)
    [[ $answer == *" digest $narrow"*" digest $wide" ]] || fail "$name: '$answer', not $narrow and $wide"
    "${MPIFC:-mpif90}" -J"$prefix" "$prefix/include/lockstep/lockstep.f90" scripts/examples/own_loop.f90 \
        -o "$prefix/own_loop_f" "$@"
    [[ $(run 3 "$prefix/own_loop_f") == "$c" ]] || fail "$name: Fortran is not C"
    [[ $(run 3 "$prefix/own_loop_f" "$prefix/even") == "$auto" ]] || fail "$name: Fortran is not C, with the LR found"
}

# shellcheck disable=SC2046  # flags are words
try shared $(pkg-config --cflags --libs lockstep)
[[ $(ldd "$prefix/own_loop") == *liblockstep.so* ]] || fail 'shared: linked without liblockstep.so'
rm "$prefix"/lib/liblockstep.so*
# shellcheck disable=SC2046
try static $(pkg-config --cflags --libs --static lockstep)
if command -v man >/dev/null && man -l "$prefix/share/man/man1/lockstep.1" 2>&1 >/dev/null | grep .; then
    fail 'the man page has errors'
fi
# The modulefile, where there is environment-modules.
modules=/usr/share/modules/init/bash
if [[ -e $modules ]]; then
    # shellcheck disable=SC2016  # for the other shell
    found=$(env -u PKG_CONFIG_PATH bash -c '
        source "$1" && module use "$2/share/modulefiles" && module load lockstep &&
            command -v lockstep && pkg-config --modversion lockstep' - "$modules" "$prefix")
    [[ $found == "$lockstep"$'\n'"$(pkg-config --modversion lockstep)" ]] || fail "the modulefile: '$found'"
fi
echo 'install: shared, static and staged installs work, and so do the examples'
