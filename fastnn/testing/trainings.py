"""Checks of a back end's updates and whole trainings against the reference's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastnn.backends import Backend, Data, Steps, StepState, Task, get_backend
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.reference import Rates
from fastnn.testing.differences import find_difference
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
from fastnn.testing.updates import update_terms
from fastnn.training import train
from fastnn.training.epochs import learning_rates
from fastnn.training.plan import choose_options

_FAR = 1e30  # a target that no output comes near


def assert_updates_match(
    optimizer: Optimizer, params: Array, gradients: Array, *, backend: str | Backend = "numba"
) -> float:
    """Assert that a back end updates parameters as the reference does, given the same gradients and the same state.

    Each step begins with the reference's state, so differences do not add up. The gradient is given through a network
    without hidden layer, one row of data and the absolute error: its gradient by W is the row itself, exactly, that by
    the bias 1 and -1 in turn.

    Parameters
    ----------
    optimizer : Optimizer
        Its class and hyper-parameters.
    params : ndarray (n + 1,)
        The first parameters, float32 or float64; the last one is a bias.
    gradients : ndarray (n_steps, n)
        The gradient of each step, of the same dtype.
    backend : name or Backend
        The one that is checked.

    Returns
    -------
    float
        The worst difference of parameters and optimizer state as a part of its bound: `UPDATE_ULPS` units in the last
        place of the largest number that the update adds up.

    Raises
    ------
    AssertionError
        That names the first step and the parameter that differ by more.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Adam, testing
    >>> r = np.random.RandomState(0)
    >>> testing.assert_updates_match(Adam(), r.randn(9), r.randn(20, 8), backend="numba") <= 1
    True
    """
    network = Network((gradients.shape[1], 1), loss="absolute_error", reduction="sum")
    rates = learning_rates(optimizer.learning_rate, 0, len(gradients))
    state, worst = StepState.create(params, optimizer.n_slots), 0.0

    def step(name: str | Backend, s: int, gradient: Array, sign: int, before: StepState) -> StepState:
        after, one = before.copy(), np.ones((1, 1), params.dtype)
        data = Data(sign * gradient[None], -sign * _FAR * one, one[0])
        steps = Steps(np.array([0]), np.array([0]), np.array([1]), rates[s : s + 1], np.empty(1))
        if get_backend(name).train_steps(Task(network, optimizer, data), after, steps) != 1:
            raise AssertionError(f"step {s} of {optimizer.name}: parameters or loss are not finite")
        return after

    for s, gradient in enumerate(gradients):
        before, sign = state, -1 if s % 2 else 1
        state = step("numpy", s, gradient, sign, before)
        expected, actual = state.vectors, step(backend, s, gradient, sign, before).vectors
        rate = Rates(float(rates[s]), state.beta_products, network.is_weight(params.dtype))
        terms = update_terms(optimizer, before.vectors, np.append(gradient, sign).astype(params.dtype), rate)
        units = ulp_difference(expected, actual, terms)
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
    """The result of a training of the reference, and how far another back end's may be from it.

    Attributes
    ----------
    params : ndarray (n_params,) or (n_times, n_params)
        The parameters at the end, or at several times.
    loss : ndarray (n_epochs,) or (n_steps,)
        The losses.
    params_bound : float, or ndarray (n_times, 1)
        By how much each parameter may differ.
    loss_bound : ndarray (n_epochs,) or (n_steps,)
        By how much each loss may differ.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, testing
    >>> network, r = Network((3, 4, 2), "tanh"), np.random.RandomState(0)
    >>> params, X, Y = network.init_params(r), r.randn(5, 3), r.randn(5, 2)
    >>> testing.growth_bound(network, X, Y, params, epochs=5, seed=0).loss_bound.shape
    (5,)
    """

    params: Array
    loss: Array
    params_bound: Any
    loss_bound: Array


def growth_bound(network: Network, X: Any, Y: Any, params: Array, **options: Any) -> Growth:
    """Train the reference, and again with every initial weight moved by one unit in the last place, up or down.

    Rounding grows along a training as any small perturbation does, little or without limit: this measures how much.
    The bound is `GROWTH` times the largest drift of `GROWTH_RUNS` such trainings, plus ``GRADIENT_FACTOR * n * eps`` of
    the largest parameter (of the loss).

    Parameters
    ----------
    network : Network
        Sizes, activations and loss.
    X : array-like (n, n_inputs)
        The inputs.
    Y : array-like (n, n_outputs)
        The targets.
    params : ndarray (n_params,)
        Initial parameters, float32 or float64.
    **options : dict
        Those of `fastnn.train`; they need a seed if rows are shuffled.

    Returns
    -------
    Growth
        The reference's result and the bounds.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, testing
    >>> network, r = Network((3, 4, 2), "tanh"), np.random.RandomState(0)
    >>> params, X, Y = network.init_params(r), r.randn(5, 3), r.randn(5, 2)
    >>> bool(testing.growth_bound(network, X, Y, params, epochs=5, seed=0).params_bound < 1e-10)
    True
    """

    def run(start: Array) -> tuple[Array, Array]:
        result = train(network, X, Y, params=start, backend="numpy", **options)
        return result.params, result.history.loss

    given = {name: options[name] for name in ("optimizer", "batch_size") if name in options}
    batch_size = choose_options(**given).batch_size
    n_rows = min(batch_size or len(X), len(X))
    return measured_growth(run, params, longest_sum(network, n_rows))


def measured_growth(run: Callable[[Array], tuple[Array, Array]], params: Array, n_terms: int) -> Growth:
    """Return the bound of `growth_bound` for any training `run` that takes initial parameters.

    `run` returns parameters (n_params,), or (n_times, n_params) at several times with a bound each, and losses.
    `n_terms` is the n of the bound.
    """
    runs = []
    for k in range(1 + GROWTH_RUNS):
        toward = np.random.RandomState(k).choice([-np.inf, np.inf], params.size).astype(params.dtype)
        runs.append(run(np.nextafter(params, toward) if k else params))
    (found, loss), moved = runs[0], runs[1:]
    unit = GRADIENT_FACTOR * n_terms * float(np.finfo(found.dtype).eps)
    keep: Any = found.ndim > 1  # NumPy's stubs take a literal only
    drift = np.max([abs(p - found).max(axis=-1, keepdims=keep) for p, _ in moved], axis=0).astype(np.float64)
    largest = abs(found).max(axis=-1, keepdims=keep).astype(np.float64)
    loss_drift = np.max([abs(l - loss) for _, l in moved], axis=0)
    return Growth(found, loss, GROWTH * drift + unit * largest, GROWTH * loss_drift + unit * abs(loss))


def assert_trainings_match(
    network: Network, X: Any, Y: Any, params: Array, *, backend: str | Backend = "numba", **options: Any
) -> float:
    """Assert that a training on a back end ends where the reference's does, within `growth_bound`.

    Parameters
    ----------
    network : Network
        Sizes, activations and loss.
    X : array-like (n, n_inputs)
        The inputs.
    Y : array-like (n, n_outputs)
        The targets.
    params : ndarray (n_params,)
        Initial parameters, float32 or float64.
    backend : name or Backend
        The one that is checked.
    **options : dict
        Those of `fastnn.train`; they need a seed if rows are shuffled.

    Returns
    -------
    float
        The worst difference of final parameters and of the epochs' losses as a part of its bound.

    Raises
    ------
    AssertionError
        That names the first epoch's loss, or the layer nearest to the output, that differs by more.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, testing
    >>> network, r = Network((3, 4, 2), "tanh"), np.random.RandomState(0)
    >>> params, X, Y = network.init_params(r), r.randn(5, 3), r.randn(5, 2)
    >>> testing.assert_trainings_match(network, X, Y, params, backend="numba", epochs=5, seed=0) <= 1
    True
    """
    bound = growth_bound(network, X, Y, params, **options)
    result = train(network, X, Y, params=params, backend=backend, **options)
    name = get_backend(backend).name
    what = f"{name}'s loss of epoch"
    worst = assert_within(result.history.loss, bound.loss, bound.loss_bound, what)
    ratio, difference = find_difference(network, result.params, bound.params, bound.params_bound)
    if difference is not None:
        raise AssertionError(f"after {result.n_epochs} epochs {difference.between(name, 'numpy')}")
    return max(worst, ratio)
