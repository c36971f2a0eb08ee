"""Is the gradient of a back end that of the reference, and the derivative of the loss?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import reference
from fastnn.backends import Backend, get_backend
from fastnn.inference import loss_and_gradient
from fastnn.network import Network
from fastnn.testing.scales import away_from_kinks as _away_from_kinks
from fastnn.testing.scales import gradient_scale, longest_sum, loss_scale
from fastnn.testing.tolerances import COMPLEX_STEP_RTOL, GRADIENT_FACTOR, assert_within
from fastnn.validation import check_data, check_params

Array = NDArray[Any]

_STEP = 1e-100  # of the complex step: nothing is subtracted, so it may be as small as it likes


def away_from_kinks(network: Network, params: Array, X: Array, Y: Array) -> NDArray[np.bool_]:
    """For each row of X and Y, arrays in the dtype of `params`, whether its gradient can be compared.

    At a kink, such as 0 of relu or of the absolute error, a derivative jumps, and the least difference decides on
    which side a row lies.

    Returns
    -------
    (n,) of bool
        False for a row that rounding could carry across a kink. One that lies on a kink exactly counts as away.
    """
    return _away_from_kinks(network, params, X, Y, GRADIENT_FACTOR)


def assert_gradients_match(
    network: Network,
    params: Array,
    X: Any,
    Y: Any,
    *,
    sample_weight: Any = None,
    alpha: float = 0.0,
    backend: str | Backend = "numba",
) -> float:
    """Assert that a back end's loss and gradient are those of the reference.

    Takes what `fastnn.loss_and_gradient` takes; rows should be `away_from_kinks`. The bound is ``GRADIENT_FACTOR * n *
    eps * S`` for each tensor; for the loss, S is the loss with its differences as sums.

    Returns
    -------
    float
        The worst difference as a part of its bound.
    """
    options = {"sample_weight": sample_weight, "alpha": alpha}
    loss, gradient = loss_and_gradient(network, params, X, Y, **options, backend="numpy")
    other_loss, other = loss_and_gradient(network, params, X, Y, **options, backend=backend)
    data = check_data(network, np.asarray(X, gradient.dtype), Y, sample_weight)
    unit = GRADIENT_FACTOR * longest_sum(network, len(data.X)) * float(np.finfo(gradient.dtype).eps)
    allowed = unit * gradient_scale(network, params, data, alpha)
    name = get_backend(backend).name
    worst = assert_within(other_loss, loss, unit * loss_scale(network, params, data, alpha), f"loss of {name}")
    for l, layer in enumerate(network.layers):
        for tensor, part in (("W", layer.weight), ("b", layer.bias)):
            what = f"gradient of {name} by {tensor} of layer {l}"
            worst = max(worst, assert_within(other[part], gradient[part], allowed[part], what))
    return worst


def check_gradient(
    network: Network,
    params: Any,
    X: Any,
    Y: Any,
    *,
    sample_weight: Any = None,
    alpha: float = 0.0,
    backend: str | Backend = "numpy",
) -> float:
    """Assert that a back end's gradient is the derivative of the reference's loss, in float64.

    By complex step, one parameter at a time: ``dL/dp = Im L(p + ih) / h`` to the last digits, for nothing is
    subtracted. Squire and Trapp, SIAM Review 40, 1998.

    Returns
    -------
    float
        The worst difference as a part of its bound, ``COMPLEX_STEP_RTOL`` times S.

    Raises
    ------
    ValueError
        With ``bias_gradient="times_bias"``, which is not the loss' gradient; when a row lies near a kink, where there
        is none (see `away_from_kinks`); when a probability is so near 0 or 1 that the loss clips it, which its gradient
        ignores.
    """
    if network.bias_gradient != "exact":
        raise ValueError(f"bias_gradient={network.bias_gradient!r} is not the gradient of the loss: nothing to check")
    params = check_params(network, params, np.float64)
    data = check_data(network, np.asarray(X, np.float64), Y, sample_weight)
    batch = reference.take(network, data, slice(None))
    if not away_from_kinks(network, params, batch.X, batch.Y).all():
        raise ValueError("a row lies near a kink of the network or its loss, where the derivative jumps: draw another")
    backend = get_backend(backend)
    output = backend.predict(network, params, batch.X)
    if network.loss in ("log_loss", "cross_entropy") and not (reference.clip(output) == output).all():
        raise ValueError("the loss clips a probability of 0 or 1, which its gradient ignores: draw another row")
    actual = backend.loss_and_gradient(network, params, data, alpha)[1]
    expected = np.empty(params.size)
    moved = params.astype(complex)
    for i in range(params.size):
        moved[i] += 1j * _STEP
        v = reference.views(network, moved)
        with np.errstate(all="ignore"):
            output = reference.forward(network, v, batch.X)[1][-1]
            expected[i] = reference.loss_value(network, v, batch, output, alpha).imag / _STEP
        moved[i] = params[i]
    allowed = COMPLEX_STEP_RTOL * gradient_scale(network, params, data, alpha)
    return assert_within(actual, expected, allowed, "gradient")
