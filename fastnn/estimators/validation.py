"""scikit-learn's validation of X and y, with errors that name the column and say what to do about it."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import validation

from fastnn.checking.values import is_frame, real_array

_REMEDY = "in a Pipeline, OneHotEncoder encodes words and SimpleImputer fills gaps"


def validate_data(estimator: Any, X: Any, y: Any = "no_validation", **options: Any) -> Any:
    """Return what scikit-learn's function of this name returns.

    Its errors are scikit-learn's, but for values of a data frame that are no numbers or missing, and for words.
    """
    try:
        checked = validation.validate_data(estimator, X, y, **options)
        is_object = isinstance(checked, np.ndarray) and checked.dtype.kind == "O"  # of categories, in predict
        return checked.astype(np.float64) if is_object else checked
    except (TypeError, ValueError) as error:
        told = "" if "feature names" in str(error) else _told(X, error)
        if not told:
            raise
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(told) from None


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
