"""assert_backends_match: right back ends pass whatever update they use; a bug is named by part,
step and place."""

import re

import numpy as np
import pytest
from mutants import MUTANTS, with_activation
from ordinary import only

from fastnn import Network, loss_and_gradient, predict, reference, testing, train, workloads
from fastnn.losses import LOSSES
from fastnn.network import Loss
from fastnn.optimizers import OPTIMIZERS, RPROP, SGD, Adam, AdamW, RMSprop
from fastnn.reference import NumpyBackend
from fastnn.schedules import step_decay
from fastnn.testing.cases import OPTIMIZER_CASES, draw_training
from fastnn.testing.trainings import plan_course

NETWORK = Network((3, 5, 2), "tanh")
X = np.random.RandomState(0).standard_normal((23, 3))
Y = np.sin(X[:, :2])
WEIGHT = np.arange(23) % 3 + 0.5
WEIGHT[5::7] = 0
OPTIONS = {"batch_size": 7, "alpha": 0.3, "sample_weight": WEIGHT}


def match(*backends, network=NETWORK, data=(X, Y), **options):
    return testing.assert_backends_match(
        network, *data, backends=backends, **{"optimizer": SGD()} | OPTIONS | options
    )


def difference(backend, **options):
    with pytest.raises(AssertionError) as error:
        match("numpy", backend, **options)
    return str(error.value)


class Changed(NumpyBackend):
    """The reference; `change(state, before, start)` works on what a call leaves, "bad" calls its
    first step bad."""

    name = "changed"

    def __init__(self, change):
        self.change = change

    def train_steps(self, task, state, steps):
        before = state.copy()
        n_good = super().train_steps(task, state, steps)
        return 0 if self.change(state, before, steps.start) == "bad" else n_good


@pytest.mark.parametrize(("name", "options"), OPTIMIZER_CASES)
def test_both_back_ends_match_in_either_order(name, options, dtype):
    network = Network((4, 9, 5, 3), ("relu", "gelu"), "sigmoid", "log_loss", bias="scalar")
    params, X, Y, weight = draw_training(network, 40, dtype)
    given = {
        "optimizer": OPTIMIZERS[name](0.01, **options),
        "params": params,
        "sample_weight": weight,
    }
    given |= {"batch_size": None if name == "RPROP" else 9, "steps": 12}
    for backends in (("numpy", "numba"), ("numba", "numpy", Changed(lambda *_: None))):
        assert 0 < max(testing.assert_backends_match(network, X, Y, backends=backends, **given)) < 1


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("sequential", [False, True])
def test_where_gradients_cancel_an_optimizer_that_takes_their_sign_is_not_wrong(
    name, sequential, dtype
):
    """At the first step all gradients are rounding errors, of any sign; some optimizers make whole
    steps of them."""
    network = Network((3, 6, 2), "tanh")
    params = network.init_params(np.random.RandomState(0), dtype)
    rows = X[:8].astype(dtype)
    above = np.random.RandomState(1).uniform(0.1, 1, (8, 2)).astype(dtype)
    output = predict(network, params, rows, backend="numpy")
    data = np.tile(rows, (2, 1)), np.concatenate([output + above, output - above])
    _, one = loss_and_gradient(network, params, *data, backend="numpy")
    _, other = loss_and_gradient(network, params, *data, backend="numba")
    assert (np.sign(one) != np.sign(other)).sum() > 3
    optimizer = OPTIMIZERS[name](0.01, sequential=sequential)
    options = {"params": params, "optimizer": optimizer, "steps": 1}
    found = testing.assert_backends_match(network, *data, **options)
    assert (0 < found.update <= 1) == (name != "SGD")


def test_a_workload_brings_all_it_needs():
    found = testing.assert_backends_match(workloads.load("seed"), steps=5)
    assert 0 < max(found) < 1
    again = testing.assert_backends_match(workloads.load("seed"), steps=5, optimizer=Adam(0.1))
    assert again.gradient == found.gradient
    assert again.update != found.update
    with pytest.raises(TypeError, match="brings its own X and Y"):
        testing.assert_backends_match(workloads.load("seed"), X, Y)


