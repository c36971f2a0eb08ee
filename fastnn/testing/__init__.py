"""The conformance suite: checks of a back end, and the only place where tolerances are written.

This project's tests use them, and they check a back end of your own::

    from fastnn import register_backend, testing, workloads

    register_backend("mine", MyBackend)
    testing.assert_backends_match(workloads.load("iris"), backends=("numpy", "mine"))

`check_backend` runs the whole conformance suite on a back end.

Every check that passes returns how near it came to its bound: the worst difference as a part of
what is allowed.
"""

from fastnn.testing import tolerances as tolerances
from fastnn.testing.cases import Check, Declined
from fastnn.testing.conformance import (
    Outcome,
    Report,
    check_backend,
    conformance_checks,
    find_backend,
)
from fastnn.testing.gradients import assert_gradients_match, check_gradient
from fastnn.testing.tolerances import (
    COMPLEX_STEP_RTOL,
    GRADIENT_FACTOR,
    GROWTH,
    GROWTH_RUNS,
    UPDATE_FLOOR,
    UPDATE_ULPS,
    Difference,
    away_from_kinks,
    gradient_scale,
    longest_sum,
    loss_scale,
    ulp_difference,
)
from fastnn.testing.trainings import (
    Growth,
    Match,
    assert_backends_match,
    assert_trainings_match,
    assert_updates_match,
    growth_bound,
)

__all__ = [
    "COMPLEX_STEP_RTOL",
    "GRADIENT_FACTOR",
    "GROWTH",
    "GROWTH_RUNS",
    "UPDATE_FLOOR",
    "UPDATE_ULPS",
    "Check",
    "Declined",
    "Difference",
    "Growth",
    "Match",
    "Outcome",
    "Report",
    "assert_backends_match",
    "assert_gradients_match",
    "assert_trainings_match",
    "assert_updates_match",
    "away_from_kinks",
    "check_backend",
    "check_gradient",
    "conformance_checks",
    "find_backend",
    "gradient_scale",
    "growth_bound",
    "longest_sum",
    "loss_scale",
    "ulp_difference",
]


def __getattr__(name: str) -> object:
    if name == "check_functions":
        raise AttributeError(
            "testing.check_functions is gone: call your function in a back end of a few lines, "
            "and give that to check_gradient or check_backend, see docs/howto/testing.md"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
