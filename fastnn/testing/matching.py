"""Comparison of back ends on one training: its first gradient, each step by itself, and all steps together."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn.backends import BACKENDS, Backend, check_supported, get_backend
from fastnn.measuring.workloads import Workload
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.testing.differences import find_difference
from fastnn.testing.gradients import assert_gradients_match, away_from_kinks
from fastnn.testing.lockstep import assert_steps_match, batch_of, diverged, not_finite, without_kinks
from fastnn.testing.recordable import Course, plan_course
from fastnn.testing.scales import longest_sum
from fastnn.testing.tolerances import assert_within
from fastnn.testing.trainings import Growth, measured_growth


class Match(NamedTuple):
    """The worst differences of back ends that match, as fractions of their bounds.

    Attributes
    ----------
    gradient : float
        The first gradient.
    update : float
        Each step from the same state.
    free : float
        The steps that each back end did by itself.

    Examples
    --------
    >>> from fastnn import testing, workloads
    >>> match = testing.assert_backends_match(workloads.load("iris"), backends=("numpy", "numba"), steps=5)
    >>> match.gradient <= 1, match.update <= 1, match.free <= 1
    (True, True, True)
    """

    gradient: float
    """The gradient and the loss of the first batch."""
    update: float
    """The steps that begin with the same state."""
    free: float
    """The steps that each back end did by itself."""


def assert_backends_match(
    network: Network | Workload,
    X: Any = None,
    Y: Any = None,
    *,
    backends: Sequence[str | Backend] = BACKENDS,
    steps: int = 20,
    seed: int | np.random.RandomState = 0,
    **options: Any,
) -> Match:
    """Assert that back ends train a network alike: the first of them is what the others are compared with.

    Three parts, each of which finds bugs that the others do not:

    1. The loss and the gradient of the first batch, see `assert_gradients_match`.
    2. Updates in lockstep: at each step all back ends begin with the first one's state. So differences do not add up,
       and the message names the step that is wrong. The bound is the reference's update of the gradient's bound, plus
       `UPDATE_ULPS`; a row near a kink is left out of that step (see `away_from_kinks`).
    3. Free steps: all steps in one call, as `fastnn.train` does them, within `growth_bound` of the first back end's
       and what part 2 allows in all steps together. This finds what goes wrong between steps. It is measured, not
       proved: of 4,500 drawn trainings, many of them on data whose gradients cancel, 4 right ones failed in this part.

    Parameters
    ----------
    network : Network or Workload
        A workload, such as ``fastnn.workloads.load("iris")``, brings data and options along.
    X, Y : array-like (n, n_inputs) and (n, n_outputs)
        Inputs and targets. float32 is trained in float32, everything else in float64.
    backends : sequence of names or Backends
        At least two; the first one is right.
    steps : int
        How many steps: as many batches of `batch_size` rows, in the order that `fastnn.train` takes with this seed.
    seed : int or RandomState
        Draws the initial parameters, unless they are given, and the order of the rows.
    **options : dict
        Those of `fastnn.train`: ``sample_weight``, ``params``, ``optimizer``, ``batch_size``, ``shuffle``, ``alpha``.

    Returns
    -------
    Match
        How near the back ends came to the bounds.

    Raises
    ------
    AssertionError
        That names the part, the first step and in it the layer nearest to the output that differ by more than allowed,
        its worst number, both values, the ULP between them and the bound. Steps are counted from 0.
    ValueError, TypeError
        For what `fastnn.train` refuses, fewer than two back ends, one that does not support this training, and a
        training in which the first back end diverges.

    Examples
    --------
    >>> from fastnn import testing, workloads
    >>> match = testing.assert_backends_match(workloads.load("iris"), backends=("numpy", "numba"), steps=5)
    >>> max(match) <= 1
    True
    """
    course = plan_course(network, X, Y, steps, seed, **options)
    first, *others = (get_backend(backend) for backend in backends)
    if not others:
        raise ValueError("backends needs at least two of them to be compared")
    weighted = bool((course.data.sample_weight != 1).any())
    for backend in (first, *others):
        check_supported(backend, course.network, course.optimizer, alpha=course.alpha, sample_weight=weighted)
    matches = []
    for other in others:
        gradient = _first_gradient(course, first, other)
        update, allowed = assert_steps_match(course, first, other)
        matches.append(Match(gradient, update, _free(course, first, other, allowed)))
    return Match(*(max(part) for part in zip(*matches, strict=True)))


# ----------------------------------------------------------------------------------------------------------- gradient


def _first_gradient(course: Course, first: Backend, other: Backend) -> float:
    """Compare the gradients of the first batch that has a row away from kinks."""
    for s in range(course.n_steps):
        batch = batch_of(course, without_kinks(course, s, course.params))
        if batch.sample_weight.any():
            break
    else:
        raise ValueError("all rows have weight 0 or lie near a kink: take another seed, more rows or more steps")
    options: dict[str, Any] = {"sample_weight": batch.sample_weight, "alpha": course.alpha}
    try:
        return assert_gradients_match(
            course.network, course.params, batch.X, batch.Y, **options, backend=other, expected=first
        )
    except AssertionError as error:
        raise AssertionError(f"batch of step {s}: {error}") from None


# --------------------------------------------------------------------------------------------------------- free steps


def _free(course: Course, first: Backend, other: Backend, allowed: Array) -> float:
    def assert_match_after(n: int) -> float:
        growth = _growth(course, first, n)
        growth = growth._replace(params_bound=growth.params_bound + allowed)
        return _assert_free_steps(course, growth, first, other, n)

    def differs_after(n: int) -> bool:
        try:
            assert_match_after(n)
        except AssertionError:
            return True
        return False

    try:
        return assert_match_after(course.n_steps)
    except AssertionError:
        n = 1 + bisect.bisect_left(range(1, course.n_steps), True, key=differs_after)
    try:
        return assert_match_after(n)
    except AssertionError as error:
        raise AssertionError(f"{error}{_kink_before(course, first, n)}") from None


def _growth(course: Course, first: Backend, n: int) -> Growth:
    def run(params: Array) -> tuple[Array, Array]:
        state = course.start(params)
        losses = course.advance(first, state, 0, n)
        if len(losses) < n:
            raise ValueError(diverged(first, len(losses)))
        return state.params, losses

    n_rows = max(len(course.rows(s)) for s in range(n))
    return measured_growth(run, course.params, longest_sum(course.network, n_rows))


def _assert_free_steps(course: Course, growth: Growth, first: Backend, other: Backend, n: int) -> float:
    state, worst, what = course.start(), 0.0, ""
    losses = course.advance(other, state, 0, n)
    for s, (loss, expected, bound) in enumerate(zip(losses, growth.loss, growth.loss_bound, strict=False)):
        what = f"free steps, step {s} of {course.optimizer.name}"
        worst = max(worst, assert_within(loss, expected, bound, f"{what}: loss of {other.name}", first.name))
    if len(losses) < n:
        raise AssertionError(not_finite(f"free steps, step {len(losses)} of {course.optimizer.name}", other, first))
    ratio, difference = find_difference(course.network, state.params, growth.params, growth.params_bound)
    if difference is not None:
        raise AssertionError(f"{what}: {difference.between(other.name, first.name)}")
    return max(worst, ratio)


def _kink_before(course: Course, first: Backend, n: int) -> str:
    """Return a hint if a row lies so near a kink that rounding alone may explain the difference."""
    state = course.start()
    for s in range(n):
        rows = course.rows(s)
        if not away_from_kinks(course.network, state.params, course.data.X[rows], course.data.Y[rows]).all():
            return f"\nA row lies near a kink at step {s}, where rounding may decide: see whether another seed passes"
        course.advance(first, state, s, s + 1)
    return ""
