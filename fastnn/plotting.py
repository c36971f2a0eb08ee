"""Pictures: error and loss curves of a training, speeds side by side, and ratios (matplotlib, without a screen)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from fastnn.installed import missing_package

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Curves of the two back ends lie on top of each other, so the first is drawn wide and pale, the next thin and dashed.
_STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#9ecae1", "linewidth": 7, "solid_capstyle": "round"},
    {"color": "#08306b", "linewidth": 2, "linestyle": (0, (4, 3))},
    {"color": "#d94801", "linewidth": 2, "linestyle": ":"},
)


def error_curve(curves: Mapping[str, ArrayLike], title: str = "Artificial Neural Networks Training") -> Figure:
    """Draw errors against the iteration, as the tutorial does.

    Parameters
    ----------
    curves : mapping of str to array_like, shape (n_iterations,)
        The label and the errors of each training.
    title : str
        Above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        10 by 8 inches; `save` writes it.
    """
    figure, axes = _figure(title, "iteration", "error")
    _draw(axes, curves, first=0)
    axes.set_ylim(bottom=0)
    return figure


def loss_curves(curves: Mapping[str, ArrayLike], title: str) -> Figure:
    """Draw losses against the epoch, with a logarithmic loss axis.

    Parameters
    ----------
    curves : mapping of str to array_like, shape (n_epochs,)
        The label and the losses of each training; the first epoch is number 1.
    title : str
        Above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        10 by 8 inches; `save` writes it.
    """
    figure, axes = _figure(title, "epoch", "mean training loss")
    from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.set_yscale("log")
    _draw(axes, curves, first=1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    return figure


def speeds(
    rows: Mapping[str, Mapping[str, tuple[float, float, float]]], title: str, xlabel: str = "iterations a second"
) -> Figure:
    """Draw speeds on a logarithmic axis: a line a problem, a dot a competitor, and the ratio of the last to the first.

    Parameters
    ----------
    rows : mapping of str to mapping of str to (low, median, high)
        By problem, by competitor: the median, and the quartiles, which are drawn as a bar through the dot.
    title, xlabel : str

    Returns
    -------
    matplotlib.figure.Figure
        10 by 8 inches or less; `save` writes it.
    """
    figure, axes = _figure(title, xlabel, "")
    figure.set_figheight(min(8.0, 2.2 + 0.75 * len(rows)))
    axes.set_xscale("log")
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    colours = dict(zip(names, ("#6baed6", "#08306b", "#d94801"), strict=False))
    for y, row in enumerate(rows.values()):
        medians = [median for _, median, _ in row.values()]
        axes.plot([min(medians), max(medians)], [y, y], color="0.8", linewidth=2, zorder=1)
        for name, (low, median, high) in row.items():
            axes.plot([low, high], [y, y], color=colours[name], linewidth=5, alpha=0.5, solid_capstyle="butt")
            axes.plot(median, y, "o", color=colours[name], markersize=11, label=name if y == 0 else None)
            if len(row) == 1:
                continue
            outwards = -1 if median == min(medians) else 1
            axes.annotate(
                f"{median:,.0f}",
                (median, y),
                xytext=(12 * outwards, 0),
                textcoords="offset points",
                ha="right" if outwards < 0 else "left",
                va="center",
                fontsize=11,
            )
        if len(medians) == 2:
            middle = (medians[0] * medians[1]) ** 0.5
            text = f"× {medians[1] / medians[0]:.3g}"
            axes.annotate(text, (middle, y), xytext=(0, 9), textcoords="offset points", ha="center", fontsize=12)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.margins(x=0.22, y=0.12)
    axes.grid(visible=False, axis="y")
    axes.legend(frameon=False, fontsize=13, ncols=len(names), loc="lower right", bbox_to_anchor=(1, 1), borderpad=0)
    return figure


def ratios(
    rows: Mapping[str, tuple[float, float, float]],
    wrong: Collection[str],
    limits: Iterable[float],
    title: str,
    xlabel: str,
) -> Figure:
    """Draw ratios with their intervals, a line each, beside 1 and the limits above which they are wrong.

    Parameters
    ----------
    rows : mapping of str to (low, middle, high)
        By name.
    wrong : collection of str
        The names that are drawn in red.
    limits : iterable of float
        Drawn as dashed lines.
    title, xlabel : str

    Returns
    -------
    matplotlib.figure.Figure
        10 by 8 inches or less; `save` writes it.
    """
    figure, axes = _figure(title, xlabel, "")
    figure.set_figheight(min(8.0, 1.8 + 0.45 * len(rows)))
    axes.axvline(1, color="0.6", linewidth=1)
    for limit in limits:
        axes.axvline(limit, color="#d94801", linewidth=1.5, linestyle=(0, (4, 3)))
        axes.annotate(f"{limit:g}", (limit, 1), (3, 3), axes.get_xaxis_transform(), "offset points")
    for y, (name, (low, middle, high)) in enumerate(rows.items()):
        colour = "#cb181d" if name in wrong else "#08306b"
        axes.plot([low, high], [y, y], color=colour, linewidth=5, alpha=0.45, solid_capstyle="butt")
        axes.plot(middle, y, "o", color=colour, markersize=8)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.margins(x=0.08, y=0.08)
    axes.grid(visible=False, axis="y")
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, making the folder if need be; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the software's version in the file, the same curve gives the same bytes.
    figure.savefig(path, format="png", metadata={"Software": None})
    return path


def _figure(title: str, xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    """Return an empty figure, which belongs to no window whatever matplotlib is set to, and its axes."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_package("matplotlib", "a picture needs") from error

    figure = Figure(figsize=(10, 8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=18, pad=14)
    axes.set_xlabel(xlabel, fontsize=14)
    axes.set_ylabel(ylabel, fontsize=14)
    axes.tick_params(labelsize=12)
    return figure, axes


def _draw(axes: Axes, curves: Mapping[str, ArrayLike], first: int) -> None:
    import numpy as np

    for i, (label, values) in enumerate(curves.items()):
        y = np.asarray(values)
        axes.plot(np.arange(first, first + len(y)), y, label=label, **_STYLES[i % len(_STYLES)])
    axes.margins(x=0.02)
    axes.legend(frameon=False, fontsize=13)
