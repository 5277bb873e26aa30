#!/usr/bin/env bash
# `make demo`: Fashion-MNIST to HDF5, the LR range test on 2 ranks, its picture, a short training with
# the LR it found.  Shows every command.
# Usage: scripts/demo.sh BUILD.  FASHION_MNIST: folder of the four .gz files.
set -euo pipefail
cd "$(dirname "$0")/.."

build=${1:-build}
lockstep=$build/lockstep
source=${FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
data=$build/data/fashion-mnist.h5
out=$build/demo
config=configs/fashion-mnist.yaml

# The command as one would type it.
show() {
    local word line=''
    for word in "$@"; do
        [[ $word =~ ^[[:alnum:]_./,:=+-]+$ ]] || word=$(printf '%q' "$word")
        line+=" $word"
    done
    printf '\n$%s\n' "${line/ scripts\/mpirun.sh/ mpirun -n}"
}
run() {
    show "$@"
    "$@"
}

if [[ ! -e $source/train-images-idx3-ubyte.gz ]]; then
    echo "lockstep: no Fashion-MNIST in $source: install dataset-fashion-mnist, or set FASHION_MNIST" >&2
    exit 2
fi
mkdir -p "$build/data"
rm -rf "$out" # train does not touch the checkpoints of another run
mkdir "$out"
if [[ ! -e $data ]]; then
    run "$lockstep" convert "$source" -o "$data" \
        --class-names T-shirt,trouser,pullover,dress,coat,sandal,shirt,sneaker,bag,boot
fi
sets=()
if [[ $build != build ]]; then # the configuration names build/
    sets=(--set "data.file=$data")
fi
run scripts/mpirun.sh 2 "$lockstep" find-lr "$config" "${sets[@]}" --out "$out"
run "$lockstep" plot "$out/find-lr.h5" -o "$out/find-lr.svg"
run "$lockstep" plot "$out/find-lr.h5" -o "$out/find-lr.png"
run "$lockstep" suggest "$out/find-lr.h5"

recommended=$("$lockstep" suggest --plain "$out/find-lr.h5" | sed -n 's/^recommended //p')
run scripts/mpirun.sh 2 "$lockstep" train "$config" "${sets[@]}" --out "$out" \
    --set "train.lr=$recommended" --set train.epochs=3
run "$lockstep" plot "$out/train.h5" -o "$out/train.png"
printf '\nThe curve and all else the run computed:  %s\n' "$out/find-lr.h5"
printf 'The picture:                              %s, .png\n' "$out/find-lr.svg"
printf 'Recommended learning rate:                %s\n' "$recommended"
