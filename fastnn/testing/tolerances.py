"""The tolerances: how far apart two computations of the same numbers may be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.memory import Array

GRADIENT_FACTOR = 16
"""Gradients may differ by so many times n eps S: n the longest sum in the network, S as `gradient_scale` says."""
UPDATE_ULPS = 4
"""Each number that an update writes may differ by so many units in the last place."""
UPDATE_FLOOR = 1e-30
"""So large a difference is always allowed: a back end may flush denormal numbers to 0."""
GROWTH = 10
"""Whole trainings may differ by so many times what one unit in the last place of the initial weights grows to."""
GROWTH_RUNS = 5
"""That growth is the largest of so many trainings."""
STEP_FACTOR = 20_000
"""The length of the difference of two steps of Levenberg-Marquardt may be so many times eps / sqrt(mu) of the longer.

A step is as exact as the system that it solves is well posed. Against the least squares of the Jacobian itself, which
is not squared, that was 5e-11 at a mu of 1e-3 and 7e-7 at 1e-12.
"""
EXPORT_FACTOR = 300
"""An exported network's outputs may differ from our own by so many eps of the dtype, times an output larger than 1."""
COMPLEX_STEP_RTOL = 1e-11
"""A gradient and its complex step may differ by so many times S."""
DIRECTIONS = 5
"""Central differences are taken along so many random directions within each W and b."""
DIRECTION_FACTOR = 3
"""The loss' change and the gradient along a way u may differ by so many times eps^(1/3) S |u|.

eps^(1/3) is the length of the step, 6e-6 in float64 and 5e-3 in float32, where the errors of truncation (h^2 / 6 times
the third derivative) and of rounding (eps / h) are of one size. Huber's loss, elu and selu have a second derivative
that jumps, and an error of h S where a row crosses the jump. What rounding may change in the two losses is added. In
8,000 checks of all activations and losses, the worst error was 0.003 of the bound in float64 and 0.4 in float32.
"""


def ulp_difference(a: ArrayLike, b: ArrayLike, magnitude: ArrayLike = 0.0) -> Array:
    """Return the distance of a and b in units in the last place (ULP) of the larger one.

    Parameters
    ----------
    a, b : array-like (any shape)
        Numbers of one float dtype.
    magnitude : array-like (any shape)
        The unit is taken at this number where it is larger still: of numbers that were added up, say.

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
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != b.dtype or a.dtype.kind != "f":
        raise TypeError(f"ulp_difference compares floats of one dtype, not {a.dtype} with {b.dtype}")
    top = np.maximum(np.maximum(abs(a), abs(b)), np.asarray(magnitude, a.dtype))
    with np.errstate(all="ignore"):
        units = abs(a.astype(np.float64) - b) / np.spacing(top).astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.where(np.isfinite(a) & np.isfinite(b), units, np.inf))


def assert_within(actual: Any, expected: Any, allowed: Any, what: str, against: str = "the reference") -> float:
    """Return the largest part of `allowed` that the difference takes; raise AssertionError if that is more than 1."""
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
            f"{what}{place}: {actual[worst]} where {against} has {expected[worst]}, "
            f"a difference of {difference[worst]:.3g}; {allowed[worst]:.3g} is allowed"
        )
    return float(ratio[worst])


def step_bound(step: Array, damping: float) -> float:
    """Return by how much each parameter may differ after a step of Levenberg-Marquardt with this mu."""
    return float(STEP_FACTOR * np.finfo(np.float64).eps / np.sqrt(damping) * np.linalg.norm(step))


def export_bound(expected: Array) -> Array:
    """Return by how much each output of an exported network may differ from `expected`, our own."""
    allowed: Array = EXPORT_FACTOR * np.finfo(expected.dtype).eps * np.maximum(1, abs(expected))
    return allowed
