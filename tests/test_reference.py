"""The reference: its gradient is the derivative of its loss, its formulas are those of the
documentation."""

import itertools
import math

import numpy as np
import pytest
from guards import full_batches

from fastnn import Network, get_backend, loss_and_gradient, reference, testing
from fastnn.formulas import probability
from fastnn.losses import ACTIVATIONS, HIDDEN, LOSSES
from fastnn.network import BIASES, REDUCTIONS
from fastnn.optimizers import OPTIMIZERS, RPROP, SGD
from fastnn.reference import NumpyBackend
from fastnn.state import Data, StepState, Task
from fastnn.testing.cases import PAIRS, draw


@pytest.mark.parametrize("activation", HIDDEN)
def test_gradient_is_the_derivative_of_the_loss(activation):
    for k, (loss, output) in enumerate(PAIRS, HIDDEN.index(activation)):
        sizes = (3, *((4,), (5, 2), (), (3, 3, 4))[k % 4], 2 + k % 2)
        options = {"bias": BIASES[k % 3]}
        network = Network(sizes, activation, output, loss, **options, reduction=REDUCTIONS[k % 2])
        problem = draw(network, 7, seed=k)
        options = {
            "sample_weight": problem.sample_weight,
            "alpha": 0.3 * (k % 4 < 2),
            "backend": "numba" if k % 2 else "numpy",
        }
        testing.check_gradient(network, *problem[:3], **options)


@pytest.mark.parametrize("size", [1e-10, -1e-10])
def test_a_gradient_that_is_wrong_by_a_ten_billionth_is_found(size, monkeypatch):
    network = Network((3, 4, 2), "tanh")
    problem = draw(network, 7)
    right = NumpyBackend.loss_and_gradient

    def scaled(*arguments):
        loss, gradient = right(*arguments)
        return loss, gradient * (1 + size)

    testing.check_gradient(network, *problem[:3])
    monkeypatch.setattr(NumpyBackend, "loss_and_gradient", scaled)
    with pytest.raises(AssertionError, match=r"gradient by W of layer 1 \[.*complex step"):
        testing.check_gradient(network, *problem[:3])


def test_what_has_no_gradient_is_refused():
    tutorial = Network((3, 5, 1), bias_gradient="times_bias")
    kinked = Network((3, 5, 1), bias="none")
    params, X, Y, _ = draw(kinked, 4)
    W = kinked.weights(params)[0]
    W[0] = -(X[2, 1:] @ W[1:]) / X[2, 0]  # z = 0 but for rounding
    with pytest.raises(ValueError, match="not the gradient of the loss"):
        testing.check_gradient(tutorial, *draw(tutorial, 4)[:3])
    with pytest.raises(ValueError, match="near a kink"):
        testing.check_gradient(kinked, params, X, Y)
    with pytest.raises(ValueError, match="takes no complex parameters: say loss='numpy'"):
        testing.check_gradient(kinked, params, X, Y, loss="numba")
    certain = Network((1, 2), output="softmax", loss="cross_entropy")
    with pytest.raises(ValueError, match="clips"):
        testing.check_gradient(certain, [99, 0, 0, 0], [[1]], [[0, 1]])


def plain_loss(network, params, X, Y, weight, alpha):
    """The documented formulas, a row at a time, with Python's floats."""
    weights = network.weights(params)
    biases = network.biases(params)
    loss = 0.0
    for x, y, w in zip(X, Y, weight, strict=True):
        a = x
        for layer, W, b in zip(network.layers, weights, biases, strict=True):
            z = a @ W + (b if layer.n_bias else 0)
            a = np.array(PLAIN_ACTIVATIONS[layer.activation](z.tolist()))
        loss += w * sum(map(PLAIN_LOSSES[network.loss], a.tolist(), y.tolist()))
    loss += alpha / 2 * sum((W * W).sum() for W in weights)
    return loss / (weight.sum() if network.reduction == "mean" else 1)


def each(f):
    return lambda z: [f(x) for x in z]


