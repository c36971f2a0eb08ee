"""Updates in lockstep: each step of a training on two back ends, from the same state.

So differences do not add up. The bound is the reference's update of the gradient's bound, plus `UPDATE_ULPS`; a row
near a kink is left out of that step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastnn import reference
from fastnn.backends import Backend
from fastnn.memory import Array
from fastnn.reference import Rates
from fastnn.state import Data, StepState
from fastnn.testing.differences import find_difference
from fastnn.testing.gradients import away_from_kinks
from fastnn.testing.recordable import Course
from fastnn.testing.scales import gradient_scale, longest_sum
from fastnn.testing.tolerances import GRADIENT_FACTOR, UPDATE_FLOOR, UPDATE_ULPS, assert_within
from fastnn.testing.updates import update_range, update_terms, updated


def assert_steps_match(course: Course, first: Backend, other: Backend) -> tuple[float, Array]:
    """Assert that each step of a training, from the state that `first` has come to, is the same on another back end.

    Returns
    -------
    worst : float
        The worst difference as a part of what is allowed.
    allowed : (n_params,)
        How much is allowed for each parameter in all steps together.

    Raises
    ------
    AssertionError
        That names the first step that is not, and in it the layer nearest to the output.
    ValueError
        Where `first` diverges.
    """
    state, worst, total = course.start(), 0.0, np.zeros(course.network.n_params)
    for s in range(course.n_steps):
        rows, what = without_kinks(course, s, state.params), f"update in lockstep, step {s} of {course.optimizer.name}"
        if not len(rows):
            continue
        expected, actual = state.copy(), state.copy()
        if not len(course.step(first, expected, s, rows)):
            raise ValueError(diverged(first, s))
        if not len(course.step(other, actual, s, rows)):
            raise AssertionError(not_finite(what, other, first))
        with np.errstate(all="ignore"):
            allowed = _allowed(course, s, batch_of(course, rows), state, expected, actual)
        ratio, difference = find_difference(course.network, actual.vectors, expected.vectors, allowed)
        if difference is not None:
            raise AssertionError(f"{what}: {difference.between(other.name, first.name)}")
        _assert_counted(what, actual, expected, other, first)
        state, worst, total = expected, max(worst, ratio), total + allowed[0]
    return worst, total


def _allowed(course: Course, s: int, batch: Data, before: StepState, expected: StepState, actual: StepState) -> Array:
    """Bound the difference of two updates (1 + n_slots, n_params) from one state, by the bound of their gradients."""
    if not batch.sample_weight.any():
        return np.zeros(before.vectors.shape)  # the step is skipped
    optimizer, dtype = course.optimizer, before.vectors.dtype
    rates = Rates(float(course.steps.learning_rate[s]), expected.beta_products, course.network.is_weight(dtype))
    gradient, bound = _known_gradient(course, batch, before.params, actual.params)
    center = updated(optimizer, before.vectors, gradient, rates).astype(np.float64)
    least, largest = update_range(optimizer, before.vectors, gradient, bound, rates)
    allowed = np.maximum(largest - center, center - least)
    if optimizer.sequential:  # what is allowed in one layer moves the gradient of those below it
        theirs, _ = _known_gradient(course, batch, before.params, expected.params)
        allowed += abs(updated(optimizer, before.vectors, theirs, rates) - center)
    terms = np.maximum(update_terms(optimizer, before.vectors, gradient, rates), abs(expected.vectors))
    return allowed + UPDATE_ULPS * np.spacing(terms).astype(np.float64) + UPDATE_FLOOR


def _known_gradient(course: Course, batch: Data, params: Array, after: Array) -> tuple[Array, Array]:
    """Return the reference's gradient and its bound; a sequential one goes back through the parameters `after`."""
    network, sequential = course.network, course.optimizer.sequential
    moved, gradient = params.copy(), np.zeros_like(params)
    rows, v = reference.take(network, batch, slice(None)), reference.views(network, moved)

    def replace(l: int) -> None:
        moved[network.layers[l].all] = after[network.layers[l].all]

    passed, d = reference.forward(network, v, rows.X), reference.views(network, gradient)
    reference.backward(network, v, d, rows, passed, course.alpha, replace if sequential else None)
    unit = GRADIENT_FACTOR * longest_sum(network, len(batch.X)) * float(np.finfo(params.dtype).eps)
    scale = gradient_scale(network, params, batch, course.alpha, after if sequential else None)
    return gradient, unit * scale + UPDATE_FLOOR


def _assert_counted(what: str, actual: StepState, expected: StepState, other: Backend, first: Backend) -> None:
    """Assert that the step count and the powers of beta agree after a step."""
    allowed = UPDATE_ULPS * np.spacing(expected.beta_products)
    assert_within(actual.t, expected.t, 0, f"{what}: steps counted by {other.name} (t)", first.name)
    assert_within(
        actual.beta_products, expected.beta_products, allowed, f"{what}: beta_products of {other.name}", first.name
    )


def without_kinks(course: Course, s: int, params: Array) -> NDArray[np.int64]:
    """Return the rows of step s without those that rounding could carry across a kink."""
    rows = course.rows(s)
    return rows[away_from_kinks(course.network, params, course.data.X[rows], course.data.Y[rows])]


def batch_of(course: Course, rows: NDArray[np.int64]) -> Data:
    """Return the data of some rows."""
    return Data(*(array[rows] for array in course.data))


def not_finite(what: str, other: Backend, first: Backend) -> str:
    """Say that a back end diverges where the first one does not."""
    return f"{what}: {other.name} reports a loss or a parameter that is not finite; {first.name} does not"


def diverged(backend: Backend, s: int) -> str:
    """Say that the back end which is right diverges."""
    return f"{backend.name} diverges at step {s}, so there is nothing to compare with: take a smaller learning rate"
