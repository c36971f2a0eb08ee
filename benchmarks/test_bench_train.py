"""Training speed, workload by back end by dtype: pytest-benchmark.

Where it is timed, each benchmark first checks its answer and compiles what it needs; a round is one
training of a fixed number of iterations from the same weights.
"""

import functools
from typing import Any

import pytest

from fastnn import workloads
from fastnn.backends import BACKENDS
from fastnn.cli.correctness import check_work
from fastnn.measuring import machine, work

load = functools.cache(work.load)
# The same for all in a group, whose rounds are then compared fairly; with numba a round takes
# milliseconds.
EPOCHS = {"seed": 2_000, "iris": 500, "digits": 10, "online": 1, "tab": 1, "mnist": 1, "big": 1}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", workloads.names())
def test_train(benchmark: Any, name: str, backend: str, dtype: str) -> None:
    benchmark.group = name
    rows = None if benchmark.enabled else 2 * (workloads.load(name).batch_size or 10**6)
    loaded = load(name, dtype, 1, rows)
    epochs = EPOCHS[name] if benchmark.enabled else 1
    if benchmark.enabled:
        check_work(loaded, backend)
    iterations = epochs * loaded.units
    sizes = loaded.workload.network.sizes
    benchmark.extra_info.update(
        machine.versions(), cpu=machine.cpu_model(), iterations=iterations, sizes=sizes
    )
    benchmark.pedantic(
        lambda: loaded.run(epochs, backend), rounds=10, warmup_rounds=1, iterations=1
    )
    if benchmark.stats is not None:  # None where benchmarks are disabled and everything runs once
        benchmark.extra_info["iterations_per_second"] = iterations / benchmark.stats.stats.median
