"""Checks of a back end and the tolerances that go with them: the one place where a tolerance is written down.

They are used by this project's tests, and are there for a back end of your own::

    from fastnn import Adam, Network, register_backend, testing
    register_backend("mine", MyBackend)
    testing.assert_gradients_match(Network((3, 5, 1)), params, X, Y, backend="mine")

Every check that passes returns how near it came to its bound: the worst difference as a part of what is allowed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import reference
from fastnn.backends import Backend, Data, Steps, TrainingState, get_backend
from fastnn.inference import loss_and_gradient
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.scales import away_from_kinks as _away_from_kinks
from fastnn.scales import gradient_scale, longest_sum, loss_scale
from fastnn.schedules import learning_rates
from fastnn.training import train
from fastnn.validation import check_data, check_params

Array = NDArray[Any]

GRADIENT_FACTOR = 16
"""Gradients may differ by so many times n eps S: n the longest sum in the network, S as `gradient_scale` says."""
UPDATE_ULPS = 4
"""Each number that an update writes may differ by so many units in the last place."""
UPDATE_FLOOR = 1e-30
"""Below it numbers count as equal: a back end may flush what is denormal to 0."""
GROWTH = 10
"""Whole trainings may differ by so many times what one unit in the last place of the initial weights grows to."""
GROWTH_RUNS = 5
"""That growth is the largest of so many trainings."""
COMPLEX_STEP_RTOL = 1e-11
"""A gradient and its complex step may differ by so many times S."""

_STEP = 1e-100  # of the complex step: nothing is subtracted, so it may be as small as it likes
_FAR = 1e30  # a target that no output comes near


def ulp_difference(a: ArrayLike, b: ArrayLike, magnitude: ArrayLike = 0.0) -> Array:
    """How far a and b are apart, in units in the last place of the larger of them.

    Parameters
    ----------
    a, b : array-like of one float dtype
    magnitude : array-like
        The unit is taken at this number where it is larger still: of numbers that were added up, say.

    Returns
    -------
    ndarray of float64
        0 where both are equal or NaN; infinite where only one of them is finite.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != b.dtype or a.dtype.kind != "f":
        raise TypeError(f"ulp_difference compares floats of one dtype, not {a.dtype} with {b.dtype}")
    top = np.maximum(np.maximum(abs(a), abs(b)), np.asarray(magnitude, a.dtype))
    with np.errstate(all="ignore"):
        units = abs(a.astype(np.float64) - b) / np.spacing(top).astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.where(np.isfinite(a) & np.isfinite(b), units, np.inf))


# ----------------------------------------------------------------------------------------------------------- gradients


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
    worst = _assert_within(other_loss, loss, unit * loss_scale(network, params, data, alpha), f"loss of {name}")
    for l, layer in enumerate(network.layers):
        for tensor, part in (("W", layer.weight), ("b", layer.bias)):
            what = f"gradient of {name} by {tensor} of layer {l}"
            worst = max(worst, _assert_within(other[part], gradient[part], allowed[part], what))
    return worst


