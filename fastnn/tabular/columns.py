"""The columns of a table as it is, read as numbers or as words; errors name the column."""

import contextlib
import datetime
import numbers
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_array

from fastnn.checking.arguments import class_of, short_errors, shown
from fastnn.checking.values import (
    MISSING,
    column_names,
    is_gap,
    refuse_complex,
    refuse_lazy,
    refuse_sparse,
)
from fastnn.memory import Array

LARGEST = 1e150
"""Largest absolute value of a number or a target: its square is finite."""

LARGEST_WHOLE = 2.0**53
"""Largest absolute value up to which float64 has all whole numbers."""

MOST_WORDS = 3
"""Words in the mean level of a column of many levels, above which it is free text."""

_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T]|$)")
_DATES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
_CATEGORIES = ("CategoricalDtype", "Categorical", "Enum")
_KINDS: dict[str, Any] = {
    "boolean": (bool, np.bool_),
    "text": str,
    "date": _DATES,
    "number": numbers.Number,
}


class Column(NamedTuple):
    """A column: float64 numbers with NaN for gaps, or words in an object array, with None, NaN or
    NA for gaps.
    """

    label: str  # for messages
    values: Array  # (n,)
    kinds: set[str]
    """What it holds, gaps aside: "number", "text", "boolean"."""
    is_category: bool = False
    """Whether its type says that it holds names."""

    @property
    def holds_numbers(self) -> bool:
        """Whether it holds numbers, not words."""
        return bool(self.values.dtype.kind == "f")


class Table:
    """A data frame of pandas or polars, or an array, whose columns are read when they are asked
    for.

    Raises
    ------
    ValueError, TypeError
        For what is no table of two dimensions with a row, and for two columns of one name.
    """

    def __init__(self, X: Any, name: str = "X") -> None:
        refuse_sparse(name, X, ", or MLPClassifier or MLPRegressor, which take sparse rows")
        refuse_lazy(name, X)
        refuse_complex(name, X)
        self.is_frame = all(hasattr(X, part) for part in ("columns", "dtypes", "__getitem__"))
        if not self.is_frame:
            if type(X) is dict or (type(X) is list and X and type(X[0]) is dict):
                what = "a dict" if type(X) is dict else "a list of dicts"
                raise TypeError(f"{name} is {what}: make a data frame of it, by pandas.DataFrame")
            if not hasattr(X, "__array__") and isinstance(X, (list, tuple)):
                with contextlib.suppress(ValueError):  # of ragged ones, as scikit-learn says
                    X = np.array(X, object)  # numbers beside words would all become words
            if isinstance(X, np.ma.MaskedArray):  # a mask is a gap
                gap: Any = np.nan if X.dtype.kind in "iuf" else None
                X = np.where(np.ma.getmaskarray(X), gap, X.data)
            with short_errors():
                X = check_array(X, dtype=None, ensure_all_finite=False, input_name=name)
        self._X = X
        self.n_rows, self.n_columns = X.shape
        self._columns: list[Any] | None = list(X.columns) if self.is_frame else None
        self.names = column_names(X)
        if 0 in X.shape:
            what = "sample(s)" if self.n_columns else "feature(s)"
            raise ValueError(
                f"{name}: 0 {what} (shape={X.shape}) while a minimum of 1 is required."
            )
        if self.names is not None and len(set(self.names)) < self.n_columns:
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise ValueError(
                f"{name} has two columns of the name {twice!r}: rename one of them or drop it"
            )

    def label(self, j: int) -> str:
        """Return the name of column j in messages."""
        return f"column {j if self._columns is None else repr(self._columns[j])}"

    def column(self, j: int, as_words: bool = False) -> Column:
        """Read column j; `as_words` leaves numbers objects, which whole numbers of any size are to
        the last digit.

        Raises
        ------
        ValueError, TypeError
            For dates, infinity, words beside numbers, and what is neither number nor word.
        """
        series = self._X[:, j] if self._columns is None else self._X[self._columns[j]]
        label = self.label(j)
        is_category = type(getattr(series, "dtype", None)).__name__ in _CATEGORIES
        if is_category:
            values, kinds = _words(np.asarray(series, object), label)
            if kinds == {"number"}:
                values = _whole(values)
        else:
            values, kinds = _values(series, label, as_words)
        if values.dtype.kind == "f" and (too_large := abs(values) > LARGEST).any():
            row = int(too_large.argmax())
            what = "infinity" if np.isinf(values[row]) else f"{values[row]:g}"
            right = f"say NaN where a number is unknown, or a number below {LARGEST:g}"
            raise ValueError(f"{label} holds {what} in row {row}: {right}")
        return Column(label, values, kinds, is_category)


def _values(series: Any, label: str, as_words: bool) -> tuple[Array, set[str]]:
    """Return a column that is no category as float64 numbers or as objects, and their kinds."""
    dtype = getattr(series, "dtype", None)
    # pandas' own types, which know gaps
    if getattr(dtype, "kind", "O") in "iuf" and not isinstance(dtype, np.dtype):
        values = np.asarray(series.to_numpy(object if as_words else np.float64, na_value=np.nan))
        return values, _kinds(values.tolist()) if as_words else {"number"}
    try:
        values = np.asarray(series)
    except Exception as error:  # of polars, which has types of its own
        raise TypeError(
            f"{label} has the dtype {shown(dtype)}, which NumPy lacks: cast it to floats"
        ) from error
    kind = values.dtype.kind
    if values.ndim > 1 or kind == "V":
        raise TypeError(
            f"{label} holds several values a row (dtype {shown(dtype)}): make a column of each"
        )
    if kind in "iuf" and not as_words:
        return values.astype(np.float64), {"number"}
    if kind == "m":
        raise ValueError(
            f"{label} holds spans of time: put numbers in its place, by .dt.total_seconds()"
        )
    if kind == "M":
        raise _dates_error(label)
    if kind == "c":
        raise ValueError(
            f"Complex data not supported: {label} holds complex numbers; say real and imaginary "
            "parts"
        )
    values, kinds = _words(values.astype(object), label)
    if as_words or not kinds <= {"number"}:
        return values, kinds
    return as_numbers(values, label), {"number"}


