"""Both back ends compute the same: gradients, updates and whole trainings, for every name in the
registries.

`test_mutants.py` shows that no tolerance of `fastnn.testing` is too wide to notice a bug.
"""

import hypothesis
import numpy as np
import pytest
from drawn import trainings

from fastnn import Network, cosine, testing
from fastnn.losses import ACTIVATIONS, HIDDEN
from fastnn.network import BIASES, REDUCTIONS
from fastnn.optimizers import OPTIMIZERS, RPROP
from fastnn.testing.cases import OPTIMIZER_CASES, PAIRS, draw, gradients_of_all_sizes

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


@hypothesis.settings(max_examples=200)
@hypothesis.given(
    trainings(
        smooth=True, rows=(1, 2, 16, 33, 70, 270), batches=(None, 1, 7, 16, 50, 1000), epochs=(1, 8)
    )
)
def test_drawn_trainings(drawn):
    """In float32 those without kinks: in one of some hundred, rounding would decide on which side
    of one a row lies. A training by each name: in the conformance suite."""
    testing.assert_trainings_match(
        drawn.network, *drawn.data, drawn.problem.params, seed=5, **drawn.options
    )


def test_every_name_of_the_registries_is_met():
    assert {output for _, output in PAIRS} == set(ACTIVATIONS)
    assert {name for name, _ in OPTIMIZER_CASES} == set(OPTIMIZERS) >= {"SGD", RPROP.__name__}
