#!/usr/bin/env python3
"""Makes the data of configs/fields-3d.yaml: random density fields in three dimensions.

Usage: scripts/make-fields.py [--train 2048] [--test 512] [--size 24] [--seed 1] [OUT.h5]
OUT.h5 is build/data/fields-3d.h5 unless given.  Needs numpy and h5py (Debian: python3-h5py).

The data is synthetic: Gaussian random fields on a periodic grid of SIZE cells a side with the power
spectrum
    P(k) = A k^n exp(-(k R)^2)    k in radians a cell, R in cells.
The targets are n, uniform in [-2, 1], and R, uniform in [0.5, 1.5]; each field's variance is uniform
on a logarithmic scale from 1/2 to 2 and says nothing about them.  To find n and R in a field is the
task of CosmoFlow (Mathuriya et al. 2018) in small, on fields that are Gaussian and need no N-body
simulation.  Sample i is a function of (seed, split, i) alone, whatever the counts.
"""
import argparse

import numpy as np

from random_fields import gaussian_field, positive, wave_numbers, write_file

SLOPE = (-2.0, 1.0)
SCALE = (0.5, 1.5)
VARIANCE = (0.5, 2.0)


def make_field(rng, k):
    """One field, (size, size, size), and its (n, R)."""
    slope, scale = rng.uniform(*SLOPE), rng.uniform(*SCALE)
    variance = np.exp(rng.uniform(*np.log(VARIANCE)))
    field = gaussian_field(rng, k, slope, scale)
    return field * np.sqrt(variance / field.var()), (slope, scale)


def write_split(file, name, count, args):
    inputs = file.create_dataset(name + "/inputs", (count, 1) + (args.size,) * 3, "float32",
                                 chunks=(1, 1) + (args.size,) * 3, fletcher32=True)
    targets = np.empty((count, 2), "float32")
    k = wave_numbers(args.size)
    for i in range(count):
        rng = np.random.default_rng([args.seed, name == "test", i])
        inputs[i, 0], targets[i] = make_field(rng, k)
    file[name + "/targets"] = targets


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", nargs="?", default="build/data/fields-3d.h5", metavar="OUT.h5")
    parser.add_argument("--train", type=positive, default=2048, help="training samples")
    parser.add_argument("--test", type=positive, default=512, help="test samples")
    parser.add_argument("--size", type=positive, default=24, help="cells a side")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    def write(file):
        write_split(file, "train", args.train, args)
        write_split(file, "test", args.test, args)
    write_file(args.output, write)
    print(f"wrote {args.output}: {args.train} training and {args.test} test fields of {args.size}^3")


if __name__ == "__main__":
    main()
