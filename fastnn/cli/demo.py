"""The command ``fastnn demo``: the tutorial's network and the handwritten digits, on both back ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from fastnn import plotting
from fastnn.backends import BACKENDS
from fastnn.cli.console import new_table, out, progress, say, show
from fastnn.measuring import tutorial, workloads
from fastnn.measuring.starting import first_calls
from fastnn.measuring.tables import with_unit
from fastnn.measuring.timing import Timing, interleaved
from fastnn.measuring.workloads import Workload
from fastnn.memory import Array
from fastnn.testing.correctness import accuracy, check_same_answer
from fastnn.training import TrainingResult, train

LOOP = "loop"
"""The name of the tutorial's own loop beside those of the back ends."""
TITLES = {LOOP: "tutorial's loop", "numpy": "numpy", "numba": "numba"}

ROUNDS, DIGITS_ROUNDS = 7, 5
TIMED_ITERATIONS = {LOOP: 2_000, "numpy": 2_000, "numba": 100_000}
"""Iterations of one timed training, so that each takes some tens of milliseconds."""

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

    with progress("the tutorial's network", 2 * ROUNDS * len(TIMED_ITERATIONS)) as advance:
        tutorials = run_seed(seed, advance)
    show(f"The tutorial's network, 3-5-1, {tutorials.workload.epochs} iterations, seed {seed}", seed_table(tutorials))
    _say_what_both_find(tutorials)
    calls = ", ".join(f"{n:,} iterations ({TITLES[name]})" for name, n in TIMED_ITERATIONS.items())
    say(f"{_HONESTLY} of {ROUNDS} trainings of {calls}, taken in turn.", "dim")
    if output:
        curves = {f"{name} back end": tutorials.losses[name] for name in BACKENDS}
        say(f"Error curve: {plotting.save(plotting.error_curve(curves), output / 'error_curve.png')}")

    out.print()
    with progress("the handwritten digits", DIGITS_ROUNDS * len(BACKENDS)) as advance:
        digits = run_digits(seed, advance)
    show(f"Handwritten digits, 64-64-10, {digits.workload.epochs} epochs, seed {seed}", digits_table(digits))
    _say_what_both_find(digits)
    say(f"{_HONESTLY} of {DIGITS_ROUNDS} whole trainings, taken in turn.", "dim")
    if output:
        curves = {f"{name} back end": digits.losses[name] for name in BACKENDS}
        figure = plotting.loss_curves(curves, "Handwritten digits, 64-64-10: cross entropy")
        say(f"Loss curves: {plotting.save(figure, output / 'digits_loss.png')}")


@dataclass(frozen=True)
class Trained:
    """A workload trained by both back ends, and the seed by the tutorial's loop too. Mappings are by back end."""

    workload: Workload
    results: dict[str, TrainingResult]
    losses: dict[str, Array]
    """Of each iteration, before its update, or mean loss of each epoch."""
    outputs: dict[str, Array]
    """Outputs for the test rows."""
    first_call: float
    """Seconds that the fused kernel's first call took: compilation, or loading from the disk cache."""
    times: dict[str, Timing]
    """Seconds an iteration in a long training, or an epoch."""
    whole_call: dict[str, Timing]
    """Seconds of the whole usual training of the seed, from the call to its result."""


def _trained(
    name: str, seed: int
) -> tuple[Workload, dict[str, TrainingResult], float, Callable[..., Callable[[], TrainingResult]]]:
    """Return a workload, its trainings by both back ends, the seconds of a first call, and what makes a training."""
    workload = workloads.load(name)
    first_call = sum(seconds for _, seconds in first_calls(workload.dtype, ("train", "predict")))

    def training(backend: str, **changes: Any) -> Callable[[], TrainingResult]:
        options = workload.train_options | {"seed": seed, "backend": backend} | changes
        return lambda: train(workload.network, workload.X, workload.Y, **options)

    return workload, {name: training(name)() for name in BACKENDS}, first_call, training


