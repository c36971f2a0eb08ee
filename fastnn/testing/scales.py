"""The scales of rounding errors: the size of the terms of which a loss and a gradient are sums."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastnn import reference
from fastnn.memory import Array
from fastnn.network import ACTIVATIONS, LOSSES, Network
from fastnn.state import Data

_CHANGE = 1e-6  # relative, of an argument


def longest_sum(network: Network, n_rows: int) -> int:
    """Count the terms of the longest sum in a pass, forward and backward: n of the bounds.

    Parameters
    ----------
    network : Network
        Its sizes and bias.
    n_rows : int
        The rows of the pass.

    Returns
    -------
    int
        The number of terms.

    Examples
    --------
    >>> from fastnn import Network, testing
    >>> testing.longest_sum(Network((3, 5, 1)), n_rows=100)
    100
    """
    of_z = max(network.sizes) + (network.bias != "none")
    of_a_bias = n_rows * (max(network.sizes[1:]) if network.bias == "scalar" else 1)
    return max(of_z, of_a_bias)


def gradient_scale(
    network: Network, params: Array, data: Data, alpha: float = 0.0, above: Array | None = None
) -> NDArray[np.float64]:
    """Compute S of the bounds: the largest entry of each tensor's gradient, computed with absolute values.

    Forward as usual, then deltas, weights and activations by their magnitude, ``|a| + |y|`` for the difference ``a -
    y``: so large are the terms of the sums that a gradient is, however much of them cancels.

    Parameters
    ----------
    network : Network
        Sizes, activations, loss, bias and reduction.
    params : ndarray (n_params,)
        The parameters.
    data : Data
        X (n, n_inputs), Y (n, n_outputs) and sample_weight (n,).
    alpha : float
        Strength of the L2 penalty.
    above : ndarray (n_params,), optional
        The parameters through which delta is carried down where they are others: with ``sequential=True`` those after
        the update.

    Returns
    -------
    ndarray (n_params,)
        The same number for all entries of a W, and for all entries of a b.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, testing
    >>> network, r = Network((3, 4, 2), "tanh"), np.random.RandomState(0)
    >>> params, X, Y = network.init_params(r), r.randn(5, 3), r.randn(5, 2)
    >>> from fastnn.backends import Data
    >>> S = testing.gradient_scale(network, params, Data(X, Y, np.ones(5)))
    >>> S.shape, len(set(S.tolist()))  # two W, two b
    ((26,), 4)
    """
    wide = Data(*(array.astype(np.float64) for array in data))
    v, batch = reference.views(network, np.asarray(params, np.float64)), reference.take(network, wide, slice(None))
    through = v.W if above is None else network.weights(np.asarray(above, np.float64))
    scale = np.zeros(network.n_params)
    with np.errstate(all="ignore"):
        zs, activations = reference.forward(network, v, batch.X)
        delta = batch.weight * _output_magnitude(network, zs[-1], activations[-1], batch.Y)
        for l in reversed(range(network.n_layers)):
            layer, W, b = network.layers[l], abs(v.W[l]), abs(v.b[l])
            scale[layer.weight] = (abs(activations[l]).T @ delta + alpha * W).max()
            if layer.n_bias:
                db = delta.sum(axis=0) if layer.n_bias == layer.fan_out else delta.sum()
                scale[layer.bias] = (db * b if network.bias_gradient == "times_bias" else db).max()
            if l > 0:
                activation = reference.ACTIVATION_FUNCTIONS[network.layers[l - 1].activation]
                delta = _magnitude(activation, delta @ abs(through[l]).T, activations[l], zs[l - 1])
    return scale / batch.divisor


def output_scale(network: Network, params: Array, X: Array) -> Array:
    """Return S of the outputs (n, n_outputs): their own size, plus their sums computed with absolute values."""
    v = reference.views(network, params)
    with np.errstate(all="ignore"):
        zs, activations = reference.forward(network, v, X)
        size = abs(activations[-2]) @ abs(v.W[-1]) + (abs(v.b[-1]) if network.layers[-1].n_bias else 0)
        activation, (a, z) = reference.ACTIVATION_FUNCTIONS[network.output], (activations[-1], zs[-1])
        return abs(a) + np.sum([_magnitude(activation, size * one, a, z) for one in np.eye(network.n_outputs)], axis=0)


def _output_magnitude(network: Network, z: Array, a: Array, y: Array) -> Array:
    """Return the magnitude of the output layer's delta: |Jacobian| times |dl/da|, differences taken as sums."""
    if network.matched:
        return abs(a) + abs(y)
    loss, activation = reference.LOSS_FUNCTIONS[network.loss], reference.ACTIVATION_FUNCTIONS[network.output]
    d = (abs(loss.d(a, y)) + abs(loss.d(a, -y))) / 2
    return np.sum([_magnitude(activation, d * one, a, z) for one in np.eye(network.n_outputs)], axis=0)


