"""The command ``fastnn bench``: what it prints, draws and compares."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fastnn import plotting
from fastnn.backends import BACKENDS
from fastnn.checking.arguments import did_you_mean
from fastnn.cli import bench_report as measure
from fastnn.cli.console import check_output, chosen_dtypes, new_table, progress, say, show
from fastnn.cores import available_cores
from fastnn.measuring import work, workloads
from fastnn.measuring.tables import digits, quartiles
from fastnn.measuring.timing import ratios

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STDOUT = Path("-")
_WORKLOADS = "; ".join(f"{name} ({text})" for name, text in workloads.DESCRIPTIONS.items())
_REAL_WORK = "; ".join(work.NAMES)


_THREADS = typer.Option(
    metavar="N", help="How many threads share each step of a workload, on numba; or all, all cores."
)


def bench(
    workload: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"A workload to train on; may be given several times. All if not given: {_WORKLOADS}. Or real work: "
            f"{_REAL_WORK}.",
        ),
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A back end, numpy or numba; may be given several times. Both if not given."),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(metavar="DTYPE", help="float32, float64 or both, in place of each workload's own.")
    ] = None,
    threads: Annotated[str, _THREADS] = "1",
    quick: Annotated[bool, typer.Option("--quick", help="Some seconds, the small workloads, a rough answer.")] = False,
    json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write all samples to a file; with - print them, and nothing else."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the speeds into a .png, .svg or .pdf.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(metavar="OLD.json", help="A report that --json wrote, on the same machine.")
    ] = None,
    fail_below: Annotated[
        float | None, typer.Option(metavar="RATIO", min=0.0, help="End with 1 if any new speed / old speed is less.")
    ] = None,
) -> None:
    """Measure training speed and start-up time.

    The command trains on the workloads, does what people do besides (validation and callbacks after each epoch, early
    stopping, short calls), and times import and compilation in fresh processes. It takes three minutes, or 20 seconds
    with --quick. Answers are checked first: a back end that trains wrongly ends the command before
    anything is timed.
    """
    if fail_below is not None and compare is None:
        raise typer.BadParameter("it needs --compare OLD.json", param_hint="--fail-below")
    dtypes = (None,) if dtype is None else chosen_dtypes(dtype)
    _check_names("--workload", workload, measure.NAMES)
    _check_names("--backend", backend, BACKENDS)
    to_stdout = json == _STDOUT
    if to_stdout and (plot or compare):
        raise typer.BadParameter("it cannot be combined with --plot or --compare", param_hint="--json -")
    check_output(None if to_stdout else json, "--json")
    check_output(plot, "--plot")
    if plot:
        import matplotlib  # noqa: F401  a missing one is reported before anything is computed
    old = measure.load(compare) if compare else None
    settings = measure.QUICK if quick else measure.FULL
    what = (list(dict.fromkeys(workload or settings.workloads)), list(dict.fromkeys(backend or BACKENDS)), dtypes)
    with progress("checking the answers", measure.n_steps(*what, settings)) as advance:
        report = measure.run(*what, settings, advance, _number_of_threads(threads))
    if to_stdout:
        typer.echo(report.text())
        return
    _print(report)
    if json:
        report.save(json)
        say(f"All samples: {json}")
    if plot:
        say(f"Speeds: {plotting.save(draw(report), plot)}")
    if old:
        _compare(report, old, fail_below)


def _check_names(option: str, names: Iterable[str] | None, legal: Iterable[str]) -> None:
    for name in names or ():
        if name not in legal:
            told = "; ".join(legal)  # commas are in the names
            raise typer.BadParameter(f"{name!r}{did_you_mean(name, legal)} is none of: {told}", param_hint=option)


def _number_of_threads(text: str) -> int:
    if text == "all":
        return available_cores().number
    if not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter(f"{text!r} is neither a number from 1 on nor all", param_hint="--threads")
    return int(text)


def _print(report: measure.Report) -> None:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    load = "" if report.load is None else f"; load before: {report.load:.2f}"
    say(f"{report.date}, {report.cpu} ({versions}){load}")
    show("Training: iterations a second", trainings_table(report))
    if (n := max((training.threads for training in report.trainings), default=1)) > 1:
        say(f"{n} threads share each step of the workloads on numba.", "dim")
    say(
        "Answers checked first, back ends timed in turn. Medians, ± half the distance of the quartiles; ratios are "
        "medians of the rounds' ratios, with their middle half.",
        "dim",
    )
    show("Starting: seconds in a fresh process", starts_table(report))


def trainings_table(report: measure.Report) -> Table:
    """Return a table with a row for each workload and dtype: the speed of each back end, their ratio, and spreads."""
    backends = list(dict.fromkeys(training.backend for training in report.trainings))
    ratio = [f"{backends[1]} / {backends[0]}"] if len(backends) == 2 else []
    table = new_table("workload", *backends, *ratio, texts=("workload",))
    for row in report.by_workload().values():
        first = next(iter(row.values()))
        shape = f"{first.unit}s a second"
        if first.sizes:
            shape = f"{'-'.join(map(str, first.sizes))}, {first.batch_size} row{'s' * (first.batch_size != 1)}"
        cells = [f"{first.workload}, {first.dtype}\n[dim]{shape}[/]"]
        cells += [f"{t.timing.per_second:,.0f}\n[dim]±{t.timing.spread / 2:.1%}[/]" for t in row.values()]
        if ratio:
            low, middle, high = map(digits, quartiles(ratios(*(row[name].timing for name in backends)).seconds))
            cells.append(f"{middle}\n[dim]{low} to {high}[/]")
        table.add_row(*cells)
    return table


def starts_table(report: measure.Report) -> Table:
    """Return the table of start-up times: of what is done once before the first iteration, in fresh processes."""
    several = any(len(start.seconds) > 1 for start in report.starts)
    columns = ("median", "least", "most") if several else ("once",)
    table = new_table("what", *columns, texts=("what",), wrapped=("what",))
    for start in report.starts:
        numbers = (median(start.seconds), min(start.seconds), max(start.seconds))[: len(columns)]
        table.add_row(start.what, *(f"{seconds:.3f}" for seconds in numbers))
    return table


def draw(report: measure.Report) -> Figure:
    """Draw the speeds on the workloads; real work counts no iterations."""
    rows: dict[str, dict[str, tuple[float, float, float]]] = {}
    notes: dict[str, str] = {}
    for (name, dtype), workload in report.by_workload().items():
        if not all(training.sizes for training in workload.values()):
            continue
        timings = {backend: training.timing for backend, training in workload.items()}
        row = f"{name}\n{dtype}"
        rows[row] = {b: (1 / t.quartiles[1], t.per_second, 1 / t.quartiles[0]) for b, t in timings.items()}
        if len(timings) == 2:
            notes[row] = f"× {digits(ratios(*timings.values()).median)}"  # the table's
    return plotting.speeds(rows, "Training", f"iterations a second, {report.cpu}, {report.date}", notes)


def _compare(report: measure.Report, old: measure.Report, fail_below: float | None) -> None:
    if report.cpu != old.cpu:
        say(f"The old report is of another processor, {old.cpu}: what differs may be the machine.", "yellow")
    found = report.speeds_by(old)
    texts = ("workload", "dtype", "back end")
    table = new_table(*texts, "ratio", texts=texts)
    for key, ratio in found.items():
        slower = fail_below is not None and ratio < fail_below
        table.add_row(*key, f"{ratio:.2f}" + (" too slow" if slower else ""), style="red" if slower else None)
    show(f"Against the report of {old.date}: new speed / old speed", table)
    if not found:
        raise typer.BadParameter("it has no training in common with this run", param_hint="--compare")
    if fail_below is not None and min(found.values()) < fail_below:
        raise typer.Exit(1)
