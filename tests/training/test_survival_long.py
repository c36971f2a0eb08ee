"""A long life: thousands of trainings in one process leave no memory behind, and the last is the first again."""

import gc
import sys

import numpy as np
import pytest
from survival import fingerprint

from fastnn import Network, train
from fastnn.losses import HIDDEN
from fastnn.optimizers import OPTIMIZERS
from fastnn.testing.cases import PAIRS, draw_targets

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

GROWTH = 4 << 20
"""Bytes by which the process may grow: what is left by each fit would be a thousand times as much."""


def memory():
    """Bytes of memory that the process has in use."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def fit(k):
    """The k-th random small network, trained for a few steps; the hash of its bits."""
    rs = np.random.RandomState(k)
    hidden = tuple(int(n) for n in rs.randint(1, 20, rs.randint(0, 4)))
    loss, output = PAIRS[rs.randint(len(PAIRS))]
    n_inputs, n_outputs = int(rs.randint(1, 9)), int(rs.randint(2 if output == "softmax" else 1, 5))
    network = Network((n_inputs, *hidden, n_outputs), HIDDEN[rs.randint(len(HIDDEN))], output, loss)
    n, dtype = int(rs.randint(1, 60)), (np.float32, np.float64)[rs.randint(2)]
    X, Y = rs.standard_normal((n, network.n_inputs)).astype(dtype), draw_targets(network, rs, n)
    name = list(OPTIMIZERS)[rs.randint(len(OPTIMIZERS))]
    optimizer = OPTIMIZERS[name](0.001)
    batch_size = None if optimizer.full_batch else int(rs.randint(1, n + 1))
    result = train(network, X, Y, optimizer=optimizer, epochs=3, batch_size=batch_size, seed=k)
    return fingerprint(result.params, result.history.loss, result.predict(X))


@pytest.mark.parametrize("n", [1200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_memory_stays_flat_and_results_the_same(n):
    kinds = 100
    first = [fit(k) for k in range(kinds)]
    assert len(set(first)) == kinds
    for k in range(kinds):  # once more, until nothing is new to the process
        assert fit(k) == first[k]
    before = memory()
    for i in range(n - 2 * kinds):
        assert fit(i % kinds) == first[i % kinds]
    assert memory() - before < GROWTH
