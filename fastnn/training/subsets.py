"""The rows of X that a training uses, by their numbers: folds and bootstrap samples, without a copy of X."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.checking.values import real_array
from fastnn.state import Data
from fastnn.training.stopping import Stop

Rows = NDArray[np.int64]


def choose_rows(rows: Any, validation_rows: Any, n: int, stop: Stop) -> tuple[Rows | None, Rows | None]:
    """Return the rows to train on (None: all of them, in order) and those to validate on (None: the stop rules' data).

    Parameters
    ----------
    rows, validation_rows : array-like of int, optional
        Numbers of rows, from 0 to n - 1. Where `validation_rows` are given alone, all others are trained on.
    n : int
        The rows of X.

    Raises
    ------
    TypeError, ValueError
        For what holds no numbers of rows, for rows on both sides, and for two kinds of validation data.
    """
    train_on = None if rows is None else _checked("rows", rows, n)
    if validation_rows is None:
        return train_on, None
    validate_on = _checked("validation_rows", validation_rows, n)
    if stop.validation is not None:
        raise ValueError("validation_rows and Stop(validation=...) are both given: leave one of them out")
    held_out = np.zeros(n, bool)
    held_out[validate_on] = True
    if train_on is None:
        train_on = np.flatnonzero(~held_out).astype(np.int64, copy=False)
        if not train_on.size:
            raise ValueError(f"validation_rows are all {n} rows of X: none is left to train on")
    elif (both := train_on[held_out[train_on]]).size:
        raise ValueError(
            f"row {both[0]} is in rows and in validation_rows, as are {len(np.unique(both))} in all: a score of rows "
            "that are trained on says little of others; where it is wanted, say Stop(validation=(X[v], Y[v]))"
        )
    return train_on, validate_on


def _checked(name: str, rows: Any, n: int) -> Rows:
    """Return numbers of rows as an array of its own."""
    array = real_array(name, rows)
    if array.ndim != 1:
        raise ValueError(f"{name} must have 1 dimension, not {array.ndim} (shape {array.shape}): the numbers of rows")
    if not array.size:
        raise ValueError(f"{name} is empty: give the numbers of rows, or leave it out")
    if array.dtype.kind not in "iu":
        hint = f": say {name}=np.flatnonzero(mask)" if array.dtype.kind == "b" else ""
        raise TypeError(f"{name} must hold integers, the numbers of rows, not {array.dtype}{hint}")
    outside = (array < 0) | (array >= n)
    if outside.any():
        i = int(outside.argmax())
        hint = "; negative numbers do not count from the end" if array[i] < 0 else ""
        raise ValueError(f"{name}[{i}] is {array[i]}, the rows of X are 0 to {n - 1}{hint}")
    return np.array(array, np.int64)


def rows_at(rows: Rows | None, positions: Rows) -> Rows:
    """Return the rows of X at these positions of the rows to train on."""
    return positions if rows is None else rows.take(positions)


def rows_of(data: Data, rows: Rows) -> Data:
    """Return a read-only copy of these rows of the data."""
    part = Data(*(array[rows] for array in data))
    for array in part:
        array.flags.writeable = False
    return part


def digest(rows: Rows) -> int:
    """Return a number by which a state knows the rows that it was trained on."""
    return zlib.crc32(rows.data)
