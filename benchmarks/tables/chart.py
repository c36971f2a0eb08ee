"""The chart of error over seconds: a point for each method, geometric means of its ratios to LightGBM."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from benchmarks.drawing import BLUE, ORANGE, log_scale, panels, style
from benchmarks.tables.data import DESIGN, Table
from benchmarks.tables.methods import METHODS, OURS
from benchmarks.tables.report import EIGHT, TITLES, Found, digits, geometric, ratios

HIGHEST = 3.0
"""The largest error that has its place; larger ones are drawn there, with their number."""
LOOKS = [*(("o", blue) for blue in ("#9ecae1", "#4292c6", BLUE)), *((marker, ORANGE) for marker in "svD<>X")]
"""Marker and color of each method."""


def chart(found: Found, source: str) -> Figure:
    """Draw a panel for each half that was measured; `source` is written below."""
    groups = found.groups()
    shown = [title for title in (EIGHT, TITLES[DESIGN]) if title in groups] or list(groups)
    note = f"Geometric means of the ratios of all tables. {source}"
    figure, drawn = panels(len(shown), (4.4 * len(shown), 5.0), note, columns=len(shown), sharey=True)
    for axes, title in zip(drawn, shown, strict=True):
        draw_panel(axes, found, groups[title])
        style(axes, f"{title[0].upper()}{title[1:]}", "processor's seconds of fit / LightGBM's")
    drawn[0].set_ylabel("error / LightGBM's: less is better", fontsize=12)
    figure.legend(*drawn[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    return figure


def draw_panel(axes: Axes, found: Found, tables: list[Table]) -> None:
    """Draw a point for each method, of seconds and error, and a line through our presets."""
    ours = []
    for method, (marker, color) in zip(METHODS, LOOKS, strict=True):
        means = [geometric(ratios(found, tables, method, what).values()) for what in ("fit", "error")]
        if None in means:
            continue
        seconds, error = (mean.middle for mean in means)
        place = seconds, min(error, HIGHEST)
        label = METHODS[method].title.replace("`", "")
        axes.plot(*place, marker, color=color, markersize=10, linestyle="", zorder=3, label=label)
        if error > HIGHEST:
            axes.annotate(digits(error), place, xytext=(8, -4), textcoords="offset points", fontsize=11)
        ours += [place] if method in OURS else []
    if ours:
        axes.plot(*zip(*ours, strict=True), color=BLUE, linewidth=1.5)
    axes.axhline(1, color="0.75", linewidth=1, zorder=0)
    axes.axvline(1, color="0.75", linewidth=1, zorder=0)
    log_scale(axes, "x")
    log_scale(axes, "y")
    axes.margins(x=0.12, y=0.1)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 6, 7, 8)))
