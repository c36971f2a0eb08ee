"""What two threads gain: wall time of a fit by `n_jobs=2` beside `n_jobs=1`, in turn."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.peers.tables import row, separator
from benchmarks.tables.aims import gain
from benchmarks.tables.data import CLASSES, Table
from benchmarks.tables.methods import METHODS, by_preset
from fastnn.measuring.timing import interleaved

LEAST_ROWS = 5000
ROUNDS = 3


def gains(table: Table, presets: list[str]) -> dict[str, Any]:
    """Return the seconds of fits, {table: {preset: {n_jobs: seconds}}}; nothing for a table of few rows.

    Raises
    ------
    RuntimeError
        Where two threads give another answer.
    """
    X, X_test, y, _ = table.split(0)
    if len(X) + len(X_test) < LEAST_ROWS:
        return {}
    y = np.unique(y, return_inverse=True)[1] if table.kind == CLASSES else y
    found = {}
    for preset in presets:
        fits = {str(n): partial(by_preset, table.kind, X, y, 0, preset, n_jobs=n) for n in (1, 2)}
        one, two = (fit()(X_test) for fit in fits.values())
        if not np.array_equal(one, two):
            raise RuntimeError(f"{preset} on {table.name}: another answer by two threads, so nothing was timed")
        timings = interleaved(fits, dict.fromkeys(fits, 1), ROUNDS)
        found[preset] = {n: list(timing.seconds) for n, timing in timings.items()}
    return {table.name: found}


def threads_table(found: dict[str, Any]) -> str:
    """A line for each table: seconds of one thread, and how many times as fast two are; "" where there is none."""
    presets = [preset for preset in METHODS if any(preset in by_preset for by_preset in found.values())]
    if not presets:
        return ""
    heads = [head for p in presets for head in (f"{METHODS[p].title}, one thread, s", "two threads, times as fast")]
    lines = [row(["wall time of fit", *heads]), separator(1 + len(heads))]
    for name, seconds in found.items():
        cells = [name]
        for preset in presets:
            here = preset in seconds
            cells += [f"{min(seconds[preset]['1']):.3g}", f"{gain(seconds[preset]):.2f}"] if here else ["", ""]
        lines.append(row(cells))
    return "\n".join(lines)