SELU = 1.0507009873554805, 1.6732632423543772
PLAIN_ACTIVATIONS = {
    "identity": each(lambda z: z),
    "sigmoid": each(lambda z: 1 / (1 + math.exp(-z))),
    "tanh": each(math.tanh),
    "relu": each(lambda z: max(z, 0.0)),
    "leaky_relu": each(lambda z: z if z > 0 else 0.01 * z),
    "elu": each(lambda z: z if z > 0 else math.exp(z) - 1),
    "selu": each(lambda z: SELU[0] * (z if z > 0 else SELU[1] * (math.exp(z) - 1))),
    "softplus": each(lambda z: math.log(1 + math.exp(z))),
    "silu": each(lambda z: z / (1 + math.exp(-z))),
    "gelu": each(lambda z: z / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))),
    "softmax": lambda z: [math.exp(x) / sum(map(math.exp, z)) for x in z],
    "exp": each(math.exp),
    "mish": each(lambda z: z * math.tanh(math.log(1 + math.exp(z)))),
}
PLAIN_LOSSES = {
    "squared_error": lambda a, y: (a - y) ** 2 / 2,
    "absolute_error": lambda a, y: abs(a - y),
    "huber": lambda a, y: (a - y) ** 2 / 2 if abs(a - y) < 1 else abs(a - y) - 0.5,
    "log_loss": lambda a, y: -(y * math.log(a) + (1 - y) * math.log(1 - a)),
    "cross_entropy": lambda a, y: -y * math.log(a),
    "pinball": lambda a, y: 0.5 * max(a - y, y - a),
    "poisson": lambda a, y: (y * math.log(y / a) if y else 0) - y + a,
}


@pytest.mark.parametrize("loss", PLAIN_LOSSES)
def test_loss_is_the_documented_one(loss, backend):
    names = tuple(name for name in HIDDEN if name in PLAIN_ACTIVATIONS)
    outputs = [output for name, output in PAIRS if name == loss and output in PLAIN_ACTIVATIONS]
    for output, bias, reduction in itertools.product(outputs, BIASES, REDUCTIONS):
        sizes = (2, *[3] * len(names), 2)
        network = Network(sizes, names, output, loss, bias=bias, reduction=reduction)
        params, X, Y, weight = draw(network, 4)
        if loss != "cross_entropy":
            Y = np.round(Y * 2) / 2  # with zeros and ones
        options = {"sample_weight": weight, "alpha": 0.7, "backend": backend}
        found, _ = loss_and_gradient(network, params, X, Y, **options)
        expected = plain_loss(network, params, X, Y, weight, 0.7)
        np.testing.assert_allclose(found, expected, rtol=1e-12, err_msg=repr(network))


def test_the_reference_has_all_names():
    """A plain formula is a second opinion on the reference's: a new name may come without one."""
    assert set(PLAIN_ACTIVATIONS) <= set(ACTIVATIONS) == set(reference.ACTIVATION_FUNCTIONS)
    assert set(PLAIN_LOSSES) <= set(LOSSES) == set(reference.LOSS_FUNCTIONS)
    assert set(PLAIN_UPDATES) <= set(OPTIMIZERS) == set(reference.UPDATES)


@pytest.mark.parametrize(
    ("loss", "output"), [(loss, line.matched) for loss, line in LOSSES.items() if line.matched]
)
def test_a_matched_pair_has_the_gradient_of_its_parts(loss, output):
    """``a - y`` is what the output's derivative makes of the loss'. (Of log_loss and cross_entropy:
    by hand.)"""
    network = Network((2, 3), output=output, loss=loss)
    params, X, Y, _ = draw(network, 6)
    batch = reference.take(network, Data(X, Y, np.ones(6)), slice(None))
    (z,), (_, a) = reference.forward(network, reference.views(network, params), X)
    by_hand = {
        "log_loss": lambda a, y: (a - y) / (a * (1 - a)),
        "cross_entropy": lambda a, y: -y / a,
    }
    d = by_hand.get(loss, reference.LOSS_FUNCTIONS[loss].d)(a, batch.Y)
    expected = reference.ACTIVATION_FUNCTIONS[output].delta(d, a, z)
    found = reference.output_delta(network, z, a, batch)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


GRID = (np.arange(-4096, 4096) + 0.5)[:, None] * 2.0**-10


def jumps(slopes):
    return tuple((GRID[np.flatnonzero(abs(np.diff(slopes[:, 0])) > 0.1), 0] + 2.0**-11).tolist())


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivatives_jump_at_kinks_and_nowhere_else(name):
    """Between neighbors of a grid, whose middles the kinks are, no derivative but one that jumps
    differs by 0.1."""
    functions = reference.ACTIVATION_FUNCTIONS[name]
    slopes = functions.delta(np.ones_like(GRID), functions.value(GRID), GRID)
    assert jumps(slopes) == ACTIVATIONS[name].kinks


@pytest.mark.parametrize("name", LOSSES)
def test_losses_jump_at_kinks_and_nowhere_else(name):
    assert jumps(reference.LOSS_FUNCTIONS[name].d(8.0 + GRID, 8.0)) == LOSSES[name].kinks


