"""scikit-learn's validation of X and y, after a full check of what is sparse; errors name the column, and are short."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.utils.validation import validate_data

from fastnn.checking.arguments import cut, shortened
from fastnn.checking.values import is_frame, real_array
from fastnn.estimators.attributes import attribute

_INDICES = ("indices", "indptr", "row", "col", "offsets")
"""Arrays of integers, in one format of sparse matrices or another; scipy cuts off what is behind a decimal point."""

NO_Y = "no_validation"
"""scikit-learn's word for y where there is none."""

MOST_IN_ALL = 900
"""Characters of an error that another library raises."""

_REMEDY = "in a Pipeline, OneHotEncoder encodes words and SimpleImputer fills gaps"


def validated(estimator: Any, X: Any, y: Any = NO_Y, **options: Any) -> Any:
    """Return X, or X and y, as scikit-learn's `validate_data` does; it takes the options. A sparse X is CSR or CSC.

    Raises
    ------
    ValueError, TypeError
        For what scikit-learn refuses, in its words but for values of a data frame that are no numbers or missing, and
        for words; and for sparse matrices with indices that are not theirs.
    """
    if not options.get("reset", True):
        attribute(estimator, "n_features_in_", Integral)
    with short_errors():
        X, y = checked_sparse("X", X), checked_sparse("y", y)
        try:
            checked = validate_data(estimator, X, y, accept_sparse=["csr", "csc"], **options)
            is_object = isinstance(checked, np.ndarray) and checked.dtype.kind == "O"  # of categories, in predict
            return checked.astype(np.float64) if is_object else checked
        except (TypeError, ValueError) as error:
            told = "" if "feature names" in str(error) else _told(X, error)
            if not told:
                raise
            kind = ValueError if isinstance(error, ValueError) else TypeError
            raise kind(told) from None


def checked_sparse(name: str, X: Any) -> Any:
    """Return a sparse matrix as CSR or CSC, of scipy's own class, with indices within its shape; else X itself.

    scipy converts a matrix of any format in compiled code, which takes indices on trust: it reads and writes anywhere.
    """
    if not scipy.sparse.issparse(X):
        return X
    kind, form = "array" if isinstance(X, scipy.sparse.sparray) else "matrix", X.format
    try:
        for part in _INDICES:
            if (dtype := getattr(getattr(X, part, None), "dtype", None)) is not None and dtype.kind != "i":
                raise ValueError(f"{part} must be integers, not {cut(dtype)}")
        X = getattr(scipy.sparse, f"{form}_{kind}")(X)  # shares the arrays; all sizes are checked, and COO's indices
        if form == "lil" and (len(X.rows), *map(len, X.rows)) != (X.shape[0], *map(len, X.data)):
            raise ValueError("rows and data differ in length")
        if form == "bsr" and any(n % width for n, width in zip(X.shape, X.blocksize, strict=True)):
            raise ValueError(f"blocks of {X.blocksize} do not fill the shape {X.shape}")
        if form in ("csr", "csc", "bsr"):
            _check_indices(X)
        if form not in ("csr", "csc"):
            X = X.tocsr()
            _check_indices(X)
    except (ValueError, TypeError, AttributeError, IndexError, ArithmeticError) as error:
        raise ValueError(f"{name} is a damaged sparse {kind} ({cut(form)}): {cut(error)}") from None
    return X


def _check_indices(X: Any) -> None:
    """Raise ValueError unless all indices of a compressed matrix are within its shape."""
    if (X.indptr[1:] < X.indptr[:-1]).any():  # scipy looks at that only where the last one is greater than 0
        raise ValueError("indptr must be a non-decreasing sequence")
    X.check_format(full_check=True)


@contextlib.contextmanager
def short_errors() -> Iterator[None]:
    """Shorten the texts of errors, in which scikit-learn, NumPy and scipy may write all of a value."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if len(str(error)) > MOST_IN_ALL:
            error.args = (shortened(str(error), MOST_IN_ALL),)
        raise
    except OverflowError as error:
        raise ValueError(f"an integer is too large for a number of float64: {error}") from error


def _told(X: Any, error: Exception) -> str:
    """Say which value of X is none that a network takes; "" where it is another thing that was wrong."""
    if not is_frame(X) and not (isinstance(X, (np.ndarray, list)) and isinstance(error, ValueError)):
        return ""
    try:
        array = real_array("X", X, np.float64)
    except (TypeError, ValueError) as said:
        is_kept = "complex" in str(said) or "table of numbers" in str(said)  # scikit-learn's words say as much
        return "" if is_kept else f"{said}; {_REMEDY}"
    wrong = ~np.isfinite(array)
    if not is_frame(X) or not wrong.any():
        return ""
    row, column = np.argwhere(wrong)[0].tolist()
    what = "NaN" if np.isnan(array[row, column]) else "infinity"
    where = f"the first at X[{row}, {column}], in its column {list(X.columns)[column]!r}"
    return f"Input X contains {what}, {where}: fill such values in or leave their rows out; {_REMEDY}"
