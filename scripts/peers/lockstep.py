"""lockstep as the comparison sees it: its commands, and how its rate is measured."""
import os
import pathlib
import subprocess
import tempfile

import h5py

import samples

HERE = pathlib.Path(__file__).parent
SCRIPTS = HERE.parent
CONFIGS = {"mlp": HERE / "mlp.yaml", "lenet": SCRIPTS.parent / "configs/fashion-mnist.yaml",
           "resnet20": SCRIPTS.parent / "configs/resnet20.yaml",
           "resnet18": HERE / "resnet18.yaml", "cosmoflow": HERE / "cosmoflow.yaml"}
SLICE = 64  # samples
ISAS = {"native": "auto", "avx2": "avx2"}  # it refuses one that it cannot have


class Refused(Exception):
    """lockstep says that its configuration is wrong; the message is its own."""


def find_lr(setup, network, folder, **sets):
    """The command of a range test with these keys (a__b for a.b), and its environment."""
    command = [SCRIPTS / "mpirun.sh", setup.cores, setup.lockstep, "find-lr", CONFIGS[network],
               "--out", folder, "--set", f"data.file={samples.file_of(setup, network)}",
               "--set", f"compute.isa={ISAS[setup.isa]}"]
    for key, value in sets.items():
        command += ["--set", f"{key.replace('__', '.')}={value}"]
    values = dict(os.environ, OMP_NUM_THREADS="1")
    values.setdefault("MPIRUN_OPTIONS", "--bind-to core")
    return [str(word) for word in command], values


def train_keys(cores, batch, type_, exchange_sum="fixed"):
    """A range test as plain training: it stays at learning rates at which nothing diverges."""
    return {"batch__size": batch, "batch__slices": max(cores, batch // SLICE),
            "compute__type": type_, "exchange_sum": exchange_sum, "find_lr__start": 1e-8,
            "find_lr__end": 1e-3}


def step_seconds(setup, network, steps, keys):
    """The seconds of each step of a run."""
    with tempfile.TemporaryDirectory() as folder:
        command, values = find_lr(setup, network, folder, find_lr__steps=steps, **keys)
        done = subprocess.run(command, env=values, capture_output=True, text=True, check=False)
        if done.returncode == 2:
            raise Refused(done.stderr.strip().splitlines()[0])
        if done.returncode:
            raise SystemExit(f"bench-peers: {' '.join(command)}: exit code {done.returncode}\n"
                             f"{done.stderr}")
        with h5py.File(pathlib.Path(folder) / "find-lr.h5") as file:
            return file["find_lr/seconds"][:]


class Lockstep:
    """Turns of lockstep, each a run of its own; as pytorch.Peer."""

    def __init__(self, setup, network, batch, type_, exchange_sum):
        self.setup, self.network, self.batch = setup, network, batch
        self.keys = train_keys(setup.cores, batch, type_, exchange_sum)
        self.seconds_per_step = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def turn(self, seconds, windows):
        """Samples/s of each window."""
        if self.seconds_per_step is None:
            self.seconds_per_step = step_seconds(self.setup, self.network, 8, self.keys)[5:].mean()
        steps = max(1, round(seconds / windows / self.seconds_per_step))
        warm_up = 5
        all_ = step_seconds(self.setup, self.network, warm_up + windows * steps, self.keys)
        return [steps * self.batch / window
                for window in all_[warm_up:].reshape(windows, steps).sum(axis=1)]
