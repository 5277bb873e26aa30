#!/usr/bin/env bash
# `make bench`: lockstep against PyTorch's DistributedDataParallel, see bench_ddp.py --help.
# Usage: scripts/bench-ddp.sh [BUILD [OPTIONS of bench_ddp.py]]
# PEERS: folder of a Python virtual environment with torch, numpy and h5py; made if it is not there.
set -euo pipefail
cd "$(dirname "$0")/.."

build=${1:-build}
shift $(($# > 0))
peers=${PEERS:-$build/peers}

if [[ ! -x $peers/bin/python ]]; then
    echo "making $peers with PyTorch from PyPI: some gigabytes to download"
    python3 -m venv "$peers" || {
        echo "bench-ddp: python3 -m venv failed (Debian: apt install python3-venv)" >&2
        exit 1
    }
fi
"$peers/bin/python" -c 'import torch, numpy, h5py' 2>/dev/null ||
    "$peers/bin/pip" install --quiet torch numpy h5py
exec "$peers/bin/python" scripts/bench_ddp.py --lockstep "$build/lockstep" \
    --data "$build/data/fashion-mnist.h5" --csv "$build/bench-ddp.csv" "$@"
