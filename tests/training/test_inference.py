"""`predict` and `loss_and_gradient`, which the tests of the driver lean on."""

import copy
import dataclasses
import functools
import math

import numpy as np
import pytest
from small_training import NETWORK, N

from fastnn import Network, cores, train
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


@pytest.mark.parametrize("n", [1024, 1025, 10_000])
def test_predictions_that_threads_share_have_the_same_bits(monkeypatch, n, dtype):
    network = Network((5, 17, 3), "tanh", "softmax", "cross_entropy")
    random_state = np.random.RandomState(0)
    params = network.init_params(random_state, dtype)
    X = random_state.standard_normal((n, 5)).astype(dtype)
    alone = public_predict(network, params, X)
    monkeypatch.setattr("fastnn.fused.backend.MANY", 0)
    monkeypatch.setattr("fastnn.cores.available_cores", lambda: Cores(3, "told"))
    assert public_predict(network, params, X).tobytes() == alone.tobytes()
    monkeypatch.undo()
    helpers, borrow = [], cores.borrow
    monkeypatch.setattr(cores, "borrow", lambda n: helpers.append(n) or borrow(n))
    for threads in (1, 2, 3, 5, 8):
        assert public_predict(network, params, X, threads=threads).tobytes() == alone.tobytes()
    assert helpers == [min(threads, math.ceil(n / 256)) - 1 for threads in (2, 3, 5, 8)]
    rows = [0, n // 2, n - 1]
    assert np.concatenate([public_predict(network, params, X[[k]]) for k in rows]).tobytes() == alone[rows].tobytes()


@pytest.mark.parametrize("n", [100, 257, 700])
def test_gradients_that_threads_share_have_the_same_bits(monkeypatch, n, dtype, shared):
    network = Network((23, 37, 3), "tanh")
    random_state = np.random.RandomState(0)
    params, X = network.init_params(random_state, dtype), random_state.standard_normal((n, 23))
    options = {"X": X, "Y": np.sin(X[:, :3]), "sample_weight": random_state.rand(n), "alpha": 0.1}
    alone, gradient = public_loss(network, params, **options, threads=1)
    assert shared == []
    for threads in (2, 3, 5, 8):
        loss, found = public_loss(network, params, **options, threads=threads)
        assert (loss, found.tobytes()) == (alone, gradient.tobytes())
    most = -(-min(n, 256) // (64 // np.dtype(dtype).itemsize)) // 2
    assert shared == [min(threads, most) for threads in (2, 3, 5, 8)]


def test_unasked_a_gradient_is_shared_where_a_block_has_enough_work(monkeypatch, shared):
    monkeypatch.setattr("fastnn.cores.available_cores", lambda: Cores(2, "told"))
    X = np.random.RandomState(0).standard_normal((600, 23))
    for n_hidden, used in ((37, []), (200, [2])):
        network = Network((23, n_hidden, 3), "tanh")
        arguments = network, network.init_params(np.random.RandomState(0)), X, np.sin(X[:, :3])
        alone, gradient = public_loss(*arguments, threads=1)
        public_loss(*arguments, threads=2)  # now the kernel need not be compiled
        del shared[:]
        loss, found = public_loss(*arguments)
        assert (loss, found.tobytes(), shared) == (alone, gradient.tobytes(), used)


@pytest.mark.parametrize("function", [public_predict, functools.partial(public_loss, Y=np.zeros((N, 2)))])
def test_what_is_no_number_of_threads_is_refused(function, data, backend):
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        function(NETWORK, np.zeros(NETWORK.n_params), X=data[0], backend=backend, threads=0)
    with pytest.raises(TypeError, match=r"threads must be an integer, not 1\.5"):
        function(NETWORK, np.zeros(NETWORK.n_params), X=data[0], backend=backend, threads=1.5)


def test_checks_leave_threads_of_blas_alone(monkeypatch):
    """They would go on looking for work, on the CPUs of threads that share a step: OpenBLAS has them from 10,000 on."""
    sizes, vdot = [], np.vdot
    monkeypatch.setattr(np, "vdot", lambda a, b: sizes.append(a.size) or vdot(a, b))
    X = np.ones((12_345, 3))
    public_predict(NETWORK, np.ones(NETWORK.n_params), X)
    assert sum(sizes) >= X.size
    assert max(sizes) <= 10_000
    X[-1, -1] = math.nan
    with pytest.raises(ValueError, match=r"X\[12344, 2\] is nan"):
        public_predict(NETWORK, np.ones(NETWORK.n_params), X)


def test_the_parts_of_a_result_are_looked_at_again_when_they_are_others(data):
    X, _ = data
    result = train(NETWORK, *data, epochs=1, seed=0)
    for name, value, text in (("params", np.zeros(3), "has 3 numbers"), ("network", Network((3, 9, 2)), "has 26 ")):
        twin = copy.copy(result)
        twin.predict(X)
        object.__setattr__(twin, name, value)
        with pytest.raises(ValueError, match=f"params {text}"):
            twin.predict(X)
    writable = dataclasses.replace(result, params=np.repeat(result.params, 2)[::2])
    writable.predict(X)
    writable.params[:] = 0
    assert not writable.predict(X).any()
