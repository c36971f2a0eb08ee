"""The promise of train_many: each member has the bits that `train` alone gives it, in whatever
blocks and threads."""

import dataclasses
import itertools

import hypothesis
import numpy as np
import pytest
from bits import assert_same_result, assert_same_results
from hypothesis import strategies as st
from watched import watch

from fastnn import SGD, Adam, AdamW, Network, ReduceRate, RMSprop, Stop, cosine, train, train_many
from fastnn.compiler.loader import IN_PYTHON
from fastnn.fused import preparation, side_by_side
from fastnn.many import block, driver

RANDOM = np.random.RandomState(7)
X = RANDOM.rand(21, 3)
Y = RANDOM.rand(21, 2)
NETWORKS = (
    Network((3, 5, 2)),
    Network((3, 9, 4, 2), ("tanh", "relu"), "sigmoid", "log_loss", bias="scalar"),
    Network((3, 2), output="sigmoid", reduction="sum"),
)
OPTIMIZERS = (
    SGD(0.1),
    SGD(0.3),
    SGD(0.1, momentum=0.9),
    Adam(0.05),
    Adam(0.05, sequential=True),
    AdamW(),
    RMSprop(),
)
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
    members = [
        first | {name: draw(FIELDS[name]) for name in FIELDS if name in varying} for _ in range(m)
    ]
    for member in members:
        params = np.random.RandomState(len(varying)).randn(member["networks"].n_params) / 4
        member["params"] = params if member["params"] else None
    return members, varying | {"params"}


def alone(member, **shared):
    options = member | shared
    rate = options.pop("learning_rate")
    if rate is not None:
        options["optimizer"] = dataclasses.replace(options["optimizer"], learning_rate=rate)
    return train(options.pop("networks"), options.pop("X"), options.pop("Y"), **options)


def together(members, varying, **options):
    columns = {
        k: [member[k] for member in members] if k in varying else members[0][k] for k in members[0]
    }
    return train_many(**columns, n=len(members), **options)


@hypothesis.settings(max_examples=50)
@hypothesis.given(st.data())
def test_members_have_the_bits_that_train_gives_them(backend, data):
    members, varying = data.draw(drawn_members())
    dtype = data.draw(st.sampled_from([None, "float32", "float64"]))
    n_jobs = data.draw(st.integers(1, 4))
    members = data.draw(st.permutations(members))
    if len(members) > 1:  # one seed for all would be refused
        varying |= {"seed"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            block, "MOST_WORK", data.draw(st.sampled_from([10**4, 10**6, block.MOST_WORK]))
        )
        found = together(members, varying, backend=backend, dtype=dtype, n_jobs=n_jobs)
        wanted = [alone(member, backend=backend, dtype=dtype) for member in members]
        assert_same_results(found, wanted)
        dropped = {"batch_size", "shuffle", "alpha", "seed", "params"}
        # but a rate that has fallen stays so
        plainly = {"stop": RULES[0]} if data.draw(st.booleans()) else {}
        kept = [{name: member[name] for name in FIELDS.keys() - dropped} for member in members]
        more = [
            own | {"resume": one.state} | plainly for own, one in zip(kept, wanted, strict=True)
        ]
        found = together(
            more, varying & more[0].keys() | {"resume"}, backend=backend, dtype=dtype, n_jobs=n_jobs
        )
        for one, member in zip(found, more, strict=True):
            assert_same_result(one, alone(member, backend=backend, dtype=dtype))


REAL = {name: getattr(block, name) for name in ("LEAST_WORK", "MEMBER_WORK")}
SMALL = Network((3, 2, 1))


@pytest.fixture
def units(monkeypatch):
    """The calls that divide members into units."""
    return watch(monkeypatch, driver, "units_of")


@pytest.mark.parametrize(("epochs", "n_threads"), [(1, 1), (1000, 4)])
def test_only_threads_that_pay_share_a_block(epochs, n_threads, units, monkeypatch):
    """One thread draws, so others would have nothing to do where drawing is the most of the
    work."""
    for name, value in REAL.items():
        monkeypatch.setattr(block, name, value)
    train_many(SMALL, X, X[:, :1], seed=range(200), epochs=epochs, n_jobs=4)
    assert [unit.threads(4) for unit in units[0].result] == [n_threads]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_blocks_end_with_whole_vectors_and_long_trainings_are_in_none(n_jobs, units):
    epochs = [*range(1000, 1200), 0, *range(600, 100, -1), 100_000]
    many = train_many(SMALL, X, X[:, :1], seed=0, epochs=epochs, n_jobs=n_jobs)
    assert many.n_epochs.tolist() == epochs
    numbers = [[member.number for member in unit.members] for unit in units[0].result]
    assert numbers == sorted(numbers)
    assert sorted(itertools.chain(*numbers)) == list(range(len(epochs)))
    assert [of_unit for of_unit in numbers if len(of_unit) == 1] == [[200], [701]]
    blocks = [unit for unit in units[0].result if len(unit.members) > 1]
    assert max(unit.work for unit in blocks) < 1.2 * block.MOST_WORK * n_jobs
    at_a_time = side_by_side.n_at_a_time(SMALL, X.dtype, len(X))
    assert [len(unit.members) % at_a_time for unit in blocks[:-1]] == [0] * (len(blocks) - 1)


@pytest.mark.skipif(IN_PYTHON, reason="one thread calls what is Python")
@pytest.mark.parametrize("stop", [None, Stop(patience=3, restore_best=True, validation=0.2)])
@pytest.mark.parametrize("hidden", [2, 40])
def test_threads_share_a_block(hidden, stop, monkeypatch):
    share = preparation.share
    shared = []

    def watched(work, parts, n_threads):
        shared.append([*parts])
        return share(work, shared[-1], n_threads)

    monkeypatch.setattr(preparation, "share", watched)
    options = {"seed": range(51), "epochs": [*range(3, 54)], "batch_size": 7, "stop": stop}
    network = Network((3, hidden, 1))
    one = train_many(network, X, X[:, :1], **options, n_jobs=1)
    assert_same_results(one, train_many(network, X, X[:, :1], **options, n_jobs=3))
    assert max(map(len, shared)) > 3
    assert len(np.unique(np.concatenate([*itertools.chain(*shared)]))) > 40
