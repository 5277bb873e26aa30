"""Fashion-MNIST as PyTorch's loops have it: the training set in memory as normalised floats."""
import h5py
import torch

MEAN, DEVIATION = 72.94, 90.02  # of the pixels from 0 to 255


def read(path, rank=0, ranks=1):
    """This rank's part: inputs (N, 1, 28, 28), float32, and targets (N)."""
    with h5py.File(path) as file:
        count = len(file["train/targets"]) // ranks
        part = slice(rank * count, (rank + 1) * count)
        inputs = torch.from_numpy(file["train/inputs"][part]).float()
        targets = torch.from_numpy(file["train/targets"][part]).long()
    return inputs.sub_(MEAN).div_(DEVIATION), targets
