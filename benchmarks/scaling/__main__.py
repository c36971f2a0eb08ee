"""How time and memory of a step grow with the network and the data: ``python -m benchmarks.scaling --help``."""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from scipy import stats

from benchmarks import drawing
from benchmarks.readme import ROOT, put, where
from benchmarks.scaling import curves
from benchmarks.scaling.curves import BACKENDS
from fastnn.measuring import machine
from fastnn.measuring.tables import markdown

IMAGE = pathlib.Path("docs", "images", "scaling.png")
RESULTS = pathlib.Path("benchmarks", "results", "scaling.json")
COLORS = {"numpy": drawing.ORANGE, "numba": drawing.BLUE}
QUANTITIES = {"time": "time a step", "training": "memory of a training", "work": "work space of the steps"}
NEAR = 0.5
"""An exponent may be so far from the expected one, which is whole: caches and fixed costs bend every curve."""


def measure(sample_seconds: float, rounds: int, say=print) -> dict:
    """All curves, as plain numbers: by axis, by back end, by size."""
    begun, about, found = time.perf_counter(), machine.circumstances(), {}
    for name, axis in curves.AXES.items():
        start = time.perf_counter()
        found[name] = {
            "sizes": {size: workload._asdict() for size, workload in axis.workloads.items()},
            "seconds": curves.seconds(axis, sample_seconds, rounds),
            "memory": {
                backend: {size: curves.memory(workload, backend)._asdict() for size, workload in axis.workloads.items()}
                for backend in BACKENDS
            },
        }
        say(f"{name}: {time.perf_counter() - start:.0f} s")
    about["seconds"] = round(time.perf_counter() - begun)
    return json.loads(json.dumps({"about": about, "axes": found}))  # sizes become strings, as in the file


# ----------------------------------------------------------------------------------------------------------- exponents


class Exponent(NamedTuple):
    """The exponent p of a power law y = c x^p: doubling x multiplies y by ``2 ** value``."""

    value: float
    low: float
    """The 95 % interval: of the noise, and of how far the curve is from a power law."""
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})".replace("-0.00", "0.00")


def exponent(x: Sequence[float], y: Sequence[float]) -> Exponent:
    """The slope of log y over log x, of three positive points or more, where fixed costs are small.

    Raises
    ------
    ValueError
        If there are fewer, or one is not positive.
    """
    if len(x) < 3 or len(x) != len(y) or min(*x, *y) <= 0:
        raise ValueError(f"an exponent needs three positive points or more, got x {list(x)}, y {list(y)}")
    # With so few points polyfit divides the residuals by what is left of their number: the usual standard error.
    (slope, _), covariance = np.polyfit(np.log(x), np.log(y), 1, cov=True)
    half = stats.t.ppf(0.975, len(x) - 2) * covariance[0, 0] ** 0.5
    return Exponent(float(slope), float(slope - half), float(slope + half))


class Line(NamedTuple):
    """One curve, and what its upper range grows like."""

    axis: str
    what: str
    """A key of `QUANTITIES`."""
    backend: str
    sizes: list[int]
    values: list[float]
    """Seconds or bytes."""
    expected: float
    found: Exponent

    @property
    def verdict(self) -> str:
        """Whether it grows as it should: "", or what to say of it."""
        if abs(self.found.value - self.expected) <= NEAR:
            return ""
        return "unclear" if self.found.low <= self.expected <= self.found.high else "another"

    @property
    def fitted(self) -> slice:
        """The points that the exponent comes from."""
        return slice(len(self.sizes) - curves.AXES[self.axis].fitted, None)


def lines(found: dict) -> Iterator[Line]:
    """Every curve of a measurement."""
    for name, axis in curves.AXES.items():
        for what in QUANTITIES:
            for backend in BACKENDS:
                if what == "time":
                    values = {size: min(s) for size, s in found["axes"][name]["seconds"][backend].items()}
                else:
                    values = {size: of[what] for size, of in found["axes"][name]["memory"][backend].items()}
                sizes, numbers = [int(size) for size in values], list(values.values())
                expected = axis.seconds if what == "time" else getattr(axis, what)[backend]
                fitted = exponent(sizes[-axis.fitted :], numbers[-axis.fitted :])
                yield Line(name, what, backend, sizes, numbers, expected, fitted)


# ----------------------------------------------------------------------------------------------------- table and chart


