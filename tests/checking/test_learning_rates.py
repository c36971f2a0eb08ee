"""Learning rates in JSON's types."""

from dataclasses import dataclass

import numpy as np
import pytest

from fastnn import cosine
from fastnn.checking.arguments import describe, described
from fastnn.schedules import SCHEDULES


@dataclass
class Steps:
    """A function of the step that is no schedule of fastnn, with arrays that JSON does not know."""

    rates: np.ndarray

    def __call__(self, step):
        return self.rates[step]


@pytest.mark.parametrize(
    ("rate", "expected"), [(0.5, 0.5), (max, "max"), (lambda t: t, "<lambda>"), (Steps(np.ones(3)), "Steps")]
)
def test_description_of_rates(rate, expected):
    assert str(describe(rate)).endswith(str(expected))


@pytest.mark.parametrize("rate", [0.5, cosine(0.4, steps=3, final=0.1)])
def test_a_number_and_a_schedule_come_back(rate):
    assert described(describe(rate), SCHEDULES) == rate


@pytest.mark.parametrize("description", ["max", {"schedule": "unknown", "learning_rate": 0.1}])
def test_a_function_and_an_unknown_schedule_do_not(description):
    with pytest.raises(LookupError):
        described(description, SCHEDULES)
