"""Run the workloads with the fastnn that this interpreter imports, of any version, for callgrind.

    python -P benchmarks/probe.py

It prints how often each case ran, as JSON, for `benchmarks.instructions`. The work is that of this
tree, so that all versions do the same; only what fastnn has always had is used.
"""

import importlib
import inspect
import json
import os
import pathlib
import sys

import numpy as np

os.environ["FASTNN_NUM_THREADS"] = "1"  # for a version that shares steps among threads
import fastnn

sys.path.append(str(pathlib.Path(__file__).parents[1] / "fastnn" / "measuring"))
import work
from timing import repeated

EPOCHS = {"seed": 50_000, "iris": 1_000, "digits": 10, "online": 3, "tab": 2}
CLIPPED = {"clip_norm": 1.0}
SCALED = {"rates": (0.5, 0.5)}
# Workloads with options by which steps take another way; sequential=True, as seed has it, goes
# without clip_norm.
WITH_OPTIONS = {"seed, rates": SCALED, "iris, clip_norm": CLIPPED, "iris, rates": SCALED}
WITH_OPTIONS |= {"digits, clip_norm": CLIPPED, "digits, rates": SCALED}
PREDICTIONS = 500
# a function of the C library that nobody else calls: callgrind begins a new count at each call
mark = os.getppid


def instructions():
    """Run each case N times and then 2N times, so that one-time costs cancel in the difference;
    return each N.
    """
    driver = next(
        filter(None, map(_module, ("training.steps", "training.epochs", "training.pace", "plan")))
    )
    driver.CHUNK_SECONDS = 1e9  # or the clock would say how often the driver is called
    has = inspect.signature(fastnn.train).parameters.keys()
    cases = {}
    for case, options in ({name: {} for name in EPOCHS} | WITH_OPTIONS).items():
        name = case.partition(", ")[0]
        if name in EPOCHS and name in fastnn.workloads.names() and options.keys() <= has:
            one = work.load(name, **options)
            n = EPOCHS[name]
            cases[case] = n * one.units, lambda times, one=one, n=n: one.run(times * n, "numba")
    X = fastnn.workloads.load("digits").X[:1]
    options = {"optimizer": fastnn.Adam(), "epochs": 1, "seed": 0}
    network = fastnn.Network((64, 64, 10), "relu", "softmax", "cross_entropy")
    result = fastnn.train(network, X, np.eye(10)[:1], **options)
    cases["predict 1 row"] = (
        PREDICTIONS,
        lambda times: repeated(lambda: result.predict(X))(times * PREDICTIONS),
    )
    for _, run in cases.values():
        for times in (1, 1, 2):
            run(times)
            mark()
    return {name: n for name, (n, _) in cases.items()}


def _module(name):
    """The module of the driver, which other versions called otherwise; None where there is none."""
    try:
        return importlib.import_module(f"fastnn.{name}")
    except ImportError:
        return None


if __name__ == "__main__":
    print(json.dumps(instructions()))
