"""The two pictures: all peers, a panel a workload; and where fastnn stops being the right choice."""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from benchmarks.peers.aims import best, digits, ratio
from benchmarks.peers.measure import JAX, PEERS, TORCH, US
from benchmarks.peers.tables import describe
from benchmarks.peers.workloads import GRID

OURS, THEIRS = "#08306b", "#d94801"
MARKERS = {JAX: "o", TORCH: "s"}


def side_by_side(found: dict) -> Figure:
    """Iterations a second on a logarithmic axis: a panel a workload, a dot a peer, its quartiles as a bar."""
    names = list(found["training"])
    columns = 2
    rows = -(-len(names) // columns)
    figure = _figure((13, 0.6 + 2.75 * rows))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, name in zip(panels, names, strict=False):
        _panel(axes, name, found["training"][name])
    for axes in panels[len(names) :]:
        axes.set_axis_off()
        axes.text(0.02, 0.9, _caption(found), va="top", fontsize=11, color="0.25", linespacing=1.5)
    if len(names) == len(panels):
        figure.supxlabel(_caption(found).replace("\n", " "), fontsize=9, color="0.25")
    return figure


def _panel(axes, name: str, lanes: dict) -> None:
    titles = [title for title in PEERS if title in lanes]
    titles.sort(key=lambda title: np.median(lanes[title]["seconds"]))
    ours = lanes[US]["seconds"]
    axes.set_xscale("log")
    for y, title in enumerate(titles):
        seconds = lanes[title]["seconds"]
        low, middle, high = 1 / np.percentile(seconds, [75, 50, 25])
        color = OURS if title == US else THEIRS
        axes.plot([low, high], [y, y], color=color, linewidth=6, alpha=0.4, solid_capstyle="butt")
        axes.plot(middle, y, "o", color=color, markersize=9)
        text = f"{float(f'{middle:.3g}'):,.0f}"
        if title != US:
            text += f"   fastnn × {digits(ratio(seconds, ours).median)}"
        axes.annotate(text, (high, y), xytext=(9, 0), textcoords="offset points", va="center", fontsize=10)
    own = {title: f"{title}*" if lanes[title]["own_rules"] else title for title in titles}
    axes.set_yticks(range(len(titles)), [own[title] for title in titles], fontsize=11)
    for label, title in zip(axes.get_yticklabels(), titles, strict=True):
        label.set_fontweight("bold" if title == US else "normal")
    medians = [1 / np.median(lanes[title]["seconds"]) for title in titles]
    span = max(medians) / min(medians)
    axes.set_xlim(min(medians) / span**0.06, max(medians) * max(span, 4) ** 0.6)  # room for the numbers
    subs = (1,) if span > 12 else (1, 2, 5)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / 1e6:g} M" if x >= 1e6 else f"{x:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.invert_yaxis()
    axes.margins(y=0.1)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(describe(name).replace("`", ""), fontsize=12, loc="left", fontweight="bold")


def _caption(found: dict) -> str:
    a = found["about"]
    return (
        "Training: iterations a second, to the right is faster.\n"
        "Dot: median of rounds taken in turn; bar: their quartiles.\n"
        "fastnn ×: median of the rounds' ratios, as in the table.\n"
        "fastnn: one thread. PyTorch, JAX, BLAS: all cores.\n"
        "* by its own rules on the same sizes.\n"
        f"{a['cpu']}, {a['cores']} cores, {a['date']}"
    )


def crossover_ratios(found: dict, ours: str = US) -> dict[tuple[int, int], tuple[float, str]]:
    """Return how many times as fast as the best peer, and which that is, by width and rows a step."""
    points = {tuple(map(int, GRID.fullmatch(name).groups())): lanes for name, lanes in found["crossover"].items()}
    return {point: _over_best(lanes, ours) for point, lanes in points.items()}


def crossover(found: dict, ours: str = US) -> Figure:
    """How many times as fast as the best peer, over the width of the layers, a line a batch size."""
    figure = _figure((11, 7.5))
    axes = figure.add_subplot()
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    points = crossover_ratios(found, ours)
    batches = sorted({batch for _, batch in points})
    for i, batch in enumerate(batches):
        color = _shade(i / max(1, len(batches) - 1))
        widths = sorted(width for width, b in points if b == batch)
        ratios = [points[width, batch] for width in widths]
        axes.plot(widths, [r for r, _ in ratios], color=color, linewidth=2, zorder=2)
        for width, (r, rival) in zip(widths, ratios, strict=True):
            axes.plot(width, r, MARKERS[rival], color=color, markersize=8, markeredgecolor="white", zorder=3)
    every = sorted({width for width, _ in points})
    low = min(0.25, min(ratio for ratio, _ in points.values()) / 1.3)
    axes.axhspan(low / 2, 1, color=THEIRS, alpha=0.08, linewidth=0)
    axes.axhline(1, color=THEIRS, linewidth=1.5)
    axes.set_ylim(bottom=low)
    axes.annotate(
        "below: take the other",
        (every[0], 1),
        xytext=(4, -16),
        textcoords="offset points",
        color=THEIRS,
        fontsize=11,
    )
    axes.xaxis.set_major_locator(FixedLocator(every))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.yaxis.set_major_locator(FixedLocator([0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("width w of the network w-w-10", fontsize=13)
    axes.set_ylabel("speed of fastnn / speed of the best peer", fontsize=13)
    axes.set_title("Where fastnn stops being the right choice", fontsize=16, loc="left", pad=12)
    lines = [Line2D([], [], color=_shade(i / max(1, len(batches) - 1)), linewidth=3) for i in range(len(batches))]
    legend = axes.legend(lines, [f"{b:,}" for b in batches], title="rows a step", frameon=False, loc="upper right")
    axes.add_artist(legend)
    rivals = {rival for _, rival in points.values()}
    shown = {title: marker for title, marker in MARKERS.items() if title in rivals}
    kinds = [Line2D([], [], color="0.4", marker=marker, linestyle="", markersize=8) for marker in shown.values()]
    axes.legend(kinds, list(shown), title="best peer", frameon=False, loc="upper right", bbox_to_anchor=(0.86, 1))
    a = found.get("crossover about", found["about"])
    who = "fastnn on one thread, JAX and PyTorch" if ours == US else "fastnn, JAX and PyTorch"
    note = f"relu, Adam, float32; {who} on {a['cores']} cores; {a['cpu']}, {a['date']}"
    figure.supxlabel(note, fontsize=10, color="0.35")
    return figure


def _over_best(lanes: dict, ours: str) -> tuple[float, str]:
    rival = best(lanes, tuple(MARKERS))
    return float(np.median(lanes[rival]) / np.median(lanes[ours])), rival


def _shade(part: float):
    """From pale to dark blue."""
    from matplotlib import colormaps

    return colormaps["viridis_r"](0.12 + 0.88 * part)


def _figure(size: tuple[float, float]) -> Figure:
    figure = Figure(figsize=size, layout="constrained", dpi=100)
    FigureCanvasAgg(figure)
    return figure
