"""Derivatives of outputs by inputs: those of complex steps, on both back ends, whatever the rows beside one."""

import numpy as np
import pytest
from bits import bits

from fastnn import ACTIVATIONS, Elu, LeakyRelu, Network, get_backend, train, train_many
from fastnn.losses import HIDDEN

NETWORKS = {
    **{name: Network((3, 17, 4, 2), name) for name in HIDDEN},
    **{f"output {name}": Network((5, 9, 3), "tanh", name) for name in ACTIVATIONS},
    "parameters": Network((3, 6, 5, 2), (Elu(0.3), LeakyRelu(0.2)), Elu(2.0)),
    "wide": Network((40, 33, 1), "silu", bias="scalar"),
    "no bias": Network((9, 1), bias="none"),
}


def result_of(network, dtype=np.float64):
    X = np.random.RandomState(0).standard_normal((300, network.n_inputs)).astype(dtype)
    params = network.init_params(1, dtype)
    Y = get_backend("numpy").predict(network, params, X)
    return train(network, X, Y, params=params, epochs=0), X


@pytest.mark.parametrize("name", NETWORKS)
def test_they_are_those_of_complex_steps(name, backend):
    result, X = result_of(NETWORKS[name])
    J, h, predict = result.jacobian(X, backend=backend), 1e-100, get_backend("numpy").predict
    assert J.shape == (300, result.network.n_outputs, result.network.n_inputs)
    for k in range(result.network.n_inputs):
        moved = X.astype(complex)
        moved[:, k] += 1j * h
        expected = predict(result.network, result.params.astype(complex), moved).imag / h
        np.testing.assert_allclose(J[:, :, k], expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", NETWORKS)
def test_other_rows_show_in_no_bit_and_single_precision_is_near(name):
    result, X = result_of(NETWORKS[name])
    J = result.jacobian(X)
    for rows in (slice(1), slice(7), slice(255, 258), slice(None, None, -1)):
        assert bits(result.jacobian(X[rows])) == bits(J[rows])
    single, X = result_of(NETWORKS[name], np.float32)
    np.testing.assert_allclose(single.jacobian(X), single.jacobian(X, backend="numpy"), rtol=2e-4, atol=2e-6)


def test_a_gradient_is_that_of_the_only_output():
    result, X = result_of(NETWORKS["wide"])
    assert bits(result.input_gradient(X)) == bits(result.jacobian(X)[:, 0])
    with pytest.raises(ValueError, match="2 outputs: jacobian has the derivatives of each"):
        result_of(NETWORKS["parameters"])[0].input_gradient(X[:, :3])
    with pytest.raises(ValueError, match="X has 3 columns, the network has 40 inputs"):
        result.jacobian(X[:, :3])


def test_many_results_have_those_of_their_members():
    X, networks = np.random.RandomState(0).rand(20, 3), [Network((3, 4, 2)), Network((3, 2), "tanh")]
    many = train_many(networks, X, X[:, :2], seed=range(2), epochs=1)
    assert bits(many.jacobian(X)) == bits(np.stack([result.jacobian(X) for result in many]))
    with pytest.raises(ValueError, match="different numbers of outputs: say many"):
        train_many([networks[0], Network((3, 1))], X, [X[:, :2], X[:, 0]], seed=0, epochs=1).jacobian(X)
