"""Conversion to arrays of real numbers: from arrays, lists, data frames and their columns.

A data frame is recognized by its attributes, so that no library of data frames has to be imported,
or installed. It is converted column by column, as scikit-learn does: columns of mixed kinds do not
become an array of objects, and an error can name the column.
"""

import itertools
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastnn.checking.arguments import class_of, counted, cut, listed, shown
from fastnn.memory import Array

_REAL = "fiub"  # the kinds of dtypes that hold real numbers
_NUMBERS = (numbers.Real, np.bool_)
_KINDS = {
    "c": "complex numbers",
    "U": "text",
    "S": "text",
    "T": "text",
    "M": "dates",
    "m": "durations",
}

LABELS = "; labels go in as integers: np.unique(Y, return_inverse=True)[1] has them"


def real_array(name: str, value: Any, dtype: DTypeLike | None = None) -> Array:
    """Return `value` as an array of real numbers of any shape; mixed columns of a data frame in
    `dtype`, if given.

    Raises
    ------
    TypeError, ValueError
        For what holds other things than numbers, missing values, or is no array: the text names
        what and where.
    """
    if type(value) is np.ndarray and value.dtype.kind in _REAL:
        return value
    refuse_sparse(name, value)
    refuse_lazy(name, value)
    refuse_masked(name, value)
    if is_frame(value):
        return _of_frame(name, value, dtype)
    if hasattr(value, "to_numpy") and hasattr(value, "dtype") and getattr(value, "ndim", 1) == 1:
        return _of_column(name, value, "")
    try:
        array = np.asarray(value)
    except ValueError as ragged:
        raise ValueError(f"{name} is not a table of numbers: {cut(ragged)}") from None
    if array.dtype.kind == "O" and not array.ndim:
        hint = ": say result.params" if name == "params" and hasattr(value, "params") else ""
        raise TypeError(f"{name} must be an array of numbers, not {_described(value)}{hint}")
    if array.dtype.kind not in _REAL:
        what = _KINDS.get(array.dtype.kind, "objects")
        where = ""
        if array.dtype.kind == "O":
            where = _first_object(name, array)
        elif what == "text":
            where = _for_text(name)
        raise TypeError(
            f"{name} must hold real numbers, not {what} (dtype {cut(array.dtype)}){where}"
        )
    return array


def refuse_sparse(name: str, value: Any, other: str = "") -> None:
    """Raise TypeError for a sparse matrix of SciPy; `other` is another way than a dense one."""
    if type(value).__module__.startswith("scipy.sparse"):
        raise TypeError(f"{name} is sparse, and has to be dense: use {name}.toarray(){other}")


def refuse_lazy(name: str, value: Any) -> None:
    """Raise TypeError for a query of polars, which holds no rows before it is collected."""
    if type(value).__name__ == "LazyFrame":
        raise TypeError(f"{name} is a LazyFrame: collect() it first")


def refuse_masked(name: str, value: Any) -> None:
    """Raise ValueError for a masked array in which values are masked."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(f"{name} has masked values: fill them in or leave their rows out")


def refuse_complex(name: str, value: object) -> None:
    """Raise ValueError for complex numbers, in words that begin as scikit-learn's do."""
    if getattr(getattr(value, "dtype", None), "kind", "") == "c":
        what = f"{name} holds complex numbers; say real and imaginary parts"
        raise ValueError(f"Complex data not supported: {what}")


def _described(value: object) -> str:
    """Describe an object that is no array, and how to make one of it."""
    if isinstance(value, Iterable) and not isinstance(value, Mapping):
        return (
            f"an iterable ({class_of(value)}): collect what it yields, such as by "
            "np.concatenate(list(...)), in an np.memmap where it does not fit the memory"
        )
    return shown(value)


def _for_text(name: str) -> str:
    """Return what to do with text in this array."""
    return LABELS if name == "Y" else ": encode it as numbers"


def _first_object(name: str, array: Array) -> str:
    """Describe the first object of an array that is no number, with its place."""
    for index, item in np.ndenumerate(array):
        if not isinstance(item, _NUMBERS):
            remedy = _for_text(name) if isinstance(item, (str, bytes)) else ""
            return f"; {name}[{', '.join(map(str, index))}] is {shown(item)}{remedy}"
    return f"; all of them are numbers: use {name}.astype(float)"


# -------------------------------------------------------------------------------------- data frames


def is_frame(value: object) -> bool:
    """Return whether this is a data frame, of whatever library."""
    return hasattr(value, "columns") and hasattr(value, "dtypes")


def _of_frame(name: str, frame: Any, dtype: DTypeLike | None) -> Array:
    dtypes = list(frame.dtypes)
    if len(set(dtypes)) == 1 and isinstance(dtypes[0], np.dtype) and dtypes[0].kind in _REAL:
        return np.asarray(frame)  # may be one block, which is not copied
    if hasattr(frame, "get_columns"):  # polars
        columns = [(column.name, column) for column in frame.get_columns()]
    else:
        columns = list(frame.items())
    arrays = [_of_column(name, column, f"column {shown(label)}") for label, column in columns]
    table = np.empty(
        (len(frame), len(arrays)), np.result_type(np.bool_, *arrays) if dtype is None else dtype
    )
    with np.errstate(over="ignore"):
        for j, array in enumerate(arrays):
            table[:, j] = array
    return table