def test_the_steps_are_those_of_a_training(dtype):
    given = OPTIONS | {"optimizer": Adam(step_decay(0.05, 3)), "seed": 3}
    course = plan_course(NETWORK, X.astype(dtype), Y, 8, **given)
    state = course.state.copy()
    losses = course.do(NumpyBackend(), state)
    result = train(NETWORK, X.astype(dtype), Y, epochs=2, backend="numpy", **given)
    assert state.params.tobytes() == result.params.tobytes()
    assert losses[:4] @ [7, 7, 7, 2] / 23 == pytest.approx(result.history.loss[0], rel=1e-6)


NAMED = {
    "no bias gradient": (
        SGD(0.1),
        r"batch of step 0: gradient by b of layer 1 \[0\] is 0\.0 on broken and -0\.957",
    ),
    "penalty on biases": (SGD(0.1), r"batch of step 0: gradient by b of layer 1 \[1\]"),
    "a mean is divided by the number of rows": (SGD(0.1), "batch of step 0: loss of broken: 1.59"),
    "weights ignored": (SGD(0.1), "batch of step 0: loss of broken"),
    "float64 computed in float32": (SGD(0.1), "batch of step 0: loss of broken"),
    "Adam's moments swapped": (
        Adam(),
        r"lockstep, step 0 of Adam: W of layer 1 \[0, 0\] in row 1 of the state",
    ),
    "Adam without bias correction": (
        Adam(),
        r"lockstep, step 0 of Adam: W of layer 1 \[\d, \d\] is",
    ),
    "AdamW decays biases": (
        AdamW(weight_decay=0.5),
        r"lockstep, step 0 of AdamW: b of layer 1 \[0\] is",
    ),
    "Nesterov's momentum is the plain one": (
        SGD(0.1, 0.9, nesterov=True),
        r"step 0 of SGD: W of layer 1 \[4, 0\]",
    ),
    "the order of the rows ignored": (SGD(0.1), "lockstep, step 0 of SGD: W of layer 1"),
    "sequential ignored": (Adam(0.01, sequential=True), "lockstep, step 0 of Adam: W of layer 0"),
    "activations of the last step": (SGD(0.1), r"update in lockstep, step 9 of SGD: W of layer 1"),
    "a short last batch divided by a full one's rows": (
        SGD(0.1),
        r"free steps of SGD: broken's loss of step\[\d\]",
    ),
    "the first learning rate for all steps": (
        SGD(step_decay(0.1, 3)),
        r"free steps of SGD: broken's loss of step\[4\]",
    ),
}


def bad_if(condition):
    return lambda state, before, start: "bad" if condition(before, start) else None


def scaled_by(size):
    """A step that is longer or shorter by a billionth is too long or too short."""

    def change(state, before, start):
        state.params[...] += size * (state.params - before.params)

    return change


def between_steps(state, before, start):
    if len(start) > 1 and before.t <= 4 < before.t + len(start):
        state.params[7] += 1e-6


NOT_FINITE = "changed reports a loss or a parameter that is not finite"
CHANGES = [
    (between_steps, SGD(0.1), r"^free steps of SGD, after 20 steps: W of layer 0 \[1, 2\] is "),
    (
        lambda state, before, _: setattr(state, "t", before.t),
        Adam(),
        r"step 0 of Adam: t and .* of changed\[0\]",
    ),
    (
        lambda state, *_: state.beta_products.fill(1),
        Adam(),
        r"step 0 of Adam: t and beta_products of changed\[1\]",
    ),
    (
        bad_if(lambda before, start: before.t == 2),
        SGD(),
        f"^update in lockstep, step 2 of SGD: {NOT_FINITE}",
    ),
    (
        bad_if(lambda before, start: len(start) > 1),
        SGD(),
        f"^free steps of SGD, step 0: {NOT_FINITE}",
    ),
    *(
        (scaled_by(size), optimizer, "update in lockstep, step 0")
        for optimizer in (SGD(0.1), Adam(0.01), RMSprop(0.01), AdamW(0.01), SGD(0.1, 0.9))
        for size in (1e-9, -1e-9)
    ),
]


