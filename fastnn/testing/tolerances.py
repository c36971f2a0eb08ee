"""How far apart two computations of the same numbers may be, and the worst difference."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import reference
from fastnn.derivatives import switches
from fastnn.formulas import evaluate
from fastnn.losses import ACTIVATIONS, LOSSES, Custom, Value, line_of
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.state import Data

GRADIENT_FACTOR = 16
"""Gradients may differ by so many times n eps S: n the longest sum in the network, S as
`gradient_scale` says."""
UPDATE_ULPS = 4
"""Each number that an update writes may differ by so many units in the last place."""
UPDATE_FLOOR = 1e-30
"""So large a difference is always allowed: a back end may flush denormal numbers to 0."""
GROWTH = 10
"""Whole trainings may differ by so many times what one unit in the last place of the initial
weights grows to."""
GROWTH_RUNS = 5
"""That growth is the largest of so many trainings."""
STEP_FACTOR = 20_000
"""The length of the difference of two steps of Levenberg-Marquardt may be so many times eps /
sqrt(mu) of the longer.

A step is as exact as the system that it solves is well posed. Against the least squares of the
Jacobian itself, which is not squared, that was 5e-11 at a mu of 1e-3 and 7e-7 at 1e-12.
"""
EXPORT_FACTOR = 300
"""An exported network's outputs may differ from our own by so many eps of the dtype, times an
output larger than 1."""
COMPLEX_STEP_RTOL = 1e-11
"""A gradient and its complex step may differ by so many times S."""
EXTRAPOLATED_RTOL = 1e-10
"""The derivative of a formula and extrapolated differences of its function in longdouble may differ
by so many times 1 + |f| + |f'|."""


def ulp_difference(a: ArrayLike, b: ArrayLike, magnitude: ArrayLike = 0.0) -> Array:
    """Return the distance of a and b in units in the last place (ULP) of the larger one.

    Parameters
    ----------
    a, b : array-like (any shape)
        Numbers of one float dtype.
    magnitude : array-like (any shape)
        The unit is taken at this number where it is larger still: of numbers that were added up,
        say.

    Returns
    -------
    ndarray (any shape)
        In float64: 0 where both are equal or NaN; infinite where only one of them is finite.

    Raises
    ------
    TypeError
        For two dtypes, and for one that is no float.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import testing
    >>> testing.ulp_difference(1.0, np.nextafter(np.nextafter(1.0, 2.0), 2.0))
    array(2.)
    """
    a = np.asarray(a)
    b = np.asarray(b)
    if a.dtype != b.dtype or a.dtype.kind != "f":
        raise TypeError(
            f"ulp_difference compares floats of one dtype, not {a.dtype} with {b.dtype}"
        )
    top = np.maximum(np.maximum(abs(a), abs(b)), np.asarray(magnitude, a.dtype))
    with np.errstate(all="ignore"):
        units = abs(a.astype(np.float64) - b) / np.spacing(top).astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    both_finite = np.isfinite(a) & np.isfinite(b)
    return np.where(same, 0.0, np.where(both_finite, units, np.inf))


def assert_within(
    actual: Any, expected: Any, allowed: Any, what: str, against: str = "the reference"
) -> float:
    """Return the largest part of `allowed` that the difference takes.

    Raises
    ------
    AssertionError
        That names the first number whose difference is larger than allowed.
    """
    given = (np.asarray(array, np.float64) for array in (actual, expected, allowed))
    actual, expected, allowed = np.broadcast_arrays(*given)
    parts = _parts(actual, expected, allowed)
    if not (parts <= 1).all():
        first = np.unravel_index(int((parts > 1).argmax()), parts.shape)
        place = f"[{', '.join(map(str, first))}]" if first else ""
        raise AssertionError(
            f"{what}{place}: {actual[first]} where {against} has {expected[first]}, "
            f"a difference of {abs(actual - expected)[first]:.3g}; {allowed[first]:.3g} is allowed"
        )
    return float(parts.max(initial=0.0))


