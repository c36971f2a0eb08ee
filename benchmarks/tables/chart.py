"""The chart of error over seconds: a point for each method, geometric means of its ratios to LightGBM."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from matplotlib.transforms import Bbox

from benchmarks.drawing import BLUE, ORANGE, log_scale, panels, style
from benchmarks.tables.data import DESIGN, Table
from benchmarks.tables.methods import METHODS, OURS
from benchmarks.tables.report import EIGHT, TITLES, Found, digits, geometric, ratios

HIGHEST = 3.0
"""The largest error that has its place; larger ones are drawn there, with their number."""
PLACES = ((8, 5, "left"), (8, -15, "left"), (-8, 5, "right"), (-8, -15, "right"), (0, 13, "center"), (0, -23, "center"))
"""Where a label may be, beside its point: the first that is free."""


def chart(found: Found, source: str) -> Figure:
    """Draw a panel for each half that was measured; `source` is written below."""
    groups = found.groups()
    shown = [title for title in (EIGHT, TITLES[DESIGN]) if title in groups] or list(groups)
    note = f"Geometric means of the ratios of all tables. {source}"
    figure, drawn = panels(len(shown), (4.4 * len(shown), 4.6), note, sharey=True)
    points = [draw_panel(axes, found, groups[title]) for axes, title in zip(drawn, shown, strict=True)]
    for axes, title in zip(drawn, shown, strict=True):
        style(axes, f"{title[0].upper()}{title[1:]}", "processor's seconds of fit / LightGBM's")
    drawn[0].set_ylabel("error / LightGBM's: less is better", fontsize=12)
    figure.draw_without_rendering()  # which gives the points their places
    for axes, of_panel in zip(drawn, points, strict=True):
        label_points(axes, of_panel)
    return figure


def draw_panel(axes: Axes, found: Found, tables: list[Table]) -> dict[str, tuple[float, float]]:
    """Draw a point for each method; return what they stand for, seconds and error."""
    points = {}
    for method in found.methods:
        pair = [geometric(ratios(found, tables, method, what).values()) for what in ("fit", "error")]
        if None not in pair:
            points[method] = pair[0].middle, pair[1].middle
    for method, (seconds, error) in points.items():
        marker = "o" if error <= HIGHEST else "^"
        axes.plot(seconds, min(error, HIGHEST), marker, color=color(method), markersize=10, zorder=3)
    ours = [points[method] for method in OURS if method in points]
    axes.plot([s for s, _ in ours], [min(e, HIGHEST) for _, e in ours], color=BLUE, linewidth=1.5)
    axes.axhline(1, color="0.75", linewidth=1, zorder=0)
    axes.axvline(1, color="0.75", linewidth=1, zorder=0)
    log_scale(axes, "x")
    log_scale(axes, "y")
    axes.margins(x=0.18, y=0.1)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 6, 7, 8)))
    return points


def color(method: str) -> str:
    """Return the color of a method."""
    return BLUE if method in OURS else ORANGE


def label_points(axes: Axes, points: dict[str, tuple[float, float]]) -> None:
    """Write the names of methods beside their points, each where no point is, no other name and not the edge."""
    centers = [axes.transData.transform((s, min(e, HIGHEST))) for s, e in points.values()]
    taken: list[Any] = [Bbox.from_bounds(x - 7, y - 7, 14, 14) for x, y in centers]
    for method, (seconds, error) in points.items():
        name = METHODS[method].title.replace("`", "") + (f", {digits(error)}" if error > HIGHEST else "")
        look = {"textcoords": "offset points", "color": color(method), "fontsize": 12}
        for right, up, align in PLACES:
            label = axes.annotate(name, (seconds, min(error, HIGHEST)), xytext=(right, up), ha=align, **look)
            box = label.get_window_extent()
            if box.x1 <= axes.bbox.x1 and not any(box.overlaps(other) for other in taken):
                break
            label.remove()
        else:
            axes.add_artist(label)  # nowhere: on the last place
        taken.append(box)
