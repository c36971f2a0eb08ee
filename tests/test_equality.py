"""Both back ends compute the same: gradients, updates and whole trainings, for every name of the tables.

Every comparison goes through `fastnn.testing`, where the tolerances stand; `test_mutants_are_caught` shows that none of
them is too wide to notice a bug.
"""

import dataclasses
from unittest import mock

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from problems import HIDDEN, PAIRS, draw, draw_targets

from fastnn import SGD, Adam, Network, cosine, exponential, reference, step_decay, testing, train
from fastnn.network import ACTIVATIONS, BIASES, INITS, LOSSES, REDUCTIONS
from fastnn.optimizers import OPTIMIZERS, RPROP

# ----------------------------------------------------------------------------------------------------------- gradients

# sizes of the hidden layers and rows: around a vector of 8 or 16 lanes, a tile of 1 to 8 and a block of 256 rows
SHAPES = {
    "one of each": ((1,), 1),
    "no hidden layer": ((), 9),
    "one row": ((17,), 1),
    "one neuron": ((1,), 37),
    "a vector": ((8,), 16),
    "no multiple": ((5, 11), 23),
    "four hidden layers": ((7, 3, 9, 4), 50),
    "a block": ((6,), 256),
    "a block and a row": ((3, 10), 257),
    "three blocks": ((5,), 700),
}


def options_of(k):
    """The k-th of the options that any network may have; neighbours differ in all of them."""
    return {
        "bias": BIASES[k % 3],
        "bias_gradient": ("exact", "times_bias")[k % 5 == 2],
        "reduction": REDUCTIONS[k % 2],
        "init": ("glorot_uniform", "glorot_normal")[k // 2 % 2],
    }


@pytest.mark.parametrize("activation", HIDDEN)
@pytest.mark.parametrize(("loss", "output"), PAIRS)
def test_gradients(activation, loss, output, dtype):
    first = HIDDEN.index(activation) + PAIRS.index((loss, output))  # so that options meet every shape
    for k, (hidden, n) in enumerate(SHAPES.values(), first):
        sizes = (1 + k % 3 * 4, *hidden, 1 if k % 4 == 0 else 2 + k % 5)
        network = Network(sizes, activation, output, loss, **options_of(k))
        problem = draw(network, n, dtype, seed=k)
        weight, alpha = problem.sample_weight if k % 2 else None, 0.1 * (k % 3)
        testing.assert_gradients_match(*(network, *problem[:3]), sample_weight=weight, alpha=alpha)


@pytest.mark.nojit
def test_gradients_of_mixed_layers(dtype):
    network = Network((9, *range(3, 3 + len(HIDDEN)), 4), tuple(HIDDEN), "softmax", "cross_entropy")
    for n in (1, 40, 300):
        problem = draw(network, n, dtype)
        testing.assert_gradients_match(network, *problem[:3], sample_weight=problem.sample_weight, alpha=0.5)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("bias_gradient", ["exact", "times_bias"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("n", [1, 31, 300])
def test_gradients_of_bias_modes(bias, bias_gradient, reduction, n, dtype):
    options = {"bias": bias, "bias_gradient": bias_gradient, "reduction": reduction}
    network = Network((3, 18, 2), "tanh", "sigmoid", **options)
    problem = draw(network, n, dtype)
    for weight in (None, problem.sample_weight):
        for alpha in (0.0, 2.0):
            testing.assert_gradients_match(network, *problem[:3], sample_weight=weight, alpha=alpha)


@pytest.mark.nojit
@pytest.mark.parametrize("activation", HIDDEN)
def test_gradients_on_a_kink(activation, dtype):
    """z is exactly 0 in the first layer for a row of zeros, and everywhere without weights."""
    network = Network((3, 6, 2), activation, bias_init=0.0)
    problem = draw(network, 5, dtype)
    X = problem.X.copy()
    X[1] = 0
    testing.assert_gradients_match(network, problem.params, X, problem.Y)
    testing.assert_gradients_match(network, np.zeros_like(problem.params), X, problem.Y)


@pytest.mark.nojit
@pytest.mark.parametrize("loss", LOSSES)
def test_where_output_and_target_are_equal(loss, dtype):
    """|a - y| and its derivative are 0; 0 log 0 = 0; probabilities of 0 and 1 are clipped in the value alone."""
    output = LOSSES[loss].matched or "identity"
    network = Network((2, 3), output=output, loss=loss, bias="none")
    Y = np.eye(3, dtype=dtype)[[0, 1, 2, 1]]
    X = np.zeros((4, 2), dtype)
    testing.assert_gradients_match(network, np.zeros(6, dtype), X, Y)
    W = np.array([[400, -400, -400], [0, 0, 0]], dtype)  # an output of 1, the others 0
    X[:, 0] = 1
    if output != "exp":
        testing.assert_gradients_match(network, W.ravel(), X, Y)


# ------------------------------------------------------------------------------------------------------------- updates

OPTIMIZER_OPTIONS = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"momentum": 1.0}, {"sequential": True}],
    "Adam": [{}, {"beta_1": 0.0}, {"beta_1": 0.5, "beta_2": 0.7, "epsilon": 1e-3}, {"sequential": True}],
    "AdamW": [{}, {"weight_decay": 0.5}, {"weight_decay": 0.0}],
}
OPTIMIZER_CASES = [(name, options) for name in OPTIMIZERS for options in OPTIMIZER_OPTIONS.get(name, [{}])]


