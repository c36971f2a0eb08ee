"""The chart of what threads gain, alone and beside busy processes, by the samples of `benchmarks.threads`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WAYS = {"2": ("threads=2", "#9ecae1"), "None": ("threads=None", "#08306b")}
"""{the way in the samples: its label and its color}"""
LEAST = {0: 0.97, 1: 0.87}
"""What `threads=None` may come down to beside so many busy processes."""


def chart(loaded: dict[str, list[dict[str, list[float]]]], labels: dict[str, str]) -> Figure:
    """Draw the gains over one thread, a panel for each number of busy processes, a group of bars for each work."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3, sharey=True)
    for n_busy, axes in enumerate(panels):
        for k, (way, (label, color)) in enumerate(WAYS.items()):
            quartiles = np.array([np.percentile(by_load[n_busy][way], [25, 50, 75]) for by_load in loaded.values()])
            low, middle, high = quartiles.T
            places = np.arange(len(loaded)) + 0.4 * (k - 0.5)
            errors = {"yerr": [middle - low, high - middle], "ecolor": "0.4", "capsize": 3}
            bars = axes.bar(places, middle, 0.38, color=color, label=label, **errors)
            axes.bar_label(bars, [f"{x:.2f}" for x in middle], padding=5, fontsize=8)
        axes.axhline(1, color="0.3", linewidth=1)
        if n_busy in LEAST:
            axes.axhline(LEAST[n_busy], color="#d94801", linewidth=1.2, linestyle=(0, (4, 3)))
        axes.set_xticks(range(len(loaded)), [labels[name].replace(", ", "\n") for name in loaded], fontsize=9)
        axes.set_title(["alone", "beside one busy process", "beside two"][n_busy], fontsize=12)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="0.9", axis="y")
        axes.set_axisbelow(True)
    panels[0].set_ylabel("times as fast as one thread")
    panels[0].legend(frameon=False, fontsize=10, loc="upper right")
    figure.suptitle("Threads that share each step, on two CPUs", fontsize=14)
    return figure


def first_lines(found: dict[str, Any]) -> list[str]:
    """Return the table of seconds of first trainings, in Markdown."""
    lines = ["", "| the first training of a process, seconds | `threads=1` | `threads=2` | `threads=None` |"]
    lines.append("|---" * 4 + "|")
    for kernels, seconds in found.items():
        lines.append(f"| {kernels} | {' | '.join(f'{x:.2f}' for x in seconds)} |")
    return lines
