"""Both back ends compute the same: gradients, updates and whole trainings, for every name in the
registries.

`test_mutants.py` shows that no tolerance of `fastnn.testing` is too wide to notice a bug.
"""

import hypothesis
import numpy as np
import pytest
from drawn import trainings

from fastnn import (
    SGD,
    Adam,
    Elu,
    Huber,
    LeakyRelu,
    Network,
    Pinball,
    cosine,
    exponential,
    step_decay,
    testing,
)
from fastnn.losses import ACTIVATIONS, HIDDEN, LOSSES
from fastnn.network import BIASES, REDUCTIONS
from fastnn.optimizers import OPTIMIZERS, RPROP
from fastnn.testing.cases import OPTIMIZER_CASES, PAIRS, draw, draw_training, gradients_of_all_sizes

# sizes of the hidden layers and rows: around a vector of 8 or 16 lanes, a tile of 1 to 8 and a
# block of 256 rows
SHAPES = [
    ((1,), 1),
    ((), 9),
    ((17,), 1),
    ((1,), 37),
    ((8,), 16),
    ((5, 11), 23),
    ((7, 3, 9, 4), 50),
    ((6,), 256),
]
SHAPES += [((3, 10), 257), ((5,), 700)]


def options_of(k):
    """The k-th of the options that any network may have; neighbors differ in all of them."""
    return {
        "bias": BIASES[k % 3],
        "bias_gradient": ("exact", "times_bias")[k % 5 == 2],
        "reduction": REDUCTIONS[k % 2],
        "init": ("glorot_uniform", "glorot_normal")[k // 2 % 2],
    }


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("activation", HIDDEN)
def test_gradients(activation, every, dtype):
    """With each loss and output. One shape in `every` is met: other ones from one of the three to
    the next."""
    # so that options meet every shape
    for first, (loss, output) in enumerate(PAIRS, HIDDEN.index(activation)):
        for k, (hidden, n) in [*enumerate(SHAPES, first)][first % every :: every]:
            # one neuron's softmax is always 1
            n_outputs = 1 if k % 4 == 0 and output != "softmax" else 2 + k % 5
            sizes = (1 + k % 3 * 4, *hidden, n_outputs)
            network = Network(sizes, activation, output, loss, **options_of(k))
            problem = draw(network, n, dtype, seed=k)
            weight = problem.sample_weight if k // 2 % 2 else None
            alpha = 0.1 * (k // 3 % 3)
            testing.assert_gradients_match(
                *(network, *problem[:3]), sample_weight=weight, alpha=alpha
            )


@pytest.mark.parametrize("rate", [0.01, 1.0, cosine(0.1, 30)], ids=["0.01", "1", "cosine"])
@pytest.mark.parametrize(("name", "options"), OPTIMIZER_CASES)
def test_updates(name, options, rate, dtype):
    optimizer = OPTIMIZERS[name](rate, **options)
    for n in (1, 7, 45):
        params = np.random.RandomState(n).standard_normal(n + 1).astype(dtype)
        testing.assert_updates_match(optimizer, params, gradients_of_all_sizes(30, n, dtype))


BASE = {"sizes": (4, 9, 3), "activation": "tanh"}
ALL_OPTIMIZERS = {
    "momentum": SGD(0.05, momentum=0.9),
    **{name: kind(0.01) for name, kind in OPTIMIZERS.items()},
}
TRAININGS = {
    **{
        f"{name}, batch {size}": (
            {"sizes": (4, 16, 32, 3)},
            {"optimizer": optimizer, "n": n, "batch_size": size},
        )
        for name, optimizer in ALL_OPTIMIZERS.items()
        for size, n in ([(5, 5), (1, 1)] if optimizer.full_batch else [(5, 42), (1, 20)])
    },
    **{
        f"{options}, batch {size}": (options | {"bias_init": 0.5}, {"batch_size": size, "n": 42})
        for options in (
            {"bias": bias, "bias_gradient": f} for bias in BIASES for f in ("exact", "times_bias")
        )
        for size in (5, 1)
    },
    "a batch of more than a block": ({}, {"batch_size": 300, "epochs": 40}),
    "nesterov": ({}, {"optimizer": SGD(0.05, momentum=0.9, nesterov=True)}),
    **{
        name: ({}, {"optimizer": kind(0.01), "batch_size": None})
        for name, kind in OPTIMIZERS.items()
    },
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
        f"loss {name}": ({"loss": name, "output": line.outputs[0]}, {})
        for name, line in LOSSES.items()
    },
    "parameters": ({"activation": Elu(0.4), "output": LeakyRelu(0.2), "loss": Huber(0.1)}, {}),
    "several quantiles": ({"sizes": (4, 9, 3), "loss": Pinball((0.1, 0.4, 0.8))}, {}),
}


@pytest.mark.parametrize("both", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", TRAININGS)
def test_trainings(case, both, dtype):
    """Trainings with row weights and without, or one of both: in the other dtype and the next case
    it is the other."""
    network_options, given = TRAININGS[case]
    network = Network(**BASE | network_options)
    options = {"optimizer": SGD(0.1), "epochs": 6, "batch_size": 37} | given
    params, X, Y, weight = draw_training(network, options.pop("n", 290), dtype, 5)
    first = (list(TRAININGS).index(case) + (dtype == np.float32)) % 2 == 0
    for weighted in (first, not first)[: 1 + both]:
        options["sample_weight"] = weight if weighted else None
        testing.assert_trainings_match(network, X, Y, params, seed=5, **options)


@hypothesis.settings(max_examples=200)
@hypothesis.given(
    trainings(
        smooth=True, rows=(1, 2, 16, 33, 70, 270), batches=(None, 1, 7, 16, 50, 1000), epochs=(1, 8)
    )
)
def test_drawn_trainings(drawn):
    """In float32 those without kinks: in one of some hundred, rounding would decide on which side
    of one a row lies."""
    testing.assert_trainings_match(
        drawn.network, *drawn.data, drawn.problem.params, seed=5, **drawn.options
    )


def test_every_name_of_the_registries_is_met():
    assert {output for _, output in PAIRS} == set(ACTIVATIONS)
    assert {name for name, _ in OPTIMIZER_CASES} == set(OPTIMIZERS) >= {"SGD", RPROP.__name__}
