"""train_many: each member has what `train` alone gives it, whatever the threads, the grouping and the other members."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from same_results import assert_same_result

from fastnn import SGD, Adam, AdamW, Network, RMSprop, Stop, cosine, train, train_many

RANDOM = np.random.RandomState(3)
X = RANDOM.rand(20, 3)
Y = RANDOM.rand(20, 1)
NETWORK = Network((3, 5, 1), "sigmoid", "sigmoid")
WIDE = Network((3, 9, 4, 1), ("tanh", "relu"))

CASES = {
    "seeds": {"seed": range(6), "epochs": 30, "batch_size": None, "optimizer": SGD(0.5)},
    "mini-batches": {"seed": range(6), "epochs": 5, "batch_size": 7, "optimizer": Adam(0.1)},
    "no shuffle": {"seed": range(6), "epochs": 5, "batch_size": 7, "shuffle": False},
    "epochs": {"seed": range(6), "epochs": [1, 9, 0, 4, 30, 2], "batch_size": 7},
    "options": {
        "seed": 5,
        "alpha": [0.0, 0.1, 0.0, 0.3],
        "learning_rate": [0.1, 0.01, cosine(0.1, 12), cosine(0.2, 12)],
        "optimizer": [Adam(), Adam(beta_1=0.5), Adam(), Adam()],
        "epochs": 4,
        "batch_size": 6,
    },
    "optimizers": {
        "seed": [1, 2, 1, 2],
        "optimizer": [SGD(0.1), SGD(0.1, momentum=0.9), AdamW(), RMSprop()],
        "epochs": 4,
        "batch_size": 6,
    },
    "networks": {"networks": [NETWORK, WIDE, NETWORK, WIDE], "seed": range(4), "epochs": 3},
    "rows": {
        "rows": [np.array([0, 3, 3, 7, 19]), np.arange(10), np.array([1, 2, 2, 9, 1])],
        "seed": range(3),
        "epochs": 3,
        "batch_size": 2,
    },
    "folds": {"validation_rows": [np.arange(5), np.arange(5, 10), np.arange(10, 15)], "seed": 0, "epochs": 3},
    "weights": {"sample_weight": RANDOM.rand(3, 20), "seed": range(3), "epochs": 3, "batch_size": 6},
    "zero weights": {"sample_weight": (RANDOM.rand(3, 20) > 0.4) * 1.0, "seed": range(3), "epochs": 3, "batch_size": 3},
    "stop": {"seed": range(4), "epochs": 30, "stop": Stop(patience=2, validation=0.3, restore_best=True)},
    "data": {"X": RANDOM.rand(3, 20, 3), "Y": RANDOM.rand(3, 20, 1), "seed": 1, "epochs": 3, "batch_size": 6},
    "params": {"params": RANDOM.rand(4, NETWORK.n_params), "seed": range(4), "epochs": 3, "batch_size": 6},
    "float32": {"dtype": "float32", "seed": range(4), "epochs": 3, "batch_size": 6},
    "diverging": {"optimizer": SGD(), "learning_rate": [0.1, 1e308, 0.1], "seed": range(3), "epochs": 4},
}
SHARED = {"networks": NETWORK, "X": X, "Y": Y}


def alone(case, i):
    """The arguments of `train` for member i."""
    own = {}
    for name, value in (SHARED | case).items():
        each = isinstance(value, (list, range)) or (isinstance(value, np.ndarray) and value is not X and value is not Y)
        own[name] = value[i] if each else value
    if "learning_rate" in own:
        optimizer = own.get("optimizer", Adam())
        own["optimizer"] = dataclasses.replace(optimizer, learning_rate=own.pop("learning_rate"))
    own.setdefault("stop", Stop(on_divergence="stop"))
    return own.pop("networks"), own.pop("X"), own.pop("Y"), own


@pytest.mark.parametrize("n_jobs", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_a_member_is_what_it_is_alone(name, n_jobs, backend):
    """Parameters, history, state and stop reason, to the bit."""
    many = train_many(**SHARED | CASES[name], n_jobs=n_jobs, backend=backend)
    for i, result in enumerate(many):
        *data, options = alone(CASES[name], i)
        assert_same_result(result, train(*data, **options, backend=backend))


@pytest.mark.parametrize("name", ["seeds", "mini-batches", "rows", "stop", "options"])
def test_members_resume(name, backend):
    """Going on from the states gives what one longer training gives."""
    case = CASES[name]
    more = {key: case[key] for key in ("rows", "stop", "learning_rate", "optimizer") if key in case}
    begun = train_many(**SHARED | case, backend=backend)
    went_on = train_many(**SHARED | more, resume=[result.state for result in begun], epochs=2, backend=backend)
    for i, result in enumerate(went_on):
        *data, options = alone(case, i)
        options["epochs"] = 2
        resumed = {key: options[key] for key in ("rows", "stop", "optimizer", "epochs") if key in options}
        assert_same_result(result, train(*data, resume=begun[i].state, **resumed, backend=backend))


def test_the_order_of_members_changes_nothing():
    """A member of a list turned round is the same."""
    case = {"optimizer": Adam(0.1), "batch_size": 7}
    epochs = [3, 8, 1, 5, 5, 2]
    forward = train_many(**SHARED, **case, seed=range(6), epochs=epochs)
    backward = train_many(**SHARED, **case, seed=range(5, -1, -1), epochs=epochs[::-1])
    for there, back in zip(forward, reversed(backward), strict=True):
        assert_same_result(there, back)


def test_members_without_a_seed_differ():
    """Each draws its own, and its state goes on from there."""
    many = train_many(**SHARED, n=3, epochs=2, batch_size=None)
    assert not any(np.array_equal(a.params, b.params) for a, b in itertools.combinations(many, 2))
    again = train_many(**SHARED, resume=[result.state for result in many], epochs=1)
    assert_same_result(again[1], many[1].resume(X, Y, epochs=1))


def test_a_generator_of_the_callers_goes_on():
    """As it does from `train`."""
    own, twin = np.random.RandomState(4), np.random.RandomState(4)
    (result,) = train_many(**SHARED, seed=[own], epochs=2, batch_size=7)
    assert_same_result(result, train(NETWORK, X, Y, seed=twin, epochs=2, batch_size=7))
    assert own.randint(2**30) == twin.randint(2**30)
