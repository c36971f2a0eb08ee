"""The cores that a process may use: how many and what says so, and helper threads."""

from __future__ import annotations

import collections
import contextlib
import ctypes
import functools
import os
import queue
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

T = TypeVar("T")

VARIABLE = "FASTNN_NUM_THREADS"
"""The environment variable that limits fastnn alone."""

OTHERS = "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"
"""Those of others that limit fastnn too: job schedulers and the workers of joblib, Dask and Ray set
them."""

CGROUPS = Path("/proc/self/cgroup")
MOUNTED = Path("/sys/fs/cgroup")


class Cores(NamedTuple):
    """The number of cores that a process may use, at least 1, and the reason in words."""

    number: int
    reason: str


def available_cores() -> Cores:
    """Return the cores that this process may use: the least of what the machine has and of all that
    limits it.

    Limits are the CPUs that the process is bound to (affinity), the quotas of its cgroups, rounded
    down, the variables FASTNN_NUM_THREADS, OMP_NUM_THREADS and NUMBA_NUM_THREADS, and 1 in a
    worker, a process that `multiprocessing`, joblib or Dask has started beside others. Looked at
    anew in each call, which takes some 50 us.

    Raises
    ------
    ValueError
        When FASTNN_NUM_THREADS is no whole number from 1 on. Others' variables are passed over
        then.

    Examples
    --------
    >>> from fastnn.cores import available_cores
    >>> available_cores().number >= 1
    True
    """
    return min(_limits(), key=lambda cores: cores.number)


def cpus() -> int:
    """Return the number of threads of this process that the system can run at once; variables do
    not limit it.

    Quotas are looked up in the first call only, for that takes some 80 to 200 us.
    """
    return min(_least_quota(), *(cores.number for cores in _limits_of_the_machine()))


@functools.cache
def _least_quota() -> int:
    """Return the number of cores that the quotas of the process leave; 2**62 where there is
    none.
    """
    return min((cores.number for cores in _limits_of_quotas()), default=1 << 62)


def _limits_of_the_machine() -> Iterator[Cores]:
    """Iterate over the limits that the machine and the process' affinity set, with their
    reasons.
    """
    n_cpus = os.cpu_count() or 1
    yield Cores(n_cpus, "all that the machine has")
    if hasattr(os, "sched_getaffinity"):  # of Linux
        n_bound = len(os.sched_getaffinity(0))
        yield Cores(n_bound, f"the process is bound to {n_bound} of {n_cpus} CPUs")


def _limits_of_quotas() -> Iterator[Cores]:
    """Iterate over the limits that quotas set, with their reasons."""
    for quota in _quotas():
        yield Cores(max(1, int(quota)), f"its cgroup has a quota of {quota:g} CPUs")


def _limits() -> Iterator[Cores]:
    """Iterate over the limits of the process, with their reasons; of equal ones the first gives the
    reason.
    """
    yield from _limits_of_the_machine()
    yield from _limits_of_quotas()
    text = os.environ.get(VARIABLE, "")
    if text:
        if (number := _whole_number(text)) < 1:
            raise ValueError(
                f"the environment variable {VARIABLE} must be a whole number from 1 on, not "
                f"{text!r:.50}"
            )
        yield Cores(number, f"{VARIABLE}={number}")
    for name in OTHERS:
        # OpenMP has a number for each level of nesting
        first, *_ = os.environ.get(name, "").split(",")
        if (number := _whole_number(first)) >= 1:
            yield Cores(number, f"{name}={number}")
    if is_worker():
        yield Cores(1, "a worker process, beside others")


def is_worker() -> bool:
    """Return whether `multiprocessing`, joblib or Dask has started this process beside others."""
    # which has started a worker is imported there
    multiprocessing = sys.modules.get("multiprocessing")
    return multiprocessing is not None and multiprocessing.parent_process() is not None


def _whole_number(text: str) -> int:
    """Return the whole number in a text; 0 if it is none, or has more digits than the number of
    anything.
    """
    text = text.strip()
    return int(text) if text.isdecimal() and len(text) < 20 else 0


