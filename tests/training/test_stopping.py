"""When a training stops: patience, validation data, the best parameters, time."""

import math
import time

import numpy as np
import pytest
from bits import bits
from small_training import N

import fastnn
from fastnn import SGD, ReduceRate, Stop
from fastnn.training.stopping import Patience


def count(rule, losses):
    """How many epochs with these losses it takes until the rule fires; None if it does not."""
    return next((i for i, loss in enumerate(losses, 1) if rule.fires(float(loss))), None)


def test_a_loss_that_is_lower_by_just_tol_is_no_improvement():
    assert count(Stop(tol=0.0, patience=3).rule(), np.ones(9)) == 4
    assert count(Stop(tol=0.5, patience=1).rule(), [2, 1.25, 0.75, 0.25]) == 3
    assert count(Patience(0.0, 1, strict=False), np.ones(9)) is None
    assert count(Patience(0.5, 1, strict=False), [2, 1.5, 1.0, 0.75]) == 4


def test_patience_counts_nan_and_infinity_as_no_improvement():
    rule = Stop(tol=0.0, patience=4).rule()
    assert count(rule, [1.0, math.nan, -math.inf, math.inf, math.nan]) == 5
    assert rule.best == 1.0
    assert count(Stop(patience=2).rule(), np.full(5, math.nan)) == 2


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_any_patience_is_one(go):
    for stop in Stop(patience=10**400), Stop(reduce=ReduceRate(patience=10**400)):
        assert bits(go(stop=stop).params) == bits(go().params)
    pytest.importorskip("sklearn")
    few, many = (fastnn.MLPRegressor(n_iter_no_change=n, max_iter=3, random_state=0) for n in (9, 10**400))
    fitted = [mlp.fit(np.eye(9), np.arange(9)).coefs_[0] for mlp in (few, many)]
    assert bits(fitted[0]) == bits(fitted[1])


def test_patience_and_tol_each_ask_for_the_rule(go):
    """Each alone has the other's default: a tol of 0, a patience of 10. A training that learns nothing ends."""
    still = {"optimizer": SGD(0.0), "batch_size": None, "epochs": 50}
    for given, n_epochs in (
        ({}, 50),
        ({"patience": 5}, 6),
        ({"patience": 1}, 2),
        ({"patience": 0}, 2),
        ({"tol": 0.0}, 11),
        ({"tol": 1e9, "patience": 3}, 4),
    ):
        for validation, reason in ((None, "tolerance"), (0.3, "validation")):
            result = go(**still, stop=Stop(**given, validation=validation))
            assert (result.n_epochs, result.stop_reason) == (n_epochs, reason if given else "epochs")


def test_validation_data_take_the_dtype_of_the_training(go, data):
    X, Y = data
    assert go(X.astype(np.float32), stop=Stop(validation=(X[:7], Y[:7]))).params.dtype == np.float32


def test_max_seconds(go):
    before = time.perf_counter()
    result = go(epochs=10**9, stop=Stop(max_seconds=0.2))
    assert result.stop_reason == "time"
    assert 0.2 <= result.history.seconds <= time.perf_counter() - before < 20
    assert go(stop=Stop(max_seconds=1000)).stop_reason == "epochs"
    assert go(epochs=1, resume=result.state).n_epochs == 1


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"tol": -1}, "tol must be at least 0"),
        ({"tol": math.nan}, "tol must be finite"),
        ({"patience": -1}, "patience must be at least 0"),
        ({"patience": 1.5}, "patience must be an integer"),
        ({"validation": 0}, "greater than 0"),
        ({"validation": 1.0}, "less than 1"),
        ({"validation": True}, "between 0 and 1"),
        ({"validation": "0.1"}, "between 0 and 1"),
        ({"validation": (1,)}, "not 1 things"),
        ({"restore_best": 1}, "True or False"),
        ({"max_seconds": 0}, "max_seconds must be greater than 0"),
        ({"validation": 20}, "part of the rows .* not 20: for so many rows say 20 / len"),
        ({"validation": 1}, "validation must be greater than 0 and less than 1, not 1"),
        ({"on_divergence": "ignore"}, "raise, stop"),
        ({"on_interrupt": "ask"}, "on_interrupt"),
        ({"reduce": 0.5}, r"reduce must be a ReduceRate, such as ReduceRate\(0.5\), not 0.5"),
    ],
)
def test_stop_refuses(options, match):
    with pytest.raises((TypeError, ValueError), match=match):
        Stop(**options)


def test_validation_parts_must_not_be_empty(go, data):
    X, Y = data
    with pytest.raises(ValueError, match="none to train on"):
        go(X[:2], Y[:2], stop=Stop(validation=0.6))
    with pytest.raises(ValueError, match="validation: X has 2 columns"):
        go(stop=Stop(validation=(X[:, :2], Y)))
    with pytest.raises(ValueError, match="validation: Y must be finite"):
        go(stop=Stop(validation=(X, Y * math.nan)))
    split = go(stop=Stop(validation=0.3)).state
    weight = np.ones(N)
    weight[split.validation_rows] = 0
    with pytest.raises(ValueError, match="split off for validation"):
        go(sample_weight=weight, stop=Stop(validation=0.3))
    with pytest.raises(ValueError, match="left to train on"):
        go(sample_weight=1 - weight, resume=split)