def table(found: dict) -> str:
    """The exponents with their 95 % intervals, a line an axis and a quantity."""
    by_row: dict[tuple[str, str], list[Line]] = {}
    for line in lines(found):
        by_row.setdefault((line.axis, line.what), []).append(line)
    rows = []
    for (axis, what), pair in by_row.items():
        sizes = pair[0].sizes[pair[0].fitted]
        expected = dict.fromkeys(f"{line.expected:g}" for line in pair)
        cells = [axis, f"{sizes[0]:,} to {sizes[-1]:,}", QUANTITIES[what], ", ".join(expected)]
        rows.append(cells + [f"{line.found} {line.verdict}".rstrip() for line in pair])
    notes = (
        "Exponents p of size^p in the upper range, with 95 % intervals; where two are expected the first is NumPy's. "
        f'Where one is off by more than {NEAR:g} stands "another", and the command fails, or "unclear" if the interval '
        "has the expected one. Time is the processor's in the fastest sample. Memory is what NumPy allocates "
        "beyond the data: the whole training with its state and the order of its rows, and the steps' work space alone."
    )
    return f"{markdown(['over', 'from to', 'of', 'expected', *BACKENDS], rows)}\n\n{notes}"


def chart(found: dict) -> Figure:
    """Time above, memory below, a column an axis; a dashed line has the expected slope."""
    a, n = found["about"], len(curves.AXES)
    note = f"Dashed: the expected slope. relu, SGD, float32, one thread; {a['cpu']}, {a['date']}"
    figure, panels = drawing.panels(2 * n, (14, 7.6), note, columns=n, sharex="col")
    for line in lines(found):
        column, is_memory, dotted = list(curves.AXES).index(line.axis), line.what != "time", line.what == "work"
        axes, color = panels[column + n * is_memory], COLORS[line.backend]
        label = f"{line.backend}, {'work space' if dotted else 'training'}" if is_memory else line.backend
        look = {"linestyle": (0, (1, 1.5)) if dotted else "-", "marker": "o", "markersize": 4}
        axes.plot(line.sizes, line.values, color=color, linewidth=1.8, label=label, **look)
        x, y = (np.array(values[line.fitted], float) for values in (line.sizes, line.values))
        middle = np.exp(np.log(y).mean() - line.expected * np.log(x).mean())
        axes.plot(x, middle * x**line.expected, color=color, linewidth=5, alpha=0.2, linestyle=(0, (2, 1)))
    for i, axes in enumerate(panels):
        name, is_memory = list(curves.AXES)[i % n], i >= n
        below = {"batch": "rows a step", "rows": "rows of the data"}.get(name, name) if is_memory else ""
        beside = ("memory beyond the data" if is_memory else "time a step") if i % n == 0 else ""
        drawing.style(axes, "" if is_memory else f"over {name}", below, beside)
        drawing.log_scale(axes, "x", lambda x: f"{x / 1024:g}k" if x >= 1024 else f"{x:g}", base=2)
        axes.xaxis.set_major_locator(LogLocator(base=2, numticks=8))
        drawing.log_scale(axes, "y", drawing.size if is_memory else drawing.seconds)
        if i % n == 0:
            axes.legend(frameon=False, fontsize=10)
    return figure


def write(found: dict, folder: pathlib.Path) -> list[pathlib.Path]:
    """Draw the picture, and put the table between the markers of benchmarks/README.md; what was written."""
    (folder / IMAGE).parent.mkdir(parents=True, exist_ok=True)
    chart(found).savefig(folder / IMAGE, metadata={"Software": None})
    about = (
        f"Measured by `nox -s measure -- scaling` in {found['about']['seconds']} s {where(found['about'])}. A "
        "network of relu layers learns with SGD in float32; what does not grow is 64 wide, one hidden layer deep, 64 "
        "rows a step (32 where the width or the rows grow)."
    )
    picture = f"![Time and memory of a step, over width, depth, batch and rows](../{IMAGE.as_posix()})"
    content = "\n\n".join([about, table(found), picture])
    return [folder / IMAGE, put(folder / "benchmarks" / "README.md", "scaling", content)]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--sample-seconds", type=float, default=0.05, help="how long a timed training takes (0.05)")
    parser.add_argument("--rounds", type=int, default=7, help="timed trainings of each size, in turn (7)")
    parser.add_argument("--from", dest="source", type=pathlib.Path, help="measure nothing, take what this file holds")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / RESULTS, help=f"all samples ({RESULTS})")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT, help="where docs/ and benchmarks/ are")
    parser.add_argument("--no-write", action="store_true", help="leave README file and picture alone")
    options = parser.parse_args(arguments)
    if options.source:
        found = json.loads(options.source.read_text("utf-8"))
    else:
        found = measure(options.sample_seconds, options.rounds)
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        print(options.json)
    print(table(found))
    if not options.no_write:
        print(*write(found, options.folder), sep="\n")
    odd = [line for line in lines(found) if line.verdict]
    for line in odd:
        what = f"{QUANTITIES[line.what]} over {line.axis}, {line.backend}"
        print(f"{line.verdict} exponent: {what}: {line.found}, not {line.expected:g}")
    return int(any(line.verdict == "another" for line in odd))


if __name__ == "__main__":
    sys.exit(main())