def _assert_within(actual: Any, expected: Any, allowed: Any, what: str) -> float:
    """The largest part of `allowed` that the difference takes; AssertionError where it takes more than all of it."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    difference, allowed = np.broadcast_arrays(abs(actual - expected), np.asarray(allowed, np.float64))
    with np.errstate(all="ignore"):
        ratio = np.where(actual == expected, 0.0, difference / allowed)
    if not ratio.size:
        return 0.0
    worst = np.unravel_index(int(np.argmax(np.where(np.isnan(ratio), np.inf, ratio))), ratio.shape)
    if not ratio[worst] <= 1:
        place = f"[{', '.join(str(int(i)) for i in worst)}]" if worst else ""
        raise AssertionError(
            f"{what}{place}: {actual[worst]} where the reference has {expected[worst]}, "
            f"a difference of {difference[worst]:.3g}; {allowed[worst]:.3g} is allowed"
        )
    return float(ratio[worst])


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
    return _assert_within(actual, expected, allowed, "gradient")


# ------------------------------------------------------------------------------------------------- updates, trainings


def assert_updates_match(
    optimizer: Optimizer, params: Array, gradients: Array, *, backend: str | Backend = "numba"
) -> float:
    """Assert that a back end updates parameters as the reference does, given the same gradients and the same state.

    Each step begins with the reference's state, so nothing adds up. The gradient is given through a network of one
    row, no hidden layer and the absolute error, whose gradient by W is the row itself, exactly; that by the bias is 1
    and -1 in turn.

    Parameters
    ----------
    optimizer : Optimizer
    params : (n + 1,)
        The last one is a bias.
    gradients : (n_steps, n), of the same dtype

    Returns
    -------
    float
        The worst difference of parameters and optimiser state as a part of its bound: `UPDATE_ULPS` units in the last
        place of the largest number that the update adds up.
    """
    network = Network((gradients.shape[1], 1), loss="absolute_error", reduction="sum")
    rates = learning_rates(optimizer.learning_rate, 0, len(gradients))
    state, worst = TrainingState.create(params, optimizer.n_slots), 0.0

    def step(name: str | Backend, s: int, sign: int, gradient: Array, before: TrainingState) -> TrainingState:
        after, one = before.copy(), np.ones((1, 1), params.dtype)
        data = Data(sign * gradient[None], -sign * _FAR * one, one[0])
        steps = Steps(np.array([0]), np.array([0]), np.array([1]), rates[s : s + 1], np.empty(1))
        if get_backend(name).train_steps(network, optimizer, after, data, steps, 0.0) != 1:
            raise AssertionError(f"step {s} of {optimizer.name}: parameters or loss are not finite")
        return after

    for s, gradient in enumerate(gradients):
        before, sign = state, -1 if s % 2 else 1
        state = step("numpy", s, sign, gradient, before)
        expected, actual = state.vectors, step(backend, s, sign, gradient, before).vectors
        sizes = before.copy()
        sizes.vectors[...] = abs(before.vectors)
        added = [step("numpy", s, sign, sign * abs(gradient), sizes).vectors for sign in (1, -1)]
        terms = np.maximum(*(abs(v) for v in added))
        terms[0] = np.maximum(*(abs(v[0] - sizes.params) for v in added))
        units = ulp_difference(expected, actual, np.maximum(terms, sizes.vectors))
        units[abs(expected - actual) < UPDATE_FLOOR] = 0
        if not units.max() <= UPDATE_ULPS:
            row, i = np.unravel_index(int(units.argmax()), units.shape)
            raise AssertionError(
                f"step {s} of {optimizer.name}, vector {row}, parameter {i}: {actual[row, i]} where the reference "
                f"has {expected[row, i]}, {units[row, i]:.3g} ULP apart; {UPDATE_ULPS} are allowed"
            )
        worst = max(worst, float(units.max()) / UPDATE_ULPS)
    return worst


class Growth(NamedTuple):
    """What a training of the reference gives, and how far another back end's may be from it."""

    params: Array  # (n_params,)
    loss: Array  # (n_epochs,)
    params_bound: float
    loss_bound: Array  # (n_epochs,)


def growth_bound(network: Network, X: Any, Y: Any, params: Array, **options: Any) -> Growth:
    """Train the reference, and again with every initial weight moved by one unit in the last place, up or down.

    Rounding grows along a training as any small perturbation does, little or without limit: this measures how much.
    The bound is `GROWTH` times the largest drift of `GROWTH_RUNS` such trainings, plus ``GRADIENT_FACTOR * n * eps`` of
    the largest parameter (of the loss). `options` go to `fastnn.train`; they need a seed if rows are shuffled.
    """
    runs = []
    for k in range(1 + GROWTH_RUNS):
        towards = np.random.RandomState(k).choice([-np.inf, np.inf], params.size).astype(params.dtype)
        start = np.nextafter(params, towards) if k else params
        result = train(network, X, Y, params=start, backend="numpy", **options)
        runs.append((result.params, result.history.loss))
    (final, loss), moved = runs[0], runs[1:]
    n_rows = min(options.get("batch_size") or len(X), len(X))
    unit = GRADIENT_FACTOR * longest_sum(network, n_rows) * float(np.finfo(final.dtype).eps)
    drift = max(float(abs(p - final).max()) for p, _ in moved)
    loss_drift = np.max([abs(l - loss) for _, l in moved], axis=0)
    return Growth(final, loss, GROWTH * drift + unit * float(abs(final).max()), GROWTH * loss_drift + unit * abs(loss))


def assert_trainings_match(
    network: Network, X: Any, Y: Any, params: Array, *, backend: str | Backend = "numba", **options: Any
) -> float:
    """Assert that a training on a back end ends where the reference's does, within `growth_bound`.

    Returns
    -------
    float
        The worst difference of final parameters and of the epochs' losses as a part of its bound.
    """
    bound = growth_bound(network, X, Y, params, **options)
    result = train(network, X, Y, params=params, backend=backend, **options)
    name = get_backend(backend).name
    return max(
        _assert_within(result.params, bound.params, bound.params_bound, f"params of {name}"),
        _assert_within(result.history.loss, bound.loss, bound.loss_bound, f"history.loss of {name}"),
    )
