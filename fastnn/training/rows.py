"""The rows of a training: which are chosen, and the batches that steps take of them."""

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.checking.values import real_array
from fastnn.memory import ceil_div, read_only
from fastnn.state import Data
from fastnn.training.stopping import Stop

Rows = NDArray[np.int64]

NO_WEIGHT = "sample_weight is 0 for all rows that are left to train on"


def choose_rows(
    rows: Any, validation_rows: Any, data: Data, stop: Stop
) -> tuple[Rows | None, Rows | None]:
    """Return the rows to train on (None: all of them, in order) and those to validate on (None: the
    stop rules' data).

    Parameters
    ----------
    rows, validation_rows : array-like of int, optional
        Numbers of rows of the data, from 0. If only `validation_rows` are given, all other rows are
        trained on.

    Raises
    ------
    TypeError, ValueError
        For values that are not numbers of rows, for rows on both sides, and for two kinds of
        validation data.
    """
    n = len(data.X)
    train_on = None if rows is None else _checked("rows", rows, n)
    if train_on is not None and not data.sample_weight[train_on].any():
        raise ValueError(NO_WEIGHT)
    if validation_rows is None:
        return train_on, None
    validate_on = _checked("validation_rows", validation_rows, n)
    if stop.validation is not None:
        raise ValueError(
            "validation_rows and Stop(validation=...) are both given: leave one of them out"
        )
    held_out = np.zeros(n, bool)
    held_out[validate_on] = True
    if train_on is None:
        train_on = np.flatnonzero(~held_out).astype(np.int64, copy=False)
        if not train_on.size:
            raise ValueError(f"validation_rows are all {n} rows of X: none is left to train on")
        if not data.sample_weight[train_on].any():
            raise ValueError(NO_WEIGHT)
    elif (both := train_on[held_out[train_on]]).size:
        raise ValueError(
            f"row {both[0]} is in rows and in validation_rows, as are {len(np.unique(both))} in "
            f"all: a score of rows "
            "that are trained on says little of others; where it is wanted, say "
            "Stop(validation=(X[v], Y[v]))"
        )
    return train_on, validate_on


def _checked(name: str, rows: Any, n: int) -> Rows:
    """Return numbers of rows as a new array."""
    array = real_array(name, rows)
    if array.ndim != 1:
        raise ValueError(
            f"{name} must have 1 dimension, not {array.ndim} (shape {array.shape}): the "
            f"numbers "
            f"of rows"
        )
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
    """Return the rows of X at these positions among the rows to train on."""
    return positions if rows is None else rows.take(positions)


def rows_of(data: Data, rows: Rows) -> Data:
    """Return a read-only copy of these rows of the data."""
    return Data(*(read_only(array[rows]) for array in data))


def digest(rows: Rows) -> int:
    """Return a number that identifies the rows of a training, for its state."""
    return zlib.crc32(rows.data)


def batches(
    n_rows: int, batch_size: int, shuffle: bool, begun: int, n_steps: int
) -> tuple[Rows, Rows]:
    """Return the starts and stops of the batches of steps in the rows of their epochs; `begun` of
    the first are done.

    All epochs use the same rows, or, with `shuffle`, their rows lie one after the other.
    """
    if batch_size == n_rows and not shuffle:  # the same as below, in a tenth of the time
        start = np.zeros(n_steps, np.int64)
        stop = np.empty(n_steps, np.int64)
        stop.fill(n_rows)
        return start, stop
    epoch, batch = np.divmod(np.arange(begun, begun + n_steps), ceil_div(n_rows, batch_size))
    start = batch * batch_size
    stop = np.minimum(start + batch_size, n_rows)
    if shuffle:
        start += epoch * n_rows
        stop += epoch * n_rows
    return start, stop


def check_full_batch(name: str, batch_size: int | None, n_rows: int) -> None:
    """Raise ValueError if an optimizer (a solver) that takes full batches only gets smaller
    ones.
    """
    if rows_a_step(batch_size, n_rows) < n_rows:
        raise ValueError(
            f"{name} takes full batches only, here of {n_rows} rows: leave out "
            f"batch_size={batch_size}"
        )


def rows_a_step(batch_size: int | None, n_rows: int) -> int:
    """Return the rows of each batch except the last of an epoch; None, or more than there are,
    stands for all.
    """
    return n_rows if batch_size is None else min(batch_size, n_rows)