@pytest.mark.parametrize("name", LOSSES)
def test_the_losses_that_clip_are_those_that_say_so(name):
    a, y = (v.ravel() for v in np.meshgrid([0.0, 1.0], [0.0, 1.0]))
    value = reference.LOSS_FUNCTIONS[name].value
    with np.errstate(all="ignore"):
        assert LOSSES[name].clips == np.array_equal(value(a, y), value(probability(a), y))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_gives_what_its_line_in_the_registry_says(name):
    """Nothing beyond its bounds, and numbers at both of them, or very large ones where there is
    none."""
    z = np.append(np.linspace(-100, 80, 18_001), [-1e9, 1e9])
    with np.errstate(all="ignore"):
        value = reference.ACTIVATION_FUNCTIONS[name].value
        a = value(np.stack([z, np.zeros_like(z)], axis=1))[:, 0]
    assert not np.isnan(a).any(), f"NaN at z = {z[np.isnan(a)]}"
    line = ACTIVATIONS[name]
    assert line.low - 1e-8 <= a.min()
    assert a.max() <= line.high + 1e-8
    assert a.min() < (line.low + 1e-5 if np.isfinite(line.low) else -999)
    assert a.max() > (line.high - 1e-5 if np.isfinite(line.high) else 999)


def plain_sgd(optimizer, t, p, g, v=0.0):
    lr = optimizer.learning_rate
    v = optimizer.momentum * v - lr * g
    return p + (optimizer.momentum * v - lr * g if optimizer.nesterov else v), v


def plain_adam(optimizer, t, p, g, m=0.0, v=0.0, decay=0.0):
    lr = optimizer.learning_rate
    beta_1 = optimizer.beta_1
    beta_2 = optimizer.beta_2
    m = beta_1 * m + (1 - beta_1) * g
    v = beta_2 * v + (1 - beta_2) * g**2
    lr_t = lr * math.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    return p - lr_t * m / (math.sqrt(v) + optimizer.epsilon) - lr * decay * p, m, v


def plain_rmsprop(optimizer, t, p, g, v=0.0):
    v = 0.99 * v + 0.01 * g**2
    return p - optimizer.learning_rate * g / (math.sqrt(v) + optimizer.epsilon), v


def plain_rprop(optimizer, t, p, g, last=0.0, size=0.0):
    size = optimizer.learning_rate if t == 1 else size
    if g * last > 0:
        size = min(size * 1.2, 50)
    elif g * last < 0:
        size = max(size * 0.5, 1e-6)
        g = 0
    return p - (math.copysign(size, g) if g else 0), g, size


PLAIN_UPDATES = {
    "SGD": plain_sgd,
    "Adam": plain_adam,
    "AdamW": lambda optimizer, *numbers: plain_adam(
        optimizer, *numbers, decay=optimizer.weight_decay
    ),
    "RMSprop": plain_rmsprop,
    "RPROP": plain_rprop,
}
"""(optimizer, step from 1, parameter, gradient, *state) -> (parameter, *state), as the
documentation has them."""


def plain_updates(optimizer, gradients, p=1.0):
    found = []
    state = ()
    for t, g in enumerate(gradients, 1):
        p, *state = PLAIN_UPDATES[optimizer.name](optimizer, t, p, g, *state)
        found.append(p)
    return found


@pytest.mark.parametrize(
    "optimizer",
    [OPTIMIZERS[name](0.1) for name in PLAIN_UPDATES]
    + [SGD(0.1, momentum=0.8), SGD(0.1, momentum=0.8, nesterov=True), RPROP(49.0), RPROP(1.5e-6)],
    ids=repr,
)
def test_updates_are_the_documented_ones(optimizer, backend):
    gradients = np.array([0.3, 0.4, 0.1, -0.2, -0.1, -3, -2, 0, -1, 5, -5, 5, 1e-3])
    signs = np.where(np.arange(len(gradients)) % 2, -1, 1)
    network = Network((1, 1), loss="absolute_error", bias="none")
    inputs = gradients * signs
    targets = -1e9 * signs
    data = Data(inputs[:, None], targets[:, None], np.ones(len(gradients)))
    task = Task(network, optimizer, data)
    state = StepState.create(np.array([1.0]), optimizer.n_slots)
    found = []
    for row in range(len(gradients)):
        step = full_batches(1, rate=optimizer.learning_rate)._replace(rows=np.array([row]))
        assert get_backend(backend).train_steps(task, state, step) == 1
        found.append(state.params[0])
    np.testing.assert_allclose(found, plain_updates(optimizer, gradients), rtol=1e-12, atol=1e-14)
