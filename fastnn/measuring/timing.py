"""Samples: functions calibrated and timed in turn, whole processes, and the numbers as text and
tables in Markdown.

Nothing of fastnn is imported: benchmarks also use this file beside the fastnn of another commit.
"""

import functools
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Run = Callable[[int], object]  # Does something so many times
Clock = Callable[[], float]
"""Gives seconds: `time.perf_counter`, or `time.process_time`, to which other processes do not
add."""


def seconds_of(function: Callable[[], object], clock: Clock = time.perf_counter) -> float:
    """Return the seconds that a call takes."""
    start = clock()
    function()
    return clock() - start


def repeated(function: Callable[[], object]) -> Run:
    """Return a function of n that calls another one n times."""

    def run(n: int) -> None:
        for _ in range(n):
            function()

    return run


def calibrated(
    run: Run, seconds: float, most: float = math.inf, clock: Clock = time.perf_counter
) -> int:
    """Return the n for which ``run(n)`` takes about so many seconds, at most `most`: more and more
    are tried.
    """
    n = 1
    while True:
        taken = seconds_of(functools.partial(run, n), clock)
        if n >= most or taken > seconds / 4:
            return int(min(most, max(1, round(n * seconds / taken))))
        n = int(min(most, 4 * n))


def in_turn(
    functions: Mapping[str, Callable[[], Any]],
    rounds: int,
    most_seconds: float = math.inf,
    most: float = math.inf,
    after_each: Callable[[], object] = lambda: None,
) -> dict[str, list[Any]]:
    """Call each function once, then all again, and so on, and return their values: a slow moment
    hits all of them.

    Each begins a round in turn, for the one after a pause is slower. After `most_seconds` no new
    round begins, but for the first three; a function whose values add up to more than `most` is
    called no more.
    """
    stop = time.perf_counter() + most_seconds
    names = list(functions)
    samples: dict[str, list[Any]] = {name: [] for name in names}
    for done in range(rounds):
        if done >= 3 and time.perf_counter() > stop:
            break
        begin = done % max(len(names), 1)
        for name in names[begin:] + names[:begin]:
            if most == math.inf or sum(samples[name]) <= most:
                samples[name].append(functions[name]())
                after_each()
    return samples


def interleaved(
    functions: Mapping[str, Callable[[], object]],
    iterations: Mapping[str, int] | None = None,
    rounds: int = 7,
    after_each: Callable[[], object] = lambda: None,
    clock: Clock = time.perf_counter,
) -> dict[str, list[float]]:
    """Return the seconds of an iteration, of functions that are timed `in_turn`.

    A call of each does so many iterations, or one. Each is called once, untimed, to warm up, and
    then `rounds` times; after every timed call `after_each` is called, such as a progress bar's
    step.
    """
    for function in functions.values():
        function()
    timed = {
        name: functools.partial(seconds_of, function, clock) for name, function in functions.items()
    }
    samples = in_turn(timed, rounds, after_each=after_each)
    return {
        name: [s / (iterations[name] if iterations else 1) for s in samples[name]]
        for name in samples
    }


def sampled(
    runs: Mapping[str, Run],
    seconds: float,
    rounds: int = 7,
    clock: Clock = time.perf_counter,
    most: Mapping[str, float] | None = None,
) -> dict[str, list[float]]:
    """Return the seconds of one repetition of each run, by `rounds` samples of about `seconds`
    each, taken in turn.

    A sample repeats a run at most as often as `most` says.
    """
    for run in runs.values():
        run(1)
    n = {
        name: calibrated(run, seconds, (most or {}).get(name, math.inf), clock)
        for name, run in runs.items()
    }
    return interleaved(
        {name: functools.partial(run, n[name]) for name, run in runs.items()},
        n,
        rounds,
        clock=clock,
    )


class Interval(NamedTuple):
    """A number, such as the median of samples or of ratios, between the ends of an interval."""

    low: float
    middle: float
    high: float

    def __str__(self) -> str:
        return f"{digits(self.middle)} ({digits(self.low)}–{digits(self.high)})"

    @property
    def spread(self) -> float:
        """Width relative to the middle."""
        return (self.high - self.low) / self.middle


def quartiles(samples: Sequence[float]) -> Interval:
    """Return the median of samples between their quartiles."""
    return Interval(*map(float, np.percentile(samples, [25, 50, 75])))


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> Interval:
    """Return theirs by ours, of the rounds that both had: timed in turn, so that what slowed both
    cancels.
    """
    return quartiles([a / b for a, b in zip(theirs, ours, strict=False)])


_UNITS = {
    "seconds": (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)),
    "bytes": (("MB", 1e6), ("kB", 1e3)),
}


def with_unit(number: float, kind: str = "seconds") -> str:
    """Return seconds or bytes with three digits and a unit that suits."""
    units = _UNITS["bytes" if kind == "memory" else "seconds"]
    name, size = next((unit for unit in units if number >= unit[1]), units[-1])
    return f"{number / size:#.3g}".rstrip(".") + f" {name}"


def digits(number: float) -> str:
    """Return a number with two or three digits."""
    return (
        f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"
    )


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]], right: str = "") -> str:
    """Return a table in Markdown; the columns named in `right`, by their places as in "123", are
    aligned there.
    """
    line = "|".join("---:" if str(i) in right else "---" for i in range(len(heads)))
    head, *body = (f"| {' | '.join(cells)} |" for cells in (heads, *rows))
    return "\n".join([head, f"|{line}|", *body])


# A process reports its own memory: what the system tells its parent includes the parent's, from
# before the exec.
_PEAK = """
def _peak():
    import sys
    if sys.platform == "linux":
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    if sys.platform == "darwin":
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return 0
print(_peak())
"""


class Process(NamedTuple):
    """Time and memory of a process, from its start to its end."""

    seconds: float
    # Most memory that it held at a time; None where the system does not say (Windows)
    peak_bytes: int | None
    output: str


def in_process(
    code: str, environment: Mapping[str, str] | None = None, only: bool = False
) -> Process:
    """Run Python code in a fresh interpreter, alone, and take its time and its memory.

    The process has the variables of `environment` besides those of this one, or only these. Where
    it fails, a RuntimeError has the last line that it printed on stderr.
    """
    start = time.perf_counter()
    variables = {**({} if only else os.environ), **(environment or {})}
    command = [sys.executable, "-c", code + "\n" + _PEAK]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise RuntimeError(f"the process failed: {lines[-1] if lines else done.returncode}")
    *output, peak = done.stdout.splitlines(keepends=True)
    return Process(seconds, int(peak) or None, "".join(output))