def _quotas() -> Iterator[float]:
    """Iterate over the quotas, in CPUs, of the process' cgroups of both versions and of those that
    they lie in.
    """
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
            quota, period = _quota(folder, V1 if controllers else V2)
            if quota > 0 and period > 0:
                yield quota / period


V1 = "cpu.cfs_quota_us", "cpu.cfs_period_us"
V2 = ("cpu.max",)
"""The files of both versions that hold quota and period, in microseconds; a quota of "max" or -1 is
none."""


def _quota(folder: Path, files: Iterable[str]) -> tuple[int, int]:
    """Return quota and period of a cgroup; 0 where there is none."""
    words = [word for file in files for word in _words(folder / file)]
    quota, period, *_ = [*words, "", ""]
    return _whole_number(quota), _whole_number(period)


def _words(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8").split()
    except OSError:
        return []


# ----------------------------------------------------------------------------------- helper threads

Helper = queue.SimpleQueue[Callable[[], object]]
"""A thread that calls what is put here, one function after the other, until the process ends."""

_idle: list[Helper] = []
_lent: list[tuple[weakref.ref[Helpers], Helper]] = []
"""Each helper that is lent, and who has it; given back it stays here until somebody asks."""


class Helpers(list[Helper]):
    """The helpers of one borrower: lent until the list is emptied, or until nobody refers to it any
    more.

    The latter is for an exception of a signal's handler, which may fall between any two lines of
    the borrower. No function runs when the list is gone: the exception could fall into that too,
    and would be lost there.
    """


def borrow(n: int) -> Helpers:
    """Return `n` helpers, idle or new ones; fewer where the system starts no more threads.

    Their borrower empties the list when it needs them no more, though each may still be at its last
    function.
    """
    _take_back()
    helpers = Helpers()
    with contextlib.suppress(RuntimeError):
        while len(helpers) < n:
            try:
                helpers.append(_idle.pop())
            except IndexError:
                helpers.append(_new_helper())
            _lent.append((weakref.ref(helpers), helpers[-1]))
    return helpers


def helpers_at_work() -> int:
    """Return the number of helpers that are lent."""
    _take_back()
    return len(_lent)


def _take_back() -> None:
    """Make idle the helpers that their borrowers have given back."""
    for lent in _lent.copy():
        borrower, helper = lent
        if helper not in (borrower() or ()):
            with contextlib.suppress(ValueError):  # another thread has just taken it back
                _lent.remove(lent)
                _idle.append(helper)


def cores_of_thread() -> int:
    """Return the number of cores for a call of this thread that names none: 1 in any but the main
    thread.
    """
    return available_cores().number if threading.current_thread() is threading.main_thread() else 1


def idle_cores(cores: int) -> int:
    """Return the number of cores without a helper at work, the caller's included: at least 1."""
    return max(1, cores - helpers_at_work())


@functools.cache
def _getcpu() -> Callable[[], int] | None:
    """Return C's function that returns the CPU of the thread that calls it; None where there is
    none.
    """
    return getattr(ctypes.CDLL(None), "sched_getcpu", None) if sys.platform == "linux" else None


def cpu_of_thread() -> int:
    """Return the number of the CPU that runs this thread; -1 where the system does not tell."""
    getcpu = _getcpu()
    return -1 if getcpu is None else getcpu()


def leave_cpu(cpu: int) -> None:
    """Move this thread to another CPU if it is on that one: Linux often wakes a thread where the
    one that woke it runs.

    Two threads that sleep now and then may share a CPU as long as they live, while another one is
    idle.
    """
    if cpu >= 0 and cpu_of_thread() == cpu and len(allowed := os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, allowed - {cpu})
        os.sched_setaffinity(0, allowed)


def share(work: Callable[[T], object], parts: Iterable[T], threads: int | None = None) -> None:
    """Call ``work(part)`` for all parts, each by the first that is free of this thread and helpers.

    They are so many threads as are asked for, or one on each idle core.
    """
    left = collections.deque(parts)
    done = queue.SimpleQueue[list[T]]()
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
            # that a helper has failed at: the error is raised here, if there is one
            for part in done.get():
                work(part)
    finally:
        helpers.clear()


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
    _lent.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)  # threads of the parent, which the child has not
