"""The command ``fastnn demo``: the tutorial's network and the handwritten digits, on both back
ends.
"""

import functools
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from rich.table import Table

from fastnn import plotting
from fastnn.backends import BACKENDS
from fastnn.cli.console import File, new_table, option, out, progress, say, show
from fastnn.cli.correctness import accuracy, check_same_answer
from fastnn.measuring import tutorial, workloads
from fastnn.measuring.starting import first_calls
from fastnn.measuring.timing import interleaved, quartiles, with_unit
from fastnn.measuring.workloads import Workload
from fastnn.memory import Array
from fastnn.training import TrainingResult, train

LOOP = "tutorial's loop"  # The column of the tutorial's own loop beside those of the back ends
ROUNDS = 7
DIGITS_ROUNDS = 5
TIMED_ITERATIONS = {LOOP: 2_000, "numpy": 2_000, "numba": 100_000}
"""Iterations of one timed training, so that each takes some tens of milliseconds."""

FIRST_IS_TEXT: dict[str, Any] = {"texts": ("",), "wrapped": ("",)}
_HONESTLY = "Timed after the answers were found equal and after a warm-up: medians"
Trained = dict[str, TrainingResult]  # The results of a training by back end
Samples = dict[str, list[float]]  # Seconds by column, from trainings that took turns

_SEED = option("N", "Seed of the initial weights and the order of the rows.", min=0, max=2**32 - 1)


def demo(
    seed: Annotated[int, _SEED] = 0,
    output: Annotated[
        File, option("DIR", "Save the error and loss curves in this folder, as PNG.")
    ] = None,
) -> None:
    """Train two networks on both back ends.

    The networks are that of the tutorial and one for handwritten digits. The command checks that
    both back ends agree, and then measures how long they take. It takes some seconds, and the first
    time also compiles kernels.
    """
    if output:
        import matplotlib  # noqa: F401  a missing one is reported before anything is computed

        output.mkdir(parents=True, exist_ok=True)

    calls = ", ".join(f"{n:,} iterations ({name})" for name, n in TIMED_ITERATIONS.items())
    with progress("the tutorial's network", 2 * ROUNDS * len(TIMED_ITERATIONS)) as advance:
        table, results, first_call = run_seed(seed, advance)
    show(f"The tutorial's network, 3-5-1, {tutorial.N_ITERATIONS} iterations, seed {seed}", table)
    _say(results, first_call)
    say(f"{_HONESTLY} of {ROUNDS} trainings of {calls}, taken in turn.", "dim")
    if output:
        figure = plotting.error_curve(_curves(results))
        say(f"Error curve: {plotting.save(figure, output / 'error_curve.png')}")

    out.print()
    with progress("the handwritten digits", DIGITS_ROUNDS * len(BACKENDS)) as advance:
        table, results, first_call = run_digits(seed, advance)
    n_epochs = results["numba"].n_epochs
    show(f"Handwritten digits, 64-64-10, {n_epochs} epochs, seed {seed}", table)
    _say(results, first_call)
    say(f"{_HONESTLY} of {DIGITS_ROUNDS} whole trainings, taken in turn.", "dim")
    if output:
        title = "Handwritten digits, 64-64-10: cross entropy"
        figure = plotting.loss_curves(_curves(results), title)
        say(f"Loss curves: {plotting.save(figure, output / 'digits_loss.png')}")


def _curves(results: Trained) -> dict[str, Array]:
    return {f"{name} back end": result.history.loss for name, result in results.items()}


def _say(results: Trained, first_call: float) -> None:
    params = results["numba"].params
    difference = np.max(np.abs(params - results["numpy"].params))
    dtype = params.dtype
    say(f"Largest difference of a weight between the back ends: {difference:.1e} ({dtype}).")
    say(f"First call of the {dtype} kernel, compiled or loaded: {with_unit(first_call)}.")


def _trained(workload: Workload, seed: int) -> tuple[Callable[..., TrainingResult], Trained, float]:
    """Return what trains a workload, the results by both back ends, and the seconds of the kernel's
    first call.
    """
    first_call = sum(seconds for _, seconds in first_calls(workload.dtype, ("train", "predict")))

    def training(backend: str, **changes: Any) -> TrainingResult:
        options = workload.train_options | {"seed": seed, "backend": backend} | changes
        return train(workload.network, workload.X, workload.Y, **options)

    return training, {name: training(name) for name in BACKENDS}, first_call


