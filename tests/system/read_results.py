#!/usr/bin/env python3
"""Reads what a training and a prediction left behind, with h5py alone, and checks that it fits.

Usage: tests/system/read_results.py TRAIN.h5 CHECKPOINT.h5 DATA.h5 PREDICTIONS.h5
The network is that of tests/system/command.c, the checkpoint the last one of the training.
"""
import sys

import h5py
import numpy as np

NORM = {"scale": (4,), "shift": (4,), "running_mean": (4,), "running_variance": (4,)}
CONV = {"weight": (4, 4, 3, 3), "bias": (4,)}
MODEL = {
    "conv1": {"weight": (4, 1, 3, 3), "bias": (4,)},
    "batch_norm1": NORM,
    "residual1": {"body": {"conv1": CONV, "batch_norm1": NORM}},
    "dense1": {"weight": (10, 4 * 7 * 7), "bias": (10,)},
}


def check_weights(group, expected):
    """Names and shapes; plain arrays of float32, in one piece, that hold something."""
    assert set(group) == set(expected), f"{group.name}: {list(group)}"
    for name, shape in expected.items():
        if isinstance(shape, dict):
            check_weights(group[name], shape)
            continue
        array = group[name]
        assert array.shape == shape and array.dtype == np.float32, f"{array.name}: {array}"
        assert array.chunks is None and array.id.get_offset() is not None, array.name
        assert np.isfinite(array[:]).all() and array[:].any(), array.name


def last_evaluation(path):
    """Test loss and accuracy after the last step, from curves without a hole."""
    with h5py.File(path, "r") as file:
        assert file.attrs["state"] == b"finished"
        group = file[file.attrs["group"]]
        points, per_epoch = int(group["points"][()]), int(group.attrs["steps_per_epoch"])
        curves = {name: group[name][:points] for name in
                  ("lr", "momentum", "loss", "smoothed_loss", "accuracy", "gradient_norm")}
        tests = {name: group[name][:points] for name in ("test_loss", "test_accuracy")}
    ends = np.arange(1, points + 1) % per_epoch == 0
    for name, values in {**curves, **tests}.items():
        measured = ends if name in tests else np.ones(points, bool)
        assert values.shape == (points,) and values.dtype == np.float64, f"{name}: {values.shape}"
        assert (np.isfinite(values) == measured).all(), f"{name}: {values}"
    assert points == 3 * per_epoch and ends[-1]
    assert curves["loss"][-1] < curves["loss"][0], "nothing was learnt"
    return tests["test_loss"][-1], tests["test_accuracy"][-1]


def main():
    train, checkpoint, data, predictions = sys.argv[1:]
    loss, accuracy = last_evaluation(train)
    with h5py.File(checkpoint, "r") as file:
        check_weights(file["model"], MODEL)
    with h5py.File(data, "r") as file:
        targets = file["test/targets"][:]
    with h5py.File(predictions, "r") as file:
        outputs, classes = file["outputs"][:], file["predicted_class"][:]
    assert outputs.shape == (len(targets), 10) and outputs.dtype == np.float32
    assert np.allclose(outputs.sum(axis=1), 1, atol=1e-5)
    assert (outputs.argmax(axis=1) == classes).all()
    chosen = outputs[np.arange(len(targets)), targets].astype(np.float64)
    assert abs(np.mean(-np.log(chosen)) - loss) <= 1e-5 * loss, (np.mean(-np.log(chosen)), loss)
    assert np.mean(classes == targets) == accuracy, (np.mean(classes == targets), accuracy)
    print(f"{len(targets)} predictions, loss {loss:.4f}, accuracy {accuracy:.2f}")


if __name__ == "__main__":
    main()
