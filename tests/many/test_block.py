"""Blocks: how many threads they keep busy."""

import numpy as np
import pytest

from fastnn import Network, train_many
from fastnn.many import block, units

REAL = {name: getattr(block, name) for name in ("LEAST_WORK", "MEMBER_WORK")}


@pytest.mark.parametrize(("epochs", "n_threads"), [(1, 1), (1000, 4)])
def test_only_threads_that_pay_are_started(epochs, n_threads, monkeypatch):
    """One thread draws at a time, so others would wait where drawing is the most of the work."""
    for name, value in REAL.items():
        monkeypatch.setattr(block, name, value)
    found, right = [], units.units_of
    monkeypatch.setattr("fastnn.many.driver.units_of", lambda *given: found.append(right(*given)) or found[-1])
    X = np.random.RandomState(0).rand(20, 3)
    train_many(Network((3, 2, 1)), X, X[:, :1], seed=range(200), epochs=epochs, n_jobs=4)
    assert found[0][1] == n_threads
    assert len(found[0][0]) >= n_threads
