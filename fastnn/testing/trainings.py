"""Does a back end update parameters and train as the reference does?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.backends import Backend, Data, Steps, TrainingState, get_backend
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.schedules import learning_rates
from fastnn.testing.scales import longest_sum
from fastnn.testing.tolerances import (
    GRADIENT_FACTOR,
    GROWTH,
    GROWTH_RUNS,
    UPDATE_FLOOR,
    UPDATE_ULPS,
    assert_within,
    ulp_difference,
)
from fastnn.training import train

Array = NDArray[Any]

_FAR = 1e30  # a target that no output comes near


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
        assert_within(result.params, bound.params, bound.params_bound, f"params of {name}"),
        assert_within(result.history.loss, bound.loss, bound.loss_bound, f"history.loss of {name}"),
    )
