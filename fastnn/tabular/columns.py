"""The columns of a table as it is, read as numbers or as words; errors name the column."""

import contextlib
import datetime
import numbers
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_array

from fastnn.checking.arguments import short_errors, shown
from fastnn.checking.values import MISSING, column_names, is_gap
from fastnn.memory import Array

LARGEST = 1e150
"""Largest absolute value of a number or a target: its square is finite."""

MOST_WORDS = 3
"""Words in the mean level of a column of many levels, above which it is free text."""

_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T]|$)")
_DATES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
_KINDS: dict[str, Any] = {"boolean": (bool, np.bool_), "text": str, "date": _DATES, "number": numbers.Number}


class Column(NamedTuple):
    """A column: float64 numbers with NaN for gaps, or words in an object array, with None, NaN or NA for gaps."""

    label: str  # for messages
    values: Array  # (n,)

    @property
    def holds_numbers(self) -> bool:
        """Whether it holds numbers, not words."""
        return bool(self.values.dtype.kind == "f")


class Table:
    """A data frame of pandas or polars, or an array, whose columns are read when they are asked for.

    Raises
    ------
    ValueError, TypeError
        For what is no table of two dimensions with a row, and for two columns of one name.
    """

    def __init__(self, X: Any, name: str = "X") -> None:
        self.is_frame = all(hasattr(X, part) for part in ("columns", "dtypes", "__getitem__"))
        if not self.is_frame:
            if type(X) is dict or (type(X) is list and X and type(X[0]) is dict):
                what = "a dict" if type(X) is dict else "a list of dicts"
                raise TypeError(f"{name} is {what}: make a data frame of it, by pandas.DataFrame")
            if not hasattr(X, "__array__") and isinstance(X, (list, tuple)):
                with contextlib.suppress(ValueError):  # of ragged ones, as scikit-learn says
                    X = np.array(X, object)  # numbers beside words would all become words
            with short_errors():
                X = check_array(X, dtype=None, ensure_all_finite=False, input_name=name)
        self._X = X
        self.n_rows, self.n_columns = X.shape
        self._columns: list[Any] | None = list(X.columns) if self.is_frame else None
        self.names = column_names(X)
        if 0 in X.shape:
            what = "sample(s)" if self.n_columns else "feature(s)"
            raise ValueError(f"{name}: 0 {what} (shape={X.shape}) while a minimum of 1 is required.")
        if self.names is not None and len(set(self.names)) < self.n_columns:
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise ValueError(f"{name} has two columns of the name {twice!r}: rename one of them or drop it")

    def column(self, j: int) -> Column:
        """Read column j.

        Raises
        ------
        ValueError, TypeError
            For dates, infinity, words beside numbers, and what is neither number nor word.
        """
        name: Any = j if self._columns is None else self._columns[j]
        label = f"column {name if self._columns is None else repr(name)}"
        values = _values(self._X[name] if self.is_frame else self._X[:, j], label)
        if values.dtype.kind == "f" and (too_large := abs(values) > LARGEST).any():
            row = int(too_large.argmax())
            what = "infinity" if np.isinf(values[row]) else f"{values[row]:g}"
            right = f"say NaN where a number is unknown, or a number below {LARGEST:g}"
            raise ValueError(f"{label} holds {what} in row {row}: {right}")
        return Column(label, values)


def _values(series: Any, label: str) -> Array:
    """Return a column as float64 numbers or as objects."""
    dtype = getattr(series, "dtype", None)
    kind = getattr(dtype, "kind", "O")
    if type(dtype).__name__ in ("CategoricalDtype", "Categorical", "Enum"):
        values = np.asarray(series, object)
        _kinds_alike(values, label)
        return values
    if kind in "iuf" and not isinstance(dtype, np.dtype):  # pandas' own types, which know gaps
        return np.asarray(series.to_numpy(np.float64, na_value=np.nan))
    values = np.asarray(series)
    kind = values.dtype.kind
    if kind in "iuf":
        return values.astype(np.float64)
    if kind == "m":
        raise ValueError(f"{label} holds spans of time: put numbers in its place, by .dt.total_seconds()")
    if kind == "M":
        raise _dates_error(label)
    if kind == "c":
        raise ValueError(f"Complex data not supported: {label} holds complex numbers; say real and imaginary parts")
    return _objects(values.astype(object), label)


