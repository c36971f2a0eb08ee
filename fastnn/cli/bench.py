"""The command ``fastnn bench``: speed on the workloads and in real work, and start-up time,
measured and shown.

A `Report` is plain numbers, goes into a JSON file and comes back from one; the gate reads the same
format.
"""

import functools
import json as json_format
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any, NamedTuple

import typer
from rich.table import Table

from fastnn import gate
from fastnn.backends import BACKENDS
from fastnn.checking.arguments import counted
from fastnn.cli.console import (
    File,
    check_names,
    check_output,
    chosen_dtypes,
    new_table,
    option,
    progress,
    say,
    show,
)
from fastnn.cli.correctness import check_work
from fastnn.cores import available_cores
from fastnn.errors import FastnnError
from fastnn.measuring import machine, work, workloads
from fastnn.measuring.starting import compile_seconds, import_seconds
from fastnn.measuring.timing import Run, calibrated, digits, interleaved, quartiles, ratio

NAMES = (*workloads.names(), *work.NAMES)


class BenchSettings(NamedTuple):
    """The workloads to measure, and for how long."""

    rounds: int
    sample_seconds: float  # Seconds that one timed training should take
    starts: int  # Fresh processes of each kind; those that compile are half as many
    compiled: int  # The number of dtypes, at most, whose compilation is timed
    workloads: tuple[str, ...]


FULL = BenchSettings(rounds=9, sample_seconds=0.15, starts=5, compiled=2, workloads=NAMES)
QUICK = BenchSettings(
    5, 0.03, 1, 1, workloads=("seed", "iris", "digits", "online", *work.SMALL_NAMES)
)

Report = dict[str, Any]
"""What the JSON file has: date, processor, load of the minute before, versions, and lists of
`Times`."""
Times = dict[str, Any]
"""Seconds of samples, with what they are of: a start, or a workload's iterations (units of real
work) on a back end."""


def by_workload(report: Report) -> dict[tuple[str, str], dict[str, Times]]:
    """Return the trainings by workload and dtype, and of each by back end."""
    rows: dict[tuple[str, str], dict[str, Times]] = defaultdict(dict)
    for training in report["trainings"]:
        rows[training["workload"], training["dtype"]][training["backend"]] = training
    return rows


def load(path: Path) -> Report:
    """Read a report that ``--json`` wrote; a `FastnnError` says why a file is none."""
    try:
        text = path.read_text("utf-8")
        gate.read(text)
        report: Report = json_format.loads(text)
        missing = {"date", "cpu"} - report.keys()
        if missing:
            raise ValueError(f"it has no {' and no '.join(sorted(missing))}")
        return report
    except ValueError as error:
        raise FastnnError(f"{path} is no report of `fastnn bench --json`: {error}") from error


def speeds_by(old: Report, new: Report) -> dict[str, float]:
    """Return new speed by old speed, medians, for each workload, dtype and back end that both
    reports hold.
    """
    before, now = (gate.read(json_format.dumps(report))[0] for report in (old, new))
    return {
        what.name: before[what] / now[what]
        for what in now
        if what.kind == "trainings" and what in before
    }


def run(
    names: Sequence[str],
    backends: Sequence[str],
    dtypes: Sequence[str | None],
    settings: BenchSettings,
    after_each: Callable[[str], object] = lambda what: None,
    threads: int = 1,
) -> Report:
    """Check the answers, then time import, compilation and training, each apart.

    The work of `names` is timed in turn on the back ends, in each dtype, None being its own; on
    "numba" so many threads share each step of a workload. For a progress bar `after_each` is called
    with what comes next, as often as `n_steps` says. A `DifferentAnswerError` stops all before
    anything is timed.
    """
    about = machine.circumstances()
    loaded = [work.load(name, dtype, threads) for name in names for dtype in dtypes]
    for one in loaded:
        for backend in backends:
            after_each(f"checking {one.name} on {backend}")
            check_work(one, backend)
    compiled = {one.dtype for one in loaded} if "numba" in backends else set()
    starts = _starts(compiled, settings, after_each)
    trainings: list[Times] = []
    for one in loaded:
        timed = functools.partial(after_each, f"timing {one.name}")
        trainings += _trainings(one, backends, settings, timed)
    return {
        "format": gate.FORMAT,
        "date": about["date"],
        "cpu": about["cpu"],
        "load": about["load"],
        "versions": about["versions"],
        "starts": starts,
        "trainings": trainings,
    }


