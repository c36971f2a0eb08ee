"""Checks of a back end and the tolerances that go with them: the one place where a tolerance is written down.

They are used by this project's tests, and are there for a back end of your own::

    from fastnn import Adam, Network, register_backend, testing
    register_backend("mine", MyBackend)
    testing.assert_gradients_match(Network((3, 5, 1)), params, X, Y, backend="mine")

Every check that passes returns how near it came to its bound: the worst difference as a part of what is allowed.
"""

from fastnn.testing.gradients import assert_gradients_match, away_from_kinks, check_gradient
from fastnn.testing.scales import gradient_scale, longest_sum, loss_scale
from fastnn.testing.tolerances import (
    COMPLEX_STEP_RTOL,
    GRADIENT_FACTOR,
    GROWTH,
    GROWTH_RUNS,
    UPDATE_FLOOR,
    UPDATE_ULPS,
    ulp_difference,
)
from fastnn.testing.trainings import Growth, assert_trainings_match, assert_updates_match, growth_bound

__all__ = [
    "COMPLEX_STEP_RTOL",
    "GRADIENT_FACTOR",
    "GROWTH",
    "GROWTH_RUNS",
    "UPDATE_FLOOR",
    "UPDATE_ULPS",
    "Growth",
    "assert_gradients_match",
    "assert_trainings_match",
    "assert_updates_match",
    "away_from_kinks",
    "check_gradient",
    "gradient_scale",
    "growth_bound",
    "longest_sum",
    "loss_scale",
    "ulp_difference",
]
