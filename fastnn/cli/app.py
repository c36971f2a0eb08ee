"""The commands of ``fastnn``: what they ask for and how they print (typer and rich)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.table import Table

from fastnn import installed, plotting
from fastnn._version import __version__
from fastnn.cli import bench as measure
from fastnn.cli import demo as work
from fastnn.cli import rendering
from fastnn.cli.console import check_output, out, progress, say, show
from fastnn.cli.gate import gate
from fastnn.cli.verify import verify
from fastnn.measuring import machine, workloads
from fastnn.measuring.timing import ENTRY_POINTS, first_calls
from fastnn.measuring.workloads import Workload
from fastnn.memory import ALIGNMENT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

app = typer.Typer(
    name="fastnn",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_HONESTLY = "Timed after the answers were found equal and after a warm-up: medians"


def _version(asked: bool) -> None:
    if asked:
        out.print(f"fastnn {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Train small neural networks fast on a CPU.

    A NumPy reference that can be read in one sitting, and a fused Numba kernel that trains to the same weights.
    """


# --------------------------------------------------------------------------------------------------------------- demo


def demo(
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**32 - 1, metavar="N", help="Seed of the initial weights and the order of the rows."),
    ] = 0,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Save the error and loss curves there as PNG.")
    ] = None,
) -> None:
    """Train two networks on both back ends.

    The tutorial's network and the handwritten digits: checks that the answers agree, then times. Takes some seconds,
    and once some more for compiling.
    """
    if output:
        import matplotlib  # noqa: F401  a missing one is reported before anything is computed

        output.mkdir(parents=True, exist_ok=True)

    with progress("the tutorial's network", work.SEED_TIMED_CALLS) as advance:
        seed_report = work.run_seed(seed, advance)
    _print_seed(seed_report, seed)
    if output:
        curves = {f"{name} back end": seed_report.errors[name] for name in work.BACKENDS}
        _say_saved("Error curve", plotting.save(plotting.error_curve(curves), output / "error_curve.png"))

    out.print()
    with progress("the handwritten digits", work.DIGITS_TIMED_CALLS) as advance:
        digits_report = work.run_digits(seed, advance)
    _print_digits(digits_report, seed)
    if output:
        curves = {f"{name} back end": digits_report.losses[name] for name in work.BACKENDS}
        figure = plotting.loss_curves(curves, "Handwritten digits, 64-64-10: cross entropy")
        _say_saved("Loss curves", plotting.save(figure, output / "digits_loss.png"))


def _print_seed(report: work.SeedReport, seed: int) -> None:
    iterations = report.workload.epochs
    show(f"The tutorial's network, 3-5-1, {iterations} iterations, seed {seed}", rendering.demo_seed(report))
    _say_difference(report.weight_difference, report.workload)
    _say_first_call(report.first_call, report.workload)
    calls = ", ".join(f"{n:,} iterations ({rendering.TITLES[name]})" for name, n in work.TIMED_ITERATIONS.items())
    say(f"{_HONESTLY} of {work.ROUNDS} trainings of {calls}, taken in turn.", "dim")


def _print_digits(report: work.DigitsReport, seed: int) -> None:
    epochs = report.workload.epochs
    show(f"Handwritten digits, 64-64-10, {epochs} epochs, seed {seed}", rendering.demo_digits(report))
    _say_difference(report.weight_difference, report.workload)
    _say_first_call(report.first_call, report.workload)
    say(f"{_HONESTLY} of {work.DIGITS_ROUNDS} whole trainings, taken in turn.", "dim")


def _say_difference(difference: float, workload: Workload) -> None:
    say(f"Largest difference of a weight between the back ends: {difference:.1e} ({workload.dtype}).")


def _say_first_call(seconds: float, workload: Workload) -> None:
    took = rendering.seconds_text(seconds)
    say(f"First call of the {workload.dtype} kernel, compiled or loaded from the disk cache: {took}.")


def _say_saved(what: str, path: Path) -> None:
    say(f"{what}: {path}")


# -------------------------------------------------------------------------------------------------------------- bench

_BOTH = "both"
_DTYPES = ("float32", "float64")
_STDOUT = Path("-")


