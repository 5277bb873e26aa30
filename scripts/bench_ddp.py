#!/usr/bin/env python3
"""Times lockstep against PyTorch's DistributedDataParallel on the same cores: LeNet, Fashion-MNIST.

Usage: scripts/bench-ddp.sh [BUILD [OPTIONS]], which finds a Python with torch, numpy and h5py.

Both train configs/fashion-mnist.yaml's network with the same global batch and momentum, on RANKS
processes of one thread each, and take turns for several rounds.  What is compared is the steady
state: windows of consecutive steps, start-up and warm-up left out.  PyTorch's loop is as lean as it
can be: its samples lie in memory as normalised floats, already shuffled, so that a batch is a view;
the loss is read once a window.
"""
import argparse
import csv
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

VARIANTS = ("eager", "channels_last", "single")  # single: one process with RANKS threads, no DDP


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100, help="timed steps of a round")
    parser.add_argument("--warmup", type=int, default=20, help="steps before these")
    parser.add_argument("--window", type=int, default=10, help="steps timed together")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128, help="global batch")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS[:2])
    parser.add_argument("--lockstep", default="build/lockstep", help="program, or 'none'")
    parser.add_argument("--config", default="configs/fashion-mnist.yaml")
    parser.add_argument("--data", default="build/data/fashion-mnist.h5",
                        help="dataset file, as lockstep convert writes it")
    parser.add_argument("--bucket-mb", type=float, default=25, help="DDP's bucket size")
    parser.add_argument("--no-pin", dest="pin", action="store_false",
                        help="do not bind PyTorch's processes to cores")
    parser.add_argument("--csv", type=pathlib.Path, default=pathlib.Path("build/bench-ddp.csv"))
    parser.add_argument("--worker", choices=VARIANTS, help=argparse.SUPPRESS)
    return parser.parse_args()


# ---- PyTorch, in its own processes --------------------------------------------------------------

def read_samples(path, rank, ranks):
    """This rank's part of the shuffled training set, as normalised floats."""
    import h5py
    import numpy as np
    with h5py.File(path) as file:
        images, labels = file["train/inputs"][...], file["train/targets"][...]
    mine = np.random.default_rng(1).permutation(len(images))[rank::ranks]
    inputs = images[mine].astype(np.float32)
    inputs -= images.mean()
    inputs /= images.std()
    return inputs, labels[mine].astype(np.int64)


def lenet(nn):
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 1024), nn.ReLU(inplace=True), nn.Linear(1024, 10))


def worker(arguments):
    """One process; rank 0 prints when its first step ended and the seconds of every window."""
    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    threads = arguments.ranks // ranks
    if arguments.pin and ranks > 1:  # before torch starts its threads, which inherit it
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[rank % len(cores)]})
    import torch
    from torch import nn
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(1)

    inputs, labels = map(torch.from_numpy, read_samples(arguments.data, rank, ranks))
    network = lenet(nn)
    if arguments.worker == "channels_last":
        inputs = inputs.to(memory_format=torch.channels_last)
        network = network.to(memory_format=torch.channels_last)
    if ranks > 1:
        torch.distributed.init_process_group("gloo")
        network = nn.parallel.DistributedDataParallel(
            network, gradient_as_bucket_view=True, broadcast_buffers=False, static_graph=True,
            bucket_cap_mb=arguments.bucket_mb)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, fused=True)
    criterion = nn.CrossEntropyLoss()
    batch = arguments.batch // ranks
    batches = len(inputs) // batch

    def step(index):
        first = index % batches * batch
        optimizer.zero_grad(set_to_none=True)
        loss = criterion(network(inputs[first:first + batch]), labels[first:first + batch])
        loss.backward()
        optimizer.step()
        return loss

    step(0)
    first_step_end = time.time()
    for index in range(1, arguments.warmup):
        step(index)
    windows, before = [], time.perf_counter()
    for first in range(arguments.warmup, arguments.warmup + arguments.steps, arguments.window):
        for index in range(first, first + arguments.window):
            loss = step(index)
        loss.item()
        after = time.perf_counter()
        windows.append(after - before)
        before = after
    if rank == 0:
        print(json.dumps({"first_step_end": first_step_end, "windows": windows}), flush=True)
    if ranks > 1:
        torch.distributed.destroy_process_group()


def time_pytorch(arguments, variant):
    """Samples/s of each window, and seconds from the command to the end of the first step."""
    command = [sys.executable]
    if variant != "single":
        command += ["-m", "torch.distributed.run", "--standalone",
                    f"--nproc-per-node={arguments.ranks}"]
    command += [__file__, "--worker", variant]
    for name in ("steps", "warmup", "window", "ranks", "batch", "data", "bucket_mb"):
        command += ["--" + name.replace("_", "-"), str(getattr(arguments, name))]
    command += [] if arguments.pin else ["--no-pin"]
    threads = arguments.ranks if variant == "single" else 1
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), GLOO_SOCKET_IFNAME="lo")
    start = time.time()
    output = run(command, environment)
    result = json.loads(next(line for line in output.splitlines() if line.startswith("{")))
    return (rates(result["windows"], arguments), result["first_step_end"] - start)


