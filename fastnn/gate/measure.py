"""Measure functions of your own, in the JSON that the gate reads."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from fastnn.checking.arguments import shown
from fastnn.gate.samples import FORMAT, read

CLOCK = time.perf_counter if sys.platform == "win32" else time.process_time
"""Processor time, to which other programs do not add. On Windows wall time: its processor time has steps of 16 ms."""


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

    ::

        print(fastnn.gate.measure({"nearest of 64": lambda: nearest(points, queries)}))

    Check the answers first: the time of a wrong one means nothing.

    Parameters
    ----------
    functions : mapping of str to callable
        What to time, by name. Each is called once to warm up, and then so often that a sample takes `sample_seconds`.
    counts : mapping of str to int, optional
        Whole numbers of which more is worse, such as kernels compiled in a warm process.
    starts, memory : mapping of str to sequence of float, optional
        Seconds and bytes that you measured yourself.
    samples : int
        Of each function, taken in turn.
    sample_seconds : float
        10 ms or more, so that the clock does not matter.
    clock : callable
        Gives seconds. The processor time of this process, on Windows the time of day; `time.perf_counter` where what
        is measured waits, or runs in several threads.

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
    if not isinstance(functions, Mapping):
        raise TypeError(f"functions must be a mapping, such as {{'name': function}}, not {shown(functions)}")

    def timed(function: Callable[[], object], calls: int) -> float:
        start = clock()
        for _ in range(calls):
            function()
        return clock() - start

    calls: dict[str, int] = {}
    for name, function in functions.items():
        function()
        calls[name], taken = 1, timed(function, 1)
        while taken < sample_seconds / 4:
            calls[name] *= 4
            taken = timed(function, calls[name])
        calls[name] = max(1, round(calls[name] * sample_seconds / taken))
    rounds = [{name: timed(functions[name], calls[name]) / calls[name] for name in functions} for _ in range(samples)]
    report = {
        "format": FORMAT,
        "trainings": [{"workload": name, "seconds": [one[name] for one in rounds]} for name in functions],
        "starts": [{"what": name, "seconds": list(seconds)} for name, seconds in (starts or {}).items()],
        "memory": [{"what": name, "bytes": list(numbers)} for name, numbers in (memory or {}).items()],
        "counts": dict(counts or {}),
    }
    text = json.dumps(report)
    read(text)
    return text
