"""Monitors: the score of an epoch by which a training stops, reduces its rate and keeps its best parameters."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.checking.arguments import check_choice, cut, shown
from fastnn.memory import Array
from fastnn.network import Network

Monitor = str | Callable[[Array, Array], float]
"""The name of a score, one of `MONITORS`, or a function of targets and outputs (n, n_outputs) that returns a number."""

Score = Callable[[Array], float]
"""A function of the outputs (n, n_outputs) of rows whose targets it knows."""

MONITORS = ("loss", "accuracy", "r2")


def check_monitor(monitor: Any) -> None:
    """Raise TypeError or ValueError unless `monitor` is a name of `MONITORS` or can be called with two arguments."""
    if isinstance(monitor, str):
        check_choice("monitor", monitor, MONITORS)
        return
    if not callable(monitor):
        raise TypeError(
            f"monitor must be one of {', '.join(MONITORS)}, or a function of (Y, outputs), not {shown(monitor)}"
        )
    try:
        inspect.signature(monitor).bind("Y", "outputs")
    except TypeError as error:
        raise TypeError(f"monitor must be a function of (Y, outputs); {shown(monitor)}: {cut(error)}") from None
    except ValueError:  # a function of an extension module need not have a signature
        pass


def name_of(monitor: Monitor) -> str:
    """Return the name by which a state and a history know a monitor: a function's is "module.name"."""
    if isinstance(monitor, str):
        return monitor
    kind = monitor if hasattr(monitor, "__qualname__") else type(monitor)
    return f"{kind.__module__}.{kind.__qualname__}"


def scorer(monitor: Monitor, network: Network, Y: Array, weight: Array) -> Score:
    """Return the function of outputs that gives the score of rows with these targets and weights, all positive.

    Raises
    ------
    ValueError
        When the score is of no use for this network, or for so few rows.
    """
    if callable(monitor):
        return lambda outputs: _number(monitor(Y, outputs))
    if monitor == "r2" and len(Y) < 2:
        raise ValueError("monitor='r2' needs at least 2 rows to score: one has no variance")
    if monitor == "accuracy" and network.loss not in ("cross_entropy", "log_loss"):
        raise ValueError(
            f"monitor='accuracy' needs labels, by the loss cross_entropy or log_loss; this network's is "
            f"{network.loss!r}: take monitor='r2', or a function of (Y, outputs)"
        )
    weights = None if (weight == 1).all() else weight
    return r2(Y, weights) if monitor == "r2" else accuracy(Y, weights, exclusive=network.loss == "cross_entropy")


def _number(value: Any) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"it must return a number, not {shown(value)}")
    return float(value)


def accuracy(Y: Array, weight: Array | None, *, exclusive: bool) -> Score:
    """Return the function that gives the accuracy ``sum w_i [row i is right] / sum w_i``.

    It is scikit-learn's `accuracy_score`. A row is right, where labels are exclusive, if its largest output, the first
    of several, is that of its largest target; else if each output is above 1/2 where its target is, and only there.

    Parameters
    ----------
    Y : (n, n_outputs)
        Labels, one-hot where they are exclusive.
    weight : (n,), optional
    exclusive : bool
        Whether a row has one label.
    """
    labels: Any = Y.argmax(axis=1) if exclusive else Y > 0.5
    total = None if weight is None else weight.sum(dtype=np.float64)

    def score(outputs: Array) -> float:
        if exclusive:
            right = outputs.argmax(axis=1) == labels
        else:
            right = (outputs > 0.5) == labels
            right = right.all(axis=1) if right.shape[1] > 1 else right[:, 0]
        if weight is None:
            return float(np.count_nonzero(right)) / len(right)
        return float(np.multiply(right, weight, dtype=np.float64).sum() / total)

    return score


def r2(Y: Array, weight: Array | None) -> Score:
    """Return the function that gives R2, the mean over outputs of ``1 - sum w (y - a)^2 / sum w (y - mean y)^2``.

    It is scikit-learn's `r2_score`, with the weighted mean of y; 1 for an output where both sums are 0, 0 where only
    the second one is.

    Parameters
    ----------
    Y : (n, n_outputs)
    weight : (n,), optional
    """

    def squares(center: Array) -> list[float]:
        """Return the weighted sum of squares of each output."""
        with np.errstate(over="ignore"):  # infinity is a score that never improves
            square = (Y - center) ** 2
            total = (square if weight is None else weight[:, None] * square).sum(axis=0, dtype=np.float64)
        return total.tolist()

    spread = squares(np.average(Y, axis=0, weights=weight))

    def score(outputs: Array) -> float:
        both = zip(squares(outputs), spread, strict=True)
        scores = [1 - rest / of if of else float(rest == 0) for rest, of in both]
        return float(np.add.reduce(scores)) / len(scores)

    return score