def run_seed(seed: int, after_each: Callable[[], object]) -> tuple[Table, Trained, float]:
    """Train the tutorial's network by both back ends and by its loop; return table, results, first
    call's seconds.
    """
    training, results, first_call = _trained(workloads.load("seed"), seed)
    initial = tutorial.initial_weights(seed)
    weights, errors = tutorial.train(initial)
    for name, result in results.items():
        check_same_answer(
            f"{name} and the tutorial's loop, weights", result.params, tutorial.flat(weights)
        )
        check_same_answer(f"{name} and the tutorial's loop, errors", result.history.loss, errors)

    def timed(epochs: dict[str, int]) -> Samples:
        """Time a call of so many iterations of each."""
        calls: dict[str, Callable[[], object]] = {
            LOOP: lambda: tutorial.train(initial, epochs[LOOP])
        }
        for name in BACKENDS:
            calls[name] = functools.partial(
                training, name, epochs=epochs[name], params=tutorial.flat(initial)
            )
        return interleaved(calls, epochs, ROUNDS, after_each)

    n = tutorial.N_ITERATIONS
    columns = (LOOP, *BACKENDS)
    samples = timed(TIMED_ITERATIONS)
    whole = timed(dict.fromkeys(columns, n))
    X = tutorial.X_TEST
    losses = [errors, *(result.history.loss for result in results.values())]
    outputs = [tutorial.predict(weights, X), *(result.predict(X) for result in results.values())]
    table = new_table("", *columns, **FIRST_IS_TEXT)
    table.add_row(f"final error (iteration {n - 1})", *(f"{loss[-1]:.10f}" for loss in losses))
    for i, (row, target) in enumerate(zip(X, tutorial.Y_TEST, strict=True)):
        bits = ",".join(f"{bit:.0f}" for bit in row)
        head = rf"output for \[{bits}], target {target[0]:.0f}"
        table.add_row(head, *(f"{rows[i, 0]:.10f}" for rows in outputs))
    table.add_section()
    speeds = (1 / quartiles(samples[name]).middle for name in columns)
    table.add_row("iterations per second", *(f"{speed:,.0f}" for speed in speeds))
    _add_ratios(table, samples, f"times the {LOOP}", 2)
    seconds = (n * quartiles(whole[name]).middle for name in columns)
    table.add_row(f"all {n} iterations, one call", *map(with_unit, seconds))
    return table, results, first_call


def run_digits(seed: int, after_each: Callable[[], object]) -> tuple[Table, Trained, float]:
    """Train on the handwritten digits by both back ends; return table, results, first call's
    seconds.
    """
    workload = workloads.load("digits")
    assert workload.Y_test is not None
    training, results, first_call = _trained(workload, seed)
    check_same_answer("numba and numpy, weights", results["numba"].params, results["numpy"].params)
    calls = {name: functools.partial(training, name) for name in BACKENDS}
    samples = interleaved(
        calls, dict.fromkeys(BACKENDS, workload.epochs), DIGITS_ROUNDS, after_each
    )
    table = new_table("", *BACKENDS, **FIRST_IS_TEXT)
    recognized = (f"{accuracy(result, workload):.4f}" for result in results.values())
    table.add_row(f"accuracy on {len(workload.Y_test)} held-out digits", *recognized)
    losses = (f"{result.history.loss[-1]:.6f}" for result in results.values())
    table.add_row("training loss, last epoch", *losses)
    table.add_section()
    epochs = (with_unit(quartiles(seconds).middle) for seconds in samples.values())
    table.add_row("time per epoch", *epochs)
    _add_ratios(table, samples, "times numpy", 1)
    return table, results, first_call


def _add_ratios(table: Table, samples: Samples, title: str, places: int) -> None:
    """Add the speeds as multiples of the first column's, and how far the samples spread."""
    seconds = [quartiles(of_column) for of_column in samples.values()]
    first = seconds[0].middle
    table.add_row(title, *(f"{first / one.middle:.{places}f}" for one in seconds))
    table.add_row("spread of the samples", *(f"{one.spread:.0%}" for one in seconds))