def _objects(values: Array, label: str) -> Array:
    """Return objects as float64 if all are numbers, else as they are, if all are words."""
    kinds = _kinds_alike(values, label)
    if kinds <= {"number"}:
        return as_numbers(values, label)
    if kinds == {"date"}:
        raise _dates_error(label)
    if "other" in kinds:
        raise TypeError(f"{label} holds {_example(values, 'other')}, which are neither numbers nor words")
    return values


def _kinds_alike(values: Array, label: str) -> set[str]:
    """Return the kinds of objects, gaps aside; ValueError for several, of which only booleans and numbers are alike."""
    kinds = {kind for kind in map(_kind_of, set(map(type, values.tolist()))) if kind}
    if "number" in kinds and not any(_kind_of(type(v)) == "number" and v == v for v in values.tolist()):
        kinds.discard("number")  # NaN in a column of words
    if len(kinds) > 1 and kinds != {"boolean", "number"}:
        both = " and ".join(_example(values, kind) for kind in sorted(kinds))
        way = 'by pandas.to_numeric(..., errors="coerce") if words mean gaps, by .astype(str) if numbers are levels'
        raise ValueError(f"{label} holds {both}: make them alike, {way}")
    return kinds


def as_numbers(values: Array, label: str) -> Array:
    """Return objects, all of them numbers or gaps, as float64; ValueError for numbers that float64 does not have."""
    listed = [np.nan if is_gap(value) else value for value in values.tolist()]
    try:
        return np.array(listed, np.float64)
    except (TypeError, ValueError, OverflowError):
        for row, value in enumerate(listed):
            if not is_number(value):
                raise ValueError(f"{label} holds {shown(value)} in row {row}, which no float64 is") from None
        raise


def _kind_of(cls: type) -> str:
    """Return the kind of values of a class: one of `_KINDS`, "other", or "" for a gap."""
    if cls.__name__ in MISSING:
        return ""
    names = (name for name, kinds in _KINDS.items() if issubclass(cls, kinds))
    return next(names, "date" if cls.__name__ == "NaTType" else "other")


def _example(values: Array, kind: str) -> str:
    row, value = next((i, v) for i, v in enumerate(values.tolist()) if _kind_of(type(v)) == kind and not is_gap(v))
    what = {"number": "numbers", "text": "words", "date": "dates", "boolean": "booleans"}.get(kind, "objects")
    return f"{what} ({shown(value)} in row {row})"


def _dates_error(label: str) -> ValueError:
    such = "the days since a first day, the month or the day of the week"
    return ValueError(f"{label} holds dates: put numbers in its place, such as {such}")


def is_number(word: Any) -> bool:
    """Return whether a word, a text or another object, is a number that float64 has."""
    try:
        float(word)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def check_words(label: str, levels: Iterable[Any], n: int, most: int) -> None:
    """Raise ValueError for words that are dates or free text; `n` is how many there are, `most` how many may differ."""
    texts = [level for level in levels if isinstance(level, str)]
    if texts and all(map(_DATE.match, texts)):
        raise _dates_error(label)
    if len(texts) > max(most, n / 2) and sum(len(text.split()) for text in texts) > MOST_WORDS * len(texts):
        way = "such as by skrub's StringEncoder or TextEncoder"
        raise ValueError(f"{label} holds free text: drop it, or turn it into numbers before, {way}")


def kinds_of(values: Iterable[Any]) -> set[str]:
    """Return the kinds of values: "number", "text", "boolean"; booleans are numbers too, and gaps have none."""
    kinds = {kind for kind in map(_kind_of, set(map(type, values))) if kind}
    return kinds | {"number"} if "boolean" in kinds else kinds
