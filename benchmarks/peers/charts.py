"""The pictures: all peers, a panel a workload; where fastnn stops being the right choice; many
networks by members.
"""

from statistics import median

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator

from benchmarks.drawing import BLUE, ORANGE, log_scale, panels, style
from benchmarks.peers import measure as m
from benchmarks.peers.tables import crossover_ratios
from benchmarks.peers.workloads import KINDS, VALIDATED, describe, describe_many
from benchmarks.texts import rounded
from fastnn.measuring.timing import digits, ratio

MARKERS = {m.JAX: "o", m.JAX_OLD: "^", m.TORCH: "s"}


def side_by_side(results: dict) -> Figure:
    """Iterations per second on a logarithmic axis.

    Each workload has a panel, each peer a dot, and a bar of its quartiles.
    """
    a = results["about"]
    trainings = results["training"]
    note = (
        "Training: iterations per second, to the right is faster. Dot: median of rounds taken in "
        "turn; bar: their quartiles. fastnn ×: median of the rounds' ratios, as in the "
        "table.\nfastnn: one thread. PyTorch, JAX, BLAS: all cores. * by its own rules on the same "
        f"sizes. {a['cpu']}, {a['cores']} cores, {a['date']}"
    )
    figure, drawn = panels(len(trainings), (13, 0.6 + 3.3 * -(-len(trainings) // 2)), note)
    for axes, (name, lanes) in zip(drawn, trainings.items(), strict=False):
        titles = sorted(
            filter(lanes.get, m.PEERS), key=lambda title: np.median(lanes[title]["seconds"])
        )
        for y, title in enumerate(titles):
            samples = lanes[title]["seconds"]
            low, middle, high = 1 / np.percentile(samples, [75, 50, 25])
            color = BLUE if title == m.US else ORANGE
            axes.plot(
                [low, high], [y, y], color=color, linewidth=6, alpha=0.4, solid_capstyle="butt"
            )
            axes.plot(middle, y, "o", color=color, markersize=9)
            if title == m.US:
                beside = ""
            else:
                beside = f"   fastnn × {digits(ratio(samples, lanes[m.US]['seconds']).middle)}"
            place = {
                "xytext": (9, 0),
                "textcoords": "offset points",
                "va": "center",
                "fontsize": 10,
            }
            axes.annotate(f"{rounded(middle)}{beside}", (high, y), **place)
        style(axes, describe(name).replace("`", ""), grid="x")
        log_scale(axes, "x", lambda x: f"{x / 1e6:g} M" if x >= 1e6 else f"{x:,.0f}")
        medians = [1 / np.median(lanes[title]["seconds"]) for title in titles]
        span = max(medians) / min(medians)
        # room for the numbers
        axes.set_xlim(min(medians) / span**0.06, max(medians) * max(span, 4) ** 0.6)
        axes.xaxis.set_major_locator(LogLocator(subs=(1,) if span > 12 else (1, 2, 5)))
        axes.set_yticks(
            range(len(titles)),
            [f"{t}*" if lanes[t]["own_rules"] else t for t in titles],
            fontsize=11,
        )
        axes.get_yticklabels()[titles.index(m.US)].set_fontweight("bold")
        axes.invert_yaxis()
        axes.margins(y=0.1)
    return figure


def crossover(results: dict, ours: str = m.US) -> Figure:
    """How many times as fast as the best peer, over the width of the layers, a line a batch
    size.
    """
    a = results.get("crossover about", results["about"])
    who = "fastnn on one thread, JAX and PyTorch" if ours == m.US else "fastnn, JAX and PyTorch"
    note = f"relu, Adam, float32; {who} on {a['cores']} cores\n{a['cpu']}, {a['date']}"
    figure, (axes,) = panels(1, (6.4, 4.6), note)
    points = crossover_ratios(results, ours)
    batches = sorted({batch for _, batch in points})
    colors = dict(
        zip(batches, colormaps["viridis_r"](np.linspace(0.12, 1, len(batches))), strict=True)
    )
    for batch, color in colors.items():
        widths = sorted(width for width, b in points if b == batch)
        ratios = [points[width, batch] for width in widths]
        axes.plot(widths, [r for r, _ in ratios], color=color, linewidth=2, zorder=2)
        for width, (r, rival) in zip(widths, ratios, strict=True):
            axes.plot(
                width,
                r,
                MARKERS[rival],
                color=color,
                markersize=8,
                markeredgecolor="white",
                zorder=3,
            )
    every = {width for width, _ in points}
    low = min(0.25, min(r for r, _ in points.values()) / 1.3)
    axes.axhspan(low / 2, 1, color=ORANGE, alpha=0.08, linewidth=0)
    axes.axhline(1, color=ORANGE, linewidth=1.5)
    place = {"xytext": (4, -16), "textcoords": "offset points", "fontsize": 11}
    axes.annotate("below: take the other", (min(every), 1), color=ORANGE, **place)
    title = "Where fastnn stops being the right choice"
    style(axes, title, "width w of the network w-w-10", "speed of fastnn / speed of the best peer")
    log_scale(axes, "x", ticks=every, base=2)
    log_scale(axes, "y", ticks=[0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200])
    axes.set_ylim(bottom=low)
    lines = [Line2D([], [], color=color, linewidth=3) for color in colors.values()]
    legend = axes.legend(
        lines, [f"{b:,}" for b in batches], title="rows per step", frameon=False, loc="upper right"
    )
    axes.add_artist(legend)
    rivals = [title for title in MARKERS if title in {rival for _, rival in points.values()}]
    kinds = [
        Line2D([], [], color="0.4", marker=MARKERS[title], linestyle="", markersize=8)
        for title in rivals
    ]
    axes.legend(
        kinds, rivals, title="best peer", frameon=False, loc="upper right", bbox_to_anchor=(0.8, 1)
    )
    return figure


COLORS = {
    m.MANY: BLUE,
    m.MANY_1: "#6baed6",
    m.MANY_LOOP: "#238b45",
    m.VMAP: ORANGE,
    m.VMAP_OLD: "#fdae6b",
}
COLORS |= {m.TORCH_VMAP: "#7a0177", m.TORCH_BMM: "#f768a1", m.JOBLIB: "0.45"}
LINES = dict(zip(KINDS, ("-", ":"), strict=True))


def members_by_time(many: dict) -> Figure:
    """Seconds per member over the number of members, both on logarithmic axes.

    Each way of training has a line, dotted where epochs are mixed.
    """
    a = many["about"]
    plain = {name: jobs for name, jobs in many["networks"].items() if name != VALIDATED}
    note = (
        f"Time per member of {m.USUAL:,} iterations (mixed: on average) at so many members, the "
        "drawing of weights counted;\nlower is faster; medians; JAX without its compilation; "
        f"{a['cpu']}, {a['cores']} cores, {a['date']}"
    )
    (figure, drawn), shown = panels(len(plain), (13, 10), note), set()
    for axes, (name, jobs) in zip(drawn, plain.items(), strict=False):
        every: set[int] = set()
        for kind, line in LINES.items():
            counts = {
                int(members): lanes for members, lanes in jobs.get(f"{m.USUAL}, {kind}", {}).items()
            }
            every |= counts.keys()
            for title in m.WAYS:
                if points := [
                    (n, median(l[title]["seconds"]) / n) for n, l in counts.items() if title in l
                ]:
                    shown.add(title)
                    options = {
                        "color": COLORS[title],
                        "marker": "o",
                        "markersize": 5,
                        "linewidth": 2,
                    }
                    axes.plot(*zip(*points, strict=True), line, **options)
        style(axes, describe_many(name), "members", "time per member")
        log_scale(axes, "x", "{:,.0f}".format, every)
        log_scale(axes, "y", EngFormatter("s"))
    entries = {
        title: Line2D([], [], color=COLORS[title], linewidth=2.5)
        for title in m.WAYS
        if title in shown
    }
    entries |= {
        f"{k} epochs": Line2D([], [], color="0.3", linestyle=line, linewidth=2)
        for k, line in LINES.items()
    }
    figure.legend(
        entries.values(), entries, loc="outside upper center", ncols=4, frameon=False, fontsize=12
    )
    return figure