def run_seed(seed: int = 0, after_each: Callable[[], object] = lambda: None) -> Trained:
    """Train the tutorial's network on both back ends and by the tutorial's own loop; check, then time.

    Raises
    ------
    DifferentAnswerError
        If the three do not train to the same weights; then nothing is timed.
    """
    workload, results, first_call, training = _trained("seed", seed)
    initial = tutorial.initial_weights(seed)
    weights, errors = tutorial.train(initial)
    for name, result in results.items():
        check_same_answer(f"{name} and the tutorial's loop, weights", result.params, tutorial.flat(weights))
        check_same_answer(f"{name} and the tutorial's loop, errors", result.history.loss, errors)

    def timed(epochs: dict[str, int], counted: dict[str, int]) -> dict[str, Timing]:
        calls: dict[str, Callable[[], object]] = {LOOP: lambda: tutorial.train(initial, epochs[LOOP])}
        calls |= {name: training(name, epochs=epochs[name], params=tutorial.flat(initial)) for name in BACKENDS}
        return interleaved(calls, counted, ROUNDS, after_each)

    names = (LOOP, *BACKENDS)
    return Trained(
        workload=workload,
        results=results,
        losses={LOOP: errors} | {name: result.history.loss for name, result in results.items()},
        outputs={LOOP: tutorial.predict(weights, tutorial.X_TEST)}
        | {name: result.predict(workload.X_test) for name, result in results.items()},
        first_call=first_call,
        times=timed(TIMED_ITERATIONS, TIMED_ITERATIONS),
        whole_call=timed(dict.fromkeys(names, tutorial.N_ITERATIONS), dict.fromkeys(names, 1)),
    )


def run_digits(seed: int = 0, after_each: Callable[[], object] = lambda: None) -> Trained:
    """Train on the handwritten digits with both back ends; check, then time.

    Raises
    ------
    ImportError
        If scikit-learn, which ships the digits, is not installed.
    DifferentAnswerError
        If the back ends do not train to the same weights; then nothing is timed.
    """
    workload, results, first_call, training = _trained("digits", seed)
    check_same_answer("numba and numpy, weights", results["numba"].params, results["numpy"].params)
    calls = {name: training(name) for name in BACKENDS}
    times = interleaved(calls, dict.fromkeys(BACKENDS, workload.epochs), DIGITS_ROUNDS, after_each)
    losses = {name: result.history.loss for name, result in results.items()}
    return Trained(workload, results, losses, {}, first_call, times, {})


def _say_what_both_find(trained: Trained) -> None:
    dtype, took = trained.workload.dtype, with_unit(trained.first_call)
    difference = np.max(np.abs(trained.results["numba"].params - trained.results["numpy"].params))
    say(f"Largest difference of a weight between the back ends: {difference:.1e} ({dtype}).")
    say(f"First call of the {dtype} kernel, compiled or loaded: {took}.")


# ---------------------------------------------------------------------------------------------------------- the tables


def seed_table(trained: Trained) -> Table:
    """Return the table of the tutorial's numbers and speeds, by the loop and by each back end."""
    columns, iterations = (LOOP, *BACKENDS), trained.workload.epochs
    table = _table(columns)
    table.add_row(
        f"final error (iteration {iterations - 1})", *(f"{trained.losses[name][-1]:.10f}" for name in columns)
    )
    for i, (row, target) in enumerate(zip(tutorial.X_TEST, tutorial.Y_TEST, strict=True)):
        bits = ",".join(f"{bit:.0f}" for bit in row)
        outputs = (f"{trained.outputs[name][i, 0]:.10f}" for name in columns)
        table.add_row(rf"output for \[{bits}], target {target[0]:.0f}", *outputs)
    table.add_section()
    table.add_row("iterations a second", *(f"{trained.times[name].per_second:,.0f}" for name in columns))
    _add_ratios(table, trained.times, f"times the {TITLES[LOOP]}", 2)
    whole = (with_unit(trained.whole_call[name].median) for name in columns)
    table.add_row(f"all {iterations} iterations, one call", *whole)
    return table


def digits_table(trained: Trained) -> Table:
    """Return the table of what each back end learned, and how fast."""
    workload, columns = trained.workload, BACKENDS
    assert workload.Y_test is not None
    table = _table(columns)
    recognized = (f"{accuracy(trained.results[name], workload):.4f}" for name in columns)
    table.add_row(f"accuracy on {len(workload.Y_test)} held-out digits", *recognized)
    table.add_row("training loss, last epoch", *(f"{trained.losses[name][-1]:.6f}" for name in columns))
    table.add_section()
    table.add_row("time an epoch", *(with_unit(trained.times[name].median) for name in columns))
    _add_ratios(table, trained.times, "times numpy", 1)
    return table


def _table(columns: tuple[str, ...]) -> Table:
    return new_table("", *(TITLES[name] for name in columns), texts=("",), wrapped=("",))


def _add_ratios(table: Table, times: dict[str, Timing], title: str, places: int) -> None:
    """Add the speeds as multiples of the first column's, and how far the samples spread."""
    first = next(iter(times.values()))
    table.add_row(title, *(f"{first.median / timing.median:.{places}f}" for timing in times.values()))
    table.add_row("spread of the samples", *(f"{timing.spread:.0%}" for timing in times.values()))
