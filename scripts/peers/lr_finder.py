"""A whole LR range test by another program: LeNet, batch 128, one process.

Usage: lr_finder.py DATA torch-lr-finder|lightning STEPS; prints "suggestion", the LR and the number
of points.  Both ramp from 1e-8 to 10 and stop at 4 times the best smoothed loss, as lockstep does;
their loaders hand out batches of tensors in memory, and nothing is drawn, logged or saved that they
do not insist on.
"""
import logging
import os
import sys
import tempfile
import warnings

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import samples
from networks import NETWORKS

FIRST_LR, LAST_LR, STOP_FACTOR, SMOOTHING, BATCH = 1e-8, 10, 4, 0.98, 128


class Batches(Dataset):
    """One epoch in random order; an item is a whole batch."""

    def __init__(self, inputs, targets):
        self.inputs, self.targets = inputs, targets
        self.order = torch.randperm(len(inputs)).split(BATCH)

    def __len__(self):
        return len(self.order)

    def __getitem__(self, index):
        rows = self.order[index]
        return self.inputs.index_select(0, rows), self.targets.index_select(0, rows)


def make_optimizer(network):
    return torch.optim.SGD(network.parameters(), lr=FIRST_LR, momentum=0.9, fused=True)


def torch_lr_finder(network, loader, steps):
    import numpy as np
    from torch_lr_finder import LRFinder
    finder = LRFinder(network, make_optimizer(network), nn.CrossEntropyLoss(), device="cpu")
    finder.range_test(loader, start_lr=FIRST_LR, end_lr=LAST_LR, num_iter=steps, step_mode="exp",
                      smooth_f=1 - SMOOTHING, diverge_th=STOP_FACTOR)
    finder.reset()
    rates, losses = finder.history["lr"], finder.history["loss"]
    steepest = np.gradient(np.array(losses[10:-5])).argmin()  # as plot() suggests it
    return rates[10 + steepest], len(rates)


def lightning(network, loader, steps):
    import pytorch_lightning
    from pytorch_lightning.tuner import Tuner
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)

    class Module(pytorch_lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.network, self.criterion = network, nn.CrossEntropyLoss()

        def training_step(self, batch, _):
            inputs, targets = batch
            return self.criterion(self.network(inputs), targets)

        def configure_optimizers(self):
            return make_optimizer(self.network)

    with tempfile.TemporaryDirectory() as folder:
        trainer = pytorch_lightning.Trainer(
            accelerator="cpu", devices=1, max_epochs=1, default_root_dir=folder, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
        finder = Tuner(trainer).lr_find(
            Module(), train_dataloaders=loader, min_lr=FIRST_LR, max_lr=LAST_LR,
            num_training=steps, mode="exponential", early_stop_threshold=STOP_FACTOR,
            update_attr=False)
    return finder.suggestion(), len(finder.results["lr"])


def main():
    data, program, steps = sys.argv[1:]
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    inputs, targets = samples.read(data)
    network = NETWORKS["lenet"]().to(memory_format=torch.channels_last)
    loader = DataLoader(Batches(inputs.to(memory_format=torch.channels_last), targets),
                        batch_size=None)
    find = {"torch-lr-finder": torch_lr_finder, "lightning": lightning}[program]
    rate, points = find(network, loader, int(steps))
    print(f"suggestion {rate:.3g} from {points} points", flush=True)


if __name__ == "__main__":
    main()
