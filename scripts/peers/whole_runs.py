"""LeNet, batch 128: start-up and the whole LR range test, from command to answer."""
import pathlib
import statistics
import subprocess
import tempfile
import time

import lockstep
import pytorch
from results import print_table, spread

HERE = pathlib.Path(__file__).parent
PLACE = ("lenet", 128, "float32")
KEY = dict(zip(("network", "batch", "type"), PLACE))


def seconds_until(start_of_line, command, values):
    """From the command to the line of its output that begins so, and that line."""
    begin = time.perf_counter()
    with tempfile.TemporaryFile("w+") as messages, subprocess.Popen(
            command, env=values, text=True, stdout=subprocess.PIPE, stderr=messages) as process:
        for line in process.stdout:
            if line.startswith(start_of_line):
                seconds = time.perf_counter() - begin
                process.stdout.read()
                return seconds, line.strip()
        process.wait()
        messages.seek(0)
        raise SystemExit(f"bench-peers: {' '.join(command)}: no line {start_of_line!r}, exit code "
                         f"{process.returncode}\n{messages.read()}")


def compare(options, results, part, title, programs):
    """Alternating whole runs.  programs: name -> function of a folder: start of line, command,
    environment."""
    key = {"part": part, **KEY, "measure": "seconds"}
    for round_ in range(1, options.rounds + 1):
        order = list(programs)
        first = round_ % len(order)
        for name in order[first:] + order[:first]:
            with tempfile.TemporaryDirectory() as folder:
                seconds, line = seconds_until(*programs[name](folder))
            print(f"{part} {round_}: {name}: {seconds:.2f} s ({line})", flush=True)
            results.add(seconds, **key, program=name, round=round_)
    times = {name: results.values(**key, program=name) for name in programs}
    first = statistics.median(next(iter(times.values())))
    print_table(f"{title}: seconds, median (min-max) of {options.rounds} alternating runs",
                ["program", "seconds", "ratio"],
                [[name, spread(values, 2), f"{statistics.median(values) / first:.2f}"]
                 for name, values in times.items()])


def start_up(options, results):
    """lockstep's is a run of one step to its last line, which comes after the run file is closed."""
    def own(folder):
        keys = lockstep.train_keys(options.cores, *PLACE[1:])
        return ("weights,", *lockstep.find_lr(options, "lenet", folder, find_lr__steps=1, **keys))

    def peer(variant):
        return lambda _: ("first step", *pytorch.torchrun(options, *PLACE, variant))

    programs = {"lockstep": own} if options.own else {}
    programs.update({f"PyTorch {name}": peer(name) for name in ("ddp-eager", "single-eager")})
    compare(options, results, "start-up", "Command to the end of the first step", programs)


def range_test(options, results):
    def own(folder):
        return (("recommended", "no learning rate"), *lockstep.find_lr(options, "lenet", folder,
                                                 find_lr__steps=options.range_steps))

    def peer(name):
        command = pytorch.bound(pytorch.physical_cores()[:options.cores], HERE / "lr_finder.py",
                                options.data, name, options.range_steps)
        return lambda _: ("suggestion", command, pytorch.environment(options.cores))

    programs = {"lockstep": own} if options.own else {}
    programs.update({name: peer(name) for name in ("torch-lr-finder", "lightning")})
    compare(options, results, "range-test", "LR range test, command to suggestion", programs)
