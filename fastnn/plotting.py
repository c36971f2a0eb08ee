"""Pictures by matplotlib, without a screen: losses, predictions and how right they are, ratios."""

from __future__ import annotations

import functools
import io
import operator
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike

from fastnn.checking import display
from fastnn.checking.arguments import shown
from fastnn.checking.hints import missing_package
from fastnn.memory import Array
from fastnn.whole_files import check_place, write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "error_curve",
    "loss_curves",
    "member_curves",
    "predictions",
    "ratios",
    "reliability",
    "save",
]

Interval = tuple[float, float, float]


class Losses(Protocol):
    """The losses of a training by its epochs, as a `History` has them."""

    @property
    def loss(self) -> Array:
        """The losses (n_epochs,)."""

    @property
    def validation_loss(self) -> Array:
        """Those of the validation data (n_epochs,) or (0,)."""


class Trained(Protocol):
    """What has a history, as a `TrainingResult` does."""

    @property
    def history(self) -> Losses:
        """Its losses."""


Curve = ArrayLike | Losses | Trained
"""A curve to draw: numbers (n,), or a training's losses."""

# Curves of the two back ends lie on top of each other, so the first is drawn wide and pale, the
# next thin and dashed.
_STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#9ecae1", "linewidth": 7, "solid_capstyle": "round"},
    {"color": "#08306b", "linewidth": 2, "linestyle": (0, (4, 3))},
    {"color": "#d94801", "linewidth": 2, "linestyle": ":"},
)
_OF_ONE: tuple[dict[str, Any], ...] = (
    {"color": "#08306b", "linewidth": 2},
    {"color": "#d94801", "linewidth": 2, "linestyle": (0, (4, 3))},
)
"""The curves of one training: its losses, and those of its validation data."""

_LEFT_OUT = {
    "png": ["Software"],
    "svg": ["Date", "Creator"],
    "pdf": ["CreationDate", "Creator", "Producer"],
}
"""The formats that `save` writes, and what each must leave out for the same bytes at each time."""


def error_curve(
    curves: Curve | Mapping[str, Curve],
    title: str = "Artificial Neural Networks Training",
    *,
    axes: Axes | None = None,
) -> Figure:
    """Draw errors against the iteration, as the tutorial does.

    Parameters
    ----------
    curves : TrainingResult, History, array-like (n_iterations,), or mapping of str to any of these
        The errors of a training, or of several with their labels. A history's validation losses are
        drawn beside them.
    title : str
        Above the picture.
    axes : matplotlib.axes.Axes, optional
        The axes to draw in, which keep the look of their own figure; a new figure where it is not
        given.

    Returns
    -------
    matplotlib.figure.Figure
        A new one is 10 by 8 inches; `save` writes it.

    Raises
    ------
    ImportError
        Where matplotlib is not installed.
    ValueError, TypeError
        For what is no curve, and for a training without an epoch.

    Examples
    --------
    >>> from fastnn import plotting
    >>> figure = plotting.error_curve({"mine": [0.9, 0.5, 0.3], "yours": [0.8, 0.6, 0.4]})
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['mine', 'yours']
    """
    named = curves_by_label(curves)
    figure, axes = empty_figure(title, "iteration", "error", axes)
    _draw(axes, named, first=0)
    axes.set_ylim(bottom=0)
    return figure


def loss_curves(
    curves: Curve | Mapping[str, Curve], title: str = "Loss", *, axes: Axes | None = None
) -> Figure:
    """Draw losses against the epoch, with a logarithmic loss axis.

    Parameters
    ----------
    curves : TrainingResult, History, array-like (n_epochs,), or mapping of str to any of these
        The losses of a training, or of several with their labels; the first epoch is number 1. A
        history's validation losses are drawn beside its training losses.
    title : str
        Above the picture.
    axes : matplotlib.axes.Axes, optional
        The axes to draw in, which keep the look of their own figure; a new figure where it is not
        given.

    Returns
    -------
    matplotlib.figure.Figure
        A new one is 10 by 8 inches; `save` writes it.

    Raises
    ------
    ImportError
        Where matplotlib is not installed.
    ValueError, TypeError
        For what is no curve, and for a training without an epoch.

    Examples
    --------
    >>> from fastnn import Network, plotting, train
    >>> result = train(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], epochs=5, seed=0)
    >>> plotting.loss_curves(result, "My network").axes[0].get_title()
    'My network'
    """
    named = curves_by_label(curves)
    figure, axes = empty_figure(title, "epoch", "loss", axes)
    _draw(axes, named, first=1)
    _scale_as_losses(axes)
    return figure


