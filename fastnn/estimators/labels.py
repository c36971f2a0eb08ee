"""A classifier's labels: the classes that there are, and zeros and ones for those of rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import _check_sample_weight, assert_all_finite

from fastnn.checking.arguments import shown
from fastnn.checking.values import refuse_masked
from fastnn.memory import Array

_KIND = {**dict.fromkeys("biuf", "numbers"), "U": "text"}
"""The kinds of dtypes whose labels can be compared."""


def binarizer_of(y: Any) -> LabelBinarizer:
    """Return scikit-learn's binarizer, fitted to y; a vector of whole numbers or text is looked
    through once only.
    """
    if not (type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in "biuU"):
        return LabelBinarizer().fit(y)
    classes = np.array(list(np.unique(y)))  # of as many characters as the longest label has
    return binarizer_with(classes, "multiclass" if len(classes) > 2 else "binary")


def binarizer_with(classes: Array, y_type: str, sparse: bool = False) -> LabelBinarizer:
    """Return scikit-learn's binarizer as it is after a fit to labels with these classes."""
    binarizer = LabelBinarizer()
    binarizer.classes_ = classes
    binarizer.y_type_ = y_type
    binarizer.sparse_input_ = sparse
    return binarizer


def numbers_of(y: Any, classes: Array) -> NDArray[np.intp] | None:
    """Return the index in `classes` of each label of a vector (n,); None unless they are surely all
    there.
    """
    if (
        type(y) is not np.ndarray
        or y.ndim != 1
        or _KIND.get(y.dtype.kind, "y") != _KIND.get(classes.dtype.kind)
    ):
        return None
    number = classes.searchsorted(y)
    return number if (classes.take(number, mode="clip") == y).all() else None


def are_all(labels: Any, classes: Array) -> bool:
    """Return whether `labels` are surely these classes, each once and in order."""
    if _KIND.get(classes.dtype.kind) != "numbers" and type(labels) is not np.ndarray:
        return False  # text and numbers in one list would all become text
    return np.array_equal(classes, labels)


def ones_at(number: NDArray[np.intp], classes: Array, y_type: str) -> Array:
    """Return ones (n, n_outputs) at the index of each label; for up to two classes a column, of
    ones for the second.
    """
    return (
        number[:, None] == np.arange(len(classes))
        if y_type == "multiclass"
        else (number == 1)[:, None]
    )


def targets_of(y: Any, binarizer: LabelBinarizer, number: NDArray[np.intp] | None = None) -> Array:
    """Return zeros and ones (n, n_outputs), like the binarizer's `transform`, for y of its classes.

    `number` is what `numbers_of` returned, if it was asked.
    """
    if number is None and isinstance(y, np.ndarray) and y.ndim == 1:
        number = np.searchsorted(binarizer.classes_, y)
    if number is not None:
        return ones_at(number, binarizer.classes_, binarizer.y_type_)
    Y = binarizer.transform(y)
    Y = (Y.toarray() if hasattr(Y, "toarray") else Y).astype(bool)
    return Y.reshape(-1, 1) if Y.ndim == 1 else Y


def checked_weight(sample_weight: Any, X: Any) -> Array | None:
    """Return the weights (n,) of rows; ValueError where they are negative or not finite, a number
    for all rows too.
    """
    if sample_weight is None:
        return None
    refuse_masked("sample_weight", sample_weight)
    weights: Array = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
    assert_all_finite(weights, input_name="sample_weight")  # which that does for arrays alone
    return weights


def row_weights(estimator: Any, y: Any, sample_weight: Any) -> Any:
    """Return the weights (n,) of rows, times those of their classes where the estimator has a
    `class_weight`.
    """
    if (class_weight := getattr(estimator, "class_weight", None)) is None:
        return sample_weight
    of_class = compute_sample_weight(class_weight, y)
    return of_class if sample_weight is None else of_class * np.asarray(sample_weight)


def check_classes(classes: Array, known: Array, *, all_again: bool) -> None:
    """Check the classes of a later y against those of the first fit, in scikit-learn's words.

    Raises
    ------
    ValueError
        For a class that is new, and for one that is missing where `all_again` says that y must have
        all of them.
    """
    if all_again:
        if set(classes) != set(known):
            rule = (
                "warm_start can only be used where `y` has the same classes as in the previous "
                "call to fit."
            )
            raise ValueError(f"{rule} Previously got {known}, `y` has {classes}")
    elif len(np.setdiff1d(classes, known, assume_unique=True)):
        raise ValueError(
            f"`y` has classes not in `self.classes_`. `self.classes_` has {known}. 'y' has "
            f"{classes}."
        )


def sorted_classes(classes: Any, n: int) -> tuple[Array, NDArray[np.intp]]:
    """Return n different labels, sorted, and the index of each in `classes`; ValueError for
    others.
    """
    labels = np.asarray(list(classes) if isinstance(classes, range) else classes)
    if labels.shape != (n,) or labels.dtype.kind not in "biufUO":
        raise ValueError(f"classes must be the labels of {n} outputs, not {shown(classes)}")
    try:
        unique, order = np.unique(labels, return_index=True)
    except TypeError as error:
        raise ValueError(
            f"classes must be labels that can be sorted, not {shown(classes)}"
        ) from error
    if len(unique) < n:
        raise ValueError(f"classes must differ, unlike {shown(classes)}")
    return np.array(unique.tolist()) if labels.dtype.kind == "O" else unique, order
