"""Blocks: how many threads they keep busy."""

import numpy as np
import pytest

from fastnn import Network, train_many
from fastnn.many import block
from fastnn.many import block as units

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


def test_several_threads_take_the_longest_units_first_and_end_with_small_ones(monkeypatch):
    """So they end at about one time: the last unit is a small part of all, and results are in the members' order."""
    for name, value in REAL.items():
        monkeypatch.setattr(block, name, value)
    found, right = [], units.units_of
    monkeypatch.setattr("fastnn.many.driver.units_of", lambda *given: found.append(right(*given)) or found[-1])
    X = np.random.RandomState(0).rand(20, 3)
    epochs = [*range(1000, 1200), 0, *range(600, 100, -1), 100_000]
    for n_jobs in 1, 2:
        many = train_many(Network((3, 2, 1)), X, X[:, :1], seed=0, epochs=epochs, n_jobs=n_jobs)
        assert many.n_epochs.tolist() == epochs
    (in_order, _), (by_work, n_threads) = found
    assert n_threads == 2
    firsts = [unit.plans[0].number for unit in in_order]
    assert firsts == sorted(firsts)
    works = [unit.work for unit in by_work]
    assert works == sorted(works, reverse=True)
    assert by_work[0].plans[0].n_epochs == 100_000
    assert works[-2] < sum(works[1:]) / 6
    assert sorted(plan.number for unit in by_work for plan in unit.plans) == list(range(len(epochs)))


@pytest.mark.parametrize("total", [8e6, 14e6, 30e6, 60e6, 1e9])
@pytest.mark.parametrize("n_threads", [2, 3])
def test_rounds_leave_no_thread_without_work(total, n_threads, monkeypatch):
    """In each round every thread has a block of the same size; blocks that would not pay are not made."""
    monkeypatch.setattr(block, "LEAST_WORK", REAL["LEAST_WORK"])
    rounds, sizes, left = block._Rounds(n_threads), [], int(total)
    while left > 0:
        sizes.append(rounds.next_size(left))
        left -= sizes[-1]
    assert left == 0
    assert min(sizes) >= min(REAL["LEAST_WORK"], total)
    assert len(sizes) % n_threads == 0 or len(sizes) == total // REAL["LEAST_WORK"] < n_threads
    load = [0] * n_threads
    for size in sorted(sizes, reverse=True):
        load[load.index(min(load))] += size
    assert max(load) - min(load) <= 0.01 * total or len(sizes) < n_threads