def _of_column(name: str, column: Any, which: str) -> Array:
    """Return a column, which may be nullable or categorical, as an array (n,); `which` names it in
    errors.
    """
    array = np.asarray(column.to_numpy())
    kind = array.dtype.kind
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in _REAL:
        return array
    find = getattr(column, "isna", None) or getattr(column, "is_null", None)
    missing = np.asarray(find()) if find else np.zeros(len(array), bool)
    rows: Iterable[Any] = [] if kind in _REAL else np.flatnonzero(~missing)
    for row in rows:
        item = array[row]
        if kind == "O" and isinstance(item, _NUMBERS):
            continue
        it = f"its {which}" if which else "it"
        what = "text" if isinstance(item, str) else _KINDS.get(kind, class_of(item))
        remedy = _for_text(name) if what == "text" else ": encode it as numbers"
        raise TypeError(
            f"{name} must hold real numbers; {it} holds {what} ({shown(item)} in row {row}){remedy}"
        )
    if missing.any():
        where = f"{f' of {which}' if which else ''} in row {missing.argmax()}"
        fault = f"{name} has missing values, the first{where}"
        raise ValueError(f"{fault}: fill them in or leave their rows out")
    return array if kind in _REAL else array.astype(np.float64)


Names = tuple[str, ...]
"""The names of columns, in their order."""


def column_names(value: Any) -> Names | None:
    """Return the names of a data frame's columns, as texts; None of an array, and of the names 0,
    1, 2 and so on.
    """
    if type(value) is np.ndarray or not is_frame(value):
        return None
    names = tuple(value.columns)
    return None if names == tuple(range(len(names))) else tuple(map(str, names))


def known_names(names: Names | None, known: Any) -> Any:
    """Return the known names; where there are none, 0, 1, 2 and so on, if `names` are these in
    another order.
    """
    if known is not None or names is None:
        return known
    positions = tuple(map(str, range(len(names))))
    return positions if set(names) == set(positions) else None


def check_column_names(names: Names | None, known: Names | None) -> None:
    """Raise ValueError where the columns of X have other names, or another order, than those that
    were trained on.

    Where one side has no names, columns are taken by position, unless the others are these
    positions in another order.
    """
    known = known_names(names, known)
    if names is None or known is None or names == known:
        return
    lacking = [one for one in known if one not in names]
    besides = [one for one in names if one not in known]
    if lacking or besides:
        said = [
            f"{verb} {listed(these)}"
            for verb, these in (("lacks", lacking), ("has besides", besides))
            if these
        ]
        fault = f"X has other columns than those that were trained on: it {' and '.join(said)}"
        raise ValueError(f"{fault}; result.feature_names has those that were, in their order")
    pairs = itertools.zip_longest(map(repr, names), map(repr, known), fillvalue="none")
    i, now, before = next((i, *pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
    raise ValueError(
        f"X has the columns that were trained on, in another order: column {i} is {now} and was "
        f"{before}; X[list(result.feature_names)] has them as they were"
    )


OF_ONE_THREAD = 10_000
"""Up to so many numbers OpenBLAS multiplies in one thread."""


def sum_of_squares(array: Array) -> float:
    """Return the sum of the squares, in parts so small that BLAS does each in one thread.

    OpenBLAS' threads look for more work for some 30 ms after each product, on the CPUs of those
    that share a step.
    """
    if array.size <= OF_ONE_THREAD:
        return float(np.vdot(array, array))
    flat = array.ravel()
    parts = (flat[k : k + OF_ONE_THREAD] for k in range(0, flat.size, OF_ONE_THREAD))
    return sum(float(np.vdot(part, part)) for part in parts)


def refuse_text(y: Any) -> None:
    """Raise ValueError where targets that have to be numbers are text, digits too, or dates."""
    values = np.asarray(y).ravel()
    refuse_complex("y", values)
    if values.dtype.kind in "mM":
        raise ValueError(
            f"y holds {values.dtype}, dates or spans of time: a regressor learns numbers, such as "
            "days"
        )
    if values.dtype.kind in "USO":
        for value in values.tolist():
            if isinstance(value, (str, bytes)):
                fault = f"y holds text, such as {shown(value)}"
                raise ValueError(f"{fault}: a regressor learns numbers, a classifier labels")


MISSING = ("NoneType", "NAType")
"""The names of the classes of None and pandas' NA."""


def is_gap(value: object) -> bool:
    """Return whether a word or a number is missing: None, NaN or pandas' NA."""
    return type(value).__name__ in MISSING or (isinstance(value, numbers.Number) and is_nan(value))


def is_nan(value: Any) -> bool:
    """Return whether a number is NaN."""
    try:
        return bool(value != value)
    except ArithmeticError:  # a signaling NaN of decimal
        return True


def refuse_missing(y: Any, name: str = "y") -> None:
    """Raise ValueError for targets, floats, dates or objects, that are missing in some rows."""
    refuse_masked(name, y)
    values = np.asarray(y)
    if not values.ndim or values.dtype.kind not in "fmMO":
        return
    if values.dtype.kind == "O":
        classes = (*MISSING, "NaTType")
        flat = [type(value).__name__ in classes or is_gap(value) for value in values.flat]
        gaps = np.array(flat, bool).reshape(values.shape)
    else:
        gaps = values != values
    rows = gaps.any(axis=tuple(range(1, values.ndim)))
    if rows.any():
        where = f"{counted(int(rows.sum()), 'row')}, such as row {int(rows.argmax())}"
        raise ValueError(f"{name} is missing (NaN) in {where}: leave them out")


def check_validation_parts(X_val: Any, y_val: Any, sample_weight_val: Any) -> None:
    """Raise ValueError, in scikit-learn's words, for a part of validation rows that is given
    without the others.
    """
    parts = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
    for name, needed in (("X_val", "y_val"), ("y_val", "X_val"), ("sample_weight_val", "X_val")):
        if parts[name] is not None and parts[needed] is None:
            raise ValueError(f"{name} is provided, but {needed} was not provided.")