def _parts(actual: Array, expected: Array, allowed: Array) -> Array:
    """Return each difference as a part of what is allowed; infinite where one number is NaN."""
    with np.errstate(all="ignore"):
        parts = np.where(actual == expected, 0.0, abs(actual - expected) / allowed)
    return np.where(np.isnan(parts), np.inf, parts)


def step_bound(step: Array, damping: float) -> float:
    """Return by how much each parameter may differ after a step of Levenberg-Marquardt with this
    mu.
    """
    return float(STEP_FACTOR * np.finfo(np.float64).eps / np.sqrt(damping) * np.linalg.norm(step))


def export_bound(expected: Array) -> Array:
    """Return by how much each output of an exported network may differ from `expected`, our own."""
    allowed: Array = EXPORT_FACTOR * np.finfo(expected.dtype).eps * np.maximum(1, abs(expected))
    return allowed


# --------------------------------------------- the worst difference of two parameter vectors


class Difference(NamedTuple):
    """The first tensor beyond its bound, from the output to the input, and its worst number.

    Attributes
    ----------
    where : str
        Such as "W of layer 1 [3, 2]".
    actual, expected : float
        The two numbers.
    ulp : float
        Their distance in units in the last place of the larger one.
    allowed : float
        By how much they may differ.
    beyond : str
        The number of entries beyond their bounds, tensor by tensor.

    Examples
    --------
    >>> from fastnn import testing
    >>> where, beyond = "W of layer 0 [0, 0]", "1 of 1 in W of layer 0"
    >>> testing.Difference(where, 1.0, 2.0, 4.5e15, 1e-15, beyond).where
    'W of layer 0 [0, 0]'
    """

    where: str
    actual: float
    expected: float
    ulp: float
    allowed: float
    beyond: str

    def between(self, actual: str, expected: str) -> str:
        """Say the difference in a sentence.

        Parameters
        ----------
        actual, expected : str
            The names of the two sides.

        Returns
        -------
        str
            The sentence, and a line on the numbers beyond their bounds.

        Examples
        --------
        >>> from fastnn import testing
        >>> where, beyond = "W of layer 0 [0, 0]", "1 of 1 in W of layer 0"
        >>> difference = testing.Difference(where, 1.0, 2.0, 4.5e15, 1e-15, beyond)
        >>> difference.between("mine", "numpy").splitlines()[0][:51]
        'W of layer 0 [0, 0] is 1.0 on mine and 2.0 on numpy'
        """
        return (
            f"{self.where} is {self.actual} on {actual} and {self.expected} on {expected}, "
            f"{self.ulp:.3g} ULP apart: the difference is "
            f"{abs(self.actual - self.expected):.3g}, {self.allowed:.3g} is allowed\n"
            f"beyond their bounds: {self.beyond}"
        )


def assert_tensors_within(
    network: Network, actual: Array, expected: Array, allowed: Any, what: str, of: str, against: str
) -> float:
    """Return the worst difference as a part of its bound; an AssertionError says where it is more.

    A gradient is computed from the output to the input, so a bug shows in the layer that has it and
    in those below: the layer nearest to the output is named.

    Parameters
    ----------
    actual, expected : (n_params,), or (1 + n_slots, n_params) for an optimizer's state, of one
    dtype
    allowed : array-like
        For each number, or for all of them.
    what, of, against : str
        The beginning of the error, and the names of the two sides.
    """
    rows = np.atleast_2d(actual)
    other = np.atleast_2d(expected)
    limits = np.broadcast_to(np.asarray(allowed, np.float64), rows.shape)
    parts = _parts(rows.astype(np.float64), other, limits)
    is_beyond = parts > 1
    if not is_beyond.any():
        return float(parts.max())
    row = int(is_beyond.any(axis=1).argmax())
    beyond = [tensor for tensor in tensors(network) if is_beyond[row, tensor[1]].any()]
    name, part, shape = beyond[0]
    worst = part.start + int(parts[row, part].argmax())
    place = ", ".join(map(str, np.unravel_index(worst - part.start, shape)))
    of_state = f" in row {row} of the state" if row else ""
    counts = [
        f"{is_beyond[row, part].sum()} of {math.prod(shape)} in {name}"
        for name, part, shape in beyond
    ]
    difference = Difference(
        where=f"{name} [{place}]{of_state}",
        actual=float(rows[row, worst]),
        expected=float(other[row, worst]),
        ulp=float(ulp_difference(rows[row, worst], other[row, worst])),
        allowed=float(limits[row, worst]),
        beyond=", ".join(counts),
    )
    raise AssertionError(f"{what} {difference.between(of, against)}")


