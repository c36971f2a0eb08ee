"""Timing: first calls apart, samples of several functions interleaved, medians, and whole processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastnn.backends import get_backend
from fastnn.many import train_many
from fastnn.memory import ALIGNMENT
from fastnn.network import Network
from fastnn.optimizers import SGD, LevenbergMarquardt
from fastnn.training import Stop, loss_and_gradient, predict, train


@dataclass(frozen=True)
class Timing:
    """Samples of the seconds that one iteration takes."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median of the samples, in seconds."""
        return median(self.seconds)

    @property
    def per_second(self) -> float:
        """Iterations a second, at the median."""
        return 1.0 / self.median

    @property
    def quartiles(self) -> tuple[float, float]:
        """The quartiles of the samples, in seconds."""
        low, high = np.percentile(self.seconds, [25, 75])
        return float(low), float(high)

    @property
    def spread(self) -> float:
        """Interquartile range relative to the median."""
        low, high = self.quartiles
        return (high - low) / self.median


def interleaved(
    functions: Mapping[str, Callable[[], object]],
    iterations: Mapping[str, int],
    rounds: int = 7,
    after_each: Callable[[], object] = lambda: None,
) -> dict[str, Timing]:
    """Time functions in turn, so that a slow moment of the machine hits all of them.

    Parameters
    ----------
    functions : mapping of str to callable
        What to time; each is called once, untimed, to warm up.
    iterations : mapping of str to int
        How many iterations a call of each does.
    rounds : int
        Timed calls of each.
    after_each : callable
        Called after every timed call, outside the timing; a progress bar's step for example.

    Returns
    -------
    dict of str to Timing
        Seconds an iteration.
    """
    for function in functions.values():
        function()
    samples: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            samples[name].append((time.perf_counter() - start) / iterations[name])
            after_each()
    return {name: Timing(tuple(seconds)) for name, seconds in samples.items()}


ENTRY_POINTS = ("train", "predict", "loss_and_gradient")


def first_calls(dtype: DTypeLike, backend: str = "numba") -> Iterator[tuple[str, float]]:
    """Call each entry point of a back end once on a tiny network, so that what it compiles is compiled.

    One compiled kernel a dtype serves every network, so these calls prepare every later one.

    Parameters
    ----------
    dtype : float32 or float64
    backend : str

    Yields
    ------
    entry : str
        One of `ENTRY_POINTS`, after its call.
    seconds : float
        What the call took: compilation, or loading from the disk cache, and next to nothing else. The first also
        imports what the back end needs.
    """
    network = Network((2, 2, 1))
    X, Y = np.ones((2, 2), dtype), np.ones((2, 1), dtype)
    params = np.full(network.n_params, 0.5, dtype)
    calls: dict[str, Callable[[], object]] = {
        "train": lambda: train(network, X, Y, optimizer=SGD(), epochs=1, params=params, backend=backend),
        "predict": lambda: predict(network, params, X, backend=backend),
        "loss_and_gradient": lambda: loss_and_gradient(network, params, X, Y, backend=backend),
    }
    for entry in ENTRY_POINTS:
        start = time.perf_counter()
        calls[entry]()
        yield entry, time.perf_counter() - start


def first_shared_step(dtype: DTypeLike) -> float:
    """Have two threads share a step of a tiny network; return the seconds that it took."""
    network, X = Network((1, 1)), np.ones((64, 1), dtype)
    start = time.perf_counter()
    train(network, X, X, optimizer=SGD(), epochs=1, threads=2)
    return time.perf_counter() - start


def first_members(dtype: DTypeLike) -> float:
    """Train some members side by side, and two validated ones one by one; return the seconds that it took."""
    network, X, stop = Network((1, 1)), np.ones((2, 1), dtype), Stop(validation=0.5)
    start = time.perf_counter()
    train_many(network, X, X, optimizer=SGD(), seed=range(ALIGNMENT // X.itemsize), epochs=1, n_jobs=1)
    train_many(network, X, X, optimizer=SGD(), seed=range(2), epochs=1, stop=stop, n_jobs=1)
    return time.perf_counter() - start


def first_method() -> float:
    """Train two rows by Levenberg-Marquardt; return the seconds that it took."""
    X = np.array([[-1.0], [1.0]])
    start = time.perf_counter()
    train(Network((1, 1)), X, X, optimizer=LevenbergMarquardt(), epochs=1)
    return time.perf_counter() - start


def first_function(dtype: DTypeLike) -> float:
    """Make a function of one row, `TrainingResult.function`; return the seconds that it took."""
    network, X = Network((1, 1)), np.ones((1, 1), dtype)
    result = train(network, X, X, epochs=0)
    start = time.perf_counter()
    result.function()
    return time.perf_counter() - start


def first_shuffle() -> float:
    """Shuffle one row in compiled code, which serves all later ones; return the seconds that it took."""
    numba: Any = get_backend("numba")
    words, orders = np.zeros(625, np.uint32), np.zeros((1, 1), np.int64)
    start = time.perf_counter()
    numba.shuffle_rows(words, orders, orders[0].copy())
    return time.perf_counter() - start


# ------------------------------------------------------------------------------------------------------ whole processes


# A process reports its own memory: what the system tells its parent includes the parent's, from before the exec.
_PEAK = """
def _peak():
    import sys
    if sys.platform == "linux":
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    if sys.platform == "darwin":
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return 0
print(_peak())
"""


@dataclass(frozen=True)
class Process:
    """Time and memory of a process, from its start to its end."""

    seconds: float
    peak_bytes: int | None
    """Most memory that it held at a time; None where the system does not say (Windows)."""
    output: str


def in_process(code: str, environment: Mapping[str, str] | None = None, only: bool = False) -> Process:
    """Run Python code in a fresh interpreter, alone, and take its time and its memory.

    Parameters
    ----------
    code : str
    environment : mapping of str to str, optional
        Variables of the new process, besides those of this one.
    only : bool
        Whether the new process has only these variables.

    Raises
    ------
    RuntimeError
        If it fails, with the last line that it printed on stderr.
    """
    command = [sys.executable, "-c", code + "\n" + _PEAK]
    start = time.perf_counter()
    variables = {**({} if only else os.environ), **(environment or {})}
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise RuntimeError(f"the process failed: {lines[-1] if lines else done.returncode}")
    *output, peak = done.stdout.splitlines(keepends=True)
    return Process(seconds, int(peak) or None, "".join(output))
