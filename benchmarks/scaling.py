"""How time and memory of a step grow with the network and the data: ``python -m benchmarks.scaling
--help``.

One of width, depth, batch and rows grows at a time; an exponent is fitted to the upper range of
each curve. One thread.
"""

import functools
import itertools
import os

# before NumPy
os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import pathlib
import sys
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator
from scipy import stats

from benchmarks import drawing
from benchmarks.readme import found_in, parser
from fastnn import SGD, Network, kit, plotting, train
from fastnn.backends import BACKENDS, Wrapper, get_backend
from fastnn.measuring import machine
from fastnn.measuring.timing import markdown, sampled
from fastnn.training import steps as pace

IMAGE = pathlib.Path("docs/images/scaling.png")
RESULTS = pathlib.Path("benchmarks/results/scaling.json")
COLORS = {"numpy": drawing.ORANGE, "numba": drawing.BLUE}
QUANTITIES = {
    "time": "time per step",
    "training": "memory of a training",
    "work": "work space of the steps",
}
# An exponent may be so far from the expected one, which is whole: caches and fixed costs bend every
# curve
NEAR = 0.5
OPTIMIZER = SGD(learning_rate=0.001)
"""Without moments: with three more vectors a wide network would not fit the caches, and its curve
be no power law."""


# made once: of 131,072 rows this takes longer than an epoch, in which it would be counted
@functools.cache
def noise(rows: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return X (rows, width), Y (rows, 1)."""
    random_state = np.random.RandomState(0)
    X = random_state.standard_normal((rows, width)).astype(np.float32)
    return X, random_state.random_sample((rows, 1)).astype(np.float32)


class NoiseWorkload(NamedTuple):
    """A regression on noise: `depth` hidden layers of `width`, relu, float32."""

    width: int = 64
    depth: int = 1
    batch: int = 64
    rows: int = 512

    def arguments(self) -> tuple[Network, np.ndarray, np.ndarray]:
        return Network((self.width, *(self.width,) * self.depth, 1), activation="relu"), *noise(
            self.rows, self.width
        )

    @property
    def steps(self) -> int:  # of an epoch
        return -(-self.rows // self.batch)

    def train(self, epochs: int, backend: Any) -> None:
        train(
            *self.arguments(),
            optimizer=OPTIMIZER,
            batch_size=self.batch,
            seed=0,
            epochs=epochs,
            backend=backend,
        )


class Axis(NamedTuple):
    """A quantity that grows, and the exponents that its curves should have in the upper range: of
    each back end.
    """

    workloads: dict[int, NoiseWorkload]
    fitted: int  # So many points from the upper end are fitted
    time: tuple[float, float]
    # Memory of the whole training without its data: state, order of rows, work space
    training: tuple[float, float]
    work: tuple[float, float]  # Memory of the steps: what the back end allocates


AXES = {
    "width": Axis(
        {
            w: NoiseWorkload(width=w, batch=32)
            for w in (8, 16, 32, 64, 128, 192, 256, 384, 512, 768, 1024)
        },
        *(4, (2, 2), (2, 2), (2, 2)),
    ),
    "depth": Axis(
        {d: NoiseWorkload(depth=d) for d in (1, 2, 4, 8, 16, 32, 64)}, 4, (1, 1), (1, 1), (1, 1)
    ),
    # A batch of more than 256 rows goes through the fused kernel block by block: its work space is
    # bounded.
    "batch": Axis(
        {
            b: NoiseWorkload(batch=b, rows=8192)
            for b in (1, 4, 16, 64, 256, 512, 1024, 2048, 4096, 8192)
        },
        *(4, (1, 1), (1, 0), (1, 0)),
    ),
    # The rows' order (eight bytes a row) and weights are kept; the work space depends on the batch
    # only.
    "rows": Axis(
        {
            n: NoiseWorkload(batch=32, rows=n)
            for n in (512, 2048, 8192, 16384, 32768, 65536, 131072)
        },
        *(4, (0, 0), (1, 1), (0, 0)),
    ),
}


def seconds(axis: Axis, sample_seconds: float, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Processor's seconds a step, by back end and size: samples of about `sample_seconds`, taken in
    turn.
    """
    runs = {
        (size, b): partial(w.train, backend=b)
        for size, w in axis.workloads.items()
        for b in BACKENDS
    }
    found: dict[str, dict[str, list[float]]] = {backend: {} for backend in BACKENDS}
    for (size, backend), samples in sampled(
        runs, sample_seconds, rounds, time.process_time
    ).items():
        found[backend][str(size)] = [s / axis.workloads[size].steps for s in samples]
    return found


class _Watched(Wrapper):
    """A back end that notes the memory of `train_steps`; its arrays are NumPy's, which report to
    tracemalloc.
    """

    def __init__(self, name: str) -> None:
        super().__init__(get_backend(name))
        self._kind = type(self.backend)
        self.most = self.work = 0

    def train_steps(self, *arguments, **options) -> int:
        before, most = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        # a new one: no work space is kept from call to call
        good = self._kind().train_steps(*arguments, **options)
        peak = tracemalloc.get_traced_memory()[1]
        self.most, self.work = max(self.most, most, peak), max(self.work, peak - before)
        return good


def memory(workload: NoiseWorkload, backend: str) -> dict[str, int]:
    """Train one epoch and follow what is allocated beyond the data: most bytes at a time, the same
    in every run.
    """
    watched = _Watched(backend)
    workload.train(1, backend)  # compiles
    tracemalloc.start()
    try:
        # Without the kit each call makes its own work space, whose memory is measured; without a
        # limit of seconds it is not the clock that decides how many steps a call has.
        with kit.off(), mock.patch.object(pace, "CHUNK_SECONDS", 1e9):
            arguments, (before, _) = workload.arguments(), tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()  # that of making the data
            train(
                *arguments,
                optimizer=OPTIMIZER,
                batch_size=workload.batch,
                seed=0,
                epochs=1,
                backend=watched,
            )
        most = max(watched.most, tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    return {"training": most - before, "work": watched.work}


def measure(sample_seconds: float = 0.05, rounds: int = 7) -> dict:
    about = machine.circumstances()
    found = {}
    for name, axis in AXES.items():
        found[name] = {
            "sizes": {str(size): workload._asdict() for size, workload in axis.workloads.items()},
            "seconds": seconds(axis, sample_seconds, rounds),
            "memory": {
                b: {str(n): memory(workload, b) for n, workload in axis.workloads.items()}
                for b in BACKENDS
            },
        }
    return {"about": about, "axes": found}


class Exponent(NamedTuple):
    """The exponent p of a power law y = c x^p; its 95 % interval is of the noise, and of how far
    the curve is none.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})".replace("-0.00", "0.00")


def exponent(x: Sequence[float], y: Sequence[float]) -> Exponent:
    """The slope of log y over log x, of three positive points or more, where fixed costs are
    small.
    """
    if len(x) < 3 or len(x) != len(y) or min(*x, *y) <= 0:
        raise ValueError(
            f"an exponent needs three positive points or more, got x {list(x)}, y {list(y)}"
        )
    # With so few points polyfit divides the residuals by what is left of their number: the usual
    # standard error.
    (slope, _), covariance = np.polyfit(np.log(x), np.log(y), 1, cov=True)
    half = stats.t.ppf(0.975, len(x) - 2) * covariance[0, 0] ** 0.5
    return Exponent(float(slope), float(slope - half), float(slope + half))


class Line(NamedTuple):
    axis: str
    what: str  # A key of `QUANTITIES`
    backend: str
    sizes: list[int]
    values: list[float]  # Seconds or bytes
    expected: float
    found: Exponent

    @property
    def verdict(self) -> str:
        """Whether it grows as it should: "", or what to say of it."""
        if abs(self.found.value - self.expected) <= NEAR:
            return ""
        return "unclear" if self.found.low <= self.expected <= self.found.high else "another"


def lines(found: dict) -> Iterator[Line]:
    for name, axis in AXES.items():
        for what, backend in itertools.product(QUANTITIES, BACKENDS):
            of_size = found["axes"][name]["seconds" if what == "time" else "memory"][backend]
            values = [min(of) if what == "time" else of[what] for of in of_size.values()]
            sizes = [*map(int, of_size)]
            expected = getattr(axis, what)[BACKENDS.index(backend)]
            fitted = exponent(sizes[-axis.fitted :], values[-axis.fitted :])
            yield Line(name, what, backend, sizes, values, expected, fitted)


def table(found: dict) -> str:
    rows = []
    for both in zip(*[iter(lines(found))] * 2, strict=True):
        axis, what, _, sizes, *_ = both[0]
        expected = ", ".join(dict.fromkeys(f"{line.expected:g}" for line in both))
        cells = [
            axis,
            f"{sizes[-AXES[axis].fitted]:,} to {sizes[-1]:,}",
            QUANTITIES[what],
            expected,
        ]
        rows.append(cells + [f"{line.found} {line.verdict}".rstrip() for line in both])
    return markdown(["over", "from to", "of", "expected", *BACKENDS], rows)


def chart(found: dict) -> Figure:
    """Time above, memory below, a column an axis; a dashed line has the expected slope."""
    a = found["about"]
    n = len(AXES)
    note = f"Dashed: the expected slope. relu, SGD, float32, one thread; {a['cpu']}, {a['date']}"
    figure, panels = drawing.panels(2 * n, (14, 7.6), note, columns=n, sharex="col")
    for line in lines(found):
        is_memory = line.what != "time"
        color = COLORS[line.backend]
        axes = panels[list(AXES).index(line.axis) + n * is_memory]
        if is_memory:
            label = f"{line.backend}, {'work space' if line.what == 'work' else 'training'}"
        else:
            label = line.backend
        look = {
            "linestyle": (0, (1, 1.5)) if line.what == "work" else "-",
            "marker": "o",
            "markersize": 4,
        }
        axes.plot(line.sizes, line.values, color=color, linewidth=1.8, label=label, **look)
        x, y = (
            np.array(values[-AXES[line.axis].fitted :], float)
            for values in (line.sizes, line.values)
        )
        middle = np.exp(np.log(y).mean() - line.expected * np.log(x).mean())
        axes.plot(
            x, middle * x**line.expected, color=color, linewidth=5, alpha=0.2, linestyle=(0, (2, 1))
        )
    for i, axes in enumerate(panels):
        name = list(AXES)[i % n]
        is_memory = i >= n
        if is_memory:
            below = {"batch": "rows per step", "rows": "rows of the data"}.get(name, name)
        else:
            below = ""
        beside = ("memory beyond the data" if is_memory else "time per step") if i % n == 0 else ""
        drawing.style(axes, "" if is_memory else f"over {name}", below, beside)
        drawing.log_scale(axes, "x", lambda x: f"{x / 1024:g}k" if x >= 1024 else f"{x:g}", base=2)
        axes.xaxis.set_major_locator(LogLocator(base=2, numticks=8))
        drawing.log_scale(axes, "y", EngFormatter("B" if is_memory else "s"))
        if i % n == 0:
            axes.legend(frameon=False, fontsize=10)
    return figure


def main(arguments: list[str] | None = None) -> int:
    options = parser("scaling", __doc__, RESULTS).parse_args(arguments)
    found = found_in(options, measure)
    print(table(found))
    if not options.no_write:
        plotting.save(chart(found), options.folder / IMAGE)
    odd = [line for line in lines(found) if line.verdict]
    for line in odd:
        what = f"{QUANTITIES[line.what]} over {line.axis}, {line.backend}"
        print(
            f"{line.verdict} exponent: {what}: {line.found}, not {line.expected:g}", file=sys.stderr
        )
    return int(any(line.verdict == "another" for line in odd))


if __name__ == "__main__":
    sys.exit(main())