# ---- lockstep -----------------------------------------------------------------------------------

def run_lockstep(arguments, steps, folder):
    """A range test that stays at harmless learning rates, so that it does not stop early."""
    sets = (f"data.file={arguments.data}", f"batch.size={arguments.batch}",
            f"find_lr.steps={steps}", "find_lr.start=1e-8", "find_lr.end=1e-3")
    command = [pathlib.Path(__file__).with_name("mpirun.sh"), str(arguments.ranks),
               arguments.lockstep, "find-lr", arguments.config, "--out", folder, "--quiet"]
    for setting in sets:
        command += ["--set", setting]
    start = time.time()
    run(command, dict(os.environ, OMP_NUM_THREADS="1"))
    return time.time() - start


def time_lockstep(arguments):
    """As time_pytorch; its start-up is a whole run of one step, to the end of the process."""
    import h5py
    steps = arguments.warmup + arguments.steps
    with tempfile.TemporaryDirectory() as folder:
        startup = run_lockstep(arguments, 1, folder)
        whole = run_lockstep(arguments, steps, folder)
        with h5py.File(pathlib.Path(folder) / "find-lr.h5") as file:
            seconds = file["find_lr/seconds"][arguments.warmup:]
    # Its own clock against the outside one, which also sees what lies between the steps.
    outside = (steps - 1) * arguments.batch / (whole - startup)
    print(f"lockstep from outside: {outside:.0f} samples/s with warm-up")
    return rates(seconds.reshape(-1, arguments.window).sum(axis=1), arguments), startup


# ---- the comparison -----------------------------------------------------------------------------

def run(command, environment):
    command = [str(word) for word in command]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"bench-ddp: {' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def rates(windows, arguments):
    return [arguments.window * arguments.batch / seconds for seconds in windows]


def report(results, arguments):
    """`results`: per program a list of (the windows' samples/s, start-up seconds), one a round."""
    windows = {name: [rate for rates_, _ in rounds for rate in rates_]
               for name, rounds in results.items()}
    medians = {name: statistics.median(values) for name, values in windows.items()}
    best = max((name for name in medians if name != "lockstep"), key=medians.get)
    print(f"\nLeNet, Fashion-MNIST, batch {arguments.batch}, {arguments.ranks} cores, "
          f"{arguments.rounds} rounds of {arguments.steps} steps, float32; ratio to {best}")
    print(f"{'':24}{'samples/s':>10}{'min':>8}{'max':>8}{'ratio':>8}{'start-up':>10}")
    for name, rounds in results.items():
        startup = statistics.median(seconds for _, seconds in rounds)
        print(f"{name:24}{medians[name]:10.0f}{min(windows[name]):8.0f}{max(windows[name]):8.0f}"
              f"{medians[name] / medians[best]:8.2f}{startup:9.2f}s")
    print(f"of windows of {arguments.window} steps; "
          "start-up: from the command to the first step's end")


def write_csv(results, arguments):
    arguments.csv.parent.mkdir(parents=True, exist_ok=True)
    with open(arguments.csv, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["program", "round", "samples_per_second", "startup_seconds"])
        for name, rounds in results.items():
            for index, (rates_, startup) in enumerate(rounds):
                writer.writerow([name, index, f"{statistics.median(rates_):.2f}", f"{startup:.3f}"])
    print(f"written: {arguments.csv}")


def compare(arguments):
    if arguments.steps % arguments.window:
        sys.exit("bench-ddp: --steps must be a multiple of --window")
    if not pathlib.Path(arguments.data).exists():
        sys.exit(f"bench-ddp: no {arguments.data}: `make demo` writes it")
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"bench-ddp: warning: this machine is busy (load {load:.1f}): the times will vary")
    programs = {}
    if arguments.lockstep != "none":
        programs["lockstep"] = lambda: time_lockstep(arguments)
    for variant in arguments.variants:
        name = "PyTorch " + ("one process" if variant == "single" else "DDP " + variant)
        programs[name] = lambda variant=variant: time_pytorch(arguments, variant)
    results = {name: [] for name in programs}
    for index in range(arguments.rounds):
        order = list(programs)
        turn = index % len(order)
        for name in order[turn:] + order[:turn]:  # nobody always goes first
            results[name].append(programs[name]())
            rate = statistics.median(results[name][-1][0])
            print(f"round {index + 1}: {name}: {rate:.0f} samples/s", flush=True)
    report(results, arguments)
    write_csv(results, arguments)


if __name__ == "__main__":
    options = parse_arguments()
    if options.worker:
        worker(options)
    else:
        compare(options)
