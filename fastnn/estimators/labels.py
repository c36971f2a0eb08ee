"""A classifier's labels: the classes that there are, and zeros and ones for those of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import LabelBinarizer

from fastnn.memory import Array

_KIND = {**dict.fromkeys("biuf", "numbers"), "U": "text"}
"""The kinds of dtypes whose labels can be compared."""


def binarizer_of(y: Any) -> LabelBinarizer:
    """Return scikit-learn's binarizer, fitted to y; a vector of whole numbers or text is looked through once only."""
    binarizer = LabelBinarizer()
    if not (type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in "biuU"):
        return binarizer.fit(y)
    binarizer.classes_ = np.array(list(np.unique(y)))  # of as many characters as the longest label has
    binarizer.y_type_ = "multiclass" if len(binarizer.classes_) > 2 else "binary"
    binarizer.sparse_input_ = False
    return binarizer


def numbers_of(y: Any, classes: Array) -> NDArray[np.intp] | None:
    """Return the index in `classes` of each label of a vector (n,); None unless they are surely all there."""
    if type(y) is not np.ndarray or y.ndim != 1 or _KIND.get(y.dtype.kind, "y") != _KIND.get(classes.dtype.kind):
        return None
    number = classes.searchsorted(y)
    return number if (classes.take(number, mode="clip") == y).all() else None


def are_all(labels: Any, classes: Array) -> bool:
    """Return whether `labels` are surely these classes, each once and in order."""
    if _KIND.get(classes.dtype.kind) != "numbers" and type(labels) is not np.ndarray:
        return False  # text and numbers in one list would all become text
    return np.array_equal(classes, labels)


def ones_at(number: NDArray[np.intp], classes: Array, y_type: str) -> Array:
    """Return ones (n, n_outputs) at the index of each label; for up to two classes a column, of ones for the second."""
    return number[:, None] == np.arange(len(classes)) if y_type == "multiclass" else (number == 1)[:, None]
