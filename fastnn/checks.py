"""Checks of single values, each with an error that says what was wrong, where, and what would be right."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Iterable
from typing import Any


def check_choice(name: str, value: Any, legal: Iterable[str]) -> str:
    """`value` if it is one of the names in `legal`; else ValueError (TypeError) that suggests the nearest."""
    legal = list(legal)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {', '.join(legal)}, not {value!r} of type {type(value).__name__}")
    if value in legal:
        return str(value)
    near = difflib.get_close_matches(value.lower(), legal, 1, 0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ValueError(f"unknown {name} {value!r}{hint}; one of {', '.join(legal)}")


def check_integer(name: str, value: Any, low: int | None = None) -> int:
    """`value` as an int, not below `low`; NumPy's integers are as good as Python's."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, not {value!r} of type {type(value).__name__}")
    if low is not None and value < low:
        raise ValueError(f"{name} must be at least {low}, not {value}")
    return int(value)


def check_number(
    name: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    low_open: bool = False,
    high_open: bool = False,
    hint: str = "",
) -> float:
    """`value` as a finite float within [low, high] (open where said)."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number{' ' + hint if hint else ''}, not {value!r}")
    try:
        number = float(value)
    except OverflowError:  # an integer or a fraction
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, not {number}")
    if number < low or number > high or (low_open and number == low) or (high_open and number == high):
        raise ValueError(f"{name} must be {_interval(low, high, low_open, high_open)}, not {number:g}")
    return number


def check_flag(name: str, value: Any) -> bool:
    """`value` as a bool: True, False or NumPy's."""
    if type(value).__name__ not in ("bool", "bool_"):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def _interval(low: float, high: float, low_open: bool, high_open: bool) -> str:
    lower = f"{'greater than' if low_open else 'at least'} {low:g}" if low > -math.inf else ""
    upper = f"{'less than' if high_open else 'at most'} {high:g}" if high < math.inf else ""
    return " and ".join(filter(None, (lower, upper)))
