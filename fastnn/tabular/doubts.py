"""Doubts about a column: words that read as numbers, and whole numbers that may be names.

Words. A column of texts such as "0.31", "0.3 ct", "12 %" or "12:30" has a level for each number.

Whole numbers. Those of stores or towns have no order that means something. Where numbers repeat,
the mean target of a number can be estimated from those of its two neighbors, by a line, if the
column is an amount; that of a name cannot. So the rule looks at the targets: at the squared
distances from these lines, less what the noise of rows explains.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastnn.memory import Array

FEWEST_NUMBERS = 20
FEWEST_ROWS = 5
"""Numbers that repeat, and the rows of each."""

LEAST_COVER = 0.8
LEAST_EVENNESS = 10.0
"""The part of the rows that these numbers have, and (sum n)^2 / sum n^2 of their rows n."""

LEAST_SHARE = 0.03
LEAST_PART = 0.15
LEAST_RATIO = 4.0
"""What neighbors do not tell, as parts of the variance of the targets and of that of the means,
and its ratio to what the noise of rows explains."""

DISTANCE_VARIANCE = 1.5
"""Variance of a mean less the mean of its neighbors, where each of the three has the variance 1."""

YEARS = 1700, 2100

MOST_TARGETS = 20
"""Classes that are looked at."""

ROWS_TO_DOUBT_BY = 5_000
"""Rows that numbers are judged by, about; of more rows evenly spaced ones."""

FEWEST_LABELS = 11
FEWEST_AMOUNTS = 3
"""Texts that differ: of whole numbers, letters behind them or not, and of all others."""

_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*[.,]?\d+(?:[eE][-+]?\d+)?")
_FORM = re.compile(r"[$€£¥]? ?# ?(?:(?:[%‰°$€£¥]|[^\W\d_])[^\s#]{0,9})?|#:#(?::#)?")
"""A text whose numbers are replaced by #."""

_MAY_BE_THOUSANDS = re.compile(r"[1-9]\d{0,2}\.\d{3}")
"""2.900, which is 2.9 in one language and 2,900 in another."""

_LABEL = re.compile(r"# ?[^\W\d_]*")


class Reading(NamedTuple):
    """How most rows of a column of words read."""

    example: str
    way: str  # to make numbers of them


def reading_of(counts: Mapping[Any, int]) -> Reading | None:
    """Return how words read if more than half of the rows are numbers with one unit, or none.

    `counts` are the rows of each word. Whole numbers with leading zeros, and a few whole numbers,
    are names.
    """
    forms: dict[str, list[str]] = {}
    for text in counts:
        if isinstance(text, str):
            forms.setdefault(_NUMBER.sub("#", text.strip(" +-")), []).append(text)
    rows = {form: sum(map(counts.__getitem__, texts)) for form, texts in forms.items()}
    form = max(rows, key=rows.__getitem__, default="")
    if not _FORM.fullmatch(form) or rows[form] <= sum(counts.values()) / 2:
        return None
    texts = forms[form]
    numbers = " ".join(_NUMBER.search(text)[0] for text in texts)  # type: ignore[index]
    is_label = numbers.replace(" ", "").isdigit() and _LABEL.fullmatch(form) is not None
    if is_label and (len(texts) < FEWEST_LABELS or re.search(r"\b0\d", numbers)):
        return None
    if len(texts) < FEWEST_AMOUNTS:
        return None
    way = 'by pandas.to_numeric(..., errors="coerce")'
    if ":" in form:
        way = "such as minutes, by pandas.to_timedelta"
    elif form != "#" or "," in numbers:
        decimal = '.str.replace(",", ".") if that is the decimal point, ' if "," in numbers else ""
        way = rf'by {decimal}.str.replace(r"[^-+\d.]", "", regex=True) and pandas.to_numeric'
    with_points = [number for number in numbers.split() if "." in number]
    if with_points and all(map(_MAY_BE_THOUSANDS.fullmatch, with_points)):
        way += ', after .str.replace(".", "") if the point separates thousands'
    return Reading(max(texts, key=counts.__getitem__), way)


def may_be_names(values: Array, targets: Array) -> bool:
    """Return whether numbers (n,), NaN for gaps, seem to be names, by targets (n, n_outputs)."""
    rows = np.arange(0, len(values), max(1, len(values) // ROWS_TO_DOUBT_BY))
    rows = rows[~np.isnan(values[rows])]
    values = values[rows]
    if (values != np.trunc(values)).any():
        return False
    numbers, counts = np.unique(values, return_counts=True)
    repeats = counts >= FEWEST_ROWS
    x = numbers[repeats]
    n = counts[repeats]
    is_even = n.sum() ** 2 >= LEAST_EVENNESS * (n**2).sum()
    if len(x) < FEWEST_NUMBERS or n.sum() < LEAST_COVER * len(rows) or not is_even:
        return False
    if YEARS[0] <= x[0] and x[-1] <= YEARS[1]:
        return False
    level_of = np.searchsorted(numbers, values)
    targets = targets[rows, :MOST_TARGETS].astype(np.float64)
    sums = np.array([np.bincount(level_of, target) for target in targets.T]).T
    means = sums / counts[:, None]
    within = (targets**2).sum() - (sums * means).sum()
    means = means[repeats]
    left = ((x[2:] - x[1:-1]) / (x[2:] - x[:-2]))[:, None]
    distances = means[1:-1] - left * means[:-2] - (1 - left) * means[2:]
    untold = (distances**2).sum(axis=1).mean() / DISTANCE_VARIANCE
    noise = within / (len(rows) - len(numbers)) * (1 / n).mean()
    least = max(LEAST_SHARE * targets.var(axis=0).sum(), LEAST_PART * means.var(axis=0).sum())
    return bool(untold > LEAST_RATIO * noise and untold - noise > least)
