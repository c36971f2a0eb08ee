"""The cores that a process may use: how many and what says so, helper threads, and how many threads pay."""

from __future__ import annotations

import collections
import contextlib
import math
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

VARIABLE = "FASTNN_NUM_THREADS"
"""The environment variable that limits fastnn alone."""

OTHERS = "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"
"""Those of others that limit fastnn too: job schedulers and the workers of joblib, Dask and Ray set them."""

CGROUPS = Path("/proc/self/cgroup")
MOUNTED = Path("/sys/fs/cgroup")


class Cores(NamedTuple):
    """How many cores a process may use, at least 1, and the reason in words."""

    number: int
    reason: str


def available_cores() -> Cores:
    """Return the cores that this process may use: the least of what the machine has and of all that limits it.

    Limits are the CPUs that the process is bound to (affinity), the quotas of its cgroups, rounded down, the variables
    FASTNN_NUM_THREADS, OMP_NUM_THREADS and NUMBA_NUM_THREADS, and 1 in a worker, a process that `multiprocessing`,
    joblib or Dask has started beside others. Looked at anew in each call, which takes some 50 us.

    Raises
    ------
    ValueError
        When FASTNN_NUM_THREADS is no whole number from 1 on. Others' variables are passed over then.

    Examples
    --------
    >>> from fastnn.cores import available_cores
    >>> available_cores().number >= 1
    True
    """
    return min(_limits(), key=lambda cores: cores.number)


def _limits() -> Iterator[Cores]:
    """Iterate over what limits the process; of equal ones the first is the reason that is told."""
    n_cpus = os.cpu_count() or 1
    yield Cores(n_cpus, "all that the machine has")
    if hasattr(os, "sched_getaffinity"):  # of Linux
        n_bound = len(os.sched_getaffinity(0))
        yield Cores(n_bound, f"the process is bound to {n_bound} of {n_cpus} CPUs")
    for quota in _quotas():
        yield Cores(max(1, int(quota)), f"its cgroup has a quota of {quota:g} CPUs")
    text = os.environ.get(VARIABLE, "")
    if text:
        if (number := _whole_number(text)) < 1:
            raise ValueError(f"the environment variable {VARIABLE} must be a whole number from 1 on, not {text!r:.50}")
        yield Cores(number, f"{VARIABLE}={number}")
    for name in OTHERS:
        first, *_ = os.environ.get(name, "").split(",")  # OpenMP has a number for each level of nesting
        if (number := _whole_number(first)) >= 1:
            yield Cores(number, f"{name}={number}")
    multiprocessing = sys.modules.get("multiprocessing")  # which has started a worker is imported there
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        yield Cores(1, "a worker process, beside others")


def _whole_number(text: str) -> int:
    """Return the number that a text is, 0 if it is none."""
    return int(text) if text.strip().isdecimal() else 0


