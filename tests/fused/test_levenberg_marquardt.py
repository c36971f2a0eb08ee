"""Levenberg-Marquardt: the kernel and the reference do the same, whatever the network and the rows."""

import itertools

import numpy as np
import pytest

from fastnn import LevenbergMarquardt, Network, get_backend
from fastnn.losses import HIDDEN
from fastnn.state import Data, Steps, StepState, Task
from fastnn.testing.tolerances import assert_within, step_bound

NETWORKS = {
    "1-5-1": Network((1, 5, 1), "tanh"),
    "no hidden layer": Network((3, 2), "tanh"),
    "one parameter": Network((1, 1), bias="none"),
    "more parameters than one product's rows": Network((5, 17, 3), "tanh"),
    "deep": Network((4, 6, 7, 2), ("silu", "tanh")),
    "scalar bias": Network((4, 6, 7, 2), "tanh", bias="scalar"),
    "no bias": Network((4, 6, 7, 2), "tanh", bias="none"),
    "sum": Network((3, 5, 2), "tanh", reduction="sum"),
    **{f"hidden {name}": Network((3, 5, 2), name) for name in HIDDEN},
    **{
        f"output {name}": Network((3, 5, 2), "tanh", name, "squared_error")
        for name in ("sigmoid", "tanh", "softmax", "exp", "gelu")
    },
}


def drawn(network, n, seed=0, zero_weights=True):
    """Parameters, and rows with weights, of which every fifth is 0."""
    r = np.random.RandomState(seed)
    X, Y = r.uniform(-1, 1, (n, network.n_inputs)), r.uniform(0.1, 0.9, (n, network.n_outputs))
    weight = r.uniform(0.5, 2, n)
    if zero_weights:
        weight[4::5] = 0
    return r.uniform(-1, 1, network.n_params), Data(X, Y, weight)


def steps_of(data, n_steps):
    """Steps on all rows."""
    n = len(data.X)
    return Steps(np.arange(n), np.zeros(n_steps, int), np.full(n_steps, n), np.ones(n_steps), np.zeros(n_steps))


def step(network, params, data, damping, name, alpha=0.0, n_steps=1, **options):
    """Do a step with this damping: the state, its loss, and how many steps were done."""
    method = LevenbergMarquardt(damping=damping, min_grad=0, **options)
    state, steps = StepState.create(params, method.n_slots), steps_of(data, n_steps)
    good = get_backend(name).train_steps(Task(network, method, data, alpha), state, steps)
    return state, steps.loss, good


def assert_same_step(network, n, damping=1e-2, alpha=0.0, **options):
    params, data = drawn(network, n)
    right, loss, good = step(network, params, data, damping, "numpy", alpha, **options)
    found, own_loss, own_good = step(network, params, data, damping, "numba", alpha, **options)
    assert good == own_good == 1
    assert right.t == found.t == 1
    used = min(damping, right.vectors[1, 0] * 3)  # rejections raise it
    assert_within(found.params, right.params, step_bound(right.params - params, used) + 1e-14, "parameter")
    assert_within(own_loss, loss, 1e-9 * loss, "loss")
    assert_within(found.vectors[1:, 0], right.vectors[1:, 0], 1e-6 * right.vectors[1:, 0], "state")


@pytest.mark.nojit
@pytest.mark.parametrize("network", [pytest.param(v, id=k) for k, v in NETWORKS.items()])
def test_a_step_is_that_of_the_reference(network):
    assert_same_step(network, 23)
    assert_same_step(network, 23, alpha=0.5, adapt="tenfold")


@pytest.mark.parametrize("n", [1, 2, 8, 255, 256, 257, 511, 513, 700])
def test_blocks_of_rows_are_added_up(n):
    for network in (NETWORKS["1-5-1"], NETWORKS["deep"]):
        assert_same_step(network, n)


@pytest.mark.parametrize("damping", [1e3, 1e-3, 1e-6, 1e-9])
def test_a_smaller_damping_is_as_near_as_its_tolerance_says(damping):
    assert_same_step(NETWORKS["deep"], 100, damping)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("damping", [1e-3, 1e-8, 1e-12])
