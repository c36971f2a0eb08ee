"""Doubts about a column: words that read as numbers, and whole numbers that may be names.

Words. A column of texts such as "0.31", "0.3 ct", "12 %" or "12:30" has a level for each number.

Whole numbers. Those of a store or a place have no order that means something. Where they repeat, the mean target of a
number can be guessed from those of its two neighbors, by a line, if the column is an amount; the targets of names lie
elsewhere. So the rule does not look at the numbers, but at the variance of the targets that neighbors do not tell: the
squared distances from these lines, less what the rows' noise explains, over the variance of the targets.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastnn.memory import Array

FEWEST_LEVELS, FEWEST_ROWS, LEAST_COVER = 20, 5, 0.8
"""Numbers of at least so many rows each that repeat, and the part of all rows that have them."""

LEAST_SHARE, LEAST_PART, LEAST_RATIO = 0.03, 0.15, 3.0
"""Of the targets' variance; of the variance between numbers; over noise: what neighbors do not tell of names."""

LEAST_EVEN = 10.0
"""Numbers that there are if all had as many rows: n^2 / sum n_k^2."""

MOST_TARGETS = 20
"""Most classes that are looked at."""

YEARS = 1700, 2100

ROWS_TO_DOUBT_BY = 5_000
"""Rows that numbers are judged by, about; of more rows evenly spaced ones."""

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
_UNIT = r"[%‰°$€£¥]\S{0,9}|[^\W\d_][^\s\d]{0,9}"
_AMOUNT = re.compile(rf"\s*[-+]?\s*([$€£¥]?)\s*({_NUMBER})(\s?(?:{_UNIT}))?\s*")
_TIME = re.compile(r"\s*\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?\s*")
_LEADING_ZERO = re.compile(r"0\d+")

FEWEST_WHOLE, FEWEST_OTHERS = 11, 3
"""Levels from which on texts are said to read as numbers: of whole numbers alone, and of others."""


class Reading(NamedTuple):
    """How most rows of a column of words read."""

    example: str
    way: str  # to make numbers of them


def reading_of(counts: Mapping[Any, int]) -> Reading | None:
    """Return how words read if more than half of the rows are numbers, with one unit if any; `counts` are rows a word.

    Texts with leading zeros are names, and so are few whole numbers, with letters too, such as "2b".
    """
    forms: dict[tuple[str, str], list[str]] = {}
    for text in counts:
        if not isinstance(text, str):
            return None
        if _TIME.fullmatch(text):
            forms.setdefault((":", ""), []).append(text)
        elif parts := _AMOUNT.fullmatch(text):
            if _LEADING_ZERO.fullmatch(parts[2]):
                return None
            forms.setdefault((parts[1], (parts[3] or "").strip()), []).append(text)
    for (sign, unit), texts in forms.items():
        are_whole = all(text.strip(" +-").removesuffix(unit).strip().isdigit() for text in texts)
        may_be_labels = are_whole and not sign and (not unit or unit[0].isalpha())
        are_many = len(texts) >= (FEWEST_WHOLE if may_be_labels else FEWEST_OTHERS)
        if are_many and sum(map(counts.__getitem__, texts)) > sum(counts.values()) / 2:
            way = 'by pandas.to_numeric(..., errors="coerce")'
            if sign == ":":
                way = "such as minutes, by pandas.to_timedelta"
            elif sign or unit or any("," in text for text in texts):
                way = "by .str.replace of all that is no digit, and pandas.to_numeric"
            return Reading(max(texts, key=counts.__getitem__), way)
    return None


def may_be_names(values: Array, targets: Array) -> bool:
    """Return whether a column of numbers (n,), NaN for gaps, seems to hold names, by the targets (n, n_outputs)."""
    step = max(1, len(values) // ROWS_TO_DOUBT_BY)
    known = np.flatnonzero(~np.isnan(values[::step])) * step
    values, targets = values[known], targets[known]
    if (values[:100] % 1).any() or (values % 1).any():
        return False
    numbers, counts = np.unique(values, return_counts=True)
    repeats = counts >= FEWEST_ROWS
    x, n = numbers[repeats], counts[repeats].astype(np.float64)
    if len(x) < FEWEST_LEVELS or n.sum() < LEAST_COVER * len(values) or n.sum() ** 2 < LEAST_EVEN * (n**2).sum():
        return False
    if YEARS[0] <= x[0] and x[-1] <= YEARS[1]:
        return False
    level_of = np.searchsorted(numbers, values)
    left = (x[2:] - x[1:-1]) / (x[2:] - x[:-2])  # weights of the neighbors
    weights = np.array([left, np.ones_like(left), 1 - left]) ** 2
    untold = between = total = squares = noises = 0.0
    order = np.argsort(-(targets != 0).sum(axis=0), kind="stable")[:MOST_TARGETS]
    for target in targets.T[order].astype(np.float64):
        means = np.bincount(level_of, target) / counts
        residuals = np.bincount(level_of, (target - means[level_of]) ** 2)[repeats]
        mean = means[repeats]
        noise = np.maximum(residuals / (n - 1), residuals.sum() / (n - 1).sum()) / n  # of each mean
        distance = mean[1:-1] - left * mean[:-2] - (1 - left) * mean[2:]
        of_distance = weights[0] * noise[:-2] + noise[1:-1] + weights[2] * noise[2:]
        untold += (n[1:-1] * (distance**2 - of_distance) / weights.sum(axis=0)).sum() / n[1:-1].sum()
        between += (n * ((mean - (n * mean).sum() / n.sum()) ** 2 - noise)).sum() / n.sum()
        squares, noises = squares + (distance**2).sum(), noises + of_distance.sum()
        total += target.var()
    return bool(untold > LEAST_SHARE * total and untold > LEAST_PART * between and squares > LEAST_RATIO * noises)
