"""Timing that can be believed: first calls apart, answers checked before, samples interleaved, medians reported."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn.errors import FastnnError
from fastnn.network import Network
from fastnn.training import loss_and_gradient, predict, train

Array = NDArray[Any]

# Largest distance of two trainings of the same thing, relative to what was trained, that still counts as the same
# answer. It is meant to catch a wrong kernel before it is timed; the tests hold the back ends to far less.
SAME_ANSWER = {"float64": 1e-8, "float32": 1e-2}


@dataclass(frozen=True)
class Timing:
    """Seconds that one iteration took, in each of several interleaved samples."""

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
    def spread(self) -> float:
        """Interquartile range relative to the median."""
        low, high = np.percentile(self.seconds, [25, 75])
        return float(high - low) / self.median


class DifferentAnswerError(FastnnError):
    """Two implementations of the same training disagree, so that comparing their speed means nothing."""


def check_same_answer(what: str, actual: Array, expected: Array) -> None:
    """Raise unless two results of the same training agree; made before anything is timed.

    Parameters
    ----------
    what : str
        Name of the comparison, for the error's text.
    actual, expected : ndarray of the same shape
        Compared by the 2-norm of their difference, relative to the norm of `expected`; the dtype of `actual` decides
        how close they must be.

    Raises
    ------
    DifferentAnswerError
        With the distance and the limit.
    """
    distance = float(np.linalg.norm(np.asarray(actual, np.float64) - expected) / np.linalg.norm(expected))
    limit = SAME_ANSWER[actual.dtype.name]
    if not distance <= limit:
        raise DifferentAnswerError(f"{what}: relative distance {distance:.1e} is above {limit:.0e}; nothing was timed")


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
        "train": lambda: train(network, X, Y, params=params, backend=backend),
        "predict": lambda: predict(network, params, X, backend=backend),
        "loss_and_gradient": lambda: loss_and_gradient(network, params, X, Y, backend=backend),
    }
    for entry in ENTRY_POINTS:
        start = time.perf_counter()
        calls[entry]()
        yield entry, time.perf_counter() - start
