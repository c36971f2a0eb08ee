"""The cores that a process may use: how many, and what says so."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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
    if multiprocessing.parent_process() is not None:
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
