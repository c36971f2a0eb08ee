"""Checks of a back end's gradient, by the reference's and by the derivative of its loss."""

from typing import Any

import numpy as np

from fastnn import reference
from fastnn.backends import Backend, get_backend
from fastnn.formulas import probability
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.testing.tolerances import (
    COMPLEX_STEP_RTOL,
    assert_tensors_within,
    assert_within,
    away_from_kinks,
    gradient_scale,
    loss_scale,
    rounding_unit,
)
from fastnn.training import loss_and_gradient
from fastnn.training.inputs import check_data, check_params

_STEP = 1e-100  # of the complex step: nothing is subtracted, so it may be as small as it likes


def assert_gradients_match(
    network: Network,
    params: Array,
    X: Any,
    Y: Any,
    *,
    sample_weight: Any = None,
    alpha: float = 0.0,
    backend: str | Backend = "numba",
    expected: str | Backend = "numpy",
) -> float:
    """Assert that a back end's loss and gradient are those of another, such as the reference.

    Takes what `fastnn.loss_and_gradient` takes; rows should be `away_from_kinks`. The bound is
    ``GRADIENT_FACTOR * n * eps * S`` for each tensor; for the loss, S is the loss with its
    differences as sums.

    Parameters
    ----------
    network : Network
        Sizes, activations, loss, bias and reduction.
    params : ndarray (n_params,)
        The parameters, float32 or float64.
    X : array-like (n, n_inputs)
        The inputs.
    Y : array-like (n, n_outputs)
        The targets.
    sample_weight : array-like (n,), optional
        The weights of the rows.
    alpha : float
        Strength of the L2 penalty.
    backend : name or Backend
        The one that is checked.
    expected : name or Backend
        The one that is right.

    Returns
    -------
    float
        The worst difference as a part of its bound.

    Raises
    ------
    AssertionError
        That names the layer nearest to the output whose gradient is off, its worst number, both
        values, the ULP between them and the bound. The loss comes first: where it is off, the
        forward pass is.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, testing
    >>> network, r = Network((3, 4, 2), "tanh"), np.random.RandomState(0)
    >>> params, X, Y = network.init_params(r), r.randn(5, 3), r.randn(5, 2)
    >>> testing.assert_gradients_match(network, params, X, Y, backend="numba") <= 1
    True
    """
    options = {"sample_weight": sample_weight, "alpha": alpha}
    loss, gradient = loss_and_gradient(network, params, X, Y, **options, backend=expected)
    other_loss, other = loss_and_gradient(network, params, X, Y, **options, backend=backend)
    data = check_data(network, np.asarray(X, gradient.dtype), Y, sample_weight)
    unit = rounding_unit(network, len(data.X), gradient.dtype)
    names = get_backend(backend).name, get_backend(expected).name
    loss_allowed = unit * loss_scale(network, params, data, alpha)
    worst = assert_within(other_loss, loss, loss_allowed, f"loss of {names[0]}", names[1])
    allowed = unit * gradient_scale(network, params, data, alpha)
    return max(
        worst, assert_tensors_within(network, other, gradient, allowed, "gradient by", *names)
    )


def check_gradient(
    network: Network,
    params: Any,
    X: Any,
    Y: Any,
    *,
    sample_weight: Any = None,
    alpha: float = 0.0,
    backend: str | Backend = "numpy",
    loss: str | Backend = "numpy",
) -> float:
    """Assert that a back end's gradient is the derivative of the reference's loss.

    The derivative is a complex step, one parameter at a time, in float64: ``dL/dp = Im L(p + ih) /
    h`` to the last digits, for nothing is subtracted (Squire and Trapp, SIAM Review 40, 1998). That
    a back end's own loss is the reference's, `assert_gradients_match` says.

    Parameters
    ----------
    network : Network
        Sizes, activations, loss, bias and reduction.
    params : ndarray (n_params,)
        The parameters, float32 or float64.
    X : array-like (n, n_inputs)
        The inputs.
    Y : array-like (n, n_outputs)
        The targets.
    sample_weight : array-like (n,), optional
        The weights of the rows.
    alpha : float
        Strength of the L2 penalty.
    backend : name or Backend
        The one whose gradient is checked.
    loss : name or Backend
        The one whose loss is differentiated: one that takes complex parameters, and says so by
        ``accepts_complex = True``, as the reference does.

    Returns
    -------
    float
        The worst difference as a part of its bound, ``COMPLEX_STEP_RTOL`` times S of each tensor.

    Raises
    ------
    AssertionError
        Where it is not; the text names the layer and W or b, from the output to the input.
    ValueError
        With ``bias_gradient="times_bias"``, which is not the loss' gradient; when a row lies near a
        kink, where there is none (see `away_from_kinks`); when a probability is so near 0 or 1 that
        the loss clips it, which its gradient ignores; when `loss` takes no complex parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, testing
    >>> network, r = Network((3, 4, 2), "tanh"), np.random.RandomState(0)
    >>> params, X, Y = network.init_params(r), r.randn(5, 3), r.randn(5, 2)
    >>> problem = network, params, X, Y
    >>> testing.check_gradient(*problem, backend="numba") <= 1
    True
    """
    if network.bias_gradient != "exact":
        raise ValueError(
            f"bias_gradient={network.bias_gradient!r} is not the gradient of the loss: "
            "nothing to check"
        )
    backend = get_backend(backend)
    by = get_backend(loss)
    if not getattr(by, "accepts_complex", False):
        raise ValueError(f"the loss of {by.name} takes no complex parameters: say loss='numpy'")
    params = check_params(network, params, np.float64)
    data = check_data(network, np.asarray(X, params.dtype), Y, sample_weight)
    batch = reference.take(network, data, slice(None))
    if not away_from_kinks(network, params, batch.X, batch.Y).all():
        raise ValueError(
            "a row lies near a kink of the network or its loss, where the derivative jumps: "
            "draw another"
        )
    output = backend.predict(network, params, batch.X)
    if network.loss_line.clips and not (probability(output) == output).all():
        raise ValueError(
            "the loss clips a probability of 0 or 1, which its gradient ignores: draw another row"
        )
    actual = backend.loss_and_gradient(network, params, data, alpha)[1]
    expected = np.empty(params.size)
    moved = params.astype(complex)
    for i in range(params.size):
        moved[i] += 1j * _STEP
        value: Any = by.loss_and_gradient(network, moved, data, alpha)[0]
        expected[i] = value.imag / _STEP
        moved[i] = params[i]
    allowed = COMPLEX_STEP_RTOL * gradient_scale(network, params, data, alpha)
    names = backend.name, f"the complex step of the loss of {by.name}"
    return assert_tensors_within(
        network, actual.astype(np.float64), expected, allowed, "gradient by", *names
    )
