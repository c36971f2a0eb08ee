"""Training speed, workload by back end, with the tutorial's bare loop beside the seed: pytest-benchmark.

    python -m pytest benchmarks --benchmark-enable --benchmark-only

Each benchmark first checks its answer against the reference back end and compiles what it needs; a round is one
training of a fixed number of iterations from the same weights. ``extra_info`` holds iterations a second (of the
median round) and the versions.
"""

from collections.abc import Callable
from typing import Any

import pytest

from fastnn import machine, train, tutorial, workloads
from fastnn.timing import check_same_answer

WORKLOADS = ("seed", "digits")  # every name in workloads.names() would do
BACKENDS = ("numpy", "numba")
CHECKED_EPOCHS = 2
ROUNDS, WARMUP_ROUNDS = 10, 2
# The same for all in a group, whose rounds are then compared fairly; with numba a round takes milliseconds.
EPOCHS = {"seed": 10_000, "digits": 10}


def measure(benchmark: Any, function: Callable[[], object], iterations: int, **shape: Any) -> None:
    """Time a training of `iterations` iterations, and put down what the figure means."""
    benchmark.extra_info.update(machine.versions(), cpu=machine.cpu_model(), iterations=iterations, **shape)
    benchmark.pedantic(function, rounds=ROUNDS, warmup_rounds=WARMUP_ROUNDS, iterations=1)
    if benchmark.stats is not None:  # None where benchmarks are disabled and everything runs once
        benchmark.extra_info["iterations_per_second"] = iterations / benchmark.stats.stats.median


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", WORKLOADS)
def test_train(benchmark: Any, name: str, backend: str) -> None:
    benchmark.group = name
    workload = workloads.load(name)
    data = (workload.network, workload.X, workload.Y)
    options = workload.train_options | {"seed": 0}

    short = options | {"epochs": CHECKED_EPOCHS}
    expected = train(*data, **short, backend="numpy")
    check_same_answer(f"{name}, {backend}", train(*data, **short, backend=backend).params, expected.params)

    epochs = EPOCHS[name] if benchmark.enabled else CHECKED_EPOCHS
    measure(
        benchmark,
        lambda: train(*data, **options | {"epochs": epochs}, backend=backend),
        epochs * workload.steps_per_epoch,
        sizes=workload.network.sizes,
        batch_size=workload.batch_size,
        dtype=workload.dtype.name,
    )


def test_tutorial_loop(benchmark: Any) -> None:
    benchmark.group = "seed"
    workload, initial = workloads.load("seed"), tutorial.initial_weights(0)
    expected = train(workload.network, workload.X, workload.Y, **workload.train_options, seed=0, backend="numpy")
    check_same_answer("the tutorial's loop", tutorial.flat(tutorial.train(initial)[0]), expected.params)
    iterations = EPOCHS["seed"] if benchmark.enabled else tutorial.N_ITERATIONS
    measure(benchmark, lambda: tutorial.train(initial, iterations), iterations, sizes=workload.network.sizes)
