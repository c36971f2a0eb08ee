"""A delta that is tiny beside its row's weight is 0 in both back ends, in each layer; all others
are as they were."""

import numpy as np
import pytest

from fastnn import Network, get_backend, predict
from fastnn.formulas import LEAST_DELTA
from fastnn.fused.backend import NumbaBackend
from fastnn.losses import HIDDEN, LOSSES
from fastnn.reference import ACTIVATION_FUNCTIONS
from fastnn.state import Data
from fastnn.testing.cases import draw

pytestmark = pytest.mark.nojit

ROWS = (1, 9, 40)  # a single row, a panel, and panels of two threads
# {output whose f' is tiny where z is very negative: its target}
TINY_Z = {"sigmoid": 1, "softplus": 1, "exp": 1}


def least_of(dtype):
    return dtype(LEAST_DELTA[np.dtype(dtype).name])


def gradient_of(network, backend, params, X, Y, weight):
    """The gradient of a sum; for many rows by two threads, where the back end has threads."""
    backend = get_backend(backend)
    threads = {"threads": 2} if isinstance(backend, NumbaBackend) and len(X) > 16 else {}
    return backend.loss_and_gradient(network, params, Data(X, Y, weight), 0.0, **threads)[1]


@pytest.mark.parametrize("weight", [1.0, 4.0, 2.0**-20])
@pytest.mark.parametrize("n", ROWS)
def test_the_least_delta_is_the_last_that_is_kept(n, weight, backend, dtype):
    """Of an output by its target, of a neuron below it by the weight between them."""
    ones = np.ones((n, 1), dtype)
    weights = np.full(n, weight, dtype)
    output = Network((1, 1), reduction="sum")
    hidden = Network((1, 1, 1), "identity")
    least = least_of(dtype)
    for size in (least, np.nextafter(least, dtype(0))):
        kept = float(size) * (size == least)
        gradient = gradient_of(output, backend, np.zeros(2, dtype), ones, -size * ones, weights)
        assert gradient.tolist() == [n * weight * kept] * 2
        gradient = gradient_of(
            hidden, backend, np.array([0, 0, -size, 0], dtype), ones, -ones, weights
        )
        assert gradient.tolist() == [-kept] * 2 + [0, 1]


@pytest.mark.parametrize("activation", HIDDEN)
@pytest.mark.parametrize("n", ROWS)
def test_the_gradient_of_a_hidden_layer_is_that_of_its_deltas_or_zero(
    activation, n, backend, dtype
):
    network = Network((3, 5, 2), activation, "tanh", reduction="sum")
    params, X, Y, _ = draw(network, n, dtype)
    W = network.weights(params)[1]
    given = W.copy()
    found = []
    for size in (2.0**-60, 2.0**-80, least_of(dtype) * 2.0**-20):
        W[:] = given * dtype(size)
        gradient = gradient_of(network, backend, params, X, Y, np.ones(n, dtype))
        found.append(gradient[: network.layers[0].bias.stop])
    np.testing.assert_array_equal(found[1], found[0] * dtype(2.0**-20))
    assert found[0].any()
    assert not found[2].any()


@pytest.mark.parametrize(
    "output", [name for name in LOSSES["absolute_error"].outputs if name != "softmax"]
)
@pytest.mark.parametrize("n", ROWS)
def test_tiny_deltas_of_outputs_are_zero(output, n, backend, dtype):
    """Those of z far from 0, or very near to it."""
    network = Network((1, 1), output=output, reduction="sum")
    tiny = least_of(dtype) / 1000
    y = TINY_Z.get(output, 0)
    z = np.log(tiny) if y else tiny
    functions = ACTIVATION_FUNCTIONS[output]
    a = functions.value(z)
    assert 0 < abs(functions.delta(a - y, a, z)) < least_of(dtype)
    X = np.zeros((n, 1), dtype)
    Y = np.full((n, 1), y, dtype)
    assert not gradient_of(network, backend, np.array([0, z], dtype), X, Y, np.ones(n, dtype)).any()


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_no_gradient_is_subnormal_where_a_network_is_sure(loss, backend, dtype):
    """The deltas of classes that are all but impossible are in proportion to probabilities, down to
    subnormal ones."""
    tiny = np.finfo(dtype).tiny
    network = Network((1, 3, 40), "tanh", "softmax", loss, reduction="sum")
    params = np.full(network.n_params, 0.5, dtype)
    network.biases(params)[1][:] = np.linspace(0, 1.05 * np.log(tiny), 40)
    X = np.ones((1, 1), dtype)
    p = predict(network, params, X, backend=backend)[0]
    assert (p[p != 0] < tiny).any()
    gradient = gradient_of(
        network, backend, params, X, np.eye(40, dtype=dtype)[:1], np.ones(1, dtype)
    )
    assert not network.biases(gradient)[1][p < least_of(dtype) / 4].any()
    assert abs(gradient[gradient != 0]).min() >= tiny


@pytest.mark.parametrize("activation", ["silu", "gelu"])
def test_no_activation_and_no_slope_is_subnormal(activation, backend, dtype):
    """Of a sweep of z down to where sigmoid is 0: a and the gradient by z are 0 or at least the
    least."""
    network = Network((1, 1), output=activation, bias="none", reduction="sum")
    least = least_of(dtype)
    one = np.ones(1, dtype)
    z = np.linspace(-1, 1.2 * np.log(np.finfo(dtype).tiny), 997, dtype=dtype)
    a = predict(network, one, z[:, None], backend=backend)[:, 0]
    assert {*(a == 0)} == {True, False}
    assert abs(a[a != 0]).min() >= least
    slopes = [
        gradient_of(network, backend, one, row, row * 0 - 1, one)[0] for row in z[:, None, None]
    ]
    assert min(abs(slope) for slope in slopes if slope) >= least
    assert slopes[-1] == 0