def tensors(network: Network) -> Iterator[tuple[str, slice, tuple[int, ...]]]:
    """Yield name, slice of the flat vector and shape of each W and b, from the output to the
    input.
    """
    for l in reversed(range(network.n_layers)):
        layer = network.layers[l]
        yield f"W of layer {l}", layer.weight, (layer.fan_in, layer.fan_out)
        if layer.n_bias:
            yield f"b of layer {l}", layer.bias, (layer.n_bias,)


# ---------------------------------------- scales: the size of the terms that a sum adds up


_CHANGE = 1e-6  # relative, of an argument


def rounding_unit(network: Network, n_rows: int, dtype: Any) -> float:
    """Return the factor of S in the bounds: what rounding may change in a pass over so many
    rows.
    """
    return GRADIENT_FACTOR * longest_sum(network, n_rows) * float(np.finfo(dtype).eps)


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
    """Compute S of the bounds: the largest entry of each tensor's gradient of absolute values.

    Forward as usual, then deltas, weights and activations by their magnitude, ``|a| + |y|`` for the
    difference ``a - y``: so large are the terms of the sums that a gradient is, however much of
    them cancels.

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
        The parameters through which delta is carried down where they are others: with
        ``sequential=True`` those after the update.

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
    v = reference.views(network, np.asarray(params, np.float64))
    batch = reference.take(network, wide, slice(None))
    through = v.W if above is None else network.weights(np.asarray(above, np.float64))
    scale = np.zeros(network.n_params)
    with np.errstate(all="ignore"):
        zs, activations = reference.forward(network, v, batch.X)
        delta = batch.weight * _output_magnitude(network, zs[-1], activations[-1], batch.Y)
        for l in reversed(range(network.n_layers)):
            layer = network.layers[l]
            dW = abs(activations[l]).T @ delta + alpha * abs(v.W[l])
            scale[layer.weight] = dW.max()
            if layer.n_bias:
                db = delta.sum(axis=0) if layer.n_bias == layer.fan_out else delta.sum()
                if network.bias_gradient == "times_bias":
                    db = db * abs(v.b[l])
                scale[layer.bias] = db.max()
            if l > 0:
                activation = reference.activation_of(network.layers[l - 1])
                delta = _magnitude(activation, delta @ abs(through[l]).T, activations[l], zs[l - 1])
    return scale / batch.divisor


def output_scale(network: Network, params: Array, X: Array) -> Array:
    """Return S of the outputs (n, n_outputs): their own size, plus their sums computed with
    absolute values.
    """
    v = reference.views(network, params)
    with np.errstate(all="ignore"):
        zs, activations = reference.forward(network, v, X)
        bias = abs(v.b[-1]) if network.layers[-1].n_bias else 0
        size = abs(activations[-2]) @ abs(v.W[-1]) + bias
        return abs(activations[-1]) + _through_output(network, size, activations[-1], zs[-1])


def _through_output(network: Network, d: Array, a: Array, z: Array) -> Array:
    """Return the magnitude of d carried through the output activation: |Jacobian| times d."""
    activation = reference.activation_of(network.layers[-1])
    parts = [_magnitude(activation, d * one, a, z) for one in np.eye(network.n_outputs)]
    return np.sum(parts, axis=0)


def _output_magnitude(network: Network, z: Array, a: Array, y: Array) -> Array:
    """Return the magnitude of the output layer's delta: |Jacobian| times |dl/da|, differences taken
    as sums.
    """
    if network.matched:
        return abs(a) + abs(y)
    loss = reference.loss_of(network)
    slope = (abs(loss.d(a, y)) + abs(loss.d(a, -y))) / 2
    return _through_output(network, slope, a, z)


def _magnitude(activation: reference.ActivationFunctions, d: Array, a: Array, z: Array) -> Array:
    """Return ``|d f'(z)|`` with the differences in f' as sums, such as ``1 + a^2`` for ``1 - a^2``.

    The formula of f' is not used: the terms that cancel are as large as its relative change with a
    and z.
    """
    delta = activation.delta(d, a, z)
    change = abs(activation.delta(d, a * (1 + _CHANGE), z) - delta)
    change += abs(activation.delta(d, a, z * (1 + _CHANGE)) - delta)
    return abs(delta) + change / _CHANGE


def loss_scale(network: Network, params: Array, data: Data, alpha: float) -> float:
    """Compute S of the loss: itself, plus the loss with differences ``a - y`` as ``|a| + |y|``.

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
    v = reference.views(network, params)
    batch = reference.take(network, data, slice(None))
    with np.errstate(all="ignore"):
        a = reference.forward(network, v, batch.X)[1][-1]
        slope = 1.0 if network.matched else abs(reference.loss_of(network).d(a, batch.Y))
        size = slope * (abs(a) + abs(batch.Y))
        differences = (batch.weight * size).sum() / batch.divisor
        loss = reference.loss_value(network, v, batch, a, alpha)
        return float(abs(loss) + differences)


