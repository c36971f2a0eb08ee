"""The curves as a table of exponents and as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from benchmarks.scaling.curves import AXES, BACKENDS
from benchmarks.scaling.fit import NEAR, Exponent, exponent

COLORS = {"numpy": "#d94801", "numba": "#08306b"}
QUANTITIES = {"time": "time a step", "training": "memory of a training", "work": "work space of the steps"}


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
        return slice(len(self.sizes) - AXES[self.axis].fitted, None)


def lines(found: dict) -> Iterator[Line]:
    """Every curve of a measurement."""
    for name, axis in AXES.items():
        for what in QUANTITIES:
            for backend in BACKENDS:
                values = _values(found["axes"][name], what, backend)
                sizes, numbers = [int(size) for size in values], list(values.values())
                expected = axis.seconds if what == "time" else getattr(axis, what)[backend]
                fitted = exponent(sizes[-axis.fitted :], numbers[-axis.fitted :])
                yield Line(name, what, backend, sizes, numbers, expected, fitted)


def _values(curves: dict, what: str, backend: str) -> dict[str, float]:
    if what == "time":
        return {size: min(samples) for size, samples in curves["seconds"][backend].items()}
    return {size: memory[what] for size, memory in curves["memory"][backend].items()}


def about(found: dict) -> str:
    """Where, when and with what."""
    a = found["about"]
    versions = ", ".join(f"{name} {version}" for name, version in a["versions"].items())
    return (
        f"Measured on {a['date']} by `nox -s measure -- scaling` in {a['seconds']} s on one {a['cpu']} ({versions}); "
        f"load before: {a['load']}. A network of relu layers learns with SGD in float32; what does not grow is 64 "
        "wide, one hidden layer deep, 64 rows a step (32 where the width or the rows grow)."
    )


def table(found: dict) -> str:
    """The exponents with their 95 % intervals, a line an axis and a quantity."""
    heads = ["over", "from to", "of", "expected", *BACKENDS]
    rows = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    by_row: dict[tuple[str, str], list[Line]] = {}
    for line in lines(found):
        by_row.setdefault((line.axis, line.what), []).append(line)
    for (axis, what), pair in by_row.items():
        sizes = pair[0].sizes[pair[0].fitted]
        expected = list(dict.fromkeys(f"{line.expected:g}" for line in pair))
        cells = [axis, f"{sizes[0]:,} to {sizes[-1]:,}", QUANTITIES[what], ", ".join(expected)]
        cells += [f"{line.found} {line.verdict}".rstrip() for line in pair]
        rows.append(f"| {' | '.join(cells)} |")
    notes = (
        "Exponents p of size^p in the upper range, with 95 % intervals; where two are expected the first is NumPy's. "
        f'Where one is off by more than {NEAR:g} stands "another", and the command fails, or "unclear" if the interval '
        "has the expected one. Time is the processor's in the fastest sample. Memory is what NumPy allocates "
        "beyond the data: the whole training with its state and the order of its rows, and the steps' work space alone."
    )
    return "\n".join([*rows, "", notes])


def chart(found: dict) -> Figure:
    """Time above, memory below, a column an axis; a dashed line has the expected slope."""
    figure = Figure(figsize=(14, 7.6), layout="constrained", dpi=90)
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, len(AXES), sharex="col", squeeze=False)
    for line in lines(found):
        axes = panels[int(line.what != "time"), list(AXES).index(line.axis)]
        _curve(axes, line)
    for axes in panels.ravel():
        _style(axes)
    for axes, name in zip(panels[0], AXES, strict=True):
        axes.set_title(f"over {name}", fontsize=14, loc="left", fontweight="bold")
        axes.yaxis.set_major_formatter(FuncFormatter(_time))
    for axes, name in zip(panels[1], AXES, strict=True):
        axes.set_xlabel({"batch": "rows a step", "rows": "rows of the data"}.get(name, name), fontsize=12)
        axes.yaxis.set_major_formatter(FuncFormatter(_size))
    panels[0, 0].set_ylabel("time a step", fontsize=12)
    panels[1, 0].set_ylabel("memory beyond the data", fontsize=12)
    for panel in panels[:, 0]:
        panel.legend(frameon=False, fontsize=10)
    a = found["about"]
    note = f"Dashed: the expected slope. relu, SGD, float32, one thread; {a['cpu']}, {a['date']}"
    figure.supxlabel(note, fontsize=10, color="0.35")
    return figure


def _curve(axes, line: Line) -> None:
    color, dotted = COLORS[line.backend], line.what == "work"
    label = line.backend if line.what == "time" else f"{line.backend}, {'work space' if dotted else 'training'}"
    style = {"linestyle": (0, (1, 1.5)) if dotted else "-", "marker": "o", "markersize": 4}
    axes.plot(line.sizes, line.values, color=color, linewidth=1.8, label=label, **style)
    x = np.array(line.sizes[line.fitted], float)
    y = np.array(line.values[line.fitted], float)
    middle = np.exp(np.log(y).mean() - line.expected * np.log(x).mean())
    axes.plot(x, middle * x**line.expected, color=color, linewidth=5, alpha=0.2, linestyle=(0, (2, 1)))


def _style(axes) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(LogLocator(base=2, numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / 1024:g}k" if x >= 1024 else f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _time(seconds: float, _=None) -> str:
    return _with_unit(seconds, ((1, "s"), (1e-3, "ms"), (1e-6, "µs")))


def _size(n_bytes: float, _=None) -> str:
    return _with_unit(n_bytes, ((1e6, "MB"), (1e3, "kB"), (1, "B")))


def _with_unit(number: float, units: tuple[tuple[float, str], ...]) -> str:
    size, unit = next((u for u in units if number >= 0.999 * u[0]), units[-1])
    return f"{number / size:.3g} {unit}"
