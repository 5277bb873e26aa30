"""LeNet, batch 128: the memory of a rank while it trains."""
import os
import pathlib
import threading

import lockstep
import pytorch
from results import print_table

PLACE = ("lenet", 128, "float32")
KEY = dict(zip(("network", "batch", "type"), PLACE), part="memory")
WINDOWS = 5


def descendants(pid):
    """The processes below this one."""
    children = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:  # it has ended
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found, queue = [], [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def mebibytes(pid):
    """Peak resident and present proportional size, in which a page of two processes counts half."""
    folder = pathlib.Path(f"/proc/{pid}")
    try:
        lines = ((folder / "status").read_text()
                 + (folder / "smaps_rollup").read_text()).splitlines()
        sizes = dict(line.split(":", 1) for line in lines if line.endswith(" kB"))
        return [int(sizes[name].split()[0]) / 1024 for name in ("VmHWM", "Pss")]
    except (OSError, KeyError):  # it ends
        return [0, 0]


def is_rank(pid, opened):
    if hasattr(opened, "pids"):
        return pid in opened.pids
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "lockstep"
    except OSError:
        return False


def peaks(opened, seconds):
    """While it takes a turn: the largest peak of a rank, the largest sum of all ranks."""
    largest, together = 0, 0
    turn = threading.Thread(target=opened.turn, args=(seconds, WINDOWS))
    turn.start()
    while turn.is_alive():
        sizes = [mebibytes(pid) for pid in descendants(os.getpid()) if is_rank(pid, opened)]
        largest = max([largest] + [peak for peak, _ in sizes])
        together = max(together, sum(now for _, now in sizes))
        turn.join(0.1)
    return largest, together


def run(options, results):
    """PyTorch without the settings that keep freed memory with the process."""
    programs = {"lockstep": lambda: lockstep.Lockstep(options, *PLACE, "fixed")} \
        if options.own else {}
    for name in ("ddp-eager", "single-eager"):
        programs[f"PyTorch {name}"] = \
            lambda name=name: pytorch.Peer(options, *PLACE, name, tuned=False)
    table = []
    for name, start in programs.items():
        with start() as opened:
            opened.turn(options.seconds / 5, WINDOWS)
            largest, together = peaks(opened, options.seconds)
        results.add(largest, **KEY, program=name, round=1, measure="peak_resident_mib")
        results.add(together, **KEY, program=name, round=1, measure="proportional_mib")
        table.append([name, f"{largest:.0f}", f"{together:.0f}"])
    print_table("Memory, LeNet, batch 128, MiB",
                ["program", "peak of a rank (VmHWM)", "all ranks, shared pages once (PSS)"], table)
