"""The learning rates of a training's steps: computed ahead, and checked."""

import math

import numpy as np
import pytest

from fastnn import one_cycle
from fastnn.schedules import Schedule
from fastnn.training.epochs import learning_rates


@pytest.mark.parametrize("first", [0, 250, 10**6])
def test_rates_are_computed_ahead(first, monkeypatch):
    """An epoch a call must not cost more than its steps: of a hundred calls, two compute."""
    calls, rates = [], one_cycle.rates
    monkeypatch.setattr(one_cycle, "rates", lambda self, steps: calls.append(len(steps)) or rates(self, steps))
    schedule = one_cycle(0.3, first + 70, start=0.1 / 3)
    one_by_one = [float(learning_rates(schedule, step, 1)[0]) for step in range(first, first + 100)]
    assert len(calls) <= 2
    assert one_by_one == rates(schedule, np.arange(first, first + 100)).tolist()


def test_a_schedule_of_the_users_own_is_asked_for_no_later_steps():
    class Table(Schedule):
        def rates(self, steps):
            return np.array([0.1, 0.2, 0.3])[steps]

    assert [learning_rates(Table(0.1), step, 1).tolist() for step in range(3)] == [[0.1], [0.2], [0.3]]


@pytest.mark.parametrize("bad", [math.nan, -1.0, math.inf])
def test_a_function_must_return_a_rate(bad):
    with pytest.raises(ValueError, match=r"learning_rate\(8\) must be"):
        learning_rates(lambda t: bad if t == 8 else 0.1, 5, 10)
