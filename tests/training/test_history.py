"""The losses that a training tells, and the rates that it takes."""

import numpy as np
import pytest

from fastnn import History, Stop


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
