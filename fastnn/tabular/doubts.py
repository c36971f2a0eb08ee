"""Doubts about a column: words that read as numbers, and whole numbers that may be names.

Words. A column of texts such as "0.31", "0.3 ct", "12 %" or "12:30" has a level for each number.

Whole numbers. Those of stores or towns have no order that means something. Where numbers repeat,
the mean target of a number can be estimated from those of its two neighbors, by a line, if the
column is an amount; that of a name cannot. So the rule looks at the targets: at the squared
distances from these lines, less what the noise of rows explains, which may differ between numbers.
"""

import re
from collections.abc import Iterable, Mapping
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
"""Rows that numbers are judged by: of more, one is drawn from each of so many parts of the table,
since evenly spaced rows may hold few of the names that stand in turn."""

FEWEST_LABELS = 11
FEWEST_AMOUNTS = 3
"""Texts that differ: of whole numbers, letters behind them or not, and of all others."""

_BY_COMMA = r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+,[0-9]+|[1-9][0-9]{0,2}(?:\.[0-9]{3}){2,}"
_BY_POINT = r"[1-9][0-9]{0,2}(?:,[0-9]{3})+\.[0-9]+|[1-9][0-9]{0,2}(?:,[0-9]{3}){2,}"
"""Numbers whose separators say which of the two is the decimal sign: 1.234,5 and 1,234.5."""

_MAY_BE_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}[.,][0-9]{3}")
"""2.900, which is 2.9 in one language and 2,900 in another, and 2,900."""

_NUMBER = "|".join(
    [
        r"[0-9]+:[0-9]+(?::[0-9]+)?",
        _BY_COMMA,
        _BY_POINT,
        r"[0-9]{1,3}(?:[ \u00a0\u202f'’][0-9]{3})+(?:[.,][0-9]+)?",
        r"[0-9]*[.,]?[0-9]+(?:[eE][-+]?[0-9]+)?",
    ]
)
_UNIT = r"(?:[%‰°$€£¥]|[^\W\d_])[^\s\d\"'\\]{0,9}[23]?(?: [^\W\d_]{1,9})?"
_AMOUNT = re.compile(
    r"\s*(?P<sign>[-+])?(?:(?P<before>[A-Z]{0,3}[$€£¥])(?(sign)|\s?[-+]?))?"
    rf"(?P<number>{_NUMBER})\s?(?P<after>(?:{_UNIT})?)\s*"
)
"""A text that is a number, with a unit such as "$", "km/h", "m2" or "sq ft"; a sign is directly
before the number or the currency, as pandas.to_numeric reads it without the unit."""

LONGEST_AMOUNT = 60
"""Characters of a text that may be a number: the time of a match grows with their square."""

_DIGIT = re.compile(r"\d")
_BLANKS = re.compile(r"[\u00a0\u202f'’]|\d \d")
"""What a number of `pandas.to_numeric` does not have: 1 234, 1'234."""

_LETTERS = re.compile(r"[^\W\d_]*(?:[23]| [^\W\d_]+)?")


class Unit(NamedTuple):
    """What texts of one kind of numbers share."""

    before: str
    after: str
    colons: int
    """One of "12:30", two of "12:30:15", none of numbers."""


class Reading(NamedTuple):
    """How most rows of a column of words read."""

    example: str  # with one of another unit, if there are some
    remedy: str  # what to make of them, and the way


def reading_of(counts: Mapping[Any, int]) -> Reading | None:
    """Return how words read if more than half of the rows are numbers with one unit, or none.

    `counts` are the rows of each word. Whole numbers with leading zeros, and a few whole numbers,
    are names.
    """
    amounts: dict[Unit, dict[str, str]] = {}  # {unit: {text: its number}}
    words = []
    for text in counts:
        is_short = isinstance(text, str) and len(text) <= LONGEST_AMOUNT
        if is_short and (amount := _AMOUNT.fullmatch(text)):
            unit = Unit(amount["before"] or "", amount["after"], amount["number"].count(":"))
            amounts.setdefault(unit, {})[text] = amount["number"]
        else:
            words.append(text)
    rows = {unit: sum(map(counts.__getitem__, texts)) for unit, texts in amounts.items()}
    unit = max(rows, key=rows.__getitem__, default=Unit("", "", 0))
    if rows.get(unit, 0) <= sum(counts.values()) / 2:
        return None
    texts = amounts.pop(unit)
    numbers = list(texts.values())
    if len(texts) < FEWEST_AMOUNTS or _are_labels(unit, numbers):
        return None
    example = repr(max(texts, key=counts.__getitem__))
    made = "make numbers of them"
    if others := [text for other, those in amounts.items() for text in those if any(other)]:
        example += f" and, in another unit, {max(others, key=counts.__getitem__)!r}"
        made += ", once all are in one unit"
    decimal, doubt = _decimal_point(numbers)
    steps = _without_unit(unit, texts) + decimal
    # plain to_numeric raises an error for others, which names the first
    are_gaps = not others and not any(map(_DIGIT.search, map(str, words)))
    call = _call(unit, ', errors="coerce"' if words and are_gaps else "")
    way = f"{steps} and {call}" if steps else call
    return Reading(example, f"{made}, by {way}{doubt}")


