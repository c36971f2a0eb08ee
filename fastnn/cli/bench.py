"""The command ``fastnn bench``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastnn import plotting
from fastnn.backends import BACKENDS
from fastnn.checking.arguments import did_you_mean
from fastnn.cli import bench_report as measure
from fastnn.cli import bench_work, rendering
from fastnn.cli.console import check_output, chosen_dtypes, progress, say, show
from fastnn.cores import available_cores
from fastnn.measuring import real_work, workloads

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STDOUT = Path("-")
_WORKLOADS = "; ".join(f"{name} ({text})" for name, text in workloads.DESCRIPTIONS.items())
_REAL_WORK = "; ".join(real_work.NAMES)


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
    _check_names("--workload", workload, bench_work.NAMES)
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
        say(f"Speeds: {plotting.save(_draw(report), plot)}")
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
    show("Training: iterations a second", rendering.bench_trainings(report))
    if (n := max((training.threads for training in report.trainings), default=1)) > 1:
        say(f"{n} threads share each step of the workloads on numba.", "dim")
    say(
        "Answers checked first, back ends timed in turn. Medians, ± half the distance of the quartiles; ratios are "
        "medians of the rounds' ratios, with their middle half.",
        "dim",
    )
    show("Starting: seconds in a fresh process", rendering.bench_starts(report))


def _draw(report: measure.Report) -> Figure:
    rows: dict[str, dict[str, tuple[float, float, float]]] = {}
    notes: dict[str, str] = {}
    for (name, dtype), workload in rendering.by_workload(report).items():
        if not all(training.sizes for training in workload.values()):
            continue  # real work, which counts no iterations
        timings = {backend: training.timing for backend, training in workload.items()}
        row = f"{name}\n{dtype}"
        rows[row] = {b: (1 / t.quartiles[1], t.per_second, 1 / t.quartiles[0]) for b, t in timings.items()}
        if len(timings) == 2:
            notes[row] = f"× {rendering.digits(measure.ratios(*timings.values()).median)}"  # the table's
    return plotting.speeds(rows, "Training", f"iterations a second, {report.cpu}, {report.date}", notes)


def _compare(report: measure.Report, old: measure.Report, fail_below: float | None) -> None:
    if report.cpu != old.cpu:
        say(f"The old report is of another processor, {old.cpu}: what differs may be the machine.", "yellow")
    table = rendering.bench_comparison(report, old, fail_below)
    show(f"Against the report of {old.date}: new speed / old speed", table)
    found = measure.speed_ratios(report, old)
    if not found:
        raise typer.BadParameter("it has no training in common with this run", param_hint="--compare")
    if fail_below is not None and min(found.values()) < fail_below:
        raise typer.Exit(1)
