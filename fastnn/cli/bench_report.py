"""The measurements of ``fastnn bench``: speed on the workloads and in real work, and start-up time.

Nothing is printed here; a `Report` is plain numbers, goes into a JSON file and comes back from one.
"""

from __future__ import annotations

import datetime
import functools
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fastnn.cli import bench_work
from fastnn.cli.bench_work import Work
from fastnn.errors import FastnnError
from fastnn.gate.samples import FORMAT
from fastnn.measuring import machine
from fastnn.measuring.timing import Timing, in_process, interleaved


@dataclass(frozen=True)
class BenchSettings:
    """The workloads to measure, and for how long."""

    rounds: int
    sample_seconds: float
    """Seconds that one timed training should take."""
    starts: int
    """Fresh processes of each kind; those that compile are half as many."""
    compiled: int
    """The number of dtypes, at most, whose compilation is timed."""
    workloads: tuple[str, ...]


FULL = BenchSettings(rounds=9, sample_seconds=0.15, starts=5, compiled=2, workloads=bench_work.NAMES)
QUICK = BenchSettings(rounds=5, sample_seconds=0.03, starts=1, compiled=1, workloads=bench_work.QUICK_NAMES)


@dataclass(frozen=True)
class TrainingTimes:
    """Samples of the seconds that an iteration of one workload, or a unit of real work, takes on one back end."""

    workload: str
    backend: str
    dtype: str
    sizes: tuple[int, ...]
    """The layer sizes of the workload's network; empty for real work."""
    batch_size: int | None
    iterations: int
    """The number of units in one sample."""
    seconds: tuple[float, ...]
    unit: str = "iteration"
    """The unit that is counted, of real work an "epoch", "call", "member" or "fit"."""
    threads: int = 1
    """The threads that share each step."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Workload, dtype and back end, by which two reports are compared."""
        return self.workload, self.dtype, self.backend

    @property
    def timing(self) -> Timing:
        """The samples, with their median and spread."""
        return Timing(self.seconds)


@dataclass(frozen=True)
class StartTimes:
    """Samples of a start-up time: seconds in each of several fresh processes."""

    what: str
    seconds: tuple[float, ...]

    @property
    def timing(self) -> Timing:
        """The samples, with their median and spread."""
        return Timing(self.seconds)


@dataclass(frozen=True)
class Report:
    """All measurements of a run of ``fastnn bench``, with date, processor and versions."""

    date: str
    cpu: str
    load: float | None
    """The load average of the minute before; None where the system has none."""
    versions: dict[str, str]
    starts: tuple[StartTimes, ...]
    trainings: tuple[TrainingTimes, ...]

    def text(self) -> str:
        """Return the report as JSON."""
        return json.dumps({"format": FORMAT} | asdict(self), indent=1)

    def save(self, path: Path) -> None:
        """Write the report as JSON."""
        path.write_text(self.text() + "\n", "utf-8")


class ReportFileError(FastnnError):
    """The file is not a report of ``fastnn bench``."""


def load(path: Path) -> Report:
    """Read a report that `Report.save` wrote.

    Raises
    ------
    ReportFileError
        If the file holds something else.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
        if found.pop("format") != FORMAT:
            raise ValueError("written by another version of fastnn")
        for start in found["starts"]:
            start["seconds"] = tuple(start["seconds"])
        for training in found["trainings"]:
            training |= {name: tuple(training[name]) for name in ("sizes", "seconds")}
        found["starts"] = tuple(StartTimes(**start) for start in found["starts"])
        found["trainings"] = tuple(TrainingTimes(**training) for training in found["trainings"])
        return Report(**found)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ReportFileError(f"{path} is no report of `fastnn bench --json`: {error}") from error


# ------------------------------------------------------------------------------------------------------------ comparing


def ratios(slow: Timing, fast: Timing) -> Timing:
    """Return the second's speed by the first's, round by round: both were timed in turn, so noise cancels."""
    return Timing(tuple(a / b for a, b in zip(slow.seconds, fast.seconds, strict=True)))


def speed_ratios(new: Report, old: Report) -> dict[tuple[str, str, str], float]:
    """Return new speed by old speed, medians, for each workload, dtype and back end that both reports hold."""
    before = {training.key: training.timing.median for training in old.trainings}
    return {t.key: before[t.key] / t.timing.median for t in new.trainings if t.key in before}


# ------------------------------------------------------------------------------------------------------------ measuring


def run(
    names: Sequence[str],
    backends: Sequence[str],
    dtypes: Sequence[str | None],
    settings: BenchSettings,
    after_each: Callable[[str], object] = lambda what: None,
    threads: int = 1,
) -> Report:
    """Check the answers, then time import, compilation and training, each apart.

    Parameters
    ----------
    names : sequence of str
        Workloads and real work.
    backends : sequence of str
        Timed in turn, workload by workload.
    dtypes : sequence of str or None
        Working precisions; None is each workload's own.
    settings : BenchSettings
    after_each : callable
        Called with what comes next, as often as `n_steps` says; for a progress bar.
    threads : int
        How many share each step of a workload, on the back end "numba".

    Raises
    ------
    DifferentAnswerError
        If a back end trains to something else than it should; then nothing is timed.
    ImportError
        If a workload's data are part of scikit-learn and it is not installed.
    """
    load_before = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    loaded = [bench_work.load(name, dtype, threads) for name in names for dtype in dtypes]
    for work in loaded:
        for backend in backends:
            after_each(f"checking {work.name} on {backend}")
            work.check(backend)
    starts = list(_starts({work.dtype for work in loaded} if "numba" in backends else set(), settings, after_each))
    trainings: list[TrainingTimes] = []
    for work in loaded:
        trainings += _trainings(work, backends, settings, functools.partial(after_each, f"timing {work.name}"))
    return Report(
        date=datetime.date.today().isoformat(),
        cpu=machine.cpu_model(),
        load=load_before,
        versions=machine.versions(),
        starts=tuple(starts),
        trainings=tuple(trainings),
    )


def n_steps(
    names: Sequence[str], backends: Sequence[str], dtypes: Sequence[str | None], settings: BenchSettings
) -> int:
    """Return roughly the number of `run`'s calls of ``after_each``: the kernels of a second dtype may add some."""
    return len(names) * len(dtypes) * len(backends) * (1 + settings.rounds) + 3 * settings.starts


