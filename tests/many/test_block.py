"""Blocks: which members are in one, and the threads that share it."""

import numpy as np
import pytest
from bits import assert_same_results

from fastnn import SGD, Network, Stop, train_many
from fastnn.compiler.loader import IN_PYTHON
from fastnn.fused import preparation, side_by_side
from fastnn.many import block
from fastnn.many.driver import Driver

REAL = {name: getattr(block, name) for name in ("LEAST_WORK", "MEMBER_WORK")}
X = np.random.RandomState(0).rand(20, 3)


@pytest.fixture
def units(monkeypatch):
    """The units of each call."""
    found = []

    class Watched(Driver):
        def __init__(self, *given):
            super().__init__(*given)
            found.append(self.units)

    monkeypatch.setattr("fastnn.many.driver.Driver", Watched)
    return found


@pytest.mark.parametrize(("epochs", "n_threads"), [(1, 1), (1000, 4)])
def test_only_threads_that_pay_share_a_block(epochs, n_threads, units, monkeypatch):
    """One thread draws, so others would have nothing to do where drawing is the most of the work."""
    for name, value in REAL.items():
        monkeypatch.setattr(block, name, value)
    train_many(Network((3, 2, 1)), X, X[:, :1], seed=range(200), epochs=epochs, n_jobs=4)
    assert [unit.threads(4) for unit in units[0]] == [n_threads]


def test_blocks_end_with_whole_vectors_and_long_trainings_are_in_none(units):
    epochs = [*range(1000, 1200), 0, *range(600, 100, -1), 100_000]
    for n_jobs in 1, 2:
        many = train_many(Network((3, 2, 1)), X, X[:, :1], seed=0, epochs=epochs, n_jobs=n_jobs)
        assert many.n_epochs.tolist() == epochs
    for of_call, n_jobs in zip(units, (1, 2), strict=True):
        firsts = [unit.plans[0].number for unit in of_call]
        assert firsts == sorted(firsts)
        assert sorted(plan.number for unit in of_call for plan in unit.plans) == list(range(len(epochs)))
        blocks = [len(unit.plans) for unit in of_call if len(unit.plans) > 1]
        assert {unit.plans[0].number for unit in of_call if len(unit.plans) == 1} == {200, 701}
        assert max(unit.work for unit in of_call if len(unit.plans) > 1) < 1.2 * block.MOST_WORK * n_jobs
        assert all(n % side_by_side.n_at_a_time(Network((3, 2, 1)), X.dtype, 20) == 0 for n in blocks[:-1])


@pytest.mark.skipif(IN_PYTHON, reason="one thread calls what is Python")
@pytest.mark.parametrize("stop", [None, Stop(patience=3, restore_best=True, validation=0.2)])
@pytest.mark.parametrize("hidden", [2, 40])
def test_threads_share_a_block(hidden, stop, monkeypatch):
    """Side by side and one by one; it does not show in any bit."""
    shared, share = [], preparation.share
    monkeypatch.setattr(
        preparation, "share", lambda work, parts, n: share(work, shared.append([*parts]) or shared[-1], n)
    )
    options = {"seed": range(51), "epochs": [*range(3, 54)], "batch_size": 7, "stop": stop}
    one, several = (train_many(Network((3, hidden, 1)), X, X[:, :1], **options, n_jobs=n) for n in (1, 3))
    assert shared
    assert max(map(len, shared)) > 3
    assert len(np.unique(np.concatenate([*map(np.concatenate, shared)]))) > 40
    for name in "params", "n_epochs":
        np.testing.assert_array_equal(getattr(one, name), getattr(several, name))
    np.testing.assert_array_equal(one.history.loss, several.history.loss)


@pytest.mark.parametrize("case", ["diverged", "decided in Python"])
def test_threads_share_members_that_a_block_leaves_alone(case, monkeypatch):
    """Those that diverge are trained anew; without rows to score, accuracy is measured in Python."""
    shared, share = [], block.share
    monkeypatch.setattr(
        block, "share", lambda work, parts, threads: share(work, shared.append((len(parts), threads)) or parts, threads)
    )
    labels = np.eye(2)[(X[:, 0] > 0.5).astype(int)]
    network = Network((3, 2, 2), output="softmax")
    stop = None if case == "diverged" else Stop(restore_best=True, monitor="accuracy")
    rate = 1e308 if case == "diverged" else 0.1
    options = {"seed": range(9), "epochs": 3, "optimizer": SGD(rate), "stop": stop}
    many = train_many(network, X, labels, n_jobs=2, **options)
    assert max(shared)[0] > 1
    assert {threads for _, threads in shared} == {2}
    assert ("diverged" in many.stop_reason) == (case == "diverged")
    assert_same_results(many, train_many(network, X, labels, n_jobs=1, **options))