BUGS = [pytest.param(MUTANTS[name].make(), *case, id=name) for name, case in NAMED.items()]


@pytest.mark.parametrize(
    ("backend", "optimizer", "words"), [*BUGS, *((Changed(c), *case) for c, *case in CHANGES)]
)
def test_a_bug_is_named(backend, optimizer, words):
    text = difference(backend, optimizer=optimizer)
    assert re.search(words, text), text


def training_with_a_kink():
    """Row 2 has a z of 0, but for rounding, in each neuron of the first layer."""
    network = Network((3, 5, 2), bias="none")
    params = network.init_params(np.random.RandomState(1))
    W = network.weights(params)[0]
    W[0] = -(X[2, 1:] @ W[1:]) / X[2, 0]
    assert np.flatnonzero(~testing.away_from_kinks(network, params, X, Y)).tolist() == [2]
    return {"network": network, "params": params, "batch_size": None, "sample_weight": None}


def test_on_which_side_of_a_kink_a_row_lies_is_nobody_s_fault():
    """A kink in some rows leaves the others to be compared."""
    other_side = with_activation(
        "relu", delta=lambda d, a, z: np.where((z > 0) ^ (abs(z) < 1e-12), d, 0)
    )
    assert max(match("numpy", other_side(), **training_with_a_kink(), steps=1)) < 1
    all_rows = with_activation("relu", delta=lambda d, a, z: np.where((z > 0) ^ (abs(z) < 1), d, 0))
    assert "gradient by W of layer 0" in difference(all_rows(), **training_with_a_kink())


def test_a_new_loss_that_jumps_is_known_by_its_kinks(monkeypatch):
    """A pinball loss whose derivative jumps where a - y is 1."""

    def d(a, y):
        return np.where((a - y).real > 1, 0.9, -0.1)

    value = "0.9 (e-1) where e > 1 else -0.1 (e-1), e = a-y"
    monkeypatch.setitem(LOSSES, "pinball", Loss(value, ("identity",), kinks=(1.0,)))
    functions = reference.LossFunctions(lambda a, y: (a - y - 1) * d(a, y), d)
    monkeypatch.setitem(reference.LOSS_FUNCTIONS, "pinball", functions)
    network = Network((1, 1), loss="pinball")
    params = np.array([1.0, 0.0])
    X = np.array([[0.5], [1.0], [1.5]])
    assert testing.check_gradient(network, params, X, [[-2], [1], [2]]) < 1
    Y = X - [[1.5], [1.0], [0.5]]
    assert testing.away_from_kinks(network, params, X, Y).tolist() == [True, False, True]
    with pytest.raises(ValueError, match="near a kink"):
        testing.check_gradient(network, params, X, Y)


ON_KINKS = {
    "network": Network((1, 1), loss="absolute_error", bias="none"),
    "data": np.ones((2, 3, 1)),
    "params": [1.0],
}


@pytest.mark.parametrize(
    ("backends", "options", "words"),
    [
        (("numpy",), {}, "at least two"),
        (("numpy", "numbq"), {}, "unknown backend 'numbq'"),
        (("numpy", "numba"), {"steps": 0}, "steps must be at least 1"),
        (
            ("numpy", "numba"),
            {"optimizer": SGD(1e200)},
            "numpy diverges at step 1, so there is nothing to compare",
        ),
        (("numpy", "numba"), {"optimizer": RPROP()}, "RPROP takes full batches only"),
        (("numpy", only(loss="poisson")), {}, "'only' cannot train this network with SGD"),
        (("numpy", "numba"), ON_KINKS | {"sample_weight": None}, "all rows .* lie near a kink"),
    ],
)
def test_what_cannot_be_compared_is_refused(backends, options, words):
    with pytest.raises(ValueError, match=words):
        match(*backends, **options)
