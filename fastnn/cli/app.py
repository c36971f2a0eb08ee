"""The commands of ``fastnn`` by their names, and the short ones themselves (typer and rich)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from fastnn import installed, plotting
from fastnn._version import __version__
from fastnn.backends import BACKENDS
from fastnn.cli import demo as work
from fastnn.cli import rendering
from fastnn.cli.bench import bench
from fastnn.cli.console import new_table, out, progress, say, show
from fastnn.cli.gate import gate
from fastnn.cli.verify import verify
from fastnn.gate.report import with_unit
from fastnn.measuring import machine
from fastnn.measuring.timing import ENTRY_POINTS, first_calls
from fastnn.memory import ALIGNMENT

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

    These are the tutorial's network and the handwritten digits. The command checks that the answers agree, and then
    measures times. It takes some seconds, and once some more for compiling.
    """
    if output:
        import matplotlib  # noqa: F401  a missing one is reported before anything is computed

        output.mkdir(parents=True, exist_ok=True)

    with progress("the tutorial's network", work.SEED_TIMED_CALLS) as advance:
        seed_report = work.run_seed(seed, advance)
    _print_seed(seed_report, seed)
    if output:
        curves = {f"{name} back end": seed_report.errors[name] for name in BACKENDS}
        _say_saved("Error curve", plotting.save(plotting.error_curve(curves), output / "error_curve.png"))

    out.print()
    with progress("the handwritten digits", work.DIGITS_TIMED_CALLS) as advance:
        digits_report = work.run_digits(seed, advance)
    _print_digits(digits_report, seed)
    if output:
        curves = {f"{name} back end": digits_report.losses[name] for name in BACKENDS}
        figure = plotting.loss_curves(curves, "Handwritten digits, 64-64-10: cross entropy")
        _say_saved("Loss curves", plotting.save(figure, output / "digits_loss.png"))


def _print_seed(report: work.SeedReport, seed: int) -> None:
    iterations = report.workload.epochs
    show(f"The tutorial's network, 3-5-1, {iterations} iterations, seed {seed}", rendering.demo_seed(report))
    _say_what_both_find(report)
    calls = ", ".join(f"{n:,} iterations ({rendering.TITLES[name]})" for name, n in work.TIMED_ITERATIONS.items())
    say(f"{_HONESTLY} of {work.ROUNDS} trainings of {calls}, taken in turn.", "dim")


def _print_digits(report: work.DigitsReport, seed: int) -> None:
    epochs = report.workload.epochs
    show(f"Handwritten digits, 64-64-10, {epochs} epochs, seed {seed}", rendering.demo_digits(report))
    _say_what_both_find(report)
    say(f"{_HONESTLY} of {work.DIGITS_ROUNDS} whole trainings, taken in turn.", "dim")


def _say_what_both_find(report: work.Report) -> None:
    dtype, took = report.workload.dtype, with_unit(report.first_call)
    say(f"Largest difference of a weight between the back ends: {report.weight_difference:.1e} ({dtype}).")
    say(f"First call of the {dtype} kernel, compiled or loaded from the disk cache: {took}.")


def _say_saved(what: str, path: Path) -> None:
    say(f"{what}: {path}")


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

    It compiles for both dtypes, so that later processes start at once, and ends with 1 if a kernel could not be kept.
    """
    dtypes = (np.dtype(np.float64), np.dtype(np.float32))
    table = new_table("dtype", *ENTRY_POINTS, "sum", texts=("dtype",))
    with progress("compiling", len(dtypes) * len(ENTRY_POINTS)) as advance:
        for dtype in dtypes:
            seconds = []
            for _, elapsed in first_calls(dtype):
                seconds.append(elapsed)
                advance()
            table.add_row(dtype.name, *map(with_unit, (*seconds, sum(seconds))))
    show("First calls, compiled or loaded from the disk cache", table)
    cache = machine.cache()
    if machine.kernels_are_kept():
        say(f"Kept in {cache.folder}")
        return
    say(f"Not kept: {cache.problem or f'no kernel could be added to {cache.folder}'}", "red")
    raise typer.Exit(1)


for command in (demo, info, warmup, bench, verify, gate):  # the order of the help
    app.command()(command)
