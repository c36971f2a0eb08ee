"""One run of a command, and the JSON that it prints.

The format is that of ``fastnn bench --json -``. The gate reads this part of it::

    {"format": 1,
     "trainings": [{"workload": "digits", "dtype": "float32", "backend": "numba", "seconds": [5.8e-06, 5.9e-06]}],
     "starts": [{"what": "first call", "seconds": [0.31]}],
     "memory": [{"what": "most of the process", "bytes": [171966464]}],
     "counts": {"kernels compiled": 0}}

All but one of the lists and counts may be missing, and so may ``dtype`` and ``backend``. A count is a whole number of
which more is worse.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from fastnn.errors import FastnnError

TAIL, WIDTH = 5, 300
"""Lines of a failed command's errors that are shown, and the characters of each."""

FORMAT = 1
"""The version of the JSON that ``fastnn bench`` writes and the gate reads; another number cannot be read."""


class CommandError(FastnnError):
    """A command failed, printed something else than the gate can read, or has nothing in common with the other one."""


class Quantity(NamedTuple):
    """A quantity of a report, such as the time of a training, of which less is better."""

    kind: str
    """``trainings``, ``starts`` or ``memory``: the list of the JSON in which it stands."""
    name: str


@dataclass(frozen=True)
class Sample:
    """One run of a command, a process of its own."""

    values: dict[Quantity, float]
    """Median of what the process measured, in seconds or bytes."""
    counts: dict[str, int]
    seconds: float
    """From the process's start to its end."""


# Of each list: the fields that make up the name, the first of them required, and the field of the numbers.
_LISTS = {
    "trainings": (("workload", "dtype", "backend"), "seconds"),
    "starts": (("what",), "seconds"),
    "memory": (("what",), "bytes"),
}


def run(command: str) -> Sample:
    """Run a command by the shell, and read what it prints on stdout; its stderr is shown where it fails.

    Raises
    ------
    CommandError
        If it ends with another code than 0, or prints no report.
    """
    start = time.perf_counter()
    done = subprocess.run(command, shell=True, capture_output=True, encoding="utf-8", errors="replace")
    seconds = time.perf_counter() - start
    if done.returncode:
        lines = done.stderr.strip().splitlines()[-TAIL:] or ["(it printed nothing on stderr)"]
        shown = (line[:WIDTH] for line in lines)
        raise CommandError("\n  ".join([f"`{command}` ended with {done.returncode}:", *shown]))
    try:
        return Sample(*read(done.stdout), seconds)
    except ValueError as error:
        raise CommandError(f"`{command}` printed no JSON in the format of `fastnn bench --json -`: {error}") from error


def read(text: str) -> tuple[dict[Quantity, float], dict[str, int]]:
    """Return the measurements of a report, and its counts.

    Raises
    ------
    ValueError
        If it is no report; the text says what is wrong with it.
    """
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        begin = text.strip()[:60]
        raise ValueError(f"{error}; it begins with {begin!r}" if begin else "it printed nothing") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError(f"it is a {type(found).__name__}, not an object")
    if found.get("format") != FORMAT:
        raise ValueError(f'"format" is {found.get("format")!r:.50}, not {FORMAT}')
    values: dict[Quantity, float] = {}
    for kind, (fields, numbers) in _LISTS.items():
        for i, entry in enumerate(_typed(found.get(kind, []), list, kind)):
            where = f"{kind}[{i}]"
            entry = _typed(entry, dict, where)
            _typed(entry.get(fields[0]), str, f"{where}.{fields[0]}")
            quantity = Quantity(kind, ", ".join(str(entry[field]) for field in fields if entry.get(field)))
            if quantity in values:
                raise ValueError(f"{where} has the name of an earlier one, {quantity.name!r:.100}")
            values[quantity] = _median(entry.get(numbers), f"{where}.{numbers}")
    counts = _typed(found.get("counts", {}), dict, "counts")
    for name, count in counts.items():
        if type(count) is not int:
            raise ValueError(f"counts[{name!r:.100}] must be a whole number, not {count!r:.50}")
    if not values and not counts:
        raise ValueError(f"{', '.join(_LISTS)} and counts are all missing or empty")
    return values, counts


def _typed(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{where} must be a {kind.__name__}, not {value!r:.50}")
    return value


def _median(numbers: Any, where: str) -> float:
    if not _typed(numbers, list, where):
        raise ValueError(f"{where} is empty")
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number <= sys.float_info.max:
            raise ValueError(f"{where} must hold positive numbers, not {number!r:.50}")
    return float(median(numbers))
