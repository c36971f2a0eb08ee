"""The picture of many networks: time by members, a panel for each network."""

from __future__ import annotations

from statistics import median

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from benchmarks.peers.many.jobs import KINDS, VALIDATED
from benchmarks.peers.many.measure import JAX, LOOP, PEERS, SKLEARN, TORCH, US, US_1, USUAL
from benchmarks.peers.many.tables import describe

COLORS = {US: "#08306b", US_1: "#6baed6", LOOP: "#238b45", JAX: "#d94801", TORCH: "#7a0177", SKLEARN: "0.45"}
LINES = dict(zip(KINDS, ("-", ":"), strict=True))


def members_by_time(many: dict) -> Figure:
    """Seconds a member over their number, both on logarithmic axes; a line a peer, dotted where epochs are mixed."""
    figure = Figure(figsize=(13, 10), layout="constrained", dpi=100)
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 2, squeeze=False).ravel()
    plain = [(name, jobs) for name, jobs in many["networks"].items() if name != VALIDATED]
    for axes, (name, jobs) in zip(panels, plain, strict=False):
        _panel(axes, name, jobs)
    for axes in panels[len(plain) :]:
        axes.set_axis_off()
    titles = [title for title in PEERS if any(title in lanes for lanes in _lanes(many))]
    entries = [Line2D([], [], color=COLORS[title], linewidth=2.5) for title in titles]
    entries += [Line2D([], [], color="0.3", linestyle=line, linewidth=2) for line in LINES.values()]
    words = [*titles, *(f"{kind} epochs" for kind in LINES)]
    figure.legend(entries, words, loc="outside upper center", ncols=4, frameon=False, fontsize=12)
    a = many["about"]
    note = (
        f"Time a member of {USUAL:,} iterations (mixed: on average) at so many members, the drawing of weights counted;"
        f"\nlower is faster; medians; JAX without its compilation; {a['cpu']}, {a['cores']} cores, {a['date']}"
    )
    figure.supxlabel(note, fontsize=10, color="0.3")
    return figure


def _lanes(many: dict):
    return (lanes for jobs in many["networks"].values() for counts in jobs.values() for lanes in counts.values())


def _panel(axes, name: str, jobs: dict) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    every: set[int] = set()
    for kind, line in LINES.items():
        counts = {int(members): lanes for members, lanes in jobs.get(f"{USUAL}, {kind}", {}).items()}
        every |= counts.keys()
        for title in PEERS:
            points = [(m, median(lanes[title]["seconds"]) / m) for m, lanes in counts.items() if title in lanes]
            if points:
                axes.plot(*zip(*points, strict=True), line, color=COLORS[title], marker="o", markersize=5, linewidth=2)
    axes.xaxis.set_major_locator(FixedLocator(sorted(every)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(_time))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(describe(name), fontsize=12, loc="left", fontweight="bold")
    axes.set_xlabel("members")
    axes.set_ylabel("time a member")


def _time(seconds: float, _: int) -> str:
    size, unit = next(((s, u) for s, u in ((1, "s"), (1e-3, "ms")) if seconds >= 0.999 * s), (1e-6, "µs"))
    return f"{seconds / size:g} {unit}"
