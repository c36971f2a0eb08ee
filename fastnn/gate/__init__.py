"""The performance gate: is one program slower than another? Deprecated: it goes in 0.5.

A side is any command that prints JSON, which `measure` writes and `read` reads; nothing here knows
of neural networks. `compare` runs both sides and judges, `report` shows the result. The format is
that of ``fastnn bench --json -``, of which the gate reads this part::

    {
        "format": 1,
        "trainings": [
            {
                "workload": "digits",
                "dtype": "float32",
                "backend": "numba",
                "seconds": [5.8e-06, 5.9e-06],
            }
        ],
        "starts": [{"what": "first call", "seconds": [0.31]}],
        "memory": [{"what": "most of the process", "bytes": [171966464]}],
        "counts": {"kernels compiled": 0},
    }

All but one of the lists and counts may be missing, and so may ``dtype`` and ``backend``. A count is
a whole number of which more is worse.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from fastnn.checking.arguments import shown
from fastnn.errors import FastnnError, warn
from fastnn.measuring.timing import repeated, sampled

__all__ = ["measure"]

DEPRECATED = (
    "fastnn.gate and the command fastnn gate go in 0.5: use pytest-benchmark to compare two "
    "versions in one job, or "
    "asv to follow a program from commit to commit, see docs/howto/performance-tracking.md"
)

TAIL = 5  # lines of a failed command's errors that are shown
WIDTH = 300  # characters of each of them

# The version of the JSON that ``fastnn bench`` writes and the gate reads; another number cannot be
# read
FORMAT = 1

CLOCK = time.perf_counter if sys.platform == "win32" else time.process_time
"""Processor time, to which other programs do not add. On Windows wall time: its processor time has
steps of 16 ms."""


class CommandError(FastnnError):
    """A command failed, printed something else than the gate can read, or has nothing in common
    with the other one.
    """


class Quantity(NamedTuple):
    """A quantity of a report, such as the time of a training, of which less is better."""

    kind: str  # ``trainings``, ``starts`` or ``memory``: the list of the JSON in which it stands
    name: str


class Sample(NamedTuple):
    """One run of a command, a process of its own."""

    values: dict[Quantity, float]  # Median of what the process measured, in seconds or bytes
    counts: dict[str, int]
    seconds: float  # From the process's start to its end


# Of each list: the fields that make up the name, the first of them required, and the field of the
# numbers.
_LISTS = {
    "trainings": (("workload", "dtype", "backend"), "seconds"),
    "starts": (("what",), "seconds"),
    "memory": (("what",), "bytes"),
}


def run(command: str) -> Sample:
    """Run a command by the shell, and read what it prints on stdout; a `CommandError` shows the
    stderr of a failure.
    """
    start = time.perf_counter()
    done = subprocess.run(
        command, shell=True, capture_output=True, encoding="utf-8", errors="replace"
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        lines = done.stderr.strip().splitlines()[-TAIL:] or ["(it printed nothing on stderr)"]
        last = (line[:WIDTH] for line in lines)
        raise CommandError("\n  ".join([f"`{command}` ended with {done.returncode}:", *last]))
    try:
        return Sample(*read(done.stdout), seconds)
    except ValueError as error:
        raise CommandError(
            f"`{command}` printed no JSON in the format of `fastnn bench --json -`: {error}"
        ) from error


def read(text: str) -> tuple[dict[Quantity, float], dict[str, int]]:
    """Return the measurements of a report, and its counts; a ValueError says what is wrong with a
    text that is none.
    """
    try:
        report = json.loads(text)
    except json.JSONDecodeError as error:
        begin = text.strip()[:60]
        raise ValueError(
            f"{error}; it begins with {begin!r}" if begin else "it printed nothing"
        ) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(report, dict):
        raise ValueError(f"it is a {type(report).__name__}, not an object")
    if report.get("format") != FORMAT:
        raise ValueError(f'"format" is {report.get("format")!r:.50}, not {FORMAT}')
    values: dict[Quantity, float] = {}
    for kind, (fields, numbers) in _LISTS.items():
        for i, entry in enumerate(_typed(report.get(kind, []), list, kind)):
            where = f"{kind}[{i}]"
            _typed(_typed(entry, dict, where).get(fields[0]), str, f"{where}.{fields[0]}")
            quantity = Quantity(
                kind, ", ".join(str(entry[field]) for field in fields if entry.get(field))
            )
            if quantity in values:
                raise ValueError(f"{where} has the name of an earlier one, {quantity.name!r:.100}")
            values[quantity] = _median(entry.get(numbers), f"{where}.{numbers}")
    counts = _typed(report.get("counts", {}), dict, "counts")
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
        if (
            isinstance(number, bool)
            or not isinstance(number, int | float)
            or not 0 < number <= sys.float_info.max
        ):
            raise ValueError(f"{where} must hold positive numbers, not {number!r:.50}")
    return float(median(numbers))


def measure(
    functions: Mapping[str, Callable[[], object]],
    *,
    counts: Mapping[str, int] | None = None,
    starts: Mapping[str, Sequence[float]] | None = None,
    memory: Mapping[str, Sequence[float]] | None = None,
    samples: int = 5,
    sample_seconds: float = 0.02,
    clock: Callable[[], float] = CLOCK,
) -> str:
    """Time functions, and return what ``fastnn gate`` reads: print it, and nothing else.

    .. deprecated:: 0.4
       It goes in 0.5: use pytest-benchmark or asv.

    ::

        print(fastnn.gate.measure({"nearest of 64": lambda: nearest(points, queries)}))

    Check the answers first: the time of a wrong one means nothing.

    Parameters
    ----------
    functions : mapping of str to callable
        What to time, by name. Each is called once to warm up, and then so often that a sample takes
        `sample_seconds`.
    counts : mapping of str to int, optional
        Whole numbers of which more is worse, such as kernels compiled in a warm process.
    starts, memory : mapping of str to sequence of float, optional
        Seconds and bytes that you measured yourself.
    samples : int
        Of each function, taken in turn.
    sample_seconds : float
        10 ms or more, so that the clock does not matter.
    clock : callable
        Gives seconds. The processor time of this process, on Windows the time of day;
        `time.perf_counter` where what is measured waits, or runs in several threads.

    Returns
    -------
    str
        JSON.

    Raises
    ------
    ValueError
        If the gate could not read it.
    TypeError
        When `functions` is no mapping.
    """
    warn(DeprecationWarning(DEPRECATED))
    if not isinstance(functions, Mapping):
        raise TypeError(
            f"functions must be a mapping, such as {{'name': function}}, not {shown(functions)}"
        )
    runs = {name: repeated(function) for name, function in functions.items()}
    timings = sampled(runs, sample_seconds, samples, clock)
    report = {
        "format": FORMAT,
        "trainings": [{"workload": name, "seconds": seconds} for name, seconds in timings.items()],
        "starts": [
            {"what": name, "seconds": list(seconds)} for name, seconds in (starts or {}).items()
        ],
        "memory": [
            {"what": name, "bytes": list(numbers)} for name, numbers in (memory or {}).items()
        ],
        "counts": dict(counts or {}),
    }
    text = json.dumps(report)
    read(text)
    return text
