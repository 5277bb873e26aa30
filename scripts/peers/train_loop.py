"""One PyTorch process of the comparison: training that does nothing but train, timed in windows.

Usage: train_loop.py DATA NETWORK BATCH TYPE VARIANT [--first-step]; pytorch.py starts it, alone or
as a rank of DistributedDataParallel.  It answers each line "WARM_UP WINDOWS STEPS" on its standard
input with the windows' seconds as a line of JSON, so that it compiles once and takes many turns.

What makes it fast: no batch is loaded, converted or normalised; no step waits for the loss's value;
gradients are views into DDP's buckets; the optimizer is one fused kernel; denormals are flushed.
"""
import json
import os
import sys
import time
import warnings

import torch
from torch import nn

import samples
from networks import NETWORKS


class Batches:
    """Endless batches in a new random order each epoch; the odd rest is left out."""

    def __init__(self, inputs, targets, size):
        self.inputs, self.targets, self.size = inputs, targets, size
        self.count, self.next = len(inputs) // size, 0

    def take(self):
        if self.next == 0:
            self.order = torch.randperm(len(self.inputs)).split(self.size)
        rows = self.order[self.next]
        self.next = (self.next + 1) % self.count
        return self.inputs.index_select(0, rows), self.targets.index_select(0, rows)


def distribute(network):
    """No buffers to broadcast: each rank normalises its own part of the batch.  static_graph and
    other sizes of buckets were not faster on any of the networks."""
    return nn.parallel.DistributedDataParallel(
        network, gradient_as_bucket_view=True, broadcast_buffers=False)


def make_step(data, network, batch, variant, bfloat16):
    """A function that makes one step of training and returns its loss."""
    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    words = variant.split("-")
    inputs, targets = samples.read(data, rank, ranks)
    network = NETWORKS[network]()
    if "channels_last" in words:
        last = torch.channels_last_3d if inputs.dim() == 5 else torch.channels_last
        inputs = inputs.to(memory_format=last)
        network = network.to(memory_format=last)
    if ranks > 1:
        torch.distributed.init_process_group("gloo")
        if "inner" in words:
            network = torch.compile(network, dynamic=False)
        network = distribute(network)
    criterion = nn.MSELoss() if targets.is_floating_point() else nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, fused=True)
    batches = Batches(inputs, targets, batch // ranks)

    def loss_of(inputs, targets):
        return criterion(network(inputs), targets)

    if "compile" in words and "inner" not in words:
        loss_of = torch.compile(loss_of, dynamic=False)

    def step():
        inputs, targets = batches.take()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            loss = loss_of(inputs, targets)
        loss.backward()
        optimizer.step()
        return loss

    return step


def time_windows(step, warm_up, windows, steps):
    for _ in range(warm_up):
        step()
    seconds, before = [], time.perf_counter()
    for _ in range(windows):
        for _ in range(steps):
            loss = step()
        loss.item()
        after = time.perf_counter()
        seconds.append(after - before)
        before = after
    return seconds


def main():
    data, network, batch, type_, variant, *rest = sys.argv[1:]
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    step = make_step(data, network, int(batch), variant, type_ == "bf16")
    if rest == ["--first-step"]:
        step().item()
        print("first step", flush=True)
    else:
        for line in sys.stdin:
            print(json.dumps(time_windows(step, *map(int, line.split()))), flush=True)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