def bench(
    workload: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"A problem to train on: {', '.join(workloads.names())}; may be given several times. All if not.",
        ),
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A back end: numpy or numba; may be given several times. Both if not."),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(metavar="DTYPE", help="float32, float64 or both, in place of each problem's own.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Some seconds, small problems, a rough answer.")] = False,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all samples to a file; - prints them, and nothing else.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the speeds into a PNG.")] = None,
    compare: Annotated[
        Path | None, typer.Option(metavar="OLD.json", help="A report that --json wrote, on the same machine.")
    ] = None,
    fail_below: Annotated[
        float | None, typer.Option(metavar="RATIO", min=0.0, help="End with 1 if any new speed / old speed is less.")
    ] = None,
) -> None:
    """Measure training speed and start-up time.

    On the named problems, and what import and compilation cost. Two minutes, or 15 seconds with --quick. No answer, no
    number: a back end that does not train as it should ends the command before anything is timed.
    """
    if fail_below is not None and compare is None:
        raise typer.BadParameter("it needs --compare OLD.json", param_hint="--fail-below")
    if dtype not in (None, _BOTH, *_DTYPES):
        raise typer.BadParameter(f"it is float32, float64 or both, not {dtype!r}", param_hint="--dtype")
    for name in workload or ():
        if name not in workloads.names():
            raise typer.BadParameter(f"{name!r} is none of {', '.join(workloads.names())}", param_hint="--workload")
    for name in backend or ():
        if name not in measure.BACKENDS:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(measure.BACKENDS)}", param_hint="--backend")
    to_stdout = json == _STDOUT
    if to_stdout and (plot or compare):
        raise typer.BadParameter("on stdout it leaves no place for --plot and --compare", param_hint="--json -")
    if not to_stdout:
        check_output(json, "--json")
    check_output(plot, "--plot")
    if plot:
        import matplotlib  # noqa: F401  a missing one is reported before anything is computed
    old = measure.load(compare) if compare else None
    plan = measure.QUICK if quick else measure.FULL
    dtypes = _DTYPES if dtype == _BOTH else (dtype,)
    what = (list(dict.fromkeys(workload or plan.workloads)), list(dict.fromkeys(backend or measure.BACKENDS)), dtypes)
    with progress("checking the answers", measure.n_steps(*what, plan)) as advance:
        report = measure.run(*what, plan, advance)
    if to_stdout:
        typer.echo(report.text())
        return
    _print_bench(report)
    if json:
        report.save(json)
        say(f"All samples: {json}")
    if plot:
        _say_saved("Speeds", plotting.save(_draw_bench(report), plot))
    if old:
        _compare(report, old, fail_below)


def _print_bench(report: measure.Report) -> None:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    load = "" if report.load is None else f"; load before: {report.load:.2f}"
    say(f"{report.date}, {report.cpu} ({versions}){load}")
    show("Training: iterations a second", rendering.bench_trainings(report))
    say(
        "Answers checked first, back ends timed in turn. Medians, ± half the distance of the quartiles; ratios are "
        "medians of the rounds' ratios, with their middle half.",
        "dim",
    )
    show("Starting: seconds in a fresh process", rendering.bench_starts(report))


def _draw_bench(report: measure.Report) -> Figure:
    rows: dict[str, dict[str, tuple[float, float, float]]] = {}
    notes: dict[str, str] = {}
    for (name, dtype), problem in rendering.by_problem(report).items():
        timings = {backend: training.timing for backend, training in problem.items()}
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


# --------------------------------------------------------------------------------------------------------------- info


def info() -> None:
    """Show versions, processor and kernel cache."""
    for name, version in machine.versions().items():
        _fact(name, version)
    distribution = machine.distribution()
    _fact("distribution", f"{installed.DISTRIBUTION} {distribution.version}")
    _fact("  imported from", installed.FOLDER)
    if distribution.others:
        shared = f"{', '.join(distribution.others)}, another project's: {installed.REMEDY}"
        _fact("  shared with", shared, "red")
    cpu = machine.cpu()
    _fact("processor", cpu.model)
    _fact("  as LLVM calls it", cpu.llvm_name)
    _fact("  vector extensions", ", ".join(cpu.features) or "none that LLVM names")
    if cpu.override:
        _fact("  Numba was told", " ".join(cpu.override))
    register = "known to LLVM alone" if cpu.register_bytes is None else f"{cpu.register_bytes} bytes"
    _fact("vector width", f"{ALIGNMENT} bytes in the kernels, widest register {register}")
    cache = machine.cache()
    _fact("kernel cache", str(cache.folder or "none"))
    read_only = "no, but kernels that are there are used"
    _fact("  can be written", f"no: {cache.problem}" if cache.problem else "yes" if cache.writable else read_only)
    _fact("flush to zero", "ON: equal bits are not promised in this process" if machine.flush_to_zero() else "off")


def _fact(name: str, text: str, style: str | None = None) -> None:
    say(f"{name:<{FACT_NAMES}}{text}", style, indent=FACT_NAMES)


FACT_NAMES = 21
"""Characters of the longest name, and two blanks."""

# ------------------------------------------------------------------------------------------------------------- warmup


def warmup() -> None:
    """Compile all kernels into the disk cache.

    Those of both dtypes, so that later processes start at once. Ends with 1 if they could not be kept there.
    """
    dtypes = (np.dtype(np.float64), np.dtype(np.float32))
    table = Table()
    for title in ("dtype", *ENTRY_POINTS, "sum"):
        table.add_column(title, justify="left" if title == "dtype" else "right", no_wrap=True)
    with progress("compiling", len(dtypes) * len(ENTRY_POINTS)) as advance:
        for dtype in dtypes:
            seconds = []
            for _, elapsed in first_calls(dtype):
                seconds.append(elapsed)
                advance()
            table.add_row(dtype.name, *map(rendering.seconds_text, (*seconds, sum(seconds))))
    show("First calls, compiled or loaded from the disk cache", table)
    cache = machine.cache()
    if machine.kernels_are_kept():
        say(f"Kept in {cache.folder}")
        return
    say(f"Not kept: {cache.problem or f'no kernel could be added to {cache.folder}'}", "red")
    raise typer.Exit(1)


for command in (demo, info, warmup, bench, verify, gate):  # the order of the help
    app.command()(command)
