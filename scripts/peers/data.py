"""Data that do not fit into memory: samples/s and memory of lockstep's stream, under a limit, of the
same samples in memory, and of PyTorch's DataLoader over h5py.

The samples, int16 (4, 16, 16, 16), are made once, three times: contiguous, in chunks of 4 samples,
and as 64 files.  lockstep runs in a control group of --data-limit where one can be made.
"""
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading

import h5py
import numpy as np

import lockstep
import memory
from results import print_table, spread

HERE = pathlib.Path(__file__).parent
SHAPE, FILES, BATCH = (4, 16, 16, 16), 64, 128
BLOCK = 64  # samples that are made together
SAMPLE = 2 * int(np.prod(SHAPE))  # bytes
KEY = {"part": "data", "network": "volumes", "batch": BATCH, "type": "float32"}


# ---- the samples -----------------------------------------------------------------------------

def block(first):
    """BLOCK samples from `first` on: noise around a mean that the class moves."""
    rng = np.random.default_rng(first)
    classes = rng.integers(0, 10, BLOCK)
    noise = rng.integers(-2000, 2000, (BLOCK, *SHAPE), dtype=np.int16)
    return noise + (100 * classes).astype(np.int16)[:, None, None, None, None], classes


def write(path, count, blocks, **storage):
    """Under another name until it is whole."""
    if path.exists():
        return
    part = path.with_suffix(".part")
    with h5py.File(part, "w") as file:
        inputs = file.create_dataset("train/inputs", (count, *SHAPE), "<i2", **storage)
        targets = file.create_dataset("train/targets", (count,), "<i8")
        for at in range(0, count, BLOCK):
            inputs[at:at + BLOCK], targets[at:at + BLOCK] = blocks(at)
    part.rename(path)


def make(folder, count):
    """The three forms, where they are not there yet; the second and third are copies of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    print(f"data: {3 * count * SAMPLE / 2**30:.2f} GiB in {folder}, where they are not there yet",
          flush=True)
    write(folder / "contiguous.h5", count, block)
    with h5py.File(folder / "contiguous.h5") as file:
        def copy(at):
            return file["train/inputs"][at:at + BLOCK], file["train/targets"][at:at + BLOCK]
        write(folder / "chunks.h5", count, copy, chunks=(4, *SHAPE))
        share = count // FILES
        for number in range(FILES):
            write(folder / f"part-{number:02}.h5", share,
                  lambda at, first=number * share: copy(first + at))


# ---- a limit on memory -----------------------------------------------------------------------

@contextlib.contextmanager
def limited(mebibytes):
    """The words to put before a command; none where no control group can be made."""
    group = pathlib.Path("/sys/fs/cgroup/memory/lockstep-bench")  # version 1
    name = "memory.limit_in_bytes"
    if not group.parent.exists():
        group, name = pathlib.Path("/sys/fs/cgroup/lockstep-bench"), "memory.max"
    try:
        group.mkdir(exist_ok=True)
        (group / name).write_text(str(mebibytes << 20))
    except OSError as reason:
        print(f"data: no limit on memory: {reason}", flush=True)
        yield []
        return
    try:
        yield ["sh", "-c", f"echo $$ >{group}/cgroup.procs && exec \"$@\"", "limited"]
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()


# ---- the programs ----------------------------------------------------------------------------

def run(options, words, before=()):
    """Runs lockstep, and gives the largest sum of its ranks' memory, MiB."""
    command = [str(word) for word in (*before, lockstep.SCRIPTS / "mpirun.sh", options.cores,
                                      options.lockstep, *words)]
    values = dict(os.environ, OMP_NUM_THREADS="1", MPIRUN_PROGRAM=str(options.lockstep))
    values.setdefault("MPIRUN_OPTIONS", "--bind-to core")
    with tempfile.TemporaryFile("w+") as said, subprocess.Popen(
            command, env=values, stdout=said, stderr=said) as process:
        largest = watch(process)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"bench-peers: {' '.join(command)}: exit code {process.returncode}\n"
                             f"{said.read()}")
    return largest


def watch(process):
    largest = 0
    while process.poll() is None:
        pids = memory.descendants(os.getpid())
        largest = max(largest, sum(memory.mebibytes(pid)[1] for pid in pids))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
    return largest


def buffer_of(options):
    """MiB, of the limit: the ranks need some for themselves."""
    return options.data_limit // 4


