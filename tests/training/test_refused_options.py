"""Bad options of `train` are refused with the same words by both back ends, and a network that exhausts memory is."""

import itertools
import math

import numpy as np
import pytest
from good_input import NETWORK, PARAMS, RESULT, X, Y, assert_refused, with_value

from fastnn import SGD, Adam, Network, loss_and_gradient, predict, train
from fastnn.optimizers import OPTIMIZERS, RPROP, AdamW

BIG = Network((10**6, 10**6, 1))
REFUSED = {
    "a dtype that is not computed in": ({"dtype": "float16"}, ValueError, "'float32' or 'float64', not 'float16'"),
    "a dtype that there is not": ({"dtype": "single precision"}, ValueError, "dtype must be 'float32' or 'float64'"),
    "something else for a dtype": (
        {"dtype": X},
        ValueError,
        "dtype must be 'float32' or 'float64', not ndarray of shape",
    ),
    "too large for the dtype, and a gap after it": (
        {"dtype": "float32", "X": with_value(X, ([2, 3], [1, 0]), [1e39, np.nan])},
        ValueError,
        "X[2, 1] is inf in float32, which cannot hold 1e+39",
    ),
    "too large for the dtype": (
        {"dtype": "float32", "X": with_value(X, (2, 1), -1e39)},
        ValueError,
        "X must be finite; X[2, 1] is -inf in float32, which cannot hold -1e+39",
    ),
    "no batch": ({"batch_size": 0}, ValueError, "batch_size must be at least 1, not 0"),
    "a negative batch": ({"batch_size": -3}, ValueError, "batch_size must be at least 1, not -3"),
    "half a batch": ({"batch_size": 2.5}, TypeError, "batch_size must be an integer, not 2.5"),
    "negative epochs": ({"epochs": -1}, ValueError, "epochs must be at least 0"),
    "negative alpha": ({"alpha": -0.1}, ValueError, "alpha must be at least 0, not -0.1"),
    "alpha that is not finite": ({"alpha": math.nan}, ValueError, "alpha must be finite, not nan"),
    "a rate that becomes negative": (
        {"optimizer": SGD(lambda step: 1 - step), "epochs": 5},
        ValueError,
        "learning_rate(2) must be at least 0, not -1",
    ),
    "a rate that is no number": ({"optimizer": SGD(lambda step: "x")}, TypeError, "learning_rate(0) must be a number"),
    "RPROP in batches": ({"optimizer": RPROP(), "batch_size": 4}, ValueError, "RPROP takes full batches only"),
    "a name for an optimizer": (
        {"optimizer": "adam"},
        TypeError,
        "optimizer must be a fastnn Optimizer, not 'adam': say Adam()",
    ),
    "a class for an optimizer": ({"optimizer": AdamW}, TypeError, "AdamW'>: say AdamW()"),
    "another name for an optimizer": (
        {"optimizer": "lion"},
        TypeError,
        f"not 'lion': one of {', '.join(f'{name}()' for name in OPTIMIZERS)}",
    ),
    "patience for a stop rule": ({"stop": 3}, TypeError, "stop must be a fastnn Stop, not 3"),
    "sizes for a network": (
        {"network": (3, 4, 2)},
        TypeError,
        "network must be a fastnn Network, not (3, 4, 2): say Network((3, 4, 2))",
    ),
    "a result for a network": (
        {"network": RESULT},
        TypeError,
        "say result.network, or result.resume(X, Y, epochs=...) to go on",
    ),
    "a result for params": ({"params": RESULT}, TypeError, "say result.params"),
    "a file for a state": (
        {"resume": "x.npz", "seed": None},
        TypeError,
        "resume must be the state of a training result, not str; say resume=fastnn.load('x.npz').state",
    ),
    "epochs that are no integer": ({"epochs": 1.0}, TypeError, "epochs must be an integer"),
    "a word for shuffle": ({"shuffle": "no"}, TypeError, "shuffle must be True or False"),
    "nothing for shuffle": ({"shuffle": None}, TypeError, "shuffle must be True or False"),
    "a number for assume_finite": ({"assume_finite": 1}, TypeError, "assume_finite must be True or False"),
    "alpha that is infinite": ({"alpha": math.inf}, ValueError, "alpha must be finite"),
    "no alpha": ({"alpha": None}, TypeError, "alpha must be a number"),
    "a negative seed": ({"seed": -1}, ValueError, "seed must be from 0"),
    "a seed that is too large": ({"seed": 2**32}, ValueError, "seed must be from 0"),
    "a seed that is no integer": ({"seed": 1.0}, TypeError, "seed must be None, an integer"),
    "a flag for a seed": ({"seed": True}, TypeError, "seed must be None, an integer"),
    "another kind of generator": ({"seed": np.random.default_rng(0)}, TypeError, "not Generator"),
    "a generator of other words": ({"seed": np.random.RandomState(np.random.PCG64(1))}, ValueError, "not with PCG64"),
    "a number for an optimizer": ({"optimizer": 0}, TypeError, "optimizer must be a fastnn Optimizer, not 0"),
    "a callback without a list": ({"callbacks": print}, TypeError, "put this one into a list"),
    "a number for a callback": ({"callbacks": [print, 3]}, TypeError, "3 cannot"),
    "no callbacks": ({"callbacks": None}, TypeError, "callbacks must be a list of functions, not None"),
    "a callback of nothing": (
        {"callbacks": [lambda: None]},
        TypeError,
        "callbacks must be functions of one argument, the progress; <function",
    ),
    "a callback of two": ({"callbacks": [lambda epoch, loss: None]}, TypeError, "missing a required argument: 'loss'"),
    "X for a network": (
        {"network": X, "X": Y, "Y": NETWORK},
        TypeError,
        "network must be a fastnn Network, not ndarray of shape (12, 3): the network comes first",
    ),
    "layers for params": (
        {"params": [PARAMS[:12].reshape(3, 4), PARAMS[12:16], PARAMS[16:24].reshape(4, 2), PARAMS[24:]]},
        ValueError,
        "params must be one vector of 26 numbers, not a list of arrays: network.pack(weights, biases) makes one",
    ),
    "weights and biases for params": (
        {"params": (NETWORK.weights(PARAMS), NETWORK.biases(PARAMS))},
        ValueError,
        "not a tuple of arrays: network.pack(weights, biases)",
    ),
    "a network that exhausts memory": (
        {"network": BIG, "optimizer": Adam(), "X": np.broadcast_to(0.0, (1, 10**6)), "Y": np.ones((1, 1))},
        MemoryError,
        "has 1,000,002,000,001 parameters; with",
    ),
}
"""The options that differ from good ones, the exception, and a part of its text."""


