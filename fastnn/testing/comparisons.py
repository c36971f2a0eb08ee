"""Comparison of two recorded trainings: by their bits, and within the bounds of rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastnn.backends import get_backend
from fastnn.memory import Array
from fastnn.testing.differences import Difference, find_difference
from fastnn.testing.scales import longest_sum
from fastnn.testing.tolerances import assert_within, ulp_difference
from fastnn.testing.trainings import measured_growth
from fastnn.testing.trajectories import Trajectory, hyper_parameters, weights_along


@dataclass(frozen=True)
class Comparison:
    """The result of comparing two trajectories: whether they have the same bits, and where they differ.

    Attributes
    ----------
    same_bits : bool
        Whether all recorded weights and losses have the same bits.
    step : int or None
        How many steps were done when weights were first found to differ, or the first step (counted from 0) whose loss
        differs if no weights do.
    difference : Difference or None
        Layer, index, both numbers and the ULP between them at that step; None where all weights are equal numbers.
    largest_ulp : float
        The largest ULP between two recorded weights.
    names : pair of str
        Back ends of the two.

    Examples
    --------
    >>> from fastnn import Adam, Network, testing
    >>> X = [[0.0], [0.5], [1.0]]
    >>> a = testing.record(Network((1, 3, 1), "tanh"), X, X, optimizer=Adam(0.1), at=[1, 10])
    >>> print(testing.compare(a, a.again("numpy")))
    a (numpy) and b (numpy) have the same bits
    """

    same_bits: bool
    step: int | None
    difference: Difference | None
    largest_ulp: float
    names: tuple[str, str]

    def __str__(self) -> str:
        a, b = (f"{letter} ({name})" for letter, name in zip("ab", self.names, strict=True))
        if self.same_bits:
            return f"{a} and {b} have the same bits"
        if self.difference is None:
            return f"{a} and {b} have equal weights, but other bits of a zero or another loss at step {self.step}"
        d = self.difference
        return (
            f"after {self.step} steps {d.where} is {d.actual} in {a} and {d.expected} in {b}, {d.ulp:.3g} ULP apart; "
            f"the largest difference anywhere is {self.largest_ulp:.3g} ULP\nother numbers: {d.beyond}"
        )


def compare(a: Trajectory, b: Trajectory) -> Comparison:
    """Find where two recordings of the same training differ first.

    Parameters
    ----------
    a, b : Trajectory
        The recordings.

    Returns
    -------
    Comparison
        Whether they have the same bits, and else the first step and the weight that differ.

    Raises
    ------
    ValueError
        When they are not of the same training: the text says what differs. ``b.again(...)`` records the very training
        of another recording.

    Examples
    --------
    >>> from fastnn import Adam, Network, testing
    >>> X = [[0.0], [0.5], [1.0]]
    >>> a = testing.record(Network((1, 3, 1), "tanh"), X, X, optimizer=Adam(0.1), at=[1, 10])
    >>> testing.compare(a, a.again("numba")).same_bits in (True, False)
    True
    """
    _check_same_training(a, b)
    names = (a.backend, b.backend)
    ulp = ulp_difference(a.params, b.params)
    for step, mine, theirs in zip(a.at, a.params, b.params, strict=True):
        _, difference = find_difference(a.course.network, mine, theirs, 0.0)
        if difference is not None or mine.tobytes() != theirs.tobytes():
            return Comparison(False, int(step), difference, float(ulp.max()), names)
    differs = np.flatnonzero(a.loss.view(np.int64) != b.loss.view(np.int64))
    return Comparison(not len(differs), int(differs[0]) if len(differs) else None, None, 0.0, names)


def assert_trajectories_match(actual: Trajectory, expected: Trajectory) -> float:
    """Assert that two recordings of the same training agree within `growth_bound` at each recorded step.

    The bound is measured here and now, by trainings of the reference from what `expected` holds.

    Parameters
    ----------
    actual, expected : Trajectory
        The recordings.

    Returns
    -------
    float
        The worst difference of weights and losses as a part of its bound.

    Raises
    ------
    AssertionError
        That names the first recorded step and in it the layer nearest to the output that differ by more than allowed.
    ValueError
        When they are not of the same training.

    Examples
    --------
    >>> from fastnn import Adam, Network, testing
    >>> X = [[0.0], [0.5], [1.0]]
    >>> a = testing.record(Network((1, 3, 1), "tanh"), X, X, optimizer=Adam(0.1), at=[1, 10])
    >>> testing.assert_trajectories_match(a.again("numba"), a) <= 1
    True
    """
    _check_same_training(actual, expected)
    course = expected.course
    n_rows = int((course.steps.stop - course.steps.start).max())
    growth = measured_growth(
        lambda start: weights_along(course, expected.at, get_backend("numpy"), start),
        course.params,
        longest_sum(course.network, n_rows),
    )
    names, worst = (actual.backend, f"{expected.backend}, as expected"), 0.0
    for step, mine, theirs, bound in zip(expected.at, actual.params, expected.params, growth.params_bound, strict=True):
        ratio, difference = find_difference(course.network, mine, theirs, bound)
        if difference is not None:
            raise AssertionError(f"after {step} steps {difference.between(*names)}")
        worst = max(worst, ratio)
    what = f"loss of {actual.backend}, step"
    return max(worst, assert_within(actual.loss, expected.loss, growth.loss_bound, what, names[1]))


def _check_same_training(a: Trajectory, b: Trajectory) -> None:
    one, other = a.course, b.course
    same = {
        "network": one.network == other.network,
        "optimizer": hyper_parameters(one.optimizer) == hyper_parameters(other.optimizer),
        "alpha": one.alpha == other.alpha,
        "dtype": one.params.dtype == other.params.dtype,
        "data": _equal(one.data, other.data),
        "initial parameters": _equal([one.params], [other.params]),
        "row order": _equal([one.rows(s) for s in range(one.n_steps)], [other.rows(s) for s in range(other.n_steps)]),
        "learning rates": _equal([one.steps.learning_rate], [other.steps.learning_rate]),
        "recorded steps": _equal([a.at], [b.at]),
    }
    different = [name for name, is_same in same.items() if not is_same]
    if different:
        raise ValueError(f"these are not recordings of the same training: they differ in {', '.join(different)}")


def _equal(these: Sequence[Array], those: Sequence[Array]) -> bool:
    return len(these) == len(those) and all(map(np.array_equal, these, those))
