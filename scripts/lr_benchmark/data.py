"""The data sets of scripts/lr-benchmark: real ones that Debian's packages ship, as files for lockstep.

Packages that are not installed are fetched by apt-get download and unpacked below the output folder:
neither root nor R is needed. R's formats are read by the package rdata (python3-rdata).
"""
import bz2
import csv
import gzip
import lzma
import pathlib
import struct
import subprocess
import warnings
import zlib

import numpy as np

LIBRARY = "usr/lib/R/site-library"
DIGITS = "usr/lib/python3/dist-packages/sklearn/datasets/data/digits.csv.gz"


class Packages:
    """Files of Debian packages: installed ones, or unpacked in `folder`."""

    def __init__(self, folder):
        self.folder = folder

    def path(self, package, path):
        if pathlib.Path("/", path).exists():
            return pathlib.Path("/", path)
        root = self.folder / package
        if not (root / path).exists():
            root.mkdir(parents=True, exist_ok=True)
            subprocess.run(["apt-get", "download", "-qq", package], cwd=root, check=True,
                           stderr=subprocess.DEVNULL)
            for archive in root.glob("*.deb"):
                subprocess.run(["dpkg-deb", "-x", archive, root], check=True)
        return root / path


# ---- R's formats ---------------------------------------------------------------------------------


def frame_of(value):
    """A data frame as {column: list of texts and numbers}."""
    return {str(name): list(value[name]) for name in value.columns}


def parse(data):
    import rdata
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if data[:2] == b"X\n":  # a single object: Debian 12's rdata wants the head of a file of several
        data = b"RDX3\n" + data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rdata.conversion.convert(rdata.parser.parse_data(data))


def lazy_object(base, name):
    """`name` of a lazy-load database: BASE.rdx says where in BASE.rdb it is (R, lazyload.c)."""
    index = parse(base.with_suffix(".rdx").read_bytes())
    offset, length = (int(x) for x in index["variables"][name])
    block = base.with_suffix(".rdb").read_bytes()[offset:offset + length]
    size, kind = struct.unpack(">I", block[:4])[0], block[4:5]
    if kind == b"2":
        data = bz2.decompress(block[5:])
    elif kind == b"Z":
        data = lzma.decompress(block[5:], lzma.FORMAT_RAW,
                               filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 26}])
    else:
        data = zlib.decompress(block[4:])
    assert len(data) == size, f"{base}: {name} is damaged"
    return parse(data)


def r_frame(packages, package, library, name):
    folder = packages.path(f"r-cran-{package}", f"{LIBRARY}/{library}/data")
    for ending in (".rda", ".RData"):
        if (folder / (name + ending)).exists():
            return frame_of(parse((folder / (name + ending)).read_bytes())[name])
    return frame_of(lazy_object(folder / "Rdata", name))


# ---- tables to splits ----------------------------------------------------------------------------


def missing(value):
    return value is None or value != value or str(value) in ("", "nan", "NA")


def number_or_word(value):
    """As text for CSV. Words get a letter before them, so that a factor's code is no number."""
    if isinstance(value, (bool, np.bool_, str)):
        return "w" + str(value).replace(",", ";").replace('"', "")
    return repr(float(value))


def write_rows(path, names, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(rows)


def table_to_hdf5(lockstep, table, target, share, folder, name, regression=False, shape=None):
    """A random `share` of the rows, always the same, is the test split; rows with gaps, and test rows
    with words that no training row has, are left out."""
    names = [c for c in table if c != target] + [target]
    rows = [[number_or_word(x) for x in row] for row in zip(*(table[c] for c in names))
            if not any(missing(x) for x in row)]
    order = np.random.default_rng(20171).permutation(len(rows))
    tested = int(round(share * len(rows)))
    train, test = ([rows[i] for i in part] for part in (order[tested:], order[:tested]))
    known = {(k, x) for row in train for k, x in enumerate(row)}
    test = [row for row in test
            if all(x[0] != "w" or (k, x) in known for k, x in enumerate(row))]
    columns = ["x" + str(i) for i in range(len(names) - 1)] + ["target"]
    write_rows(folder / f"{name}-test.csv", columns, test)
    write_rows(folder / f"{name}-train.csv", columns, train)
    command = [lockstep, "convert", "--train-inputs", folder / f"{name}-train.csv",
               "--test-inputs", folder / f"{name}-test.csv", "--target-column", "target",
               "-o", folder / f"{name}.h5"]
    command += ["--regression"] if regression else []
    command += ["--shape", shape] if shape else []
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


# ---- the sets ------------------------------------------------------------------------------------

# name: package, R library, object, target, share of the rows for the test, regression
FRAMES = {
    "shuttle": ("mlbench", "mlbench", "Shuttle", "Class", 0.25, False),
    "letters": ("mlbench", "mlbench", "LetterRecognition", "lettr", 0.25, False),
    "dna": ("mlbench", "mlbench", "DNA", "Class", 1 / 3, False),
    "satellite": ("mlbench", "mlbench", "Satellite", "classes", 1 / 3, False),
    "vowel": ("mlbench", "mlbench", "Vowel", "Class", 1 / 3, False),
    "spam": ("kernlab", "kernlab", "spam", "type", 1 / 3, False),
    "diamonds": ("ggplot2", "ggplot2", "diamonds", "price", 0.1, True),
    "cells": ("modeldata", "modeldata", "cells", "class", 1 / 3, False),
    "jobs": ("modeldata", "modeldata", "hpc_data", "class", 1 / 3, False),
    "concrete": ("modeldata", "modeldata", "concrete", "compressive_strength", 1 / 3, True),
    "vocabulary": ("cardata", "carData", "Vocab", "vocabulary", 0.2, True),
    "churn": ("modeldata", "modeldata", "mlc_churn", "churn", 1 / 3, False),
    "credit": ("modeldata", "modeldata", "credit_data", "Status", 1 / 3, False),
    "income": ("kernlab", "kernlab", "income", "INCOME", 1 / 3, False),
    "ratings": ("lme4", "lme4", "InstEval", "y", 0.2, True),
}
NOT_INPUTS = {"cells": ["case"], "churn": ["state"], "ratings": ["s", "d"]}


def digits_table(packages):
    """The 1,797 digits of 8 x 8 pixels that scikit-learn ships."""
    with gzip.open(packages.path("python3-sklearn", DIGITS), "rt") as file:
        columns = list(zip(*([float(x) for x in row] for row in csv.reader(file))))
    table = {f"pixel{i}": column for i, column in enumerate(columns[:-1])}
    table["target"] = [str(int(x)) for x in columns[-1]]
    return table


def make(name, lockstep, folder, fashion_mnist):
    """FOLDER/NAME.h5, unless it is there."""
    path = folder / f"{name}.h5"
    if path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    packages = Packages(folder / "packages")
    if name == "fashion":
        subprocess.run([lockstep, "convert", fashion_mnist, "-o", path], check=True,
                       stdout=subprocess.DEVNULL)
    elif name == "digits":
        table_to_hdf5(lockstep, digits_table(packages), "target", 1 / 3, folder, name,
                      shape="1,8,8")
    else:
        package, library, thing, target, share, regression = FRAMES[name]
        table = r_frame(packages, package, library, thing)
        for column in NOT_INPUTS.get(name, []):
            table.pop(column, None)
        table_to_hdf5(lockstep, table, target, share, folder, name, regression)
