#!/usr/bin/env python3
"""Takes a checkpoint's weights into PyTorch and compares its probabilities with lockstep's.

Usage: tests/system/torch_predict.py CHECKPOINT.h5 DATA.h5 PREDICTIONS.h5
The network is that of tests/system/command.c; dropout does nothing in a prediction.
"""
import sys

import h5py
import numpy as np
import torch
from torch import nn

# Of a probability: float32 sums in another order make about 1e-6.
TOLERANCE = 1e-5


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.batch_norm1 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x):
        return x + self.batch_norm1(self.conv1(x))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.batch_norm1 = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.residual1 = Block()
        self.dense1 = nn.Linear(4 * 7 * 7, 10)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.batch_norm1(self.conv1(x)).relu(), 4)
        return self.dense1(self.residual1(x).relu().flatten(1)).softmax(1)


def load(module, group):
    """Every parameter and statistic of a layer from the arrays of that name."""
    names = {"weight": "weight", "bias": "bias"}
    if isinstance(module, nn.BatchNorm2d):
        names = {"weight": "scale", "bias": "shift", "running_mean": "running_mean",
                 "running_var": "running_variance"}
    for ours, theirs in names.items():
        array = torch.from_numpy(group[theirs][:])
        target = getattr(module, ours)
        assert target.shape == array.shape, f"{group.name}/{theirs}: {tuple(array.shape)}"
        target.data.copy_(array)


def main():
    checkpoint, data, predictions = sys.argv[1:]
    torch.set_num_threads(1)
    network = Network().eval()
    with h5py.File(checkpoint, "r") as file:
        load(network.conv1, file["model/conv1"])
        load(network.batch_norm1, file["model/batch_norm1"])
        load(network.residual1.conv1, file["model/residual1/body/conv1"])
        load(network.residual1.batch_norm1, file["model/residual1/body/batch_norm1"])
        load(network.dense1, file["model/dense1"])
        mean, deviation = file["data/mean"][:], file["data/deviation"][:]
    with h5py.File(data, "r") as file:
        inputs = file["test/inputs"][:].astype(np.float32)
    with h5py.File(predictions, "r") as file:
        theirs = file["outputs"][:]
    inputs = (inputs - mean[:, None, None]) / deviation[:, None, None]
    with torch.no_grad():
        ours = network(torch.from_numpy(inputs)).numpy()
    assert ours.shape == theirs.shape, f"{ours.shape}, {theirs.shape}"
    difference = np.abs(ours - theirs).max()
    assert difference <= TOLERANCE, f"largest difference of a probability: {difference:.3g}"
    # What every network gives would prove nothing.
    assert theirs.std(axis=0).max() > 0.1, "the predictions hardly depend on the sample"
    print(f"{len(theirs)} predictions, largest difference {difference:.2g}")


if __name__ == "__main__":
    main()
