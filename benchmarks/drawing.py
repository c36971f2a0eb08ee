"""Parts of the benchmarks' charts: figures without a screen, axes without a frame, logarithmic
scales.
"""

from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

BLUE = "#08306b"
ORANGE = "#d94801"


def panels(
    n: int, size: tuple[float, float], note: str, columns: int = 2, **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure with n panels, of `size` inches all together, and a note below."""
    figure = Figure(figsize=size, layout="constrained", dpi=100)
    FigureCanvasAgg(figure)
    rows = -(-n // columns)
    found = list(figure.subplots(rows, min(n, columns), squeeze=False, **options).ravel())
    for axes in found[n:]:
        axes.set_axis_off()
    figure.supxlabel(note, fontsize=10, color="0.35")
    return figure, found


def style(
    axes: Axes, title: str = "", xlabel: str = "", ylabel: str = "", grid: str = "both"
) -> None:
    """Title on the left, pale grid below all, no frame."""
    axes.set_title(title, fontsize=12, loc="left", fontweight="bold")
    axes.set_xlabel(xlabel, fontsize=12)
    axes.set_ylabel(ylabel, fontsize=12)
    axes.grid(color="0.92", axis=grid)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def log_scale(
    axes: Axes, which: str, text: Any = "{:g}".format, ticks: Iterable[float] | None = None, base=10
) -> None:
    """Make an axis logarithmic, "x" or "y", its ticks as text, at certain places only if they are
    given.
    """
    getattr(axes, f"set_{which}scale")("log", base=base)
    axis = getattr(axes, f"{which}axis")
    if ticks is not None:
        axis.set_major_locator(FixedLocator(sorted(ticks)))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda number, _: text(number)))
    axis.set_minor_formatter(NullFormatter())
