"""train(..., threads=): what may be asked for, what was used, and that it shows in nothing else."""

import drawn
import numpy as np
import pytest
from bits import history_bits, result_bits, state_bits
from hypothesis import given, settings
from small_training import SignalAt

import fastnn
from fastnn import Adam, InterruptWarning, Network, Stop, cores, train
from fastnn.training import epochs as pace
from fastnn.training import inputs

NETWORK = Network((23, 37, 3), "tanh")
X = np.random.RandomState(0).standard_normal((300, 23))
Y = np.sin(X[:, :3])
OPTIONS = {"epochs": 20, "batch_size": 100, "optimizer": Adam(), "seed": 0, "alpha": 0.01}


def trained(threads, **changed):
    return train(NETWORK, X, Y, threads=threads, **OPTIONS | changed)


def test_the_result_says_how_many_there_were():
    assert [trained(threads).threads for threads in (1, 2, 3, 99)] == [1, 2, 3, 6]
    assert "threads" in fastnn.TrainingResult.__doc__


def test_other_back_ends_have_one():
    assert trained(4, backend="numpy", epochs=1).threads == 1


@settings(max_examples=30)
@given(drawn.trainings(rows=(33, 70, 300, 600), batches=(None, 32, 100, 270)))
def test_any_training_has_the_same_bits(drawn):
    alone = result_bits(drawn.train("numba", threads=1, seed=0))
    for threads in (2, 3, 5, 8):
        assert result_bits(drawn.train("numba", threads=threads, seed=0)) == alone


@pytest.mark.parametrize("threads", [2, 5])
def test_stop_rules_count_as_ever(threads, monkeypatch):
    """Chunks are repeated, scores are taken, the best parameters are kept."""
    monkeypatch.setattr(pace, "FIRST_CHUNK_STEPS", 5)
    for stop in (Stop(patience=2, tol=1e-3), Stop(validation=0.2, patience=2, restore_best=True)):
        alone, together = (trained(n, stop=stop, epochs=100) for n in (1, threads))
        assert result_bits(together) == result_bits(alone)
        assert (alone.stop_reason, together.threads) == (
            ["tolerance", "validation"][stop.validation is not None],
            threads,
        )


@pytest.mark.parametrize("monitor", ["loss", "r2"])
def test_rows_that_are_not_trained_on_are_shared_too(monitor, monkeypatch, shared):
    """Where a batch of one row takes one thread, and the scores of each epoch take those that were asked for."""
    helpers, borrow = [], cores.borrow
    monkeypatch.setattr(cores, "borrow", lambda n: helpers.append(n) or borrow(n))
    rows = np.tile(X, (2, 1))
    stop = Stop(validation=(rows, np.sin(rows[:, :3])), monitor=monitor, restore_best=True)
    alone, *others = (trained(n, stop=stop, epochs=3, batch_size=1) for n in (1, 2, 3, 5))
    assert [result_bits(result) for result in others] == [result_bits(alone)] * 3
    assert [result.threads for result in (alone, *others)] == [1] * 4
    assert shared == [2] * 3 + [3] * 3 + [5] * 3
    assert helpers == ([1] * 3 + [2] * 6 if monitor == "r2" else []), "a prediction of 600 rows has three blocks"


@pytest.mark.parametrize("threads", [2, 3])
def test_an_interrupted_training_goes_on_with_another_number(threads, monkeypatch):
    monkeypatch.setattr(pace, "FIRST_CHUNK_STEPS", 5)
    with pytest.warns(InterruptWarning):
        first = trained(threads, callbacks=[SignalAt(2)])
    assert (first.stop_reason, first.threads) == ("interrupted", threads)
    rest = trained(threads + 2, resume=first.state, seed=None, epochs=OPTIONS["epochs"] - first.n_epochs)
    alone = trained(1)
    assert state_bits(rest.state)["vectors"] == state_bits(alone.state)["vectors"]
    assert history_bits(first, rest) == history_bits(alone)


def test_each_thread_takes_memory(monkeypatch):
    network, rows = Network((1, 2000, 1)), np.ones((256, 1))
    monkeypatch.setattr(inputs, "memory", lambda: 60_000_000)
    train(network, rows, rows, batch_size=None, epochs=1, threads=2)
    with pytest.raises(MemoryError, match="256 rows at a time it takes"):
        train(network, rows, rows, batch_size=None, epochs=1, threads=50)
    monkeypatch.setattr(inputs, "memory", lambda: 20_000_000)
    train(network, rows, rows, batch_size=None, epochs=1, threads=1)
    for threads in (2, None):  # who keep the deltas of all layers
        with pytest.raises(MemoryError, match="256 rows at a time it takes"):
            train(network, rows, rows, batch_size=None, epochs=1, threads=threads)
