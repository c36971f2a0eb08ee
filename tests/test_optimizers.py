"""The optimizers: values, their state vectors and defaults."""

import dataclasses
import json

import numpy as np
import pytest

from fastnn import SGD, Adam, cosine
from fastnn.optimizers import OPTIMIZERS, RPROP, AdamW


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_is_a_value(name):
    kind = OPTIMIZERS[name]
    assert kind() == kind()
    assert kind(0.5) != kind(0.25)
    assert hash(kind(0.5)) == hash(kind(np.float64(0.5)))
    assert kind().name == name
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind().learning_rate = 1.0
    described = json.loads(json.dumps(kind(cosine(0.1, 5)).to_dict()))
    assert described["name"] == name
    assert described["learning_rate"] == {"schedule": "cosine", "learning_rate": 0.1, "steps": 5, "final": 0.0}


def test_state_vectors():
    assert [SGD().n_slots, SGD(momentum=0.5).n_slots, SGD(momentum=0.0, nesterov=True).n_slots] == [0, 1, 0]
    assert [OPTIMIZERS[name]().n_slots for name in ("Adam", "AdamW", "RMSprop", "RPROP")] == [2, 2, 1, 2]
    assert [name for name in ("SGD", "Adam", "AdamW", "RMSprop", "RPROP") if OPTIMIZERS[name].full_batch] == ["RPROP"]


def test_defaults_are_the_papers_and_the_learning_rate_is_checked_first():
    assert (Adam().learning_rate, Adam().beta_1, Adam().beta_2, Adam().epsilon) == (0.001, 0.9, 0.999, 1e-8)
    assert AdamW().weight_decay == 0.01
    assert (RPROP.grow, RPROP.shrink, RPROP.smallest, RPROP.largest) == (1.2, 0.5, 1e-6, 50)
    with pytest.raises(ValueError, match="learning_rate"):
        AdamW(-1, beta_1=2, weight_decay=-1)
