"""What the benchmarks share: workloads, and the check that is made before anything is timed."""

import os

import numpy as np

from fastnn import train, workloads

os.environ["FASTNN_NUM_THREADS"] = "1"  # for commits that share steps among threads: their history is of one thread

BACKENDS = ("numpy", "numba")
WORKLOADS = ("seed", "iris", "digits", "online", "tab", "mnist", "big")
TOLERANCE = {"float64": 1e-8, "float32": 1e-2}
CHECKED_ROWS = 512


class Timed:
    """Settings of every benchmark whose time asv takes."""

    version = "1"  # set by hand: asv's own, a hash of this source, drops the history with every edit
    timeout = 300
    rounds = 2
    repeat = (3, 10, 10.0)  # ten samples at least in two rounds: with fewer asv never speaks of a regression
    warmup_time = 0.2


def load(name):
    """A workload; NotImplementedError, which makes asv skip, where the commit does not know it."""
    if name not in workloads.names():
        raise NotImplementedError(f"no workload {name!r} in this commit")
    return workloads.load(name)


def check(workload, backend):
    """Compile, and compare a short training with the reference's: a wrong answer is not timed."""
    data = (workload.network, workload.X[:CHECKED_ROWS], workload.Y[:CHECKED_ROWS])
    options = workload.train_options | {"seed": 0, "epochs": 2}
    found, expected = (train(*data, **options, backend=each).params for each in (backend, "numpy"))
    agree(f"{workload.name}, {backend}", found, expected)


def agree(what, found, expected):
    """Raise unless an answer is the reference's."""
    expected = expected.astype(np.float64)
    distance = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    if not distance <= TOLERANCE[found.dtype.name]:
        raise AssertionError(f"{what}: relative distance {distance:.1e} to the reference")
