"""Bad options of `train` are refused with the same words by both back ends, and a network that exhausts memory is."""

import math

import numpy as np
import pytest
from good_input import NETWORK, PARAMS, RESULT, X, Y, assert_refused, with_value

from fastnn import SGD, Adam, Network, loss_and_gradient, predict, train
from fastnn.optimizers import OPTIMIZERS, RPROP, AdamW

BIG = Network((10**6, 10**6, 1))
OF_VALUES = [
    ({"dtype": "float16"}, "'float32' or 'float64', not 'float16'"),
    ({"dtype": "single precision"}, "dtype must be 'float32' or 'float64'"),
    ({"dtype": X}, "dtype must be 'float32' or 'float64', not ndarray of shape"),
    (
        {"dtype": "float32", "X": with_value(X, ([2, 3], [1, 0]), [1e39, np.nan])},
        "X[2, 1] is inf in float32, which cannot hold 1e+39",
    ),
    (
        {"dtype": "float32", "X": with_value(X, (2, 1), -1e39)},
        "X must be finite; X[2, 1] is -inf in float32, which cannot hold -1e+39",
    ),
    ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
    ({"batch_size": -3}, "batch_size must be at least 1, not -3"),
    ({"epochs": -1}, "epochs must be at least 0"),
    ({"alpha": -0.1}, "alpha must be at least 0, not -0.1"),
    ({"alpha": math.nan}, "alpha must be finite, not nan"),
    ({"optimizer": SGD(lambda step: 1 - step), "epochs": 5}, "learning_rate(2) must be at least 0, not -1"),
    ({"optimizer": RPROP(), "batch_size": 4}, "RPROP takes full batches only"),
    ({"alpha": math.inf}, "alpha must be finite"),
    ({"threads": 0}, "threads must be at least 1, not 0"),
    ({"seed": -1}, "seed must be from 0"),
    ({"seed": 2**32}, "seed must be from 0"),
    ({"seed": np.random.RandomState(np.random.PCG64(1))}, "not with PCG64"),
    (
        {"params": [PARAMS[:12].reshape(3, 4), PARAMS[12:16], PARAMS[16:24].reshape(4, 2), PARAMS[24:]]},
        "params must be one vector of 26 numbers, not a list of arrays: network.pack(weights, biases) makes one",
    ),
    (
        {"params": (NETWORK.weights(PARAMS), NETWORK.biases(PARAMS))},
        "not a tuple of arrays: network.pack(weights, biases)",
    ),
]
OF_TYPES = [
    ({"threads": 1.5}, "threads must be an integer, not 1.5"),
    ({"threads": True}, "threads must be an integer, not True"),
    ({"threads": "all"}, "threads must be an integer, not 'all'"),
    ({"batch_size": 2.5}, "batch_size must be an integer, not 2.5"),
    ({"optimizer": SGD(lambda step: "x")}, "learning_rate(0) must be a number"),
    ({"optimizer": "adam"}, "optimizer must be a fastnn Optimizer, not 'adam': say Adam()"),
    ({"optimizer": AdamW}, "AdamW'>: say AdamW()"),
    ({"optimizer": "lion"}, f"not 'lion': one of {', '.join(f'{name}()' for name in OPTIMIZERS)}"),
    ({"stop": 3}, "stop must be a fastnn Stop, not 3"),
    ({"network": (3, 4, 2)}, "network must be a fastnn Network, not (3, 4, 2): say Network((3, 4, 2))"),
    ({"network": RESULT}, "say result.network, or result.resume(X, Y, epochs=...) to go on"),
    ({"params": RESULT}, "say result.params"),
    (
        {"resume": "x.npz", "seed": None},
        "resume must be the state of a training result, not str; say resume=fastnn.load('x.npz').state",
    ),
    ({"epochs": 1.0}, "epochs must be an integer"),
    ({"shuffle": "no"}, "shuffle must be True or False"),
    ({"shuffle": None}, "shuffle must be True or False"),
    ({"assume_finite": 1}, "assume_finite must be True or False"),
    ({"alpha": None}, "alpha must be a number"),
    ({"seed": 1.0}, "seed must be None, an integer"),
    ({"seed": True}, "seed must be None, an integer"),
    ({"seed": np.random.default_rng(0)}, "not Generator"),
    ({"optimizer": 0}, "optimizer must be a fastnn Optimizer, not 0"),
    ({"callbacks": print}, "put this one into a list"),
    ({"callbacks": [print, 3]}, "3 cannot"),
    ({"callbacks": None}, "callbacks must be a list of functions, not None"),
    ({"progress": 2}, "progress must be True or False, not 2"),
    ({"callbacks": [lambda: None]}, "callbacks must be functions of one argument, the progress; <function"),
    ({"callbacks": [lambda epoch, loss: None]}, "missing a required argument: 'loss'"),
    (
        {"network": X, "X": Y, "Y": NETWORK},
        "network must be a fastnn Network, not ndarray of shape (12, 3): the network comes first",
    ),
]
EXHAUSTING = {"network": BIG, "optimizer": Adam(), "X": np.broadcast_to(0.0, (1, 10**6)), "Y": np.ones((1, 1))}
REFUSED = [(changed, ValueError, text) for changed, text in OF_VALUES]
REFUSED += [(changed, TypeError, text) for changed, text in OF_TYPES]
REFUSED += [(EXHAUSTING, MemoryError, "has 1,000,002,000,001 parameters; with")]
"""The options that differ from good ones, the exception, and a part of its text."""


@pytest.mark.parametrize(
    ("function", "changed", "kind", "text"),
    [(train, *case) for case in REFUSED]
    + [(predict, *case) for case in REFUSED if case[0].keys() == {"params"}]
    + [(loss_and_gradient, *case) for case in REFUSED if case[0].keys() <= {"params", "alpha"}],
)
def test_bad_options_are_refused(function, changed, kind, text):
    assert_refused((changed, kind, text), function)


def test_nothing_is_allocated_before_memory_is_refused(monkeypatch):
    def never(*args):
        raise AssertionError("allocated")

    monkeypatch.setattr("fastnn.training.initial.aligned_zeros", never)
    with pytest.raises(AssertionError, match="allocated"):
        train(NETWORK, X, Y, epochs=1)
    with pytest.raises(MemoryError, match="has 1,000,002,000,001 parameters; with"):
        train(**EXHAUSTING, epochs=1)


@pytest.mark.skipif(np.finfo(np.longdouble).max == np.finfo(np.float64).max, reason="it holds no more than float64")
def test_a_number_beyond_float64_is_named():
    """It is written in its own dtype: as a float of Python it would be inf, "which cannot hold inf"."""
    huge = X.astype(np.longdouble)
    huge[0, 0] = np.longdouble("1e400")
    with pytest.raises(ValueError, match=r"X\[0, 0\] is inf in float64, which cannot hold 1e\+400$"):
        train(NETWORK, huge, Y, epochs=1)


@pytest.mark.parametrize("wrong", [{"callbacks": [3]}, {"callbacks": 3}, {"verbose": -1}, {"verbose": "no"}], ids=str)
def test_what_is_refused_draws_nothing_from_the_generator_of_the_caller(wrong):
    generator = np.random.RandomState(0)
    with pytest.raises((TypeError, ValueError)):
        train(NETWORK, X, Y, epochs=1, seed=generator, **wrong)
    assert generator.rand() == np.random.RandomState(0).rand()