def _trainings(
    work: Work, backends: Sequence[str], settings: BenchSettings, after_each: Callable[[], object]
) -> list[TrainingTimes]:
    n = {backend: work.n_for(settings.sample_seconds, backend) for backend in backends}
    units = {backend: n[backend] * work.units for backend in backends}
    functions = {backend: functools.partial(work.run, n[backend], backend) for backend in backends}
    timings = interleaved(functions, units, settings.rounds, after_each)
    return [
        TrainingTimes(
            workload=work.name,
            backend=backend,
            dtype=work.dtype,
            sizes=work.sizes,
            batch_size=work.batch_size,
            iterations=units[backend],
            seconds=timing.seconds,
            unit=work.unit,
            threads=work.threads if backend == "numba" else 1,
        )
        for backend, timing in timings.items()
    ]


# ------------------------------------------------------------------------------------------------------------- starting

_IMPORT = """
import time
start = time.perf_counter()
import {package}
print(time.perf_counter() - start)
"""
_IMPORT_AFTER_NUMPY = "import numpy" + _IMPORT
_FIRST_CALLS = """
from fastnn.measuring.timing import first_calls
print(*(seconds for entry, seconds in first_calls({dtype!r})))
"""


def _starts(dtypes: set[str], settings: BenchSettings, after_each: Callable[[str], object]) -> Iterator[StartTimes]:
    """Time imports, and for each kernel its compilation and its loading from the disk cache, in fresh processes."""
    yield StartTimes("import numpy", _samples(_IMPORT.format(package="numpy"), settings.starts))
    after_each("starting processes")
    yield StartTimes(
        "import fastnn, after numpy", _samples(_IMPORT_AFTER_NUMPY.format(package="fastnn"), settings.starts)
    )
    after_each("starting processes")
    if dtypes:
        yield StartTimes(
            "import numba, after numpy", _samples(_IMPORT_AFTER_NUMPY.format(package="numba"), settings.starts)
        )
    for dtype in sorted(dtypes)[: settings.compiled]:
        cold, warm = compile_seconds(dtype, max(1, settings.starts // 2), functools.partial(after_each, "compiling"))
        yield StartTimes(f"{dtype} kernels, compiled (cold cache)", tuple(map(sum, cold)))
        yield StartTimes(f"{dtype} kernels, from the disk cache (warm)", tuple(map(sum, warm)))


def _samples(code: str, n: int) -> tuple[float, ...]:
    return tuple(float(in_process(code).output) for _ in range(n))


def compile_seconds(
    dtype: str, n: int = 1, after_each: Callable[[], object] = lambda: None
) -> tuple[list[list[float]], list[list[float]]]:
    """Time the first call of each entry point in fresh processes, with an empty and with a filled disk cache.

    If something must be compiled, Numba is imported before the clock starts; else it is not imported at all.

    Returns
    -------
    cold, warm : lists of n lists
        Seconds of each of `fastnn.measuring.timing.ENTRY_POINTS`.
    """
    code = _FIRST_CALLS.format(dtype=dtype)
    cold: list[list[float]] = []
    warm: list[list[float]] = []
    for _ in range(n):
        with tempfile.TemporaryDirectory() as folder:
            for samples, before in ((cold, "import numba"), (warm, "")):
                variables = {"FASTNN_CACHE_DIR": folder, "FASTNN_KERNELS": "none"}  # not those of the wheel
                output = in_process(before + code, variables).output
                samples.append(list(map(float, output.split())))
                after_each()
    return cold, warm
