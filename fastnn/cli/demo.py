"""The command ``fastnn demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastnn import plotting
from fastnn.backends import BACKENDS
from fastnn.cli import demo_report as work
from fastnn.cli import rendering
from fastnn.cli.console import out, progress, say, show
from fastnn.gate.report import with_unit

_HONESTLY = "Timed after the answers were found equal and after a warm-up: medians"


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
    say(f"First call of the {dtype} kernel, compiled or loaded: {took}.")


def _say_saved(what: str, path: Path) -> None:
    say(f"{what}: {path}")
