"""PyTorch's processes as the comparison sees them: variants, environment, turns."""
import fnmatch
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile

import samples

HERE = pathlib.Path(__file__).parent

# ddp: DistributedDataParallel, one process of one thread per core; single: one process, all threads.
# compile: torch.compile around DDP and loss; compile-inner: DDP around the compiled network.  Which
# is faster depends on the network.
VARIANTS = ["ddp-eager", "ddp-channels_last", "ddp-compile", "ddp-compile-channels_last",
            "ddp-compile-inner", "ddp-compile-inner-channels_last",
            "single-eager", "single-channels_last", "single-compile",
            "single-compile-channels_last"]


def variants_for(network, patterns):
    """Those that match a pattern; a network without images has no layout to choose."""
    senseless = ("channels_last",) if network == "mlp" else ("inner",)
    return [name for name in VARIANTS if not name.endswith(senseless)
            and any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]


def physical_cores():
    """One CPU for each core that this process may use."""
    cores = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        topology = pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
        try:
            core = (topology / "thread_siblings_list").read_text()
        except OSError:
            core = cpu
        cores.setdefault(core, cpu)
    return list(cores.values())


def environment(threads, tuned=True):
    """Tuned: what PyTorch allocates anew each step stays with the process, in large pages."""
    values = dict(os.environ, OMP_NUM_THREADS=str(threads), GLOO_SOCKET_IFNAME="lo",
                  TQDM_DISABLE="1")
    if tuned:
        values.update(MALLOC_MMAP_THRESHOLD_="1000000000", MALLOC_TRIM_THRESHOLD_="10000000000",
                      MALLOC_TOP_PAD_="67108864", THP_MEM_ALLOC_ENABLE="1")
    return values


def bound(cores, *words):
    """The command of a Python program that keeps to these CPUs."""
    return [str(word) for word in
            ("taskset", "--cpu-list", ",".join(map(str, cores)), sys.executable, "-B", *words)]


def torchrun(setup, network, batch, type_, variant):
    """The command that ends after the first step, and its environment."""
    command = [sys.executable]
    threads = setup.cores
    if variant.startswith("ddp"):
        command += ["-m", "torch.distributed.run", "--standalone",
                    f"--nproc-per-node={setup.cores}"]
        threads = 1
    command += [HERE / "train_loop.py", samples.file_of(setup, network), network, batch, type_,
                variant, "--first-step"]
    return [str(word) for word in command], environment(threads)


# A convolution and a product, which print what oneDNN and MKL use.
PROBE = """
import torch
torch.nn.functional.conv2d(torch.ones(1, 8, 8, 8), torch.ones(8, 8, 3, 3))
torch.mm(torch.ones(64, 64), torch.ones(64, 64))
print("capability", torch.backends.cpu.get_cpu_capability())
"""
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


def limit_to_avx2():
    """This process's children; fails where PyTorch, or a library of its, uses another set."""
    os.environ.update(AVX2)
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True,
                          check=False, env=dict(os.environ, ONEDNN_VERBOSE="1", MKL_VERBOSE="1"))
    lines = done.stdout.splitlines()
    if "capability AVX2" not in lines:
        raise SystemExit(f"bench-peers: PyTorch does not keep to AVX2\n{done.stderr}{done.stdout}")
    for library, pattern in (("oneDNN", r"(one|)dnn_verbose.*isa:"), ("MKL", r"MKL_VERBOSE .*MKL")):
        line = next((line for line in lines if re.match(pattern, line)), None)
        if line is None:
            print(f"warning: PyTorch's {library} does not say which instruction set it uses")
        elif "AVX2" not in line or re.search("AVX-?512", line):
            raise SystemExit(f"bench-peers: PyTorch's {library} does not keep to AVX2: {line}")


class Failed(Exception):
    """A process of PyTorch ended; the message is its last error's."""


class Peer:
    """The processes of one variant: started once, then asked for turns."""

    def __init__(self, setup, network, batch, type_, variant, tuned=True):
        self.batch, self.seconds_per_step = batch, None
        ranks = setup.cores if variant.startswith("ddp") else 1
        values = environment(setup.cores // ranks, tuned)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            values.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(probe.getsockname()[1]))
        cores = physical_cores()[:setup.cores]
        self.messages = tempfile.TemporaryFile("w+")
        self.processes = []
        for rank in range(ranks):
            if ranks > 1:
                values.update(RANK=str(rank), WORLD_SIZE=str(ranks))
            mine = cores[rank % len(cores):][:1] if ranks > 1 else cores
            self.processes.append(subprocess.Popen(
                bound(mine, HERE / "train_loop.py", samples.file_of(setup, network), network,
                      batch, type_, variant),
                env=values, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=self.messages))
        self.pids = [process.pid for process in self.processes]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.stdin.close()
        for process in self.processes:
            process.wait()
        self.messages.close()

    def ask(self, warm_up, windows, steps):
        """Rank 0's seconds of each window."""
        answers = []
        for process in self.processes:
            try:
                process.stdin.write(f"{warm_up} {windows} {steps}\n")
                process.stdin.flush()
            except BrokenPipeError:
                pass
        for process in self.processes:
            line = process.stdout.readline()
            while line and not line.startswith("["):
                line = process.stdout.readline()
            if not line:
                self.fail()
            answers.append(json.loads(line))
        return answers[0]

    def fail(self):
        for process in self.processes:
            process.kill()
        self.messages.seek(0)
        lines = [line.strip() for line in self.messages if line.strip()]
        errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
        raise Failed((errors or lines or ["ended without a message"])[-1])

    def turn(self, seconds, windows):
        """Samples/s of each window; the first turn begins with compilation and more warm-up."""
        if self.seconds_per_step is None:
            self.seconds_per_step = self.ask(5, 1, 3)[0] / 3
        steps = max(1, round(seconds / windows / self.seconds_per_step))
        return [steps * self.batch / window for window in self.ask(max(3, steps), windows, steps)]
