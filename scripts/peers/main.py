#!/usr/bin/env python3
"""Compares lockstep with PyTorch, torch-lr-finder and Lightning on this machine's cores.

Fashion-MNIST, for ResNet-18 and CosmoFlow noise; networks with the same layers, batches and
optimizer (SGD, momentum 0.9) everywhere.
throughput: samples/s of steady training, against DistributedDataParallel (gloo, a process a core)
and one process with a thread a core, each eager, with channels_last and with torch.compile.
First every variant takes one short turn; then lockstep and the best take turns.
range-test: a whole LR range test, LeNet, from command to suggestion.  start-up: from command to the
end of the first step.  memory: of LeNet's ranks.  data (only where it is asked for): samples that do
not fit into memory, streamed, against PyTorch's DataLoader over h5py.
"""
import argparse
import os
import pathlib
import sys

QUICK = {"networks": ["mlp"], "batches": [128], "rounds": 1, "seconds": 0.5, "select": 1,
         "variants": ["*-eager", "ddp-compile*"], "range_steps": 40}


def parse_arguments():
    parser = argparse.ArgumentParser(prog="bench-peers", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    several = {"nargs": "+", "metavar": "X"}
    parts = ("throughput", "range-test", "start-up", "memory", "data")
    parser.add_argument("--parts", **several, choices=parts, default=parts[:-1],
                        help=" ".join(parts))
    networks = ("mlp", "lenet", "resnet20", "resnet18", "cosmoflow")
    parser.add_argument("--networks", **several, choices=networks, default=networks,
                        help=" ".join(networks))
    parser.add_argument("--batches", **several, type=int,
                        help="samples of a step over all ranks "
                             "(default: 128 1024, ResNet-18 32 128, CosmoFlow 4 16)")
    parser.add_argument("--types", **several, choices=("float32", "bf16"),
                        default=("float32", "bf16"), help="float32 bf16")
    parser.add_argument("--isa", choices=("native", "avx2"), default="native",
                        help="instruction set of all programs (default: the machine's)")
    parser.add_argument("--variants", **several, default=["*"], help=(
        "PyTorch's, patterns such as 'ddp-*' of the names in peers/pytorch.py (default: all)"))
    parser.add_argument("--select", type=int, default=2, metavar="N", help=(
        "alternate with the best N variants, and the best DDP one; 0: with all (default: 2)"))
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (default: 5)")
    parser.add_argument("--seconds", type=float, default=5, help="of a turn (default: 5)")
    parser.add_argument("--range-steps", type=int, default=469, metavar="N",
                        help="length of the range test (default: 469, one epoch)")
    parser.add_argument("--cores", type=int, default=2,
                        help="ranks, or threads of one process (default: 2)")
    parser.add_argument("--data-gib", type=float, default=6, metavar="GIB",
                        help="size of the samples of part data; they are stored three times")
    parser.add_argument("--data-limit", type=int, default=1024, metavar="MIB",
                        help="memory that part data leaves lockstep's streams (default: 1024)")
    parser.add_argument("--data-folder", type=pathlib.Path, default="build/data/volumes",
                        metavar="DIR", help="where they are made, and stay")
    parser.add_argument("--data-remove", action="store_true",
                        help="remove them once all of part data is measured")
    parser.add_argument("--go-on", action="store_true", help=(
        "keep what --csv has, and measure what part data lacks: after a run that was stopped"))
    parser.add_argument("--quick", action="store_true",
                        help="other defaults: a short run, to try the comparison itself")
    parser.add_argument("--lockstep", default="build/lockstep", metavar="FILE",
                        help="program, or 'none'")
    parser.add_argument("--data", type=pathlib.Path, metavar="FILE",
                        default="build/data/fashion-mnist.h5", help="made by lockstep convert")
    parser.add_argument("--volumes", type=pathlib.Path, metavar="FILE",
                        default="build/data/volumes.h5", help="CosmoFlow's, made if missing")
    parser.add_argument("--images", type=pathlib.Path, metavar="FILE",
                        default="build/data/images.h5", help="ResNet-18's, made if missing")
    parser.add_argument("--csv", type=pathlib.Path, metavar="FILE",
                        default="build/bench-peers.csv", help="where every number goes")
    if "--quick" in sys.argv:
        parser.set_defaults(**QUICK)
    options = parser.parse_args()
    options.own = options.lockstep != "none"
    return options


def describe(options):
    """What ran where, for whoever reads the numbers."""
    import torch
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                  if line.startswith("model name")), "unknown CPU")
    print(f"{model}, {len(os.sched_getaffinity(0))} CPUs; PyTorch {torch.__version__}; "
          f"{options.cores} cores each, {options.isa} instructions")
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"warning: this machine is busy (load {load:.1f}): the times will vary")


def main():
    options = parse_arguments()
    import data
    import memory
    import pytorch
    import samples
    import throughput
    import whole_runs
    from results import Results
    describe(options)
    if options.isa == "avx2":
        pytorch.limit_to_avx2()
    if "cosmoflow" in options.networks and not options.volumes.exists():
        samples.make_volumes(options.volumes)
    if "resnet18" in options.networks and not options.images.exists():
        samples.make_images(options.images)
    results = Results(options.csv, options.go_on)
    parts = {"throughput": throughput.run, "range-test": whole_runs.range_test,
             "start-up": whole_runs.start_up, "memory": memory.run,
             "data": data.compare}
    for name in options.parts:
        parts[name](options, results)
    print(f"\nEvery number: {options.csv}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