def away_from_kinks(network: Network, params: Array, X: Array, Y: Array) -> NDArray[np.bool_]:
    """Find the rows that rounding cannot carry across a kink: their gradients can be compared.

    At a kink, such as 0 of relu or of the absolute error, a derivative jumps, and the least
    difference decides on which side a row lies.

    Parameters
    ----------
    network : Network
        Sizes, activations and loss.
    params : ndarray (n_params,)
        The parameters, float32 or float64.
    X, Y : ndarray (n, n_inputs) and (n, n_outputs)
        Inputs and targets, in the dtype of `params`.

    Returns
    -------
    ndarray (n,)
        Booleans: False for a row that rounding could carry across a kink. One that lies on a kink
        exactly counts as away.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, testing
    >>> params = np.array([1.0, 1.0, 0.0, 1.0, 0.0])  # relu of x_1 + x_2
    >>> X, Y = np.array([[1.0, 2.0], [1.0, -1 + 1e-15]]), np.zeros((2, 1))
    >>> testing.away_from_kinks(Network((2, 1, 1)), params, X, Y)
    array([ True, False])
    """
    v = reference.views(network, params)
    eps = float(np.finfo(params.dtype).eps)
    margin = GRADIENT_FACTOR * max(network.sizes) * eps
    away = np.ones(len(X), bool)
    with np.errstate(all="ignore"):
        zs, activations = reference.forward(network, v, X)
        for l, (layer, W, b) in enumerate(zip(network.layers, *v, strict=True)):
            for distance, slope in _kinks(network.activations[l], z=zs[l]):
                size = abs(activations[l]) @ abs(W) + (abs(b) if layer.n_bias else 0)
                away &= (abs(distance) >= margin * size * slope).all(axis=1)
        a = activations[-1]
        for distance, slope in _kinks(network.loss, a=a, y=Y):
            away &= (abs(distance) > margin * (abs(a) + abs(Y)) * slope).all(axis=1)
    return away


def _kinks(given: str | Value, **inputs: Array) -> list[tuple[Array, Any]]:
    """Return how far inputs are from each kink of an activation or a loss, with a sign, and the
    size of the derivative of that by z or a.
    """
    x, *y = inputs.values()
    if not isinstance(given, Custom):
        kinks = line_of(given, LOSSES if y else ACTIVATIONS).kinks
        return [(x - sum(y) - kink, 1.0) for kink in kinks]
    found = []
    for formula in switches(given.formula, given.inputs[0]):
        distance, slope = evaluate(formula, **inputs)
        found.append((distance, abs(slope)))
    return found
