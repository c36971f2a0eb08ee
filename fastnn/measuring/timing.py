"""Timing: functions calibrated and sampled in turn, medians and ratios of the samples, and whole processes.

Nothing of fastnn is imported: benchmarks also use this file beside the fastnn of another commit.
"""

from __future__ import annotations

import functools
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np

Run = Callable[[int], object]
"""Does something so many times."""
Clock = Callable[[], float]
"""Gives seconds: `time.perf_counter`, or `time.process_time`, to which other processes do not add."""


@dataclass(frozen=True)
class Timing:
    """Samples of the seconds that one iteration takes, or of ratios of such."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median of the samples, in seconds."""
        return median(self.seconds)

    @property
    def per_second(self) -> float:
        """Iterations a second, at the median."""
        return 1.0 / self.median

    @property
    def quartiles(self) -> tuple[float, float]:
        """The quartiles of the samples, in seconds."""
        low, high = np.percentile(self.seconds, [25, 75])
        return float(low), float(high)

    @property
    def spread(self) -> float:
        """Interquartile range relative to the median."""
        low, high = self.quartiles
        return (high - low) / self.median


def ratios(slow: Timing, fast: Timing) -> Timing:
    """Return the second's speed by the first's, round by round: both were timed in turn, so noise cancels."""
    return Timing(tuple(a / b for a, b in zip(slow.seconds, fast.seconds, strict=True)))


def seconds_of(function: Callable[[], object], clock: Clock = time.perf_counter) -> float:
    """Return the seconds that a call takes."""
    start = clock()
    function()
    return clock() - start


def repeated(function: Callable[[], object]) -> Run:
    """Return what calls a function so many times."""

    def run(n: int) -> None:
        for _ in range(n):
            function()

    return run


def calibrated(run: Run, seconds: float, most: float = math.inf, clock: Clock = time.perf_counter) -> int:
    """Return the n for which ``run(n)`` takes about so many seconds, at most `most`: more and more are tried."""
    n = 1
    while True:
        taken = seconds_of(functools.partial(run, n), clock)
        if n >= most or taken > seconds / 4:
            return int(min(most, max(1, round(n * seconds / taken))))
        n = int(min(most, 4 * n))


def interleaved(
    functions: Mapping[str, Callable[[], object]],
    iterations: Mapping[str, int],
    rounds: int = 7,
    after_each: Callable[[], object] = lambda: None,
    clock: Clock = time.perf_counter,
) -> dict[str, Timing]:
    """Return the seconds of an iteration, of functions that are timed in turn: a slow moment hits all of them.

    A call of each does so many iterations. Each is called once, untimed, to warm up, and then `rounds` times; after
    every timed call `after_each` is called, such as a progress bar's step.
    """
    for function in functions.values():
        function()
    samples: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            samples[name].append(seconds_of(function, clock) / iterations[name])
            after_each()
    return {name: Timing(tuple(seconds)) for name, seconds in samples.items()}


def sampled(
    runs: Mapping[str, Run],
    seconds: float,
    rounds: int = 7,
    clock: Clock = time.perf_counter,
    most: Mapping[str, float] | None = None,
) -> dict[str, Timing]:
    """Return the seconds of one time of each, of `rounds` samples that take about `seconds` each, taken in turn.

    A sample does each at most as often as `most` says.
    """
    for run in runs.values():
        run(1)
    limits = dict.fromkeys(runs, math.inf) | dict(most or {})
    n = {name: calibrated(run, seconds, limits[name], clock) for name, run in runs.items()}
    return interleaved({name: functools.partial(run, n[name]) for name, run in runs.items()}, n, rounds, clock=clock)


# ------------------------------------------------------------------------------------------------------ whole processes


# A process reports its own memory: what the system tells its parent includes the parent's, from before the exec.
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


@dataclass(frozen=True)
class Process:
    """Time and memory of a process, from its start to its end."""

    seconds: float
    peak_bytes: int | None
    """Most memory that it held at a time; None where the system does not say (Windows)."""
    output: str


def in_process(code: str, environment: Mapping[str, str] | None = None, only: bool = False) -> Process:
    """Run Python code in a fresh interpreter, alone, and take its time and its memory.

    The process has the variables of `environment` besides those of this one, or only these. Where it fails, a
    RuntimeError has the last line that it printed on stderr.
    """
    command = [sys.executable, "-c", code + "\n" + _PEAK]
    start = time.perf_counter()
    variables = {**({} if only else os.environ), **(environment or {})}
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise RuntimeError(f"the process failed: {lines[-1] if lines else done.returncode}")
    *output, peak = done.stdout.splitlines(keepends=True)
    return Process(seconds, int(peak) or None, "".join(output))