def _call(unit: Unit, options: str) -> str:
    """Return the call that makes numbers of texts without their unit, "..." in it."""
    if not unit.colons:
        return f"pandas.to_numeric(...{options})" if options else "pandas.to_numeric"
    seconds = ' + ":00"' if unit.colons == 1 else ""
    return f"pandas.to_timedelta(...{seconds}{options}).dt.total_seconds()"


def _are_labels(unit: Unit, numbers: list[str]) -> bool:
    """Return whether numbers are names: few whole ones, or some with a 0 before them."""
    if unit.before or not _LETTERS.fullmatch(unit.after) or not all(map(str.isdigit, numbers)):
        return False
    return len(numbers) < FEWEST_LABELS or any(re.match(r"0\d", number) for number in numbers)


def _without_unit(unit: Unit, texts: Iterable[str]) -> str:
    """Return the code that leaves numbers of texts with one unit, and of others none."""
    steps = ".str.strip()" if any(text != text.strip() for text in texts) else ""
    if unit.before:
        steps += f'.str.replace("{unit.before}", "")'
    if unit.after:
        steps += f'.str.removesuffix("{unit.after}")'
    if unit.after and unit.colons:
        steps += ".str.strip()"
    if any(map(_BLANKS.search, texts)):
        steps += r""".str.replace(r"[\s'’]", "", regex=True)"""
    return steps


def _decimal_point(numbers: list[str]) -> tuple[str, str]:
    """Return the code that leaves a decimal point as the only separator, and a text that asks for
    more where the numbers leave it open.
    """
    comma = {number for number in numbers if "," in number}
    point = {number for number in numbers if "." in number}
    undecided = set(filter(_MAY_BE_THOUSANDS.fullmatch, comma | point))
    by_comma = {number for number in numbers if re.fullmatch(_BY_COMMA, number)}
    by_point = {number for number in numbers if re.fullmatch(_BY_POINT, number)}
    has_decimal_comma = bool(by_comma or comma - undecided - by_point)
    has_decimal_point = bool(by_point or point - undecided - by_comma)
    if has_decimal_comma:
        thousands = "" if has_decimal_point or not point else '.str.replace(".", "")'
        return thousands + ('.str.replace(",", ".")' if comma else ""), ""
    if has_decimal_point:
        return '.str.replace(",", "")' if comma else "", ""
    doubt = ""
    if comma:
        doubt = ', after .str.replace(",", "") if the comma separates thousands'
        doubt += ', or .str.replace(",", ".") if it does not'
    elif point:
        doubt = ', after .str.replace(".", "") if the point separates thousands'
    return "", doubt


def may_be_names(values: Array, targets: Array) -> bool:
    """Return whether numbers (n,), NaN for gaps, seem to be names, by targets (n, n_outputs)."""
    n_parts = min(len(values), ROWS_TO_DOUBT_BY)
    bounds = np.arange(n_parts + 1) * len(values) // n_parts
    rows = np.random.RandomState(0).randint(bounds[:-1], bounds[1:])
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
    within = np.bincount(level_of, ((targets - means[level_of]) ** 2).sum(axis=1))[repeats]
    noises = (within / (n - 1) / n)[:, None]  # the variance that noise gives each mean
    means = means[repeats]
    untold, noise = _untold_and_noise(x, means, noises)
    least = max(LEAST_SHARE * targets.var(axis=0).sum(), LEAST_PART * means.var(axis=0).sum())
    return bool(untold > LEAST_RATIO * noise and untold - noise > least)


def _untold_and_noise(x: Array, means: Array, noises: Array) -> tuple[float, float]:
    """Return the variance of mean targets (k, n_outputs) of numbers (k,) that their neighbors do
    not tell, and that of the noise (k, 1).
    """
    left = ((x[2:] - x[1:-1]) / (x[2:] - x[:-2]))[:, None]
    distances = means[1:-1] - left * means[:-2] - (1 - left) * means[2:]
    noise = noises[1:-1] + left**2 * noises[:-2] + (1 - left) ** 2 * noises[2:]
    untold = (distances**2).sum(axis=1).mean()
    return untold / DISTANCE_VARIANCE, noise.mean() / DISTANCE_VARIANCE
