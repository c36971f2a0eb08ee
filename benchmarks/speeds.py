"""What ``fastnn bench`` prints, and its speeds drawn: ``python -m benchmarks.speeds PICTURE``."""

import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from fastnn import plotting
from fastnn.cli.bench import Report, by_workload, load
from fastnn.measuring.timing import digits, quartiles, ratio
from fastnn.plotting import empty_figure

Interval = tuple[float, float, float]
"""Low, median, high."""


def draw(report: Report) -> Figure:
    """Draw the speeds on the workloads; real work counts no iterations."""
    rows: dict[str, dict[str, tuple[float, float, float]]] = {}
    notes: dict[str, str] = {}
    for (name, dtype), trainings in by_workload(report).items():
        if all(training["sizes"] for training in trainings.values()):
            row = f"{name}\n{dtype}"
            found = {backend: quartiles(t["seconds"]) for backend, t in trainings.items()}
            rows[row] = {
                backend: (1 / q.high, 1 / q.middle, 1 / q.low) for backend, q in found.items()
            }
            if len(found) == 2:
                notes[row] = (
                    # the table's
                    f"× {digits(ratio(*(t['seconds'] for t in trainings.values())).middle)}"
                )
    return speeds(
        rows, "Training", f"iterations per second, {report['cpu']}, {report['date']}", notes
    )


def speeds(
    rows: Mapping[str, Mapping[str, Interval]],
    title: str,
    xlabel: str = "iterations per second",
    notes: Mapping[str, str] | None = None,
) -> Figure:
    """Draw a line a workload, a dot a competitor with its quartiles, and a note between two."""
    figure, axes = empty_figure(title, xlabel, "")
    figure.set_figheight(min(8.0, 2.2 + 0.75 * len(rows)))
    axes.set_xscale("log")
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    colors = dict(zip(names, ("#6baed6", "#08306b", "#d94801"), strict=False))
    for y, (workload, row) in enumerate(rows.items()):
        medians = [median for _, median, _ in row.values()]
        axes.plot([min(medians), max(medians)], [y, y], color="0.8", linewidth=2, zorder=1)
        for name, (low, median, high) in row.items():
            axes.plot(
                [low, high],
                [y, y],
                color=colors[name],
                linewidth=5,
                alpha=0.5,
                solid_capstyle="butt",
            )
            axes.plot(
                median, y, "o", color=colors[name], markersize=11, label=name if y == 0 else None
            )
            if len(row) == 1:
                continue
            x, side = (-12, "right") if median == min(medians) else (12, "left")
            look: Any = {"textcoords": "offset points", "va": "center", "fontsize": 11}
            axes.annotate(f"{median:,.0f}", (median, y), (x, 0), ha=side, **look)
        if notes and len(medians) == 2:
            middle = (medians[0] * medians[1]) ** 0.5
            axes.annotate(
                notes[workload],
                (middle, y),
                (0, 9),
                textcoords="offset points",
                ha="center",
                fontsize=12,
            )
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.margins(0.22, 0.12)
    axes.grid(visible=False, axis="y")
    axes.legend(
        frameon=False,
        fontsize=13,
        ncols=len(names),
        loc="lower right",
        bbox_to_anchor=(1, 1),
        borderpad=0,
    )
    return figure


def main(picture: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder, "report.json")
        command = [sys.executable, "-m", "fastnn", "bench", "--json", str(report)]
        subprocess.run(command, check=True)
        print(f"\nSpeeds: {plotting.save(draw(load(report)), picture)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
