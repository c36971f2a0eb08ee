"""The losses that a training tells, and the rates that it takes."""

import dataclasses

import numpy as np
import pytest
from bits import bits
from small_training import NETWORK, N, Recorder

from fastnn import SGD, History, Stop, cosine, one_cycle, train
from fastnn import loss_and_gradient as public_loss


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("zero", [False, True])
def test_loss_of_an_epoch(data, reduction, zero):
    """Weighted by rows for "mean", plainly summed for "sum"; skipped batches do not count."""
    recorder = Recorder()
    weight = np.ones(N)
    if zero:
        weight[5:10] = weight[20:] = 0
    network = dataclasses.replace(NETWORK, reduction=reduction)
    options = {"optimizer": SGD(0.01), "epochs": 3, "batch_size": 5, "shuffle": False, "sample_weight": weight}
    result = train(network, *data, **options, seed=0, backend=recorder)
    L = np.array(recorder.losses).reshape(3, 5)
    rows = np.array([5, 5, 5, 5, 3]) * ([1, 0, 1, 1, 0] if zero else 1)
    expected = L.sum(axis=1) if reduction == "sum" else (L * rows).sum(axis=1) / rows.sum()
    np.testing.assert_allclose(result.history.loss, expected, rtol=1e-14)


def test_loss_is_taken_before_the_updates(go, data, backend):
    result = go(epochs=1, batch_size=None)
    first = NETWORK.init_params(np.random.RandomState(3), np.float64)
    assert result.history.loss[0] == public_loss(NETWORK, first, *data, backend=backend)[0]


def test_learning_rate_is_of_the_absolute_step(data):
    recorder = Recorder()
    rate = cosine(0.1, steps=20)
    options = {"optimizer": SGD(rate), "epochs": 2, "batch_size": 5, "backend": recorder}
    a = train(NETWORK, *data, **options, seed=0)
    train(NETWORK, *data, **options, resume=a.state)
    assert recorder.rates == [rate(step) for step in range(20)]
    recorder.rates.clear()
    train(NETWORK, *data, **options | {"optimizer": SGD(lambda step: 1 / (1 + step))}, seed=0)
    assert recorder.rates == [1 / (1 + step) for step in range(10)]


@pytest.mark.parametrize("validation", [None, 0.3])
def test_a_history_as_columns_of_one_length(go, data, validation):
    pandas = pytest.importorskip("pandas")
    history = go(epochs=3, stop=Stop(validation=validation)).history
    frame = pandas.DataFrame(history.to_dict())
    assert list(frame.columns) == ["epoch", "loss", "validation_loss", "learning_rate", "score"]
    np.testing.assert_array_equal(frame["epoch"], [1, 2, 3])
    np.testing.assert_array_equal(frame["loss"], history.loss)
    np.testing.assert_array_equal(frame["validation_loss"], history.validation_loss if validation else [np.nan] * 3)
    np.testing.assert_array_equal(frame["learning_rate"], [0.01] * 3)
    np.testing.assert_array_equal(frame["score"], history.validation_loss if validation else history.loss)


def test_the_best_epoch_is_that_of_the_validation_data_where_there_are_some():
    losses = np.array([3.0, 1.0, 2.0])
    assert History(losses, np.zeros(0), 0.1).best_epoch == 2
    assert History(losses, np.array([np.nan, 5.0, 4.0]), 0.1).best_epoch == 3
    assert History(np.zeros(0), np.zeros(0), 0.1).best_epoch == 0
    nothing = History(losses, np.zeros(0), 0.1, measured=np.full(3, np.nan), monitor="mine")
    assert nothing.best_epoch == 0
    assert "mine nan," in repr(nothing)
    assert History(losses, losses, 0.1, measured=np.array([0.5, np.nan, 0.5]), monitor="r2").best_epoch == 1


def test_the_best_epoch_is_that_of_the_parameters_that_are_restored(go):
    """The training loss of an epoch is that before its updates: the lowest one is not of the best parameters."""
    options = {"optimizer": SGD(1.6), "alpha": 0.1, "batch_size": None, "epochs": 12}
    result = go(**options, stop=Stop(restore_best=True))
    best = result.history.best_epoch
    assert 1 < best < 12
    assert bits(result.params) == bits(go(**options | {"epochs": best}).params)
    assert result.history.score.min() == result.history.score[best - 1] == result.state.counters["best_score"]


@pytest.mark.parametrize("batch_size", [None, 5])
def test_the_rate_of_an_epoch_is_that_of_its_last_step(go, batch_size):
    rate = one_cycle(0.1, steps=20)
    history = go(optimizer=SGD(rate), batch_size=batch_size).history
    n = 5 if batch_size else 1
    assert history.learning_rate.tolist() == [rate(n * epoch + n - 1) for epoch in range(6)]