def _quotas() -> Iterator[float]:
    """Iterate over the quotas, in CPUs, of the process' cgroups of both versions and of those that they lie in."""
    try:
        lines = CGROUPS.read_text("utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        group = MOUNTED / controllers / path.lstrip("/")
        # In a container the path may be that of the host, and only its end, the mount, is there.
        for folder in (group, *group.parents):
            if not folder.is_relative_to(MOUNTED):
                break
            quota, period = _v1(folder) if controllers else _v2(folder)
            if quota > 0 and period > 0:
                yield quota / period


def _v2(folder: Path) -> tuple[int, int]:
    """Return quota and period of a cgroup of version 2, in microseconds; 0 where there is none."""
    quota, period, *_ = (*_words(folder / "cpu.max"), "", "")
    return _whole_number(quota), _whole_number(period)  # a quota of "max" is none


def _v1(folder: Path) -> tuple[int, int]:
    """Return the same of version 1."""
    quota, period, *_ = (*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us"), "", "")
    return _whole_number(quota), _whole_number(period)  # a quota of -1 is none


def _words(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8").split()
    except OSError:
        return []


# ------------------------------------------------------------------------------------------------------ helper threads

Helper = queue.SimpleQueue[Callable[[], Any]]
"""A thread that calls what is put here, one function after the other, until the process ends."""

_idle: list[Helper] = []
_at_work: set[Helper] = set()


class Borrowed(list[Helper]):
    """The helpers of one borrower: given back by `give_back`, or when nobody refers to the list any more.

    The latter is for an exception of a signal's handler, which may fall between any two lines, also of `give_back`.
    """

    def __del__(self) -> None:
        give_back(self)


def borrow(n: int) -> list[Helper]:
    """Return `n` helpers, idle or new ones; fewer where the system starts no more threads."""
    helpers = Borrowed()
    with contextlib.suppress(RuntimeError):
        while len(helpers) < n:
            helpers.append(_idle.pop() if _idle else _new_helper())
    _at_work.update(helpers)
    return helpers


def give_back(helpers: list[Helper]) -> None:
    """Let others have these helpers, each of which may still be at its last function; the list is empty then."""
    while helpers:
        _at_work.discard(helpers[-1])
        _idle.append(helpers.pop())


def cores_of_thread() -> int:
    """Return how many cores the calling thread may use unasked: 1 unless it is the main one, for others do the same."""
    return available_cores().number if threading.current_thread() is threading.main_thread() else 1


def idle_cores(cores: int) -> int:
    """Return how many of the cores no helper is at work on, at least 1: that of the caller."""
    return max(1, cores - len(_at_work))


def share(work: Callable[[Any], object], parts: Iterable[Any], threads: int | None = None) -> None:
    """Call ``work(part)`` for all parts, each by the first that is free of this thread and helpers.

    They are so many threads as are asked for, or one on each idle core.
    """
    left, done = collections.deque(parts), queue.SimpleQueue[Any]()
    n_parts = len(left)

    def take_parts() -> None:
        with contextlib.suppress(IndexError):  # none is left
            while True:
                part = left.popleft()
                try:
                    work(part)
                except BaseException:
                    done.put([part])
                    raise
                done.put([])

    helpers = borrow(min(threads or idle_cores(cores_of_thread()), n_parts) - 1)
    try:
        for helper in helpers:
            helper.put(take_parts)
        take_parts()
        for _ in range(n_parts):
            for part in done.get():  # that a helper has failed at: the error is raised here, if there is one
                work(part)
    finally:
        give_back(helpers)


def _new_helper() -> Helper:
    helper: Helper = queue.SimpleQueue()
    threading.Thread(target=_serve, args=(helper,), name="fastnn helps", daemon=True).start()
    return helper


def _serve(helper: Helper) -> None:
    while True:
        work = helper.get()
        with contextlib.suppress(Exception):  # whoever waits for it goes on without help
            work()
        del work  # nothing that it refers to stays alive


def _forget() -> None:
    _idle.clear()
    _at_work.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)  # threads of the parent, which the child has not


# ----------------------------------------------------------------------------------------------- how many threads pay

WARM = 0.01
"""Seconds before the first trial: the first steps take longer than others."""
TRIAL, LONG_TRIAL = 0.002, 0.016
"""Seconds of the first stretches of a trial, and of its last ones: each is twice the last one."""
PAUSE, LONG_PAUSE = 0.2, 4.0
"""Seconds between trials: each pause is twice the last one."""
COST = 40
"""How many times as long as a trial has lost is the pause after it, at least: a trial of a number that is worse."""
WATCH = 0.02
"""Seconds of steps with several threads before it is looked at again what they take."""
GAIN, LOSS, FAILURE = 0.97, 1.2, 2.0
"""A number is better where a step takes so many times as long as with the chosen one; trouble where one takes so many
times as long as it did; and a trial ends at once where one takes so many times as long."""
SHORT_STEP = 50e-6
"""Seconds of a step from which on it may be shared."""


class BestNumber:
    """The number of threads with which steps take least, by measurement, again and again: others may use the machine.

    It begins with one. 2, 4 and so on up to `most` are tried against their neighbors, in turns, since what others do
    changes from moment to moment. Stretches of steps are short at first: beside a busy process, threads that wait for
    one another may take many times as long as one.
    """

    def __init__(self, most: int) -> None:
        self._numbers = [*(1 << k for k in range(most.bit_length()) if 1 << k < most), most]
        self._seconds = math.inf  # of a step with the chosen number, as last measured
        self._chosen, self._tried, self._turn = 0, 0, 0  # places in the list; whose turn it is
        self._way = 1  # that of the next trial: to more threads, or -1 to fewer
        self._pause, self._rest = PAUSE, WARM
        self._stretch, self._sums, self._lost = 0.0, [0.0, 0.0], 0.0  # of a trial: seconds of its next turn

    def next(self) -> tuple[int, float]:
        """Return a number of threads, and with how many steps to measure it."""
        stretch = self._stretch if self._tried != self._chosen else min(self._rest, WATCH if self._chosen else math.inf)
        return self._numbers[self._turn], math.inf if self._seconds == math.inf else stretch / self._seconds

    def measured(self, n_steps: int, seconds: float) -> None:
        """Take in the time of the steps."""
        a_step, before = seconds / n_steps, self._seconds
        if self._turn == self._chosen:
            self._seconds = a_step
        if self._tried != self._chosen:
            self._take_turn(a_step, seconds - n_steps * before)
            return
        self._rest -= seconds
        if before == math.inf and a_step > WARM:
            self._rest = 0.0
        if self._rest <= 0 and a_step < SHORT_STEP:
            self._rest = math.inf
        if self._chosen and a_step > LOSS * before:
            self._way, self._rest = -1, 0.0
        if self._rest <= 0:
            self._way = self._way if self._is_open() else -self._way
            self._tried = self._turn = self._chosen + self._way
            self._stretch, self._sums = 0.0, [0.0, 0.0]

    def _take_turn(self, a_step: float, lost: float) -> None:
        """Take in a turn of a trial, the tried number's or, after it, the chosen one's, which ends a round."""
        if self._stretch == 0.0:  # a step that does not count: its buffers are new
            self._stretch = TRIAL
            return
        ends_round = self._turn == self._chosen
        self._sums[ends_round] += a_step * self._stretch
        if not ends_round:
            self._lost = lost
        tried, chosen = self._sums
        if (not ends_round and a_step > FAILURE * self._seconds) or (ends_round and tried > GAIN * chosen):
            self._way = -self._way  # that of the next trial
            self._choose(self._chosen)
            self._rest = max(self._rest, COST * self._lost)
        elif not ends_round:
            self._turn = self._chosen
        elif self._stretch < LONG_TRIAL:
            self._turn, self._stretch = self._tried, 2 * self._stretch
        else:
            self._seconds = tried / chosen * self._seconds
            self._choose(self._tried)
            self._rest = 0.0 if self._is_open() else self._rest  # further at once

    def _is_open(self) -> bool:
        """Return whether there is another number on the way of trials."""
        return 0 <= self._chosen + self._way < len(self._numbers)

    def _choose(self, k: int) -> None:
        """Choose a number; pauses grow with each choice, so that numbers that change places cost little."""
        self._chosen = self._tried = self._turn = k
        self._rest, self._pause = self._pause, min(2 * self._pause, LONG_PAUSE)
