"""The work that ``fastnn bench`` times, by name: workloads, of which an iteration is timed, and real work."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from fastnn.measuring import real_work, workloads
from fastnn.testing.correctness import check_real_work, check_workload
from fastnn.training import train

NAMES = (*workloads.names(), *real_work.NAMES)
QUICK_NAMES = ("seed", "iris", "digits", "online", *real_work.SMALL_NAMES)


@dataclass(frozen=True, eq=False)
class Work:
    """Work of which n epochs, calls or fits can be done in a run."""

    name: str
    dtype: str
    unit: str
    """The unit that is counted: "iteration", "epoch", "call", "member" or "fit"."""
    units: int
    """The number of them in one n: the steps of an epoch, else 1."""
    most: int
    """The largest n that is still the same work: gradients vanish long after convergence in batches."""
    run: Callable[[int, str], object]
    """``run(n, backend)``"""
    check: Callable[[str], None]
    """``check(backend)`` raises `DifferentAnswerError` if a back end has a wrong answer."""
    threads: int = 1
    """The threads that share each step, on the back end "numba"."""
    sizes: tuple[int, ...] = ()
    batch_size: int | None = None

    def n_for(self, seconds: float, backend: str) -> int:
        """Return the n of a run of about `seconds`: trials of more and more are timed."""
        n = 1
        while True:
            start = time.perf_counter()
            self.run(n, backend)
            taken = time.perf_counter() - start
            if n >= self.most or taken > seconds / 4:
                return min(self.most, max(1, round(n * seconds / taken)))
            n = min(self.most, 8 * n)


def load(name: str, dtype: str | None, threads: int = 1) -> Work:
    """Return the work of one of `NAMES`, in a precision or, for None, in its own.

    That many threads share each step of a workload; real work has too little of it, and takes what `train` does.

    Raises
    ------
    ImportError
        If scikit-learn, which it needs, is not installed.
    """
    return _workload(name, dtype, threads) if name in workloads.names() else _real_work(name, dtype)


def _workload(name: str, dtype: str | None, threads: int) -> Work:
    workload = workloads.load(name, dtype)
    options = workload.train_options | {"seed": 0, "threads": threads}
    return Work(
        name=name,
        dtype=workload.dtype.name,
        unit="iteration",
        units=workload.steps_per_epoch,
        most=10**7 if workload.batch_size is None else workload.epochs,
        run=lambda n, backend: train(
            workload.network, workload.X, workload.Y, **options | {"epochs": n}, backend=backend
        ),
        check=lambda backend: check_workload(workload, backend),
        threads=threads,
        sizes=workload.network.sizes,
        batch_size=min(workload.batch_size or len(workload.X), len(workload.X)),
    )


def _real_work(name: str, dtype: str | None) -> Work:
    work = real_work.load(name, dtype)
    return Work(
        name=name,
        dtype=dtype or "float64",
        unit=work.unit,
        units=1,
        most=work.most,
        run=work.run,
        check=lambda backend: check_real_work(name, work, backend),
    )