def member_curves(
    many: Losses | Trained,
    title: str = "Losses of the members",
    *,
    axes: Axes | None = None,
) -> Figure:
    """Draw the losses of many trainings against the epoch, those of the best one in another color.

    Parameters
    ----------
    many : ManyResult or ManyHistory
        What `fastnn.train_many` returns, or its `history`. Where all members have validation
        losses, these are drawn. Of more than 40 members 40 are, evenly spread, and the best one.
    title : str
        Above the picture.
    axes : matplotlib.axes.Axes, optional
        The axes to draw in, which keep the look of their own figure; a new figure where it is not
        given.

    Returns
    -------
    matplotlib.figure.Figure
        A new one is 10 by 8 inches; `save` writes it.

    Raises
    ------
    ImportError
        Where matplotlib is not installed.
    ValueError
        Where no member has a loss, or they cannot be compared.

    Examples
    --------
    >>> from fastnn import Network, plotting, train_many
    >>> many = train_many(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3), epochs=5)
    >>> figure = plotting.member_curves(many)
    >>> len(figure.axes[0].lines)
    4
    """
    history: Any = getattr(many, "history", many)
    validated = not np.isnan(history.validation_loss).all(axis=1).any()
    losses = history.validation_loss if validated else history.loss
    best = many.best() if hasattr(many, "best") else int(np.nanmin(losses, axis=1).argmin())
    n_members = len(losses)
    figure, axes = empty_figure(title, "epoch", "validation loss" if validated else "loss", axes)
    epochs = np.arange(1, losses.shape[1] + 1)
    chosen = display.some_of(n_members)
    label = f"{n_members:,} members"
    if len(chosen) < n_members:
        label = f"{len(chosen)} of {label}"
    for k, i in enumerate(chosen):
        axes.plot(
            epochs, losses[i], color="#3b82c4", alpha=0.35, linewidth=1, label=None if k else label
        )
    axes.plot(
        epochs, losses[best], color="#d9730d", linewidth=2.5, label=f"member {best}, the best"
    )
    axes.margins(x=0.02)
    axes.legend(frameon=False, fontsize=13)
    _scale_as_losses(axes)
    return figure


def predictions(
    true: ArrayLike, predicted: ArrayLike, title: str = "Predictions", *, axes: Axes | None = None
) -> Figure:
    """Draw what was predicted against what is true, beside the line where both are the same.

    Parameters
    ----------
    true, predicted : array-like (n,) or (n, n_outputs)
        The numbers; a color for each output. Rows with NaN are left out.
    title : str
        Above the picture.
    axes : matplotlib.axes.Axes, optional
        The axes to draw in, which keep the look of their own figure; a new figure where it is not
        given.

    Returns
    -------
    matplotlib.figure.Figure
        A new one is 10 by 8 inches; `save` writes it.

    Raises
    ------
    ImportError
        Where matplotlib is not installed.
    ValueError
        For two shapes.

    Examples
    --------
    >>> from fastnn import plotting
    >>> plotting.predictions([1.0, 2.0, 3.0], [1.1, 1.9, 3.2]).axes[0].get_xlabel()
    'predicted'
    """
    true = np.asarray(true, np.float64)
    predicted = np.asarray(predicted, np.float64)
    if true.shape != predicted.shape or not true.size:
        raise ValueError(
            f"true and predicted must be numbers of the same rows, not {true.shape} and "
            f"{predicted.shape}"
        )
    true = true.reshape(len(true), -1)
    predicted = predicted.reshape(len(true), -1)
    figure, axes = empty_figure(title, "predicted", "true", axes)
    for k in range(true.shape[1]):
        axes.plot(
            predicted[:, k],
            true[:, k],
            "o",
            color=f"C{k}" if k else "#3b82c4",
            markersize=3,
            alpha=0.5,
        )
    ends = [np.nanmin([true, predicted]), np.nanmax([true, predicted])]
    axes.plot(ends, ends, color="0.5", linewidth=1, linestyle=(0, (4, 3)))
    return figure


