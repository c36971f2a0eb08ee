"""The computations of ``fastnn demo``: the tutorial's network and the handwritten digits, on both back ends.

Each half returns a report of plain numbers and curves; printing and plotting them is the command line's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.backends import BACKENDS
from fastnn.measuring import tutorial, workloads
from fastnn.measuring.timing import Timing, first_calls, interleaved
from fastnn.measuring.workloads import Workload
from fastnn.memory import Array
from fastnn.testing.correctness import accuracy, check_same_answer
from fastnn.training import TrainingResult, train

LOOP = "loop"
"""The name of the tutorial's own loop beside those of the back ends."""

ROUNDS = 7
# Iterations of one timed training, so that each takes some tens of milliseconds.
TIMED_ITERATIONS = {LOOP: 2_000, "numpy": 2_000, "numba": 100_000}
DIGITS_ROUNDS = 5
SEED_TIMED_CALLS = 2 * ROUNDS * len(TIMED_ITERATIONS)
DIGITS_TIMED_CALLS = DIGITS_ROUNDS * len(BACKENDS)
"""How often each half calls ``after_each``."""


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Report:
    """The results that both halves of the demonstration have."""

    workload: Workload
    weight_difference: float
    """Largest difference of a weight between the back ends."""
    first_call: float
    """Seconds that the fused kernel's first call took: compilation, or loading from the disk cache."""


@dataclass(frozen=True)
class SeedReport(Report):
    """The tutorial's network. Mappings are by back end, those of the loop by `LOOP` too."""

    errors: dict[str, Array]
    """Error of each iteration, before its update."""
    outputs: dict[str, Array]
    """Outputs for the two test rows."""
    iteration: dict[str, Timing]
    """Seconds an iteration, in one long training."""
    whole_call: dict[str, Timing]
    """Seconds that the whole training of 100 iterations takes, from the call to its result."""


@dataclass(frozen=True)
class DigitsReport(Report):
    """The handwritten digits. Mappings are by back end."""

    losses: dict[str, Array]
    """Mean training loss of each epoch."""
    accuracy: dict[str, float]
    """Share of the held-out rows that are recognized."""
    epoch: dict[str, Timing]
    """Seconds an epoch."""


def _train_both(workload: Workload, seed: int, **changes: Any) -> dict[str, TrainingResult]:
    options = workload.train_options | changes
    return {
        name: train(workload.network, workload.X, workload.Y, **options, seed=seed, backend=name) for name in BACKENDS
    }


def _largest_difference(results: dict[str, TrainingResult]) -> float:
    return float(np.max(np.abs(results["numba"].params - results["numpy"].params)))


def first_call(workload: Workload) -> float:
    """Return the seconds until the fused kernel can train and predict in the workload's dtype."""
    return sum(seconds for entry, seconds in first_calls(workload.dtype) if entry != "loss_and_gradient")


def run_seed(seed: int = 0, after_each: Callable[[], object] = _nothing) -> SeedReport:
    """Train the tutorial's network on both back ends and by the tutorial's own loop; check, then time.

    Parameters
    ----------
    seed : int
        Seed of the initial weights, the same for all three.
    after_each : callable
        Called after each timed training, for a progress bar.

    Returns
    -------
    SeedReport

    Raises
    ------
    DifferentAnswerError
        If the three do not train to the same weights; then nothing is timed.
    """
    workload = workloads.load("seed")
    compiling = first_call(workload)
    results = _train_both(workload, seed)
    initial = tutorial.initial_weights(seed)
    trained, loop_errors = tutorial.train(initial)
    for name, result in results.items():
        check_same_answer(f"{name} and the tutorial's loop, weights", result.params, tutorial.flat(trained))
        check_same_answer(f"{name} and the tutorial's loop, errors", result.history.loss, loop_errors)

    def training(backend: str, iterations: int) -> Callable[[], object]:
        options = workload.train_options | {"epochs": iterations, "params": tutorial.flat(initial), "backend": backend}
        return lambda: train(workload.network, workload.X, workload.Y, **options)

    def loop(iterations: int) -> Callable[[], object]:
        return lambda: tutorial.train(initial, iterations)

    long = {name: training(name, TIMED_ITERATIONS[name]) for name in BACKENDS}
    whole = {name: training(name, tutorial.N_ITERATIONS) for name in BACKENDS}
    once = dict.fromkeys((LOOP, *BACKENDS), 1)
    return SeedReport(
        workload=workload,
        errors={LOOP: loop_errors} | {name: result.history.loss for name, result in results.items()},
        outputs={LOOP: tutorial.predict(trained, tutorial.X_TEST)}
        | {name: result.predict(workload.X_test) for name, result in results.items()},
        weight_difference=_largest_difference(results),
        first_call=compiling,
        iteration=interleaved({LOOP: loop(TIMED_ITERATIONS[LOOP]), **long}, TIMED_ITERATIONS, ROUNDS, after_each),
        whole_call=interleaved({LOOP: loop(tutorial.N_ITERATIONS), **whole}, once, ROUNDS, after_each),
    )


def run_digits(seed: int = 0, after_each: Callable[[], object] = _nothing) -> DigitsReport:
    """Train on the handwritten digits with both back ends; check, then time.

    Parameters
    ----------
    seed : int
        Seed of the initial weights and the order of the rows, the same for both.
    after_each : callable
        Called after each timed training, for a progress bar.

    Returns
    -------
    DigitsReport

    Raises
    ------
    ImportError
        If scikit-learn, which ships the digits, is not installed.
    DifferentAnswerError
        If the back ends do not train to the same weights; then nothing is timed.
    """
    workload = workloads.load("digits")
    compiling = first_call(workload)
    results = _train_both(workload, seed)
    check_same_answer("numba and numpy, weights", results["numba"].params, results["numpy"].params)
    options = workload.train_options | {"seed": seed}

    def training(backend: str) -> Callable[[], object]:
        return lambda: train(workload.network, workload.X, workload.Y, **options, backend=backend)

    return DigitsReport(
        workload=workload,
        losses={name: result.history.loss for name, result in results.items()},
        accuracy={name: accuracy(result, workload) for name, result in results.items()},
        weight_difference=_largest_difference(results),
        first_call=compiling,
        epoch=interleaved(
            {name: training(name) for name in BACKENDS},
            dict.fromkeys(BACKENDS, workload.epochs),
            DIGITS_ROUNDS,
            after_each,
        ),
    )
