"""The time before the first iteration: imports, and first calls, which compile kernels or load
them.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastnn.backends import get_backend
from fastnn.many import train_many
from fastnn.measuring.timing import in_process, seconds_of
from fastnn.memory import ALIGNMENT
from fastnn.network import Network
from fastnn.optimizers import SGD, LevenbergMarquardt
from fastnn.state import TableRow
from fastnn.training import Stop, loss_and_gradient, predict, train

ENTRY_POINTS = ("train", "predict", "loss_and_gradient")
OF_A_DTYPE = (*ENTRY_POINTS, "options", "threads", "many", "one row", "derivatives")
"""The first calls that prepare each later one in a dtype, of every network: one compiled kernel
serves them all."""
# Those that know no dtype, or one
OF_NONE = ("row orders", "Levenberg-Marquardt", "one row of a table")


def first_calls(
    dtype: DTypeLike, names: Sequence[str] = ENTRY_POINTS
) -> Iterator[tuple[str, float]]:
    """Call functions of the back end "numba" once on a tiny network, so that what they compile is
    compiled.

    Yield each name, of `OF_A_DTYPE` and `OF_NONE`, after its call, with its seconds: compilation,
    or loading from the disk cache, and next to nothing else; the first also imports what the back
    end needs.
    """
    network = Network((2, 2, 1))
    small = Network((1, 1))
    X = np.ones((2, 2), dtype)
    Y = np.ones((2, 1), dtype)
    column = np.ones((64, 1), dtype)
    params = np.full(network.n_params, 0.5, dtype)
    sgd: dict[str, Any] = {"optimizer": SGD(), "epochs": 1}

    def many() -> None:
        """Train some members side by side, and two validated ones one by one."""
        train_many(small, Y, Y, **sgd, seed=range(ALIGNMENT // X.itemsize), n_jobs=1)
        train_many(small, Y, Y, **sgd, seed=range(2), stop=Stop(validation=0.5), n_jobs=1)

    def numba() -> Any:  # only the first call imports it
        return get_backend("numba")

    zero = np.zeros(1, np.int64)
    both = [[-1.0], [1.0]]
    one = np.ones((1, 1))
    row = TableRow(
        1,
        zero,
        zero[:0],
        np.ones((4, 1)),
        one,
        np.zeros(1),
        zero[:0],
        np.ones((3, 0)),
        1.0,
        1.0,
        1.0,
        np.ones((4, 1)),
        adds_up=False,
    )

    calls: dict[str, Callable[[], object]] = {
        "train": lambda: train(network, X, Y, **sgd, params=params),
        "predict": lambda: predict(network, params, X),
        "loss_and_gradient": lambda: loss_and_gradient(network, params, X, Y),
        "options": lambda: train(network, X, Y, **sgd, params=params, clip_norm=1.0),
        "threads": lambda: train(small, column, column, **sgd, threads=2),
        "many": many,
        "one row": lambda: train(small, Y, Y, epochs=0).function(),
        "derivatives": lambda: train(small, Y, Y, epochs=0).jacobian(Y),
        "row orders": lambda: numba().shuffle_rows(
            np.zeros(625, np.uint32), np.zeros((1, 1), np.int64), zero
        ),
        "Levenberg-Marquardt": lambda: train(
            small, both, both, optimizer=LevenbergMarquardt(), epochs=1
        ),
        "one row of a table": lambda: numba().table_function(
            small, np.zeros((1, small.n_params), np.float32), row
        ),
    }
    for name in names:
        yield name, seconds_of(calls[name])


_IMPORT = """
import time
start = time.perf_counter()
import {package}
print(time.perf_counter() - start)
"""
_FIRST_CALLS = """
from fastnn.measuring.starting import first_calls
print(*(seconds for entry, seconds in first_calls({dtype!r})))
"""


def import_seconds(package: str, n: int, before: str = "") -> tuple[float, ...]:
    """Return the seconds that an import takes in n fresh processes, after other code."""
    return tuple(
        float(in_process(before + _IMPORT.format(package=package)).output) for _ in range(n)
    )


def compile_seconds(
    dtype: str, n: int = 1, after_each: Callable[[], object] = lambda: None
) -> tuple[list[list[float]], list[list[float]]]:
    """Return the seconds of first calls in fresh processes, with an empty and with a filled disk
    cache.

    Both are n lists of those of each of `ENTRY_POINTS`. If something must be compiled, Numba is
    imported before the clock starts; else it is not imported at all.
    """
    cold: list[list[float]] = []
    warm: list[list[float]] = []
    for _ in range(n):
        with tempfile.TemporaryDirectory() as folder:
            for samples, before in ((cold, "import numba"), (warm, "")):
                # not those of the wheel
                variables = {"FASTNN_CACHE_DIR": folder, "FASTNN_KERNELS": "none"}
                output = in_process(before + _FIRST_CALLS.format(dtype=dtype), variables).output
                samples.append(list(map(float, output.split())))
                after_each()
    return cold, warm