def n_steps(
    names: Sequence[str], backends: Sequence[str], dtypes: Sequence[Any], settings: BenchSettings
) -> int:
    """Return roughly the number of `run`'s calls of ``after_each``: the kernels of a second dtype
    may add some.
    """
    return len(names) * len(dtypes) * len(backends) * (1 + settings.rounds) + 3 * settings.starts


def _trainings(
    one: work.Work,
    backends: Sequence[str],
    settings: BenchSettings,
    after_each: Callable[[], object],
) -> Iterator[Times]:
    def on(backend: str) -> Run:
        return lambda n: one.run(n, backend)

    units = {}
    functions = {}
    for backend in backends:
        run = on(backend)
        n = calibrated(run, settings.sample_seconds, one.most)
        units[backend] = n * one.units
        functions[backend] = functools.partial(run, n)
    workload = one.workload
    for backend, seconds in interleaved(functions, units, settings.rounds, after_each).items():
        yield {
            "workload": one.name,
            "backend": backend,
            "dtype": one.dtype,
            "sizes": () if workload is None else workload.network.sizes,  # none of real work
            "batch_size": workload and min(workload.batch_size or len(workload.X), len(workload.X)),
            "iterations": units[backend],  # or other units, in one sample
            "seconds": seconds,
            "unit": one.unit,
            "threads": one.threads if backend == "numba" else 1,
        }


def _starts(
    dtypes: set[str], settings: BenchSettings, after_each: Callable[[str], object]
) -> list[Times]:
    """Time imports, and for each kernel its compilation and its loading from the disk cache, in
    fresh processes.
    """
    seconds = {"import numpy": import_seconds("numpy", settings.starts)}
    for package in ("fastnn", "numba") if dtypes else ("fastnn",):
        after_each("starting processes")
        seconds[f"import {package}, after numpy"] = import_seconds(
            package, settings.starts, "import numpy"
        )
    for dtype in sorted(dtypes)[: settings.compiled]:
        cold, warm = compile_seconds(
            dtype, max(1, settings.starts // 2), functools.partial(after_each, "compiling")
        )
        seconds[f"{dtype} kernels, compiled (cold cache)"] = tuple(map(sum, cold))
        seconds[f"{dtype} kernels, from the disk cache (warm)"] = tuple(map(sum, warm))
    return [{"what": what, "seconds": list(samples)} for what, samples in seconds.items()]


_STDOUT = Path("-")
_WORKLOADS = "; ".join(f"{name} ({text})" for name, text in workloads.DESCRIPTIONS.items())
_REAL = "; ".join(work.NAMES)
_NAME = (
    f"A workload; repeat the option for several. By default all: {_WORKLOADS}. Or a typical "
    f"use: {_REAL}."
)
_BACKEND = "A back end, numpy or numba; repeat the option for several. By default both."
_DTYPE = "float32, float64 or both. By default that of each workload."
_THREADS = "The number of threads that share each step on numba, or all for one per core."
_FAIL = option(
    "RATIO", "With --compare: exit with 1 if any ratio of new to old speed is below this.", min=0.0
)


def bench(
    workload: Annotated[list[str] | None, option("NAME", _NAME)] = None,
    backend: Annotated[list[str] | None, option("NAME", _BACKEND)] = None,
    dtype: Annotated[str | None, option("DTYPE", _DTYPE)] = None,
    threads: Annotated[str, option("N", _THREADS)] = "1",
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure small workloads only, and roughly.")
    ] = False,
    json: Annotated[
        File, option("FILE", "Write all samples to a file; - prints them, and nothing else.")
    ] = None,
    compare: Annotated[
        File, option("OLD.json", "Compare with a report that --json wrote on the same machine.")
    ] = None,
    fail_below: Annotated[float | None, _FAIL] = None,
) -> None:
    """Measure training speed and start-up time.

    The command measures training on the workloads, typical uses (validation and callbacks after
    each epoch, early stopping, short calls), and import and compilation in fresh processes. It
    takes three minutes, or 20 seconds with --quick. Answers are checked first: if a back end trains
    wrongly, the command ends before it measures.
    """
    if fail_below is not None and compare is None:
        raise typer.BadParameter("it needs --compare OLD.json", param_hint="--fail-below")
    dtypes = (None,) if dtype is None else chosen_dtypes(dtype)
    check_names("--workload", workload, NAMES)
    check_names("--backend", backend, BACKENDS)
    to_stdout = json == _STDOUT
    if to_stdout and compare:
        raise typer.BadParameter("it cannot be combined with --compare", param_hint="--json -")
    check_output(None if to_stdout else json, "--json")
    old = load(compare) if compare else None
    settings = QUICK if quick else FULL
    names = list(dict.fromkeys(workload or settings.workloads))
    backends = list(dict.fromkeys(backend or BACKENDS))
    n = n_steps(names, backends, dtypes, settings)
    with progress("checking the answers", n) as advance:
        report = run(names, backends, dtypes, settings, advance, _number_of_threads(threads))
    if to_stdout:
        typer.echo(json_format.dumps(report, indent=1))
        return
    _print(report)
    if json:
        json.write_text(json_format.dumps(report, indent=1) + "\n", "utf-8")
        say(f"All samples: {json}")
    if old:
        _compare(report, old, fail_below)


