"""Figures of matplotlib that need no screen: an empty one, its form in a notebook, and its file."""

from __future__ import annotations

import functools
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fastnn.checking.arguments import shown
from fastnn.checking.hints import missing_package

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FORMATS: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""The formats that `save` writes, and what each must leave out for the same bytes at each time."""


def empty_figure(title: str, xlabel: str, ylabel: str, axes: Axes | None = None) -> tuple[Figure, Axes]:
    """Return an empty figure and its axes, or those given; no window is opened, whatever matplotlib's back end."""
    try:
        from matplotlib.axes import Axes
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_package("matplotlib", "a picture needs") from error

    if axes is not None:
        if not isinstance(axes, Axes):
            raise TypeError(f"axes must be matplotlib's, as plt.subplots() makes them, not {shown(axes)}")
        axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
        return cast("Figure", axes.get_figure(root=True)), axes
    figure = Figure(figsize=(10, 8), layout="constrained")
    FigureCanvasAgg(figure)
    figure._repr_png_ = functools.partial(_png, figure)  # type: ignore[attr-defined]
    axes = figure.add_subplot()
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=18, pad=14)
    axes.set_xlabel(xlabel, fontsize=14)
    axes.set_ylabel(ylabel, fontsize=14)
    axes.tick_params(labelsize=12)
    return figure, axes


def _png(figure: Figure) -> bytes:
    """Return a figure as a notebook shows it, which knows matplotlib's figures only where pyplot was imported."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=72)
    return file.getvalue()


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure to a file, making its folder if need be.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Such as the functions of `fastnn.plotting` return.
    path : str or path
        Its ending is the format: .png (also where there is none), .svg or .pdf. No time and no version is written, so
        the same curve gives the same bytes.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    TypeError
        When `figure` is none.
    ValueError
        For another ending.

    Examples
    --------
    >>> from fastnn import plotting
    >>> plotting.save(plotting.loss_curves([0.9, 0.5, 0.3]), "pictures/loss.png").stat().st_size > 1000
    True
    """
    if not hasattr(figure, "savefig"):
        raise TypeError(
            f"figure must be a matplotlib Figure, as the functions of fastnn.plotting return, not {shown(figure)}"
        )
    path = Path(path)
    form = path.suffix.lower().removeprefix(".") or "png"
    if form not in _FORMATS:
        endings = ", ".join(f".{name}" for name in _FORMATS)
        raise ValueError(f"a picture's name must end in one of {endings}, not in {path.suffix!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "fastnn"}):  # else the ids in an SVG are random
        figure.savefig(path, format=form, metadata=_FORMATS[form])
    return path
