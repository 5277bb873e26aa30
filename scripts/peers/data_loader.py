"""One PyTorch process that trains from h5py by a DataLoader, for data.py: prints its samples/s.

Usage: data_loader.py FILE WORKERS BATCH THREADS SECONDS
"""
import sys
import time

import h5py
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Samples(Dataset):
    """Each process opens the file for itself, at its first sample."""

    def __init__(self, path):
        self.path, self.file = path, None
        with h5py.File(path) as file:
            self.count = len(file["train/targets"])
            self.targets = torch.from_numpy(file["train/targets"][:])

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if self.file is None:
            self.file = h5py.File(self.path)
            self.inputs = self.file["train/inputs"]
        return torch.from_numpy(self.inputs[index]), self.targets[index]


def main():
    path, workers, batch, threads, seconds = sys.argv[1:]
    torch.set_num_threads(int(threads))
    network = nn.Sequential(nn.AvgPool3d(4), nn.Flatten(), nn.Linear(256, 10))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    loader = DataLoader(Samples(path), int(batch), shuffle=True, num_workers=int(workers),
                        drop_last=True)
    done, start = -10, time.perf_counter()
    while done <= 0 or time.perf_counter() - start < float(seconds):
        for inputs, targets in loader:
            optimizer.zero_grad()
            criterion(network(inputs.float().div_(1155)), targets).backward()
            optimizer.step()
            done += 1
            if done == 0:  # after warm-up
                start = time.perf_counter()
            if done > 0 and time.perf_counter() - start >= float(seconds):
                break
    print(done * int(batch) / (time.perf_counter() - start), flush=True)


main()