def _number_of_threads(text: str) -> int:
    if text == "all":
        return available_cores().number
    if not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter(
            f"{text!r} is neither a number from 1 on nor all", param_hint="--threads"
        )
    return int(text)


def _print(report: Report) -> None:
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    load = "" if report["load"] is None else f"; load before: {report['load']:.2f}"
    say(f"{report['date']}, {report['cpu']} ({versions}){load}")
    show("Training: iterations per second", trainings_table(report))
    if (n := max((training["threads"] for training in report["trainings"]), default=1)) > 1:
        say(f"{n} threads share each step of the workloads on numba.", "dim")
    say(
        "Answers checked first, back ends timed in turn. Medians, ± half the distance of the "
        "quartiles; ratios are medians of the rounds' ratios, with their middle half.",
        "dim",
    )
    show("Starting: seconds in a fresh process", starts_table(report))


def trainings_table(report: Report) -> Table:
    """Return a table with a row for each workload and dtype: the speed of each back end, their
    ratio, and spreads.
    """
    backends = list(dict.fromkeys(training["backend"] for training in report["trainings"]))
    heads = [f"{backends[1]} / {backends[0]}"] if len(backends) == 2 else []
    table = new_table("workload", *backends, *heads, texts=("workload",))
    for (name, dtype), row in by_workload(report).items():
        first = next(iter(row.values()))
        shape = f"{first['unit']}s per second"
        if first["sizes"]:
            sizes = "-".join(map(str, first["sizes"]))
            shape = f"{sizes}, {counted(first['batch_size'], 'row')}"
        cells = [f"{name}, {dtype}\n[dim]{shape}[/]"]
        for training in row.values():
            speed = quartiles(training["seconds"])
            cells.append(f"{1 / speed.middle:,.0f}\n[dim]±{speed.spread / 2:.1%}[/]")
        if heads:
            ratios = ratio(*(row[backend]["seconds"] for backend in backends))
            low, middle, high = map(digits, ratios)
            cells.append(f"{middle}\n[dim]{low} to {high}[/]")
        table.add_row(*cells)
    return table


def starts_table(report: Report) -> Table:
    """Return the table of start-up times: of what is done once before the first iteration, in fresh
    processes.
    """
    columns: dict[str, Callable[[list[float]], float]] = {
        "median": median,
        "least": min,
        "most": max,
    }
    if all(len(start["seconds"]) <= 1 for start in report["starts"]):
        columns = {"once": median}
    table = new_table("what", *columns, texts=("what",), wrapped=("what",))
    for start in report["starts"]:
        cells = (f"{function(start['seconds']):.3f}" for function in columns.values())
        table.add_row(start["what"], *cells)
    return table


def _compare(report: Report, old: Report, fail_below: float | None) -> None:
    if report["cpu"] != old["cpu"]:
        processor = f"The old report is of another processor, {old['cpu']}"
        say(f"{processor}: what differs may be the machine.", "yellow")
    least = 0.0 if fail_below is None else fail_below
    speeds = speeds_by(old, report)
    table = new_table("workload, dtype, back end", "ratio", texts=("workload, dtype, back end",))
    for what, speed in speeds.items():
        if speed < least:
            table.add_row(what, f"{speed:.2f} too slow", style="red")
        else:
            table.add_row(what, f"{speed:.2f}")
    show(f"Against the report of {old['date']}: new speed / old speed", table)
    if not speeds:
        raise typer.BadParameter(
            "it has no training in common with this run", param_hint="--compare"
        )
    if min(speeds.values()) < least:
        raise typer.Exit(1)