def test_a_step_solves_the_least_squares_problem_of_the_jacobian(damping, backend):
    """The step d minimizes ``|J d - r|^2 + mu S |d|^2``; J by differences of the outputs along complex steps."""
    network = Network((2, 7, 1), "tanh")
    params, data = drawn(network, 200, zero_weights=False)
    near = params + np.sqrt(damping) * np.random.RandomState(1).standard_normal(params.size)  # so that it is accepted
    data = data._replace(Y=get_backend("numpy").predict(network, near, data.X))
    state, _, good = step(network, params, data, damping, backend)
    assert good == 1
    assert state.vectors[1, 0] < damping, "a rejected step, whose damping is another"
    J = np.empty((200, params.size))
    for k in range(params.size):
        moved = params.astype(complex)
        moved[k] += 1e-30j
        J[:, k] = get_backend("numpy").predict(network, moved, data.X)[:, 0].imag / 1e-30
    root = np.sqrt(data.sample_weight)
    r = root * (get_backend("numpy").predict(network, params, data.X) - data.Y)[:, 0]
    augmented = np.concatenate([root[:, None] * J, np.sqrt(damping * data.sample_weight.sum()) * np.eye(params.size)])
    right = np.linalg.lstsq(augmented, np.concatenate([r, np.zeros(params.size)]), rcond=None)[0]
    assert_within(np.linalg.norm(params - state.params - right), 0, step_bound(right, damping) + 1e-15, "step")


def test_duplicate_and_constant_columns_and_more_parameters_than_rows_are_no_problem(backend):
    r = np.random.RandomState(0)
    x = r.uniform(-1, 1, (6, 1))
    X, network = np.concatenate([x, x, np.ones_like(x)], axis=1), Network((3, 8, 1), "tanh")
    data = Data(X, np.sin(3 * x), np.ones(6))
    _, losses, good = step(network, r.uniform(-1, 1, network.n_params), data, 1e-3, backend, n_steps=30)
    assert losses[good - 1] < 1e-8


@pytest.mark.parametrize("scale", [1e160, 1e-170])
def test_numbers_that_overflow_or_vanish_end_a_training_and_crash_nothing(scale, backend):
    network = Network((1, 3, 1), "tanh")
    params, data = drawn(network, 9)
    state, losses, good = step(network, params, data._replace(Y=data.Y * scale), 1e-3, backend, n_steps=50)
    assert np.isfinite(state.params).all()
    assert np.isfinite(losses[:good]).all()


@pytest.mark.parametrize("adapt", ["gain", "tenfold"])
def test_members_and_chunks_have_the_bits_of_one_call(adapt):
    network = Network((2, 4, 1), "tanh")
    params, data = drawn(network, 300)
    whole, losses, _ = step(network, params, data, 1e-3, "numba", n_steps=12, adapt=adapt)
    method = LevenbergMarquardt(min_grad=0, adapt=adapt)
    state = StepState.create(params, method.n_slots)
    for n in (1, 4, 7):
        assert get_backend("numba").train_steps(Task(network, method, data), state, steps_of(data, n)) == n
    assert state.vectors.tobytes() == whole.vectors.tobytes()
    assert (np.diff(losses) < 0).all()


def test_what_a_row_of_weight_0_holds_shows_in_no_bit():
    network = Network((2, 4, 1), "tanh")
    params, data = drawn(network, 30)
    unused = data.sample_weight == 0
    broken = Data(*(np.where(unused[:, None], np.nan, a) for a in data[:2]), data.sample_weight)
    states = [step(network, params, rows, 1e-3, "numba", n_steps=5)[0] for rows in (data, broken)]
    assert states[0].vectors.tobytes() == states[1].vectors.tobytes()


def test_all_ends_are_named(backend):
    network = Network((1, 3, 1), "tanh")
    params, data = drawn(network, 20, zero_weights=False)
    for (end, number), n_steps in itertools.product(
        [({"goal": 1e3}, 1), ({"min_grad": 1e9}, 2), ({"damping": 1e-3, "most_damping": 1e-4}, 3)], [1, 9]
    ):
        method = LevenbergMarquardt(**end)
        state, steps = StepState.create(params, method.n_slots), steps_of(data, n_steps)
        assert get_backend(backend).train_steps(Task(network, method, data), state, steps) == 0
        assert (state.t, method.ended(state.vectors)) == (0, method.ends[number - 1])
        assert (state.params == params).all()
        assert not state.vectors[1:3].any()