def reliability(
    right: ArrayLike, confidence: ArrayLike, title: str = "Reliability", *, axes: Axes | None = None
) -> Figure:
    """Draw how often predictions were right against how sure they were, in ten groups of as many
    rows.

    Parameters
    ----------
    right : array-like (n,)
        Whether each prediction was right.
    confidence : array-like (n,)
        The probability that it was given.
    title : str
        Above the picture.
    axes : matplotlib.axes.Axes, optional
        The axes to draw in, which keep the look of their own figure; a new figure where it is not
        given.

    Returns
    -------
    matplotlib.figure.Figure
        A new one is 10 by 8 inches; `save` writes it.

    Raises
    ------
    ImportError
        Where matplotlib is not installed.
    ValueError
        For two shapes.

    Examples
    --------
    >>> from fastnn import plotting
    >>> plotting.reliability([True, False, True], [0.9, 0.6, 0.8]).axes[0].get_ylabel()
    'part that was right'
    """
    right = np.asarray(right, np.float64)
    confidence = np.asarray(confidence, np.float64)
    if right.shape != confidence.shape or right.ndim != 1 or not right.size:
        raise ValueError(
            f"right and confidence must be (n,), a number a row, not {right.shape} and "
            f"{confidence.shape}"
        )
    order = np.argsort(confidence, kind="stable")
    groups = [rows for rows in np.array_split(order, 10) if len(rows)]
    x = np.array([confidence[rows].mean() for rows in groups])
    y = np.array([right[rows].mean() for rows in groups])
    noise = 2 * np.sqrt(x * (1 - x) / [len(rows) for rows in groups])
    figure, axes = empty_figure(title, "probability that was given", "part that was right", axes)
    low = min(x.min(), y.min())
    axes.plot([low, 1], [low, 1], color="0.5", linewidth=1, linestyle=(0, (4, 3)))
    bars = [np.minimum(noise, y), np.minimum(noise, 1 - y)]
    axes.errorbar(x, y, bars, fmt="o-", color="#3b82c4", ecolor="#9ecae1", linewidth=1.5)
    return figure


def ratios(
    rows: Mapping[str, Interval],
    wrong: Collection[str],
    limits: Iterable[float],
    title: str,
    xlabel: str,
) -> Figure:
    """Draw ratios with their intervals, a line each, beside 1 and the limits above which they are
    wrong.

    Parameters
    ----------
    rows : mapping of str to (low, middle, high)
        By name.
    wrong : collection of str
        The names that are drawn in red.
    limits : iterable of float
        Drawn as dashed lines.
    title, xlabel : str
        Above and below the picture.

    Returns
    -------
    matplotlib.figure.Figure
        10 by 8 inches or less; `save` writes it.

    Examples
    --------
    >>> from fastnn import plotting
    >>> rows = {"iris": (0.98, 1.0, 1.02), "digits": (1.1, 1.15, 1.2)}
    >>> figure = plotting.ratios(rows, ["digits"], [1.05], "Time by time", "ratio")
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['iris', 'digits']
    """
    figure, axes = empty_figure(title, xlabel, "")
    figure.set_figheight(min(8.0, 1.8 + 0.45 * len(rows)))
    axes.axvline(1, color="0.6", linewidth=1)
    for limit in limits:
        axes.axvline(limit, color="#d94801", linewidth=1.5, linestyle=(0, (4, 3)))
        axes.annotate(f"{limit:g}", (limit, 1), (3, 3), axes.get_xaxis_transform(), "offset points")
    for y, (name, (low, middle, high)) in enumerate(rows.items()):
        color = "#cb181d" if name in wrong else "#08306b"
        axes.plot([low, high], [y, y], color=color, linewidth=5, alpha=0.45, solid_capstyle="butt")
        axes.plot(middle, y, "o", color=color, markersize=8)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()  # from the top
    axes.margins(0.08, 0.08)
    axes.grid(visible=False, axis="y")
    return figure


