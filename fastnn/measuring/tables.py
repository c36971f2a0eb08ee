"""Numbers as text, with their quartiles or intervals, and tables in Markdown: of the commands and the benchmarks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

_UNITS = {"seconds": (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)), "bytes": (("MB", 1e6), ("kB", 1e3))}


def with_unit(number: float, kind: str = "seconds") -> str:
    """Return seconds or bytes with three digits and a unit that suits."""
    units = _UNITS["bytes" if kind == "memory" else "seconds"]
    name, size = next((unit for unit in units if number >= unit[1]), units[-1])
    return f"{number / size:#.3g}".rstrip(".") + f" {name}"


def digits(number: float) -> str:
    """Return a number with two or three digits."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def rounded(number: float) -> str:
    """Return a large number with three digits that say something."""
    return f"{float(f'{number:.3g}'):,.0f}"


class Interval(NamedTuple):
    """A number, such as the median of ratios, between the ends of an interval."""

    low: float
    middle: float
    high: float

    def __str__(self) -> str:
        return f"{digits(self.middle)} ({digits(self.low)}–{digits(self.high)})"


def quartiles(samples: Sequence[float]) -> Interval:
    """Return the median of samples between their quartiles."""
    return Interval(*map(float, np.percentile(samples, [25, 50, 75])))


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> Interval:
    """Return theirs by ours, of the rounds that both had: timed in turn, so that what slowed both cancels."""
    return quartiles([a / b for a, b in zip(theirs, ours, strict=False)])


def seconds(samples: Sequence[float] | None) -> str:
    """Return the median of times and their quartiles as text, "" of none."""
    if not samples:
        return ""
    found = quartiles(samples)
    size, unit = next(((s, u) for s, u in ((1, "s"), (1e-3, "ms")) if found.middle >= s), (1e-6, "µs"))
    low, middle, high = (digits(number / size) for number in found)
    return f"{middle} {unit} ({low}–{high})"


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]], right: str = "") -> str:
    """Return a table in Markdown; the columns named in `right`, by their places as in "123", are aligned there."""
    lines = ["---:" if str(i) in right else "---" for i in range(len(heads))]
    return "\n".join([_row(heads), f"|{'|'.join(lines)}|", *map(_row, rows)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
