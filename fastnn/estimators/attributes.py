"""The attributes of a fitted estimator, which anybody may have replaced since: checked where they are read."""

from __future__ import annotations

from types import UnionType
from typing import Any

import numpy as np

from fastnn.checking.arguments import shown
from fastnn.checking.values import Names
from fastnn.memory import Array

_NONE = object()


def attribute(mlp: Any, name: str, kind: type | UnionType, default: Any = _NONE) -> Any:
    """Return a fitted attribute; `default`, if given, where there is none.

    Raises
    ------
    TypeError
        For an attribute that is of another class than `fit` gives it.
    """
    value = getattr(mlp, name) if default is _NONE else vars(mlp).get(name, default)
    if not isinstance(value, kind):
        what = getattr(kind, "__name__", str(kind))
        raise TypeError(f"{name} must be as fit sets it, of the class {what}, not {shown(value)}")
    return value


def labels_of(mlp: Any) -> Array:
    """Return the labels (n_classes,) of a fitted classifier."""
    classes: Array = attribute(mlp, "classes_", np.ndarray)
    if classes.ndim != 1 or not classes.size:
        raise TypeError(f"classes_ must be an array of labels as fit sets it, not {shown(classes)}")
    return classes


def feature_names_of(mlp: Any, n: int) -> Names | None:
    """Return the names of the n columns of X, where it was a data frame with names."""
    names = attribute(mlp, "feature_names_in_", np.ndarray | None, None)
    if names is None:
        return None
    if names.shape != (n,) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"feature_names_in_ must be an array of {n} names as fit sets it, not {shown(names)}")
    return tuple(names.tolist())