def own(options, files, residence, shuffle, before=()):
    """A turn of lockstep's bench: samples/s, MiB, and what it read."""
    with tempfile.TemporaryDirectory() as folder:
        result = pathlib.Path(folder) / "bench.json"
        steps = max(1, options.data_samples // BATCH // 8)
        largest = run(options, ["bench", HERE / "volumes.yaml", "--quiet", "--steps", steps,
                                "--windows", 3, "--json", result, "--set", f"data.file={files}",
                                "--set", f"data.residence={residence}", "--set",
                                f"data.buffer={buffer_of(options)}", "--set",
                                f"data.shuffle={shuffle}",
                                "--set", f"compute.isa={lockstep.ISAS[options.isa]}"], before)
        said = json.loads(result.read_text())
    return said["samples_per_second"]["median"], largest, said.get("data", {})


def loader(options, workers, files):
    """A turn of PyTorch: samples/s, MiB."""
    command = [sys.executable, "-B", HERE / "data_loader.py", files, str(workers), str(BATCH),
               str(options.cores), str(options.seconds)]
    values = dict(os.environ, OMP_NUM_THREADS=str(options.cores))
    with subprocess.Popen([str(word) for word in command], env=values, text=True,
                          stdout=subprocess.PIPE) as process:
        sizes = []
        watcher = threading.Thread(target=lambda: sizes.append(watch(process)))
        watcher.start()
        rate = float(process.stdout.readline() or "nan")
        watcher.join()
    return rate, sizes[0], {}


def programs(options, before):
    folder = options.data_folder
    forms = {"contiguous": folder / "contiguous.h5", "chunks of 4": folder / "chunks.h5",
             f"{FILES} files": folder / "part-*.h5"}
    made = {}
    if options.own:
        made["node"] = lambda: own(options, forms["contiguous"], "node", "true")
        for name, files in forms.items():
            made[f"stream, {name}"] = lambda files=files: own(options, files, "stream", "true",
                                                              before)
        made["stream, chunks of 4, window"] = lambda: own(options, forms["chunks of 4"], "stream",
                                                          "window", before)
    for workers in (0, 2):
        made[f"DataLoader, {workers} workers, contiguous"] = \
            lambda workers=workers: loader(options, workers, forms["contiguous"])
    return made


def digest(options, files, residence, before=()):
    with tempfile.TemporaryDirectory() as folder:
        run(options, ["train", HERE / "volumes.yaml", "--quiet", "--out", folder, "--set",
                      f"data.file={files}", "--set", f"data.residence={residence}", "--set",
                      f"data.buffer={buffer_of(options)}"], before)
        newest = max(pathlib.Path(folder).glob("checkpoint-*.h5"))
        return subprocess.run([options.lockstep, "info", "--digest", newest], check=True,
                              capture_output=True, text=True).stdout.split()[0]


def compare_digests(options, results, before):
    """An epoch of each form ends in the same bits."""
    folder, node = options.data_folder, None
    for name in ("contiguous.h5", "chunks.h5", "part-*.h5"):
        key = {**KEY, "program": name, "measure": "digest_of_node"}
        if not results.values(**key):
            node = node or digest(options, folder / "contiguous.h5", "node")
            results.add(digest(options, folder / name, "stream", before) == node, **key)
        same = results.values(**key)[-1]
        print(f"data: an epoch of {name}, streamed: the digest is {'' if same else 'NOT '}"
              "that of node", flush=True)


def take_turns(options, results, made):
    for round_ in range(1, options.rounds + 1):
        order = list(made)
        first = round_ % len(order)
        for name in order[first:] + order[:first]:
            key = {**KEY, "program": name, "round": round_}
            if results.values(**key, measure="proportional_mib"):
                continue
            rate, size, data = made[name]()
            print(f"data {round_}: {name}: {rate:.0f} samples/s, {size:.0f} MiB", flush=True)
            if data.get("residence") == "stream":
                results.add(data["bytes_read"] / data["bytes_needed"], **key,
                            measure="read_over_needed")
            results.add(rate, **key, measure="samples_per_second")
            results.add(size, **key, measure="proportional_mib")


def compare(options, results):
    share = FILES * BLOCK
    options.data_samples = max(1, int(options.data_gib * 2**30) // SAMPLE // share) * share
    options.data_folder /= str(options.data_samples)
    make(options.data_folder, options.data_samples)
    with limited(options.data_limit) as before:
        made = programs(options, before)
        take_turns(options, results, made)
        if options.own:
            compare_digests(options, results, before)
    table = []
    for name in made:
        key = {**KEY, "program": name}
        rates = results.values(**key, measure="samples_per_second")
        sizes = results.values(**key, measure="proportional_mib")
        read = results.values(**key, measure="read_over_needed")
        table.append([name, spread(rates), f"{statistics.median(rates) * SAMPLE / 1e6:.0f}",
                      f"{statistics.median(sizes):.0f}",
                      f"{statistics.median(read):.2f}" if read else "-"])
    print_table(f"{options.data_gib:g} GiB of samples, streams limited to {options.data_limit} MiB: "
                f"median (min-max) of {options.rounds} alternating turns",
                ["program", "samples/s", "MB/s", "MiB of all processes", "read/needed"], table)
    if options.data_remove:
        shutil.rmtree(options.data_folder)
