"""A delta below LEAST_DELTA is 0 in both back ends, in each layer, and all other numbers are what they were."""

import numpy as np
import pytest

from fastnn import Network, get_backend, predict
from fastnn.fused.backend import NumbaBackend
from fastnn.network import HIDDEN, LEAST_DELTA
from fastnn.state import Data
from fastnn.testing.problems import PAIRS, draw

pytestmark = pytest.mark.nojit


def least(dtype):
    """LEAST_DELTA of a dtype, and the next smaller number."""
    least = dtype(LEAST_DELTA[np.dtype(dtype).name])
    return least, np.nextafter(least, dtype(0))


def gradient_of(network, backend, params, X, Y, weight):
    """The gradient of a sum; for more rows than a vector has, by two threads where the back end has threads."""
    backend = get_backend(backend)
    threads = {"threads": 2} if isinstance(backend, NumbaBackend) and len(X) > 16 else {}
    return backend.loss_and_gradient(network, params, Data(X, Y, weight), 0.0, **threads)[1]


@pytest.mark.parametrize("n", [1, 2, 40])
def test_the_least_delta_is_the_last_that_is_kept(n, backend, dtype):
    """Of an output, whose delta is its row's weight; and of a neuron below it, by a weight between them."""
    ones, output, hidden = np.ones((n, 1), dtype), Network((1, 1), reduction="sum"), Network((1, 1, 1), "identity")
    for size, kept in zip(least(dtype), (True, False), strict=True):
        gradient = gradient_of(output, backend, np.zeros(2, dtype), ones, -ones, np.full(n, size))
        assert gradient.tolist() == [n * float(size) * kept] * 2
        params = np.array([0, 0, -size, 0], dtype)
        gradient = gradient_of(hidden, backend, params, ones, -ones, ones[:, 0])
        assert gradient.tolist() == [-float(size) * kept] * 2 + [0, 1]


@pytest.mark.parametrize(("loss", "output"), PAIRS)
def test_a_gradient_is_that_of_its_deltas_or_zero(loss, output, backend, dtype):
    """Row weights that are powers of two scale all deltas exactly: by a smaller one they all fall below the least."""
    activation = HIDDEN[PAIRS.index((loss, output)) % len(HIDDEN)]
    network = Network((3, 5, 2), activation, output, loss, reduction="sum")
    for n in (1, 9, 40):
        params, X, Y, _ = draw(network, n, dtype)
        one, small, tiny = (
            gradient_of(network, backend, params, X, Y, np.full(n, weight, dtype))
            for weight in (1, 2.0**-20, least(dtype)[0] * 2.0**-20)
        )
        np.testing.assert_array_equal(small, one * dtype(2.0**-20))
        assert not tiny.any()
    assert one.any()


def test_no_gradient_is_subnormal_where_a_network_is_sure(backend, dtype):
    """The deltas of classes that are all but impossible are their probabilities, down to subnormal ones."""
    tiny, network = np.finfo(dtype).tiny, Network((1, 3, 40), "tanh", "softmax", reduction="sum")
    params = np.full(network.n_params, 0.5, dtype)
    network.biases(params)[1][:] = np.linspace(0, 1.05 * np.log(tiny), 40)
    X, Y, weight = np.ones((1, 1), dtype), np.eye(40, dtype=dtype)[:1], np.ones(1, dtype)
    delta = (predict(network, params, X, backend=backend) - Y)[0]
    assert (abs(delta[delta != 0]) < tiny).any()
    gradient = gradient_of(network, backend, params, X, Y, weight)
    np.testing.assert_array_equal(network.biases(gradient)[1], np.where(abs(delta) < least(dtype)[0], 0, delta))
    assert abs(gradient[gradient != 0]).min() >= tiny


@pytest.mark.parametrize("activation", ["silu", "gelu"])
def test_no_activation_and_no_slope_is_subnormal(activation, backend, dtype):
    """Of a sweep of z down to where sigmoid is 0: a and the gradient by z are 0 or at least the least."""
    network, least = Network((1, 1), output=activation, bias="none", reduction="sum"), LEAST_DELTA[np.dtype(dtype).name]
    z = np.linspace(-1, 1.2 * np.log(np.finfo(dtype).tiny), 997, dtype=dtype)
    a = predict(network, np.ones(1, dtype), z[:, None], backend=backend)[:, 0]
    assert (a == 0).any()
    assert (a != 0).any()
    assert abs(a[a != 0]).min() >= least
    slopes = [
        gradient_of(network, backend, np.ones(1, dtype), row, row * 0 - 1, np.ones(1, dtype))[0]
        for row in z[:, None, None]
    ]
    assert min(abs(slope) for slope in slopes if slope) >= least
    assert slopes[-1] == 0