@pytest.mark.parametrize("case", REFUSED)
def test_train_refuses_options(case):
    assert_refused(REFUSED[case], train)


OF_PREDICT = [case for case, (changed, *_) in REFUSED.items() if changed.keys() == {"params"}]
OF_LOSS = [case for case, (changed, *_) in REFUSED.items() if changed.keys() <= {"params", "alpha"}]


@pytest.mark.parametrize(
    ("function", "case"), [*itertools.product([predict], OF_PREDICT), *itertools.product([loss_and_gradient], OF_LOSS)]
)
def test_predict_and_loss_and_gradient_refuse_options(function, case):
    assert_refused(REFUSED[case], function)


def test_nothing_is_allocated_before_memory_is_refused(monkeypatch):
    def never(*args):
        raise AssertionError("allocated")

    monkeypatch.setattr("fastnn.training.initial.aligned_zeros", never)
    with pytest.raises(AssertionError, match="allocated"):
        train(NETWORK, X, Y, epochs=1)
    changed, kind, text = REFUSED["a network that exhausts memory"]
    with pytest.raises(kind, match=text):
        train(**changed, epochs=1)


@pytest.mark.skipif(np.finfo(np.longdouble).max == np.finfo(np.float64).max, reason="it holds no more than float64")
def test_a_number_beyond_float64_is_named():
    """It is written in its own dtype: as a float of Python it would be inf, "which cannot hold inf"."""
    huge = X.astype(np.longdouble)
    huge[0, 0] = np.longdouble("1e400")
    with pytest.raises(ValueError, match=r"X\[0, 0\] is inf in float64, which cannot hold 1e\+400$"):
        train(NETWORK, huge, Y, epochs=1)
