"""The measurements: seconds and memory of a step, while one of width, depth, batch and rows grows."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from fastnn import SGD, Network, kit, train
from fastnn.backends import BACKENDS, get_backend
from fastnn.measuring.timing import Run, sampled
from fastnn.training import epochs as pace

OPTIMIZER = SGD(learning_rate=0.001)
"""Without moments: with three more vectors a wide network would not fit the caches, and its curve be no power law."""


class NoiseWorkload(NamedTuple):
    """A regression on noise: `depth` hidden layers of `width`, relu, float32."""

    width: int = 64
    depth: int = 1
    batch: int = 64
    rows: int = 512

    def arguments(self) -> tuple[Network, np.ndarray, np.ndarray]:
        """Network, X and Y."""
        random_state = np.random.RandomState(0)
        network = Network((self.width, *(self.width,) * self.depth, 1), activation="relu")
        X = random_state.standard_normal((self.rows, self.width)).astype(np.float32)
        return network, X, random_state.random_sample((self.rows, 1)).astype(np.float32)

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return -(-self.rows // self.batch)


class Axis(NamedTuple):
    """A quantity that grows, and the exponents that its curves should have in the upper range."""

    workloads: dict[int, NoiseWorkload]
    fitted: int
    """So many points from the upper end are fitted."""
    seconds: float
    training: dict[str, float]
    """Memory of the whole training without its data, by back end: state, order of rows, work space."""
    work: dict[str, float]
    """Memory of the steps: what the back end allocates."""


def _same(value: float) -> dict[str, float]:
    return dict.fromkeys(BACKENDS, value)


AXES = {
    "width": Axis(
        {w: NoiseWorkload(width=w, batch=32) for w in (8, 16, 32, 64, 128, 192, 256, 384, 512)},
        *(4, 2, _same(2), _same(2)),
    ),
    "depth": Axis({d: NoiseWorkload(depth=d) for d in (1, 2, 4, 8, 16, 32, 64)}, 4, 1, _same(1), _same(1)),
    # A batch of more than 256 rows goes through the fused kernel block by block: its work space is bounded.
    "batch": Axis(
        {b: NoiseWorkload(batch=b, rows=8192) for b in (1, 4, 16, 64, 256, 512, 1024, 2048, 4096, 8192)},
        *(4, 1, {"numpy": 1, "numba": 0}, {"numpy": 1, "numba": 0}),
    ),
    # The rows' order (eight bytes a row) and weights are kept; the work space depends on the batch only.
    "rows": Axis(
        {n: NoiseWorkload(batch=32, rows=n) for n in (512, 2048, 8192, 16384, 32768, 65536, 131072)},
        *(4, 0, _same(1), _same(0)),
    ),
}


def options_of(workload: NoiseWorkload) -> dict[str, Any]:
    """Keyword arguments for `train`."""
    return {"optimizer": OPTIMIZER, "batch_size": workload.batch, "seed": 0}


def seconds(axis: Axis, sample_seconds: float, rounds: int) -> dict[str, dict[int, list[float]]]:
    """Seconds a step, by back end and size: samples of about `sample_seconds`, taken in turn.

    It is processor time of one core: other work on the machine disturbs only the caches.
    """

    def training(size: int, backend: str) -> Run:
        arguments, options = axis.workloads[size].arguments(), options_of(axis.workloads[size])
        return lambda epochs: train(*arguments, epochs=epochs, backend=backend, **options)

    runs = {(size, backend): training(size, backend) for size in axis.workloads for backend in BACKENDS}
    found: dict[str, dict[int, list[float]]] = {backend: {} for backend in BACKENDS}
    for (size, backend), timing in sampled(runs, sample_seconds, rounds, time.process_time).items():
        found[backend][size] = [s / axis.workloads[size].steps for s in timing.seconds]
    return found


class Memory(NamedTuple):
    """Most bytes at a time beyond the data."""

    training: int
    work: int


class _Watched:
    """A back end that takes down what `train_steps` needs; its arrays are NumPy's, which report to tracemalloc."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._kind = type(get_backend(name))
        self.most = self.work = 0

    def __getattr__(self, name: str):
        return getattr(get_backend(self.name), name)

    def train_steps(self, *arguments, **options) -> int:
        before, most = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        good = self._kind().train_steps(*arguments, **options)  # a new one: no work space is kept from call to call
        peak = tracemalloc.get_traced_memory()[1]
        self.most, self.work = max(self.most, most, peak), max(self.work, peak - before)
        return good


def memory(workload: NoiseWorkload, backend: str) -> Memory:
    """Train one epoch and follow what is allocated: bytes, the same in every run."""
    arguments, options, watched = workload.arguments(), options_of(workload) | {"epochs": 1}, _Watched(backend)
    train(*arguments, **options, backend=backend)  # compiles
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        # Without the kit each call makes its own work space, whose memory is measured; without a limit of seconds it is
        # not the clock that decides how many steps a call has.
        with kit.off(), mock.patch.object(pace, "CHUNK_SECONDS", 1e9):
            train(*arguments, **options, backend=watched)
        most = max(watched.most, tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    return Memory(most - before, watched.work)
