"""Training speed, workload by back end by dtype, with the tutorial's bare loop beside the seed: pytest-benchmark.

Where it is timed, each benchmark first checks its answer and compiles what it needs; a round is one training of a fixed
number of iterations from the same weights.
"""

import functools
from collections.abc import Callable
from typing import Any

import pytest

from fastnn import train, workloads
from fastnn.backends import BACKENDS
from fastnn.measuring import machine, tutorial, work
from fastnn.testing.correctness import check_same_answer, check_work

DTYPES = ("float32", "float64")
load = functools.cache(work.load)
# The same for all in a group, whose rounds are then compared fairly; with numba a round takes milliseconds.
EPOCHS = {"seed": 2_000, "iris": 500, "digits": 10, "online": 1, "tab": 1, "mnist": 1, "big": 1}


def measure(benchmark: Any, function: Callable[[], object], iterations: int, **shape: Any) -> None:
    """Time a training of `iterations` iterations, and put down what the figure means."""
    benchmark.extra_info.update(machine.versions(), cpu=machine.cpu_model(), iterations=iterations, **shape)
    benchmark.pedantic(function, rounds=10, warmup_rounds=1, iterations=1)
    if benchmark.stats is not None:  # None where benchmarks are disabled and everything runs once
        benchmark.extra_info["iterations_per_second"] = iterations / benchmark.stats.stats.median


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", workloads.names())
def test_train(benchmark: Any, name: str, backend: str, dtype: str) -> None:
    benchmark.group = name
    rows = None if benchmark.enabled else 2 * (workloads.load(name).batch_size or 10**6)
    loaded, epochs = load(name, dtype, 1, rows), EPOCHS[name] if benchmark.enabled else 1
    if benchmark.enabled:
        check_work(loaded, backend)
    shape = {"sizes": loaded.workload.network.sizes, "batch_size": loaded.workload.batch_size, "dtype": dtype}
    measure(benchmark, lambda: loaded.run(epochs, backend), epochs * loaded.units, **shape)


def test_tutorial_loop(benchmark: Any) -> None:
    benchmark.group = "seed"
    seed, initial = workloads.load("seed"), tutorial.initial_weights(0)
    expected = train(seed.network, seed.X, seed.Y, **seed.train_options, seed=0, backend="numpy")
    check_same_answer("the tutorial's loop", tutorial.flat(tutorial.train(initial)[0]), expected.params)
    iterations = EPOCHS["seed"] if benchmark.enabled else tutorial.N_ITERATIONS
    measure(benchmark, lambda: tutorial.train(initial, iterations), iterations, sizes=seed.network.sizes)
