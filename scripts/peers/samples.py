"""The training sets: Fashion-MNIST, noise for ResNet-18 and CosmoFlow; how PyTorch's loops have them,
in memory, as floats."""
import h5py

MEAN, DEVIATION = 72.94, 90.02  # of the pixels from 0 to 255
VOLUMES, IMAGES, CLASSES = 32, 1024, 200


def file_of(setup, network):
    return {"cosmoflow": setup.volumes, "resnet18": setup.images}.get(network, setup.data)


def make_volumes(path):
    """Inputs (N, 4, 64, 64, 64) and four targets each: to be fast on, not to be learnt from."""
    import numpy
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = numpy.random.default_rng(1)
    with h5py.File(path, "w") as file:
        for split, count in (("train", VOLUMES), ("test", 1)):
            file[f"{split}/inputs"] = rng.standard_normal((count, 4, 64, 64, 64), "float32")
            file[f"{split}/targets"] = rng.uniform(-1, 1, (count, 4)).astype("float32")


def make_images(path):
    """Inputs (N, 3, 64, 64) from 0 to 255, and one of 200 classes each: to be fast on, likewise."""
    import numpy
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = numpy.random.default_rng(1)
    with h5py.File(path, "w") as file:
        for split, count in (("train", IMAGES), ("test", CLASSES)):
            file[f"{split}/inputs"] = rng.integers(0, 256, (count, 3, 64, 64), "uint8")
            file[f"{split}/targets"] = (numpy.arange(count) % CLASSES).astype("uint8")


def read(path, rank=0, ranks=1):
    """This rank's part: images and classes (N), or volumes and their targets."""
    import torch
    with h5py.File(path) as file:
        count = len(file["train/targets"]) // ranks
        part = slice(rank * count, (rank + 1) * count)
        inputs = torch.from_numpy(file["train/inputs"][part]).float()
        targets = torch.from_numpy(file["train/targets"][part])
    if targets.is_floating_point():
        return inputs, targets
    targets = targets.long()
    return inputs.sub_(MEAN).div_(DEVIATION), targets
