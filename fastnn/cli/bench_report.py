"""The measurements of ``fastnn bench``: speed on the workloads and in real work, and start-up time.

Nothing is printed here; a `Report` is plain numbers, goes into a JSON file and comes back from one.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fastnn.errors import FastnnError
from fastnn.gate.samples import FORMAT
from fastnn.measuring import machine, work, workloads
from fastnn.measuring.starting import compile_seconds, import_seconds
from fastnn.measuring.timing import Run, Timing, calibrated, interleaved
from fastnn.measuring.work import Work
from fastnn.testing.correctness import check_work

NAMES = (*workloads.names(), *work.NAMES)


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


FULL = BenchSettings(rounds=9, sample_seconds=0.15, starts=5, compiled=2, workloads=NAMES)
QUICK = BenchSettings(5, 0.03, 1, 1, workloads=("seed", "iris", "digits", "online", *work.SMALL_NAMES))


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

    def by_workload(self) -> dict[tuple[str, str], dict[str, TrainingTimes]]:
        """Return the trainings by workload and dtype, and of each by back end."""
        found: dict[tuple[str, str], dict[str, TrainingTimes]] = {}
        for training in self.trainings:
            found.setdefault((training.workload, training.dtype), {})[training.backend] = training
        return found

    def speeds_by(self, old: Report) -> dict[tuple[str, str, str], float]:
        """Return new speed by old speed, medians, for each workload, dtype and back end that both reports hold."""
        before = {training.key: training.timing.median for training in old.trainings}
        return {t.key: before[t.key] / t.timing.median for t in self.trainings if t.key in before}


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

    The work of `names` is timed in turn on the back ends, in each dtype, None being its own; on "numba" so many threads
    share each step of a workload. For a progress bar `after_each` is called with what comes next, as often as `n_steps`
    says.

    Raises
    ------
    DifferentAnswerError
        If a back end trains to something else than it should; then nothing is timed.
    ImportError
        If a workload's data are part of scikit-learn and it is not installed.
    """
    about = machine.circumstances()
    loaded = [work.load(name, dtype, threads) for name in names for dtype in dtypes]
    for one in loaded:
        for backend in backends:
            after_each(f"checking {one.name} on {backend}")
            check_work(one, backend)
    starts = list(_starts({one.dtype for one in loaded} if "numba" in backends else set(), settings, after_each))
    trainings: list[TrainingTimes] = []
    for one in loaded:
        trainings += _trainings(one, backends, settings, functools.partial(after_each, f"timing {one.name}"))
    kept = {name: about[name] for name in ("date", "cpu", "load", "versions")}
    return Report(**kept, starts=tuple(starts), trainings=tuple(trainings))


def n_steps(
    names: Sequence[str], backends: Sequence[str], dtypes: Sequence[str | None], settings: BenchSettings
) -> int:
    """Return roughly the number of `run`'s calls of ``after_each``: the kernels of a second dtype may add some."""
    return len(names) * len(dtypes) * len(backends) * (1 + settings.rounds) + 3 * settings.starts


def _trainings(
    work: Work, backends: Sequence[str], settings: BenchSettings, after_each: Callable[[], object]
) -> list[TrainingTimes]:
    def run(backend: str) -> Run:
        return lambda n: work.run(n, backend)

    n = {backend: calibrated(run(backend), settings.sample_seconds, work.most) for backend in backends}
    units = {backend: n[backend] * work.units for backend in backends}
    functions = {backend: functools.partial(run(backend), n[backend]) for backend in backends}
    timings = interleaved(functions, units, settings.rounds, after_each)
    workload = work.workload
    n_rows = None if workload is None else len(workload.X)
    return [
        TrainingTimes(
            workload=work.name,
            backend=backend,
            dtype=work.dtype,
            sizes=() if workload is None else workload.network.sizes,
            batch_size=n_rows and min(workload.batch_size or n_rows, n_rows),
            iterations=units[backend],
            seconds=timing.seconds,
            unit=work.unit,
            threads=work.threads if backend == "numba" else 1,
        )
        for backend, timing in timings.items()
    ]


def _starts(dtypes: set[str], settings: BenchSettings, after_each: Callable[[str], object]) -> Iterator[StartTimes]:
    """Time imports, and for each kernel its compilation and its loading from the disk cache, in fresh processes."""
    yield StartTimes("import numpy", import_seconds("numpy", settings.starts))
    for package in ("fastnn", "numba") if dtypes else ("fastnn",):
        after_each("starting processes")
        yield StartTimes(f"import {package}, after numpy", import_seconds(package, settings.starts, "import numpy"))
    for dtype in sorted(dtypes)[: settings.compiled]:
        cold, warm = compile_seconds(dtype, max(1, settings.starts // 2), functools.partial(after_each, "compiling"))
        yield StartTimes(f"{dtype} kernels, compiled (cold cache)", tuple(map(sum, cold)))
        yield StartTimes(f"{dtype} kernels, from the disk cache (warm)", tuple(map(sum, warm)))
