"""The curves that a picture shows, by their labels: losses of trainings and of validation data, or numbers as given."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from fastnn.checking.arguments import shown
from fastnn.memory import Array
from fastnn.training.history import History
from fastnn.training.results import TrainingResult

Curve = ArrayLike | History | TrainingResult
"""A curve to draw: numbers (n,), or a training's losses."""


def curves_by_label(curves: Curve | Mapping[str, Curve]) -> dict[str, Array]:
    """Return the curves (n,) that are to be drawn, by their labels."""
    if not isinstance(curves, Mapping):
        return _curves_of(curves, "training", "validation", "curves")
    if not curves:
        raise ValueError("curves is empty: give at least one, such as {'label': result}")
    found = (_curves_of(curve, label, f"{label}, validation", f"curves[{label!r}]") for label, curve in curves.items())
    return {label: values for named in found for label, values in named.items()}


def _curves_of(curve: Curve, label: str, label_of_validation: str, where: str) -> dict[str, Array]:
    """Return the losses of a training, and of its validation data where it has some, or the numbers that were given."""
    history = curve.history if isinstance(curve, TrainingResult) else curve
    if isinstance(history, History):
        losses = {label: history.loss, label_of_validation: history.validation_loss}
        values = {name: values for name, values in losses.items() if name == label or len(values)}
    else:
        try:
            values = {label: np.asarray(history, np.float64)}
        except (TypeError, ValueError):
            hint = ""
            if isinstance(curve, (list, tuple)) and any(isinstance(one, (History, TrainingResult)) for one in curve):
                hint = ": several have labels, such as {'a': result_a, 'b': result_b}"
            raise TypeError(
                f"{where} must be a TrainingResult, a History or numbers, not {shown(curve)}{hint}"
            ) from None
    shape = values[label].shape
    if shape == (0,) and isinstance(history, History):
        what = "the training" if where == "curves" else where
        raise ValueError(f"{what} has no losses to draw: {_why_empty(curve)}")
    if len(shape) != 1 or shape == (0,):
        raise ValueError(f"{where} must be a curve of at least one number, shape (n,); it has the shape {shape}")
    return values


def _why_empty(curve: Curve) -> str:
    """Return the reason why a training has no losses."""
    if isinstance(curve, TrainingResult) and curve.state.index is None:
        return "it holds a network alone, without its history, as save(path, state=False) and export write it"
    return "no epoch of the training ended"
