"""Hostile arguments of constructors, generated: an object, or a documented exception."""

import dataclasses

import hypothesis.strategies as st
import numpy as np
import pytest
from hostile import SCALES, run, scalars, spoiled

import fastnn
from fastnn import Network, Stop
from fastnn.losses import ACTIVATIONS, LOSSES
from fastnn.network import BIAS_GRADIENTS, BIASES
from fastnn.optimizers import OPTIMIZERS


@pytest.mark.parametrize("scale", SCALES)
def test_constructors(scale):
    names = ("text", "relu", "tanh", "softmax", "log_loss", "mean", "SUM", "vector", "he")
    size = st.one_of(st.integers(-1, 5), scalars, st.just(10**30))
    word = st.one_of(st.sampled_from([*ACTIVATIONS, *LOSSES, *BIASES, *BIAS_GRADIENTS, *names]), scalars)
    number = st.one_of(st.floats(), st.floats(0, 1), st.floats(0, 1), scalars)
    one_or_each = st.one_of(word, st.lists(word, max_size=3))
    options = {field.name: word for field in dataclasses.fields(Network)}
    options |= {"sizes": st.one_of(st.lists(size, max_size=5), scalars), "activation": one_or_each}
    fields = {field.name for kind in OPTIMIZERS.values() for field in dataclasses.fields(kind)}
    calls = {
        Network: ({"sizes": st.just((3, 2))}, options | {"bias_init": number}),
        Stop: ({}, {field.name: number for field in dataclasses.fields(Stop)}),
        **{kind: ({}, dict.fromkeys(fields, number)) for kind in OPTIMIZERS.values()},
        fastnn.constant: ({"learning_rate": number}, {"x": number}),
        fastnn.step_decay: ({"learning_rate": number, "every": st.integers(0, 9)}, {"every": number, "factor": number}),
        fastnn.exponential: ({"learning_rate": number}, {"decay": number}),
        fastnn.cosine: ({"learning_rate": number, "steps": st.integers(0, 9)}, {"steps": number, "final": number}),
        fastnn.warm_up: ({"learning_rate": number, "steps": st.integers(0, 9)}, {"steps": number, "start": number}),
        fastnn.one_cycle: (
            {"learning_rate": number, "steps": st.integers(0, 9)},
            dict.fromkeys(("steps", "start", "final", "rise"), number),
        ),
        fastnn.ReduceRate: ({}, dict.fromkeys(("factor", "patience", "least"), number)),
        fastnn.every: ({"k": st.integers(1, 5), "callback": st.just(print)}, {"k": number, "callback": scalars}),
        fastnn.get_backend: ({"backend": st.sampled_from(["numpy", "numba"])}, {"backend": scalars}),
        Network.from_dict: (
            {"values": st.just(Network((3, 4, 2)).to_dict())},
            {"values": st.one_of(scalars, mappings(options))},
        ),
    }

    def body(function, arguments):
        value = function(**arguments)
        if isinstance(value, Network):
            assert Network.from_dict(value.to_dict()) == value
            assert value.n_params >= 1
        elif isinstance(value, fastnn.schedules.Schedule):
            with np.errstate(all="ignore"):
                assert isinstance(value(5), float)

    cases = [
        st.fixed_dictionaries({"function": st.just(function), "arguments": spoiled(good, bad)})
        for function, (good, bad) in calls.items()
    ]
    run(st.one_of(cases), body, 600 * scale)


def mappings(options):
    return st.dictionaries(st.one_of(st.sampled_from(sorted(options)), scalars.filter(_hashable)), scalars)


def _hashable(value):
    try:
        hash(value)
    except TypeError:
        return False
    return True


@pytest.mark.parametrize(
    "schedule",
    [
        fastnn.step_decay(0.5, every=10**400),
        fastnn.cosine(0.5, steps=10**400),
        fastnn.warm_up(0.0, steps=10**400, start=0.5),
        fastnn.one_cycle(0.5, steps=10**400, start=0.5),
    ],
)
def test_a_schedule_may_be_longer_than_any_training(schedule):
    assert schedule(0) == round(schedule(10**6), 9) == 0.5