def gradients_of_all_sizes(n_steps, n, dtype):
    """Gradients over many orders of magnitude, with zeros, repeated signs and changes of sign."""
    random_state = np.random.RandomState(1)
    size = 10.0 ** random_state.uniform(-12, 3, n)
    gradients = random_state.standard_normal((n_steps, n)) * size
    gradients[:, ::7] = abs(gradients[:, ::7])
    gradients[random_state.uniform(size=gradients.shape) < 0.1] = 0
    gradients[n_steps // 2 :, n // 2] = 0  # a unit that dies
    return gradients.astype(dtype)


@pytest.mark.parametrize("rate", [0.01, 1.0, cosine(0.1, 30)], ids=["0.01", "1", "cosine"])
@pytest.mark.parametrize(("name", "options"), OPTIMIZER_CASES)
def test_updates(name, options, rate, dtype):
    optimizer = OPTIMIZERS[name](rate, **options)
    for n in (1, 7, 45):
        params = np.random.RandomState(n).standard_normal(n + 1).astype(dtype)
        testing.assert_updates_match(optimizer, params, gradients_of_all_sizes(30, n, dtype))


# ----------------------------------------------------------------------------------------------------------- trainings

BASE = {"sizes": (4, 9, 3), "activation": "tanh"}
TRAININGS = {
    "plain": ({}, {}),
    "full batch": ({}, {"batch_size": None}),
    "one row a batch": ({}, {"batch_size": 1}),
    "a batch of more than a block": ({}, {"batch_size": 300, "epochs": 40}),
    "momentum": ({}, {"optimizer": SGD(0.05, momentum=0.9)}),
    "nesterov": ({}, {"optimizer": SGD(0.05, momentum=0.9, nesterov=True)}),
    **{name: ({}, {"optimizer": kind(0.01), "batch_size": None}) for name, kind in OPTIMIZERS.items()},
    "Adam in batches": ({}, {"optimizer": Adam(0.01)}),
    **{f"bias {bias}": ({"bias": bias}, {}) for bias in BIASES},
    "times bias": ({"bias": "scalar", "bias_gradient": "times_bias", "bias_init": 1.0}, {}),
    "sum": ({"reduction": "sum"}, {"optimizer": SGD(0.01)}),
    "sequential": ({"sizes": (4, 9, 5, 3)}, {"optimizer": SGD(0.1, sequential=True)}),
    "sequential, full batch": ({}, {"optimizer": Adam(0.01, sequential=True), "batch_size": None}),
    "alpha": ({}, {"alpha": 0.5}),
    "not shuffled": ({}, {"shuffle": False}),
    "step decay": ({}, {"optimizer": SGD(step_decay(0.2, every=30))}),
    "cosine": ({}, {"optimizer": SGD(cosine(0.2, steps=100))}),
    "exponential": ({}, {"optimizer": SGD(exponential(0.2, 0.99))}),
    "any function": ({}, {"optimizer": SGD(lambda step: 0.2 / (1 + step))}),
    "no hidden layer": ({"sizes": (4, 3)}, {}),
    "deep": ({"sizes": (4, 6, 7, 8, 9, 3), "activation": ("relu", "silu", "selu", "softplus")}, {}),
    **{name: ({"activation": name}, {}) for name in HIDDEN},
    **{
        f"{loss} of {LOSSES[loss].outputs[0]}": ({"loss": loss, "output": LOSSES[loss].outputs[0]}, {})
        for loss in LOSSES
    },
}


def assert_training_matches(network, seed=5, n=290, dtype=np.float64, weighted=False, **options):
    """On rows of X in [-1, 1] and targets that follow from them."""
    random_state = np.random.RandomState(seed)
    params = network.init_params(random_state, dtype)
    X = random_state.uniform(-1, 1, (n, network.n_inputs)).astype(dtype)
    Y = draw_targets(network, random_state, n)
    if network.loss != "cross_entropy":
        Y[:, 0] = (1 + np.sin(3 * X).mean(axis=1)) / 2
    weight = np.where(np.arange(n) % 4 == 1, 0, 1 + np.arange(n) % 3) if weighted else None
    return testing.assert_trainings_match(network, X, Y, params, sample_weight=weight, seed=seed, **options)


@pytest.mark.parametrize("case", TRAININGS)
def test_trainings(case, dtype):
    network_options, options = TRAININGS[case]
    network = Network(**BASE | network_options)
    defaults = {"optimizer": SGD(0.1), "epochs": 6, "batch_size": 37}
    for weighted in (False, True):
        assert_training_matches(network, dtype=dtype, weighted=weighted, **defaults | options)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("bias_init", ["same", 0.25])
def test_the_same_seed_gives_matching_weights(init, bias_init, dtype):
    """Here each back end's run draws its own initial weights."""
    network = Network((4, 9, 3), "tanh", init=init, bias_init=bias_init)
    X = np.random.RandomState(0).standard_normal((60, 4)).astype(dtype)
    Y = np.sin(X[:, :3])
    options = {"epochs": 5, "batch_size": 16, "optimizer": SGD(0.1)}
    params = network.init_params(np.random.RandomState(9), dtype)
    runs = [train(network, X, Y, seed=9, **options, backend=name) for name in ("numpy", "numba")]
    assert runs[0].history.loss[0] != pytest.approx(runs[0].history.loss[-1])
    for run in runs:  # the initial weights first, then the shuffles, from one stream
        assert run.state.random_state["state"]["pos"] == runs[0].state.random_state["state"]["pos"]
        np.testing.assert_array_equal(run.state.index, runs[0].state.index)
    bound = testing.growth_bound(network, X, Y, params, seed=9, **options)
    assert abs(runs[0].params - runs[1].params).max() <= bound.params_bound


@st.composite
def drawn_trainings(draw_from):
    """A network and how to train it. Kinked activations in float64 only.

    In float32 a pre-activation lies so near a kink that rounding decides in one of some hundred such trainings, and
    then they are as far apart as an update is large.
    """

    def pick(options):
        return draw_from(st.sampled_from(list(options)))

    def number(low, high):
        return draw_from(st.integers(low, high))

    dtype = pick([np.float32, np.float64])
    smooth = [name for name in HIDDEN if name not in ("relu", "leaky_relu", "selu")]
    hidden = draw_from(st.lists(st.integers(1, 20), max_size=3))
    activations = tuple(pick(smooth if dtype is np.float32 else HIDDEN) for _ in hidden)
    losses = [
        pair for pair in PAIRS if dtype is np.float64 or not {"absolute_error", "relu", "leaky_relu", "selu"} & {*pair}
    ]
    loss, output = pick(losses)
    network = Network(
        (number(1, 9), *hidden, number(1, 6)),
        activations,
        output,
        loss,
        bias=pick(BIASES),
        bias_gradient=pick(["exact", "times_bias"]),
        reduction=pick(REDUCTIONS),
        init=pick(["glorot_uniform", "glorot_normal"]),
        bias_init=pick(["same", 0.5]),
    )
    kind = pick(kind for kind in OPTIMIZERS.values() if not kind.full_batch)
    optimizer = kind(pick([1e-3, 1e-2, cosine(0.01, 20)]), sequential=pick([False, True]))
    if kind is SGD:
        optimizer = dataclasses.replace(optimizer, momentum=pick([0.0, 0.9]), nesterov=pick([False, True]))
    options = {
        "optimizer": optimizer,
        "epochs": number(1, 8),
        "batch_size": pick([None, 1, 7, 16, 50, 1000]),
        "shuffle": pick([False, True]),
        "alpha": pick([0.0, 0.01, 1.0]),
        "n": pick([1, 2, 16, 33, 70, 270]),
        "seed": number(0, 99),
        "weighted": pick([False, True]),
    }
    return network, dtype, options


@hypothesis.settings(max_examples=200)
@hypothesis.given(drawn_trainings())
def test_drawn_trainings(drawn):
    network, dtype, options = drawn
    assert_training_matches(network, dtype=dtype, **options)


# ------------------------------------------------------------------------------------------------------------- mutants
# A back end with a bug is the reference with one of its functions replaced while it computes.


class Broken(reference.NumpyBackend):
    """The reference with a bug, or none."""

    name = "broken"

    def __init__(self, replaced):
        for method in ("loss_and_gradient", "train_steps"):
            for name, replacement in replaced.items():
                setattr(self, method, mock.patch.object(reference, name, replacement)(getattr(self, method)))


def with_activation(name, **fields):
    return {"ACTIVATIONS": reference.ACTIVATIONS | {name: reference.ACTIVATIONS[name]._replace(**fields)}}


def after_backward(change):
    """`change(network, params, gradient, batch, alpha)` works on the gradient that backward wrote."""

    def backward(network, params, gradient, batch, passed, alpha, after_layer=None, right=reference.backward):
        right(network, params, gradient, batch, passed, alpha, after_layer)
        change(network, params, gradient, batch, alpha)

    return {"backward": backward}


def with_batch(change):
    def take(network, data, rows, right=reference.take):
        return change(network, data, right(network, data, rows))

    return {"take": take}


def no_bias_gradient(network, params, gradient, batch, alpha):
    for db in gradient.b:
        db[...] = 0


def penalty_on_biases(network, params, gradient, batch, alpha):
    for b, db in zip(params.b, gradient.b, strict=True):
        db += alpha * b / batch.divisor


def short_batch():
    """The last batch of an epoch is divided by the number of rows of the others."""
    longest = []  # of these data: (data, number)

    def change(network, data, batch):
        if longest and longest[0] is data and network.reduction == "mean":
            batch = batch._replace(divisor=max(longest[1], batch.divisor))
        longest[:] = data, batch.divisor
        return batch

    return with_batch(change)


def stale_activation():
    """The gradient of W uses what the layer's input was one step earlier."""
    last = {}

    def forward(network, params, X, right=reference.forward):
        zs, activations = right(network, params, X)
        old, last[network] = last.get(network, activations), activations
        fits = all(a.shape == b.shape for a, b in zip(old, activations, strict=True))
        return zs, [*old[:-1], activations[-1]] if fits else activations

    return {"forward": forward}


def swapped_moments(optimizer, p, slots, g, rates, right=reference.adam):
    right(optimizer, p, slots[::-1], g, rates)


MUTANTS = {
    "no bias gradient": lambda: after_backward(no_bias_gradient),
    "relu'(0) = 1": lambda: with_activation("relu", delta=lambda d, a, z: np.where(z.real >= 0, d, 0)),
    "last short batch": short_batch,
    "wrong 1/n": lambda: with_batch(lambda network, data, batch: batch._replace(divisor=float(len(batch.X)))),
    "stale activation": stale_activation,
    "swapped moments": lambda: {"UPDATES": reference.UPDATES | {"Adam": swapped_moments}},
    "penalty on biases": lambda: after_backward(penalty_on_biases),
    "weights ignored": lambda: with_batch(lambda network, data, batch: batch._replace(weight=batch.weight * 0 + 1)),
}
CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


@check
def gradients(backend):
    network = Network((3, 6, 2), "tanh")
    problem = draw(network, 20)
    for weight in (None, problem.sample_weight):
        options = {"sample_weight": weight, "alpha": 0.3, "backend": backend}
        testing.assert_gradients_match(network, *problem[:3], **options)


@check
def complex_step(backend):
    network = Network((3, 6, 2), "tanh")
    problem = draw(network, 20)
    testing.check_gradient(network, *problem[:3], sample_weight=problem.sample_weight, alpha=0.3, backend=backend)


@check
def kinks(backend):
    network = Network((3, 6, 2), bias_init=0.0)
    problem = draw(network, 5)
    X = problem.X.copy()
    X[1] = 0
    testing.assert_gradients_match(network, problem.params, X, problem.Y, backend=backend)


@check
def updates(backend):
    params = np.random.RandomState(0).standard_normal(8)
    for name, options in OPTIMIZER_CASES:
        optimizer = OPTIMIZERS[name](**options)
        testing.assert_updates_match(optimizer, params, gradients_of_all_sizes(5, 7, np.float64), backend=backend)


@check
def trainings(backend):
    """Five batches of 7 rows and one of 2; a full batch, which sees the same rows again."""
    for batch_size in (7, None):
        options = {"optimizer": SGD(0.1), "epochs": 3, "batch_size": batch_size, "backend": backend}
        assert_training_matches(Network((4, 5, 3), "tanh"), n=37, **options)


CAUGHT_BY = {
    "no bias gradient": {"gradients", "complex_step", "kinks", "updates", "trainings"},
    "relu'(0) = 1": {"kinks"},
    "last short batch": {"trainings"},
    "wrong 1/n": {"gradients", "complex_step"},
    "stale activation": {"updates", "trainings"},
    "swapped moments": {"updates"},
    "penalty on biases": {"gradients", "complex_step"},
    "weights ignored": {"gradients", "complex_step"},
}


@pytest.mark.parametrize("name", CHECKS)
def test_right_back_ends_pass(name, backend):
    CHECKS[name](backend)
    CHECKS[name](Broken({}))


@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutants_are_caught(mutant):
    def passes(check):
        try:
            check(Broken(MUTANTS[mutant]()))
        except AssertionError:
            return False
        return True

    assert {name for name, check in CHECKS.items() if not passes(check)} == CAUGHT_BY[mutant]


def test_every_name_of_the_tables_is_met():
    """The tests above run over the tables themselves; here is what that rests on."""
    assert {output for _, output in PAIRS} == set(ACTIVATIONS)
    assert {name for name, _ in OPTIMIZER_CASES} == set(OPTIMIZERS) >= {"SGD", RPROP.__name__}