def _words(values: Array, label: str) -> tuple[Array, set[str]]:
    """Return objects as plain ones, all of them numbers, or all words, and their kinds.

    Raises
    ------
    ValueError, TypeError
        For others.
    """
    values = _plain(values)
    kinds = _kinds_alike(values, label)
    if kinds == {"date"}:
        raise _dates_error(label)
    if "other" in kinds:
        example = _example(values, "other")
        way = "if they are levels, make texts of them, by .astype(str)"
        raise TypeError(f"{label} holds {example}, which are neither numbers nor words: {way}")
    return values, kinds


_PLAIN = {str, float, int, bool, type(None)}


def _plain(values: Array) -> Array:
    """Return objects with scalars of NumPy and texts of other classes as Python's own, and gaps as
    None.
    """
    listed = values.tolist()
    if set(map(type, listed)) <= _PLAIN:
        return values
    values = values.copy()
    for row, value in enumerate(listed):
        if is_gap(value):
            values[row] = None
        elif isinstance(value, str):
            values[row] = str.__str__(value)
        elif isinstance(value, (np.number, np.bool_)):
            values[row] = value.item()
    return values


def _whole(values: Array) -> Array:
    """Return numbers in objects with floats as the integers that they are, if they all are whole: a
    gap made floats of them.
    """
    listed = values.tolist()
    floats = {value for value in listed if type(value) is float and not is_gap(value)}
    if not all(value.is_integer() and abs(value) <= LARGEST_WHOLE for value in floats):
        return values
    integers = {value: int(value) for value in floats}
    return np.array([integers.get(value, value) for value in listed], object)


def _kinds(values: list[Any]) -> set[str]:
    """Return the kinds of objects, gaps aside."""
    kinds = {kind for kind in map(_kind_of, set(map(type, values))) if kind}
    if "number" in kinds and all(
        _kind_of(type(value)) != "number" or is_gap(value) for value in values
    ):
        kinds.discard("number")  # NaN in a column of words
    return kinds


def _kinds_alike(values: Array, label: str) -> set[str]:
    """Return the kinds of objects, gaps aside; ValueError for several, of which only booleans and
    numbers are alike.
    """
    kinds = _kinds(values.tolist())
    if len(kinds) > 1 and kinds != {"boolean", "number"}:
        both = " and ".join(_example(values, kind) for kind in sorted(kinds))
        way = (
            'by pandas.to_numeric(..., errors="coerce") if words mean gaps, by .astype(str) if '
            "numbers are levels"
        )
        raise ValueError(f"{label} holds {both}: make them alike, {way}")
    return kinds


def as_numbers(values: Array, label: str) -> Array:
    """Return objects, all of them numbers or gaps, as float64; ValueError for numbers that float64
    does not have.
    """
    listed = [np.nan if is_gap(value) else value for value in values.tolist()]
    try:
        return np.array(listed, np.float64)
    except (TypeError, ValueError, OverflowError):
        for row, value in enumerate(listed):
            if not is_number(value):
                raise ValueError(
                    f"{label} holds {shown(value)} in row {row}, which no float64 is"
                ) from None
        raise


def _kind_of(cls: type) -> str:
    """Return the kind of values of a class: one of `_KINDS`, "other", or "" for a gap."""
    if cls.__name__ in MISSING:
        return ""
    names = (name for name, kinds in _KINDS.items() if issubclass(cls, kinds))
    return next(names, "date" if cls.__name__ == "NaTType" else "other")


def _example(values: Array, kind: str) -> str:
    row, value = next(
        (i, v) for i, v in enumerate(values.tolist()) if _kind_of(type(v)) == kind and not is_gap(v)
    )
    names = {"number": "numbers", "text": "words", "date": "dates", "boolean": "booleans"}
    what = names.get(kind, f"objects of type {class_of(value)}")
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
    """Raise ValueError for words that are dates or free text; `n` is how many there are, `most` how
    many may differ.
    """
    texts = [level for level in levels if isinstance(level, str)]
    if texts and all(map(_DATE.match, texts)):
        raise _dates_error(label)
    if len(texts) > max(most, n / 2) and sum(
        len(text.split()) for text in texts
    ) > MOST_WORDS * len(texts):
        way = "such as by skrub's StringEncoder or TextEncoder"
        raise ValueError(f"{label} holds free text: drop it, or turn it into numbers before, {way}")


def kinds_of(values: list[Any]) -> set[str]:
    """Return the kinds of objects: "number", "text", "boolean"; booleans are numbers too, and gaps
    have none.
    """
    return with_numbers(_kinds(values))


def with_numbers(kinds: set[str]) -> set[str]:
    """Return kinds with "number" beside "boolean"."""
    return kinds | {"number"} if "boolean" in kinds else kinds