def _magnitude(activation: reference.ActivationFunctions, d: Array, a: Array, z: Array) -> Array:
    """Return ``|d f'(z)|`` with the differences in f' as sums, such as ``1 + a^2`` for ``1 - a^2``.

    The formula of f' is not used: the terms that cancel are as large as its relative change with a and z.
    """
    delta = activation.delta(d, a, z)
    change = abs(activation.delta(d, a * (1 + _CHANGE), z) - delta)
    change += abs(activation.delta(d, a, z * (1 + _CHANGE)) - delta)
    return abs(delta) + change / _CHANGE


def loss_scale(network: Network, params: Array, data: Data, alpha: float) -> float:
    """Compute S of the loss: the loss itself, plus the loss with the differences ``a - y`` as sums, ``|a| + |y|``.

    Parameters
    ----------
    network : Network
        Sizes, activations, loss, bias and reduction.
    params : ndarray (n_params,)
        The parameters.
    data : Data
        X (n, n_inputs), Y (n, n_outputs) and sample_weight (n,).
    alpha : float
        Strength of the L2 penalty.

    Returns
    -------
    float
        At least the loss.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, testing
    >>> network, r = Network((3, 4, 2), "tanh"), np.random.RandomState(0)
    >>> params, X, Y = network.init_params(r), r.randn(5, 3), r.randn(5, 2)
    >>> from fastnn import loss_and_gradient
    >>> from fastnn.backends import Data
    >>> loss, _ = loss_and_gradient(network, params, X, Y)
    >>> testing.loss_scale(network, params, Data(X, Y, np.ones(5)), 0.0) >= loss
    True
    """
    v, batch = reference.views(network, params), reference.take(network, data, slice(None))
    with np.errstate(all="ignore"):
        a = reference.forward(network, v, batch.X)[1][-1]
        slope = 1.0 if network.matched else abs(reference.LOSS_FUNCTIONS[network.loss].d(a, batch.Y))
        differences = (batch.weight * slope * (abs(a) + abs(batch.Y))).sum() / batch.divisor
        return float(abs(reference.loss_value(network, v, batch, a, alpha)) + differences)


def away_from_kinks(network: Network, params: Array, X: Array, Y: Array, factor: float) -> NDArray[np.bool_]:
    """Return for each row whether rounding, of `factor` times eps for each term of a sum, keeps it off a kink.

    At a kink, such as 0 of relu or of the absolute error, a derivative jumps, and the least difference decides on
    which side a row lies: gradients can be compared on the other rows only. A row that lies on a kink exactly,
    whatever the rounding, counts as away.
    """
    v, eps = reference.views(network, params), float(np.finfo(params.dtype).eps)
    margin = factor * max(network.sizes) * eps
    away = np.ones(len(X), bool)
    with np.errstate(all="ignore"):
        zs, activations = reference.forward(network, v, X)
        for l, (layer, W, b) in enumerate(zip(network.layers, *v, strict=True)):
            for kink in ACTIVATIONS[layer.activation].kinks:
                size = abs(activations[l]) @ abs(W) + (abs(b) if layer.n_bias else 0)
                away &= (abs(zs[l] - kink) >= margin * size).all(axis=1)
        for kink in LOSSES[network.loss].kinks:
            a = activations[-1]
            away &= (abs(a - Y - kink) > margin * (abs(a) + abs(Y))).all(axis=1)
    return away


def sides_of_kinks(network: Network, params: Array, X: Array, Y: Array) -> NDArray[np.bool_]:
    """Return on which side of each kink a row lies (n, number of kinks)."""
    v = reference.views(network, params)
    with np.errstate(all="ignore"):
        zs, activations = reference.forward(network, v, X)
        kinks = [ACTIVATIONS[layer.activation].kinks for layer in network.layers]
        sides = [z > kink for z, found in zip(zs, kinks, strict=True) for kink in found]
        sides += [activations[-1] - Y > kink for kink in LOSSES[network.loss].kinks]
    return np.concatenate([np.zeros((len(X), 0), bool), *sides], axis=1)
