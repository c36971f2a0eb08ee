"""Members that train side by side, each in a lane of vectors, have the bits of a training alone."""

import functools

import numpy as np
import pytest
from bits import assert_same_params
from drawn import SEEDS, DrawnGroup, differences, draw_group, trained
from watched import watch

from fastnn import SGD, Adam, Network, train, train_many
from fastnn.fused import side_by_side
from fastnn.memory import ALIGNMENT, aligned_zeros, padded_size
from fastnn.state import Data, Steps, StepStates, Task

NETWORK = Network((2, 3, 1), "tanh")
PAYS = 1 << 30  # numbers for which lanes pay: any


def small_group(dtype, m, n_steps=3, weight=1.0, scale=1.0):
    """A group of `m` members with batches of three rows, in orders of their own."""
    random = np.random.RandomState(0)
    data = Data(
        *(a.astype(dtype) for a in (random.rand(5, 2), random.rand(5, 1), np.full(5, weight)))
    )
    storage = aligned_zeros((m, 3, padded_size(NETWORK.n_params, np.dtype(dtype))), np.dtype(dtype))
    storage[:, 0, : NETWORK.n_params] = random.standard_normal((m, NETWORK.n_params)) * scale
    orders = np.array([random.permutation(5) for _ in range(m)])
    start = np.zeros(n_steps, np.int64)
    steps = Steps(orders, start, start + 3, np.ones((1, n_steps)), np.zeros((m, n_steps)))
    state = StepStates(storage, NETWORK.n_params, np.zeros(m, np.int64), np.ones((m, 2)))
    task = Task(NETWORK, Adam(0.1), data, 0.01)
    return DrawnGroup([task], np.zeros(m, np.int64), state, steps, np.full(m, n_steps))


@pytest.fixture
def n_lanes(dtype):
    return ALIGNMENT // np.dtype(dtype).itemsize


@pytest.fixture
def orders(monkeypatch):
    """A function of the orders in which members have gone into lanes so far."""
    calls = watch(monkeypatch, side_by_side, "orders_of")
    return lambda: [order.tolist() for call in calls for _, order in call.result]


@pytest.mark.nojit
def test_a_small_group_has_the_bits_of_each_member_alone(dtype, n_lanes, orders):
    group = small_group(dtype, n_lanes)
    assert differences(group) == []
    assert orders() == [list(range(n_lanes))]


@pytest.mark.parametrize("seed", SEEDS)
def test_drawn_groups_have_the_bits_of_each_member_alone(seed, dtype):
    """With other vectors: in test_same_bits.py."""
    assert differences(draw_group(seed, dtype)) == []


@pytest.mark.nojit
@pytest.mark.parametrize("n_rows", [3, 8, 9, 16, 17, 32])
def test_a_sum_over_rows_has_the_sign_of_a_member_alone(n_rows, dtype, n_lanes, orders):
    """Products that underflow to -0.0: alone, padding beside the rows makes 0.0 of their sum, where
    there is any."""
    X = np.full((n_rows, 2), np.finfo(dtype).smallest_subnormal)
    Y = np.full((n_rows, 1), 0.1, dtype)
    options = {"optimizer": SGD(1.0), "epochs": 1, "batch_size": None}
    network = Network((2, 1), bias="none")
    params = np.full(2, -0.0, dtype)
    of_members = {"params": [params] * n_lanes, "seed": range(n_lanes), "n_jobs": 1}
    many = train_many(network, X, Y, **of_members, **options)
    alone = train(network, X, Y, params=params, **options)
    assert len(orders()) == 1
    assert not alone.params.any()
    assert_same_params(alone, *many)


def test_a_member_that_diverges_leaves_the_others_alone(dtype, n_lanes):
    """It counts its good steps, and keeps its state; in float32, what overflows there."""
    group = small_group(dtype, n_lanes, n_steps=6)
    group.state.storage[3, 0, : NETWORK.n_params] = np.finfo(dtype).max / 4
    good, state, losses = trained(group, PAYS)
    assert np.flatnonzero(good < 6).tolist() == [3]
    assert state.storage[3].tobytes() == group.state.storage[3].tobytes()
    assert losses[3, : good[3]].tobytes() == trained(group, 0)[2][3, : good[3]].tobytes()
    assert differences(group) == []


def test_what_goes_one_by_one(dtype, n_lanes, orders):
    """Too few members, sample weights, no steps at all, networks that are too large; and those with
    fewer steps."""
    trained(small_group(dtype, n_lanes // 2 - 1), PAYS)
    trained(small_group(dtype, n_lanes, weight=2.0), PAYS)
    trained(small_group(dtype, n_lanes, n_steps=0), PAYS)
    trained(small_group(dtype, n_lanes), 1)
    assert orders() == []
    group = small_group(dtype, 2 * n_lanes + 3)
    group.n_steps[5] = 1
    assert differences(group) == []
    m = n_lanes // 2  # half a group is enough for a small network
    assert differences(small_group(dtype, m)) == []
    # 3 of the first group's lanes would have something to do
    all_but_5 = [k for k in range(2 * n_lanes + 1) if k != 5]
    assert orders() == [all_but_5, [*range(m), *[m - 1] * m]]


@pytest.mark.nojit
def test_the_rule_knows_shapes_alone(monkeypatch):
    double, single = map(np.dtype, (np.float64, np.float32))
    monkeypatch.setattr(side_by_side, "most_numbers", lambda lanes: 100)
    for n_hidden, of_double, of_single in ((5, 8, 16), (50, 1, 1)):
        network = Network((3, n_hidden, 1))
        assert side_by_side.n_at_a_time(network, double, 6) == of_double
        assert side_by_side.n_at_a_time(network, single, 6) == of_single
    numbers = functools.partial(side_by_side.numbers_of, NETWORK)
    assert numbers(double, 8) == 2 * numbers(single, 8)
    assert numbers(double, 300) == numbers(double, 256)
