"""Properties of training and prediction, over generated networks: what mathematics or a promise
says of any of them.

Numbers that rounding may change are compared within `fastnn.testing.growth_bound`, all others bit
for bit.
"""

import dataclasses

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from bits import assert_same_bits, history_bits, result_bits, state_bits
from drawn import DTYPES, mixed, run, trainings
from numpy.random import RandomState
from numpy.testing import assert_array_equal

from fastnn import SGD, Adam, Stop, predict, testing
from fastnn.losses import ACTIVATIONS
from fastnn.testing.tolerances import assert_within

SEEDS = st.integers(0, 2**16)


def permuted(network, params, l, order):
    """The parameters with the neurons of hidden layer `l` in another order."""
    W, b = (list(parts(params)) for parts in (network.weights, network.biases))
    W[l], W[l + 1] = W[l][:, order], W[l + 1][order]
    b[l] = b[l][order] if network.bias == "vector" else b[l]
    return network.pack(W, b)


@run(40, trainings(smooth=True, layers=(1, 3), batches=(None, 16, 32)), SEEDS)
def test_permuting_hidden_units_permutes_the_weights(backend, drawn, seed):
    network, problem, options = drawn
    draw = RandomState(seed)
    l = draw.randint(network.n_layers - 1)
    order = draw.permutation(network.sizes[l + 1])
    bound = testing.growth_bound(network, *drawn.data, problem.params, **options, seed=1)
    found = drawn.train(backend, params=permuted(network, problem.params, l, order), seed=1)
    back = permuted(network, found.params, l, np.argsort(order))
    assert_within(back, bound.params, bound.params_bound, "params", "the network before")
    assert_within(found.history.loss, bound.loss, bound.loss_bound, "loss", "the network before")


@run(40, trainings(smooth=True, batches=(None,)))
def test_rows_that_are_there_twice_count_as_rows_of_twice_the_weight(backend, drawn):
    network, problem, options = drawn
    # The deltas of a softmax add up to 0: for one bias of all, Adam would take what rounding leaves
    # for a direction.
    hypothesis.assume((network.output, network.bias) != ("softmax", "scalar"))
    X = problem.X
    Y = problem.Y
    weight = options.pop("sample_weight")
    weight = np.ones(len(X), X.dtype) if weight is None else weight
    twice = [np.concatenate([array, array]) for array in (X, Y, weight)]
    bound = testing.growth_bound(
        network, *twice[:2], problem.params, sample_weight=twice[2], **options
    )
    found = drawn.train(backend, sample_weight=2 * weight)
    assert_within(
        found.params,
        bound.params,
        bound.params_bound,
        "params",
        "the training on rows that are there twice",
    )
    assert_within(
        found.history.loss,
        bound.loss,
        bound.loss_bound,
        "loss",
        "the training on rows that are there twice",
    )


@run(60, trainings(), SEEDS)
def test_a_learning_rate_of_zero_changes_nothing_but_the_sign_of_zeros(backend, drawn, seed):
    """RPROP is left out: the rate is the length of its first steps only."""
    optimizer = drawn.options["optimizer"]
    hypothesis.assume(optimizer.name != "RPROP")
    draw = RandomState(seed)
    params = drawn.problem.params.copy()
    params[draw.uniform(size=params.size) < 0.2] = 0.0
    params[draw.uniform(size=params.size) < 0.1] = -0.0
    for rate in (0.0, lambda step: 0.0):
        found = drawn.train(
            backend,
            params=params,
            optimizer=dataclasses.replace(optimizer, learning_rate=rate),
            seed=1,
        )
        assert_array_equal(found.params, params)


STOPS = {  # and an optimizer with which the rule is likely to apply
    "epochs": (Stop(on_divergence="stop"), None),
    "tolerance": (Stop(tol=1e-2, patience=0), Adam(0.1)),
    "validation": (Stop(tol=0.0, patience=0, validation=0.3), Adam(0.3)),
    "best": (Stop(tol=0.0, patience=2, validation=0.3, restore_best=True), Adam(0.1)),
    "best of training": (Stop(restore_best=True, on_divergence="stop"), SGD(0.5)),
    "diverged": (Stop(on_divergence="stop"), SGD(1e30)),
}


@pytest.mark.parametrize("case", STOPS)
@run(
    20,
    trainings(rows=(9, 23), batches=(None, 1, 5)),
    st.integers(0, 6),
    st.integers(0, 6),
    st.integers(0, 99),
)
def test_two_trainings_one_after_the_other_are_one(backend, case, drawn, first, second, seed):
    """train(a + b) is train(a), then train(b) resumed; where the first one stops early, so does the
    whole."""
    stop, optimizer = STOPS[case]
    options = {
        "params": None,
        "seed": seed,
        "stop": stop,
        "optimizer": optimizer or drawn.options["optimizer"],
    }
    whole = drawn.train(backend, **options | {"epochs": first + second})
    a = drawn.train(backend, **options | {"epochs": first})
    if a.stop_reason != "epochs":
        assert result_bits(a) == result_bits(whole)
        return
    before = state_bits(a.state)
    b = drawn.train(backend, **options | {"epochs": second, "seed": None, "resume": a.state})
    assert state_bits(a.state) == before  # the caller's state is not changed
    assert state_bits(b.state) == state_bits(whole.state)
    assert_same_bits(b.params, whole.params)
    assert history_bits(a, b) == history_bits(whole)
    X, Y = drawn.data
    nothing_repeated = a.resume(
        X, Y, epochs=second, sample_weight=drawn.options["sample_weight"], stop=stop
    )
    assert result_bits(nothing_repeated) == result_bits(b)


@pytest.mark.parametrize("output", ACTIVATIONS)
@run(
    8, st.sampled_from(DTYPES), st.sampled_from([1, 2, 7, 8, 9, 17, 255, 256, 257, 513, 600]), SEEDS
)
def test_outputs_depend_on_their_row_alone(output, dtype, n, seed):
    """The number of rows and their order do not matter. (The reference's products are BLAS': no
    such promise.)"""
    draw = RandomState(seed)
    network = mixed(draw, output)
    params = network.init_params(draw, dtype)
    X = draw.standard_normal((600, network.n_inputs)).astype(dtype)
    whole = predict(network, params, X)
    for rows in (draw.randint(0, 600, n), np.arange(n), np.arange(600 - n, 600)):
        assert_same_bits(predict(network, params, X[rows]), whole[rows])
