"""`predict` and `loss_and_gradient`, which the tests of the driver lean on."""

import functools
import math

import numpy as np
import pytest
from small_training import NETWORK, N

from fastnn import Network
from fastnn import loss_and_gradient as public_loss
from fastnn import predict as public_predict
from fastnn.cores import Cores


def test_predict_and_loss_and_gradient(data, backend, dtype):
    X, Y = data
    params = NETWORK.init_params(np.random.RandomState(0), dtype)
    W, b = NETWORK.weights(params), NETWORK.biases(params)
    expected = np.tanh(X @ W[0] + b[0]) @ W[1] + b[1]
    output = public_predict(NETWORK, params, X, backend=backend)
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    assert output.dtype == dtype
    np.testing.assert_allclose(output, expected, rtol=tolerance, atol=tolerance)
    loss, gradient = public_loss(NETWORK, params, X, Y, alpha=2.0, backend=backend)
    assert isinstance(loss, float)
    squares = sum(np.square(w, dtype=np.float64).sum() for w in W)
    np.testing.assert_allclose(loss, (((expected - Y) ** 2).sum() / 2 + squares) / N, rtol=10 * tolerance)
    assert (gradient.dtype, gradient.shape) == (dtype, params.shape)
    np.testing.assert_allclose(
        NETWORK.biases(gradient)[1], (expected - Y).mean(axis=0), rtol=100 * tolerance, atol=tolerance
    )


@pytest.mark.parametrize("function", [public_predict, functools.partial(public_loss, Y=np.zeros((N, 2)))])
def test_predict_and_loss_check_their_input(function, data, backend):
    X, _ = data
    params = np.zeros(NETWORK.n_params)
    with pytest.raises(ValueError, match="X has 2 columns, the network has 3 inputs"):
        function(NETWORK, params, X=X[:, :2], backend=backend)
    with pytest.raises(ValueError, match="params has 25 numbers"):
        function(NETWORK, params[1:], X=X, backend=backend)
    with pytest.raises(ValueError, match=r"X\[0, 0\] is inf"):
        function(NETWORK, params, X=X * math.inf, backend=backend)
    with pytest.raises(ValueError, match="unknown backend"):
        function(NETWORK, params, X=X, backend="nunba")


@pytest.mark.parametrize("n", [1024, 1025, 10_000])
def test_predictions_that_threads_share_have_the_same_bits(monkeypatch, n, dtype):
    """Those of one thread, and of each row by itself."""
    network = Network((5, 17, 3), "tanh", "softmax", "cross_entropy")
    random_state = np.random.RandomState(0)
    params = network.init_params(random_state, dtype)
    X = random_state.standard_normal((n, 5)).astype(dtype)
    alone = public_predict(network, params, X)
    monkeypatch.setattr("fastnn.fused.backend.MANY", 0)
    monkeypatch.setattr("fastnn.cores.available_cores", lambda: Cores(3, "told"))
    assert public_predict(network, params, X).tobytes() == alone.tobytes()
    rows = [0, n // 2, n - 1]
    assert np.concatenate([public_predict(network, params, X[[k]]) for k in rows]).tobytes() == alone[rows].tobytes()
