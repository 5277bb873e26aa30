"""Random fields on a periodic grid, for the scripts that make data, and how these write it."""
import argparse
import pathlib

import h5py
import numpy as np


def wave_numbers(size):
    """|k| on the half grid of a real Fourier transform, (size, size, size / 2 + 1)."""
    full, half = 2 * np.pi * np.fft.fftfreq(size), 2 * np.pi * np.fft.rfftfreq(size)
    return np.sqrt(full[:, None, None]**2 + full[None, :, None]**2 + half[None, None, :]**2)


def gaussian_field(rng, k, slope, scale):
    """A field (size, size, size) with the power spectrum k^slope exp(-(k scale)^2), of any variance."""
    size = k.shape[0]
    amplitude = np.where(k > 0, k, 1)**(slope / 2) * np.exp(-(k * scale)**2 / 2) * (k > 0)
    white = np.fft.rfftn(rng.normal(size=(size, size, size)))
    return np.fft.irfftn(white * amplitude, s=(size, size, size))


def positive(text):
    """An integer of at least 1, for argparse."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected at least 1")
    return int(text)


def write_file(output, write):
    """Makes the HDF5 file by write(file); it has its name only once it is whole."""
    path = pathlib.Path(output)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".tmp")
    with h5py.File(part, "w") as file:
        write(file)
    part.replace(path)