def _scale_as_losses(axes: Axes) -> None:
    """Let the axes be logarithmic in the loss, and have whole epochs."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _draw(axes: Axes, curves: Mapping[str, Array], first: int) -> None:
    styles = _OF_ONE if curves.keys() <= {"training", "validation"} else _STYLES
    for i, (label, y) in enumerate(curves.items()):
        epochs = np.arange(first, first + len(y))
        axes.plot(epochs, y, label=label, **styles[i % len(styles)])
    axes.margins(x=0.02)
    axes.legend(
        frameon=False, fontsize=axes.xaxis.label.get_fontproperties().get_size_in_points() - 1
    )


def curves_by_label(curves: Curve | Mapping[str, Curve]) -> dict[str, Array]:
    """Return the curves (n,) that are to be drawn, by their labels."""
    if not isinstance(curves, Mapping):
        return _curves_of(curves, "training", "validation", "curves")
    if not curves:
        raise ValueError("curves is empty: give at least one, such as {'label': result}")
    of_each = (
        _curves_of(curve, label, f"{label}, validation", f"curves[{label!r}]")
        for label, curve in curves.items()
    )
    return {label: values for named in of_each for label, values in named.items()}


def _curves_of(curve: Curve, label: str, label_of_validation: str, where: str) -> dict[str, Array]:
    """Return the losses of a training, and of its validation data where it has some, or the numbers
    that were given.
    """
    history: Any = getattr(curve, "history", curve)
    is_history = np.ndim(getattr(history, "validation_loss", 0)) == 1  # that of many has 2
    if is_history:
        values = {label: history.loss}
        if len(history.validation_loss):
            values[label_of_validation] = history.validation_loss
    else:
        try:
            values = {label: np.asarray(curve, np.float64)}
        except (TypeError, ValueError):
            hint = ""
            if isinstance(curve, (list, tuple)) and any(hasattr(one, "history") for one in curve):
                hint = ": several have labels, such as {'a': result_a, 'b': result_b}"
            what = f"{where} must be a TrainingResult, a History or numbers"
            raise TypeError(f"{what}, not {shown(curve)}{hint}") from None
    shape = values[label].shape
    if shape == (0,) and is_history:
        why = "no epoch of the training ended"
        what = "the training" if where == "curves" else where
        if history is not curve and cast(Any, curve).state.index is None:
            why = (
                "it holds a network alone, without its history, as save(path, state=False) and "
                "export write it"
            )
        raise ValueError(f"{what} has no losses to draw: {why}")
    if len(shape) != 1 or shape == (0,):
        raise ValueError(
            f"{where} must be a curve of at least one number, shape (n,); it has the shape {shape}"
        )
    return values


# -------------------------------------------------------------------------------- figures and files


def empty_figure(
    title: str, xlabel: str, ylabel: str, axes: Axes | None = None
) -> tuple[Figure, Axes]:
    """Return an empty figure and its axes, or those given; no window is opened, whatever
    matplotlib's back end.
    """
    try:
        from matplotlib.axes import Axes
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_package("matplotlib", "a picture needs") from error

    if axes is not None:
        if not isinstance(axes, Axes):
            raise TypeError(
                f"axes must be matplotlib's, as plt.subplots() makes them, not {shown(axes)}"
            )
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
    """Return a figure as a notebook shows it, which knows matplotlib's figures only where pyplot
    was imported.
    """
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=72)
    return file.getvalue()


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure to a file.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Such as the functions of `fastnn.plotting` return.
    path : str or path
        Its ending is the format: .png (also where there is none), .svg or .pdf. No time and no
        version is written, so the same curve gives the same bytes. An existing file is replaced
        when the new one is complete.

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
    OSError
        Where there is no such folder, or it cannot be written.

    Examples
    --------
    >>> from fastnn import plotting
    >>> plotting.save(plotting.loss_curves([0.9, 0.5, 0.3]), "loss.png").stat().st_size > 1000
    True
    """
    if not hasattr(figure, "savefig"):
        raise TypeError(
            f"figure must be a matplotlib Figure, such as fastnn.plotting returns, not "
            f"{shown(figure)}"
        )
    path = Path(path)
    form = format_of(path)
    check_place(path)
    from matplotlib import rc_context

    picture = io.BytesIO()
    with rc_context({"svg.hashsalt": "fastnn"}):  # else the ids in an SVG are random
        figure.savefig(picture, format=form, metadata=dict.fromkeys(_LEFT_OUT[form]))
    write_whole({path: operator.methodcaller("write", picture.getvalue())})
    return path


def format_of(path: Path) -> str:
    """Return the format of a picture by the ending of its name; raise ValueError for another."""
    form = path.suffix.lower().removeprefix(".") or "png"
    if form not in _LEFT_OUT:
        endings = ", ".join(f".{name}" for name in _LEFT_OUT)
        raise ValueError(f"a picture's name must end in one of {endings}, not in {path.suffix!r}")
    return form
