"""The promise of train_many, over lists of mixed members: each has the bits that `train` alone gives it."""

import dataclasses

import hypothesis
import numpy as np
import pytest
from bits import assert_same_result, assert_same_results
from hypothesis import strategies as st

from fastnn import SGD, Adam, AdamW, Network, ReduceRate, RMSprop, Stop, cosine, train, train_many
from fastnn.many import block

RANDOM = np.random.RandomState(7)
X, Y = RANDOM.rand(21, 3), RANDOM.rand(21, 2)
NETWORKS = (
    Network((3, 5, 2)),
    Network((3, 9, 4, 2), ("tanh", "relu"), "sigmoid", "log_loss", bias="scalar"),
    Network((3, 2), output="sigmoid", reduction="sum"),
)
OPTIMIZERS = (SGD(0.1), SGD(0.3), SGD(0.1, momentum=0.9), Adam(0.05), Adam(0.05, sequential=True), AdamW(), RMSprop())
RATES = (0.05, 1e308, cosine(0.2, 30), lambda step: 0.1 / (1 + step))
RULES = (
    Stop(on_divergence="stop"),
    Stop(patience=1, tol=0.01, on_divergence="stop"),
    Stop(restore_best=True, on_divergence="stop"),
    Stop(restore_best=True, patience=1, on_divergence="stop"),
    Stop(validation=0.3, patience=2, restore_best=True, on_divergence="stop"),
    Stop(validation=(X[:4], Y[:4]), monitor="r2", restore_best=True, on_divergence="stop"),
    Stop(patience=4, reduce=ReduceRate(0.5, patience=1), on_divergence="stop"),
)
ROWS = (np.arange(9), np.array([3, 3, 3, 7, 20, 1, 1, 0, 2]), np.arange(20, -1, -1))
WEIGHTS = (np.linspace(0.5, 2, 21), (np.arange(21) % 10 > 0) * 1.0)
FIELDS = {
    "networks": st.sampled_from(NETWORKS),
    "optimizer": st.sampled_from(OPTIMIZERS),
    "learning_rate": st.none() | st.sampled_from(RATES),
    "epochs": st.integers(0, 9),
    "batch_size": st.sampled_from([None, 1, 4, 8, 21]),
    "shuffle": st.booleans(),
    "alpha": st.sampled_from([0.0, 0.1]),
    "seed": st.integers(0, 5),
    "rows": st.none() | st.sampled_from(ROWS),
    "sample_weight": st.none() | st.sampled_from(WEIGHTS),
    "stop": st.sampled_from(RULES[:1] + RULES),
    "params": st.booleans(),  # whether they are given
    "X": st.sampled_from([X, X[::-1].copy(), X.astype(np.float32)]),
    "Y": st.sampled_from([Y, Y[::-1].copy()]),
}


@st.composite
def drawn_members(draw):
    """The arguments of some members, of which those in `varying` differ between them."""
    varying = draw(st.sets(st.sampled_from([*FIELDS])))
    first = {name: draw(values) for name, values in FIELDS.items()}
    m = draw(st.integers(1, 7))
    members = [first | {name: draw(FIELDS[name]) for name in FIELDS if name in varying} for _ in range(m)]
    for member in members:
        params = np.random.RandomState(len(varying)).randn(member["networks"].n_params) / 4
        member["params"] = params if member["params"] else None
    return members, varying | {"params"}


def optimizer_of(member):
    """The member's optimizer, with its rate."""
    rate = member["learning_rate"]
    return member["optimizer"] if rate is None else dataclasses.replace(member["optimizer"], learning_rate=rate)


def alone(member, **shared):
    """What `train` gives a member."""
    options = member | {"optimizer": optimizer_of(member)}
    del options["learning_rate"]
    return train(options.pop("networks"), options.pop("X"), options.pop("Y"), **options, **shared)


def together(members, varying, **options):
    """What `train_many` gives them."""
    columns = {k: [member[k] for member in members] if k in varying else members[0][k] for k in members[0]}
    return train_many(**columns, n=len(members), **options)


@hypothesis.settings(max_examples=50)
@hypothesis.given(st.data())
def test_members_have_the_bits_that_train_gives_them(backend, data):
    members, varying = data.draw(drawn_members())
    dtype, n_jobs = data.draw(st.sampled_from([None, "float32", "float64"])), data.draw(st.integers(1, 4))
    members = data.draw(st.permutations(members))
    if len(members) > 1:  # one seed for all would be refused
        varying |= {"seed"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(block, "MOST_WORK", data.draw(st.sampled_from([10**4, 10**6, block.MOST_WORK])))
        found = together(members, varying, backend=backend, dtype=dtype, n_jobs=n_jobs)
        wanted = [alone(member, backend=backend, dtype=dtype) for member in members]
        assert_same_results(found, wanted)
        kept = ("networks", "X", "Y", "epochs", "rows", "sample_weight", "stop", "learning_rate", "optimizer")
        plainly = {"stop": RULES[0]} if data.draw(st.booleans()) else {}  # but a rate that has fallen stays so
        more = [
            {name: member[name] for name in kept} | {"resume": result.state} | plainly
            for member, result in zip(members, wanted, strict=True)
        ]
        found = together(more, varying & more[0].keys() | {"resume"}, backend=backend, dtype=dtype, n_jobs=n_jobs)
        for one, member in zip(found, more, strict=True):
            assert_same_result(one, alone(member, backend=backend, dtype=dtype))
