"""train_many: each member has what `train` alone gives it, whatever the threads, the grouping and the other members."""

from __future__ import annotations

import itertools

import numpy as np
from bits import assert_same_result

from fastnn import Network, train, train_many

RANDOM = np.random.RandomState(3)
X = RANDOM.rand(20, 3)
Y = RANDOM.rand(20, 1)
NETWORK = Network((3, 5, 1), "sigmoid", "sigmoid")
WIDE = Network((3, 9, 4, 1), ("tanh", "relu"))

SHARED = {"networks": NETWORK, "X": X, "Y": Y}


def test_members_without_a_seed_differ():
    many = train_many(**SHARED, n=3, epochs=2, batch_size=None)
    assert not any(np.array_equal(a.params, b.params) for a, b in itertools.combinations(many, 2))
    again = train_many(**SHARED, resume=[result.state for result in many], epochs=1)
    assert_same_result(again[1], many[1].resume(X, Y, epochs=1))


def test_a_generator_of_the_callers_goes_on():
    own, twin = np.random.RandomState(4), np.random.RandomState(4)
    (result,) = train_many(**SHARED, seed=[own], epochs=2, batch_size=7)
    assert_same_result(result, train(NETWORK, X, Y, seed=twin, epochs=2, batch_size=7))
    assert own.randint(2**30) == twin.randint(2**30)
