"""Learning rates that change with the step."""

import math

import numpy as np
import pytest

from fastnn import SGD, constant, cosine, exponential, one_cycle, step_decay, warm_up
from fastnn.training.steps import learning_rates


def along_a_cosine(t, final):
    """The rate from 0.3 to `final`, in ten steps."""
    return final + (0.3 - final) * (1 + math.cos(math.pi * min(t, 10) / 10)) / 2


SCHEDULES = {
    "constant": (constant(0.3), lambda t: 0.3),
    "step_decay": (step_decay(0.3, 4), lambda t: 0.3 * 0.5 ** (t // 4)),
    "step_decay, factor": (step_decay(0.3, 3, 0.9), lambda t: 0.3 * 0.9 ** (t // 3)),
    "exponential": (exponential(0.3, 0.95), lambda t: 0.3 * 0.95**t),
    "cosine": (cosine(0.3, 10), lambda t: along_a_cosine(t, 0.0)),
    "cosine to 0.1": (cosine(0.3, 10, 0.1), lambda t: along_a_cosine(t, 0.1)),
    "warm_up": (warm_up(0.3, 8), lambda t: 0.3 * min(t, 8) / 8),
    "warm_up from 0.1": (warm_up(0.3, 8, 0.1), lambda t: 0.1 + 0.2 * min(t, 8) / 8),
    "one_cycle": (one_cycle(0.3, 10), lambda t: 0.3 * min(t / 3, max(10 - t, 0) / 7)),
    "one_cycle between steps": (
        one_cycle(0.3, 9, 0.1, 0.2, rise=0.5),
        lambda t: min(0.1 + 0.2 * t / 4.5, 0.2 + 0.1 * max(9 - t, 0) / 4.5),
    ),
    "a number": (0.3, lambda t: 0.3),
    "a function": (lambda t: 0.3 / (1 + t), lambda t: 0.3 / (1 + t)),
}


@pytest.mark.parametrize("case", SCHEDULES)
def test_rates(case):
    rate, formula = SCHEDULES[case]
    rates = learning_rates(rate, 0, 25)
    assert (rates.dtype, rates.shape) == (np.float64, (25,))
    np.testing.assert_allclose(rates, [formula(t) for t in range(25)], rtol=1e-14, atol=1e-17)
    for first in (0, 7, 24):  # a chunk's rates are those of the absolute steps, to the bit
        assert learning_rates(rate, first, 25 - first).tobytes() == rates[first:].tobytes()
    if callable(rate):
        assert [rate(t) for t in range(25)] == rates.tolist()
        assert SGD(rate).learning_rate is rate


def test_step_decay_is_exact():
    exact = [0.3, 0.3 * 0.1, 0.3 * 0.1 * 0.1, 0.3 * 0.1 * 0.1 * 0.1]
    assert learning_rates(step_decay(0.3, 1, 0.1), 0, 4).tolist() == exact
    # at once, not after so many products
    assert learning_rates(step_decay(1.0, 1, 0.5), 10**12, 2).tolist() == [0, 0]
    assert math.isinf(step_decay(1.0, 1, 2.0)(10**9))
    assert step_decay(0.3, 1, 1.0)(10**12) == 0.3
    # a subnormal that rounding gives back
    assert step_decay(1.0, 1, 0.9)(10**12) == np.nextafter(0, 1) * 5


@pytest.mark.parametrize("first", [0.0, 0.1, 0.7])
def test_straight_lines_have_their_ends_exactly(first):
    """No rate lies beyond the ends: 0.1 + (0.3 - 0.1) is not 0.3."""
    rising = warm_up(0.3, 7, first)
    cycle = one_cycle(0.3, 20, first, final=0.1, rise=0.5)
    assert (rising(0), rising(7), rising(10**9)) == (first, 0.3, 0.3)
    assert (cycle(0), cycle(10), cycle(20), cycle(10**9)) == (first, 0.3, 0.1, 0.1)
    rates = learning_rates(cycle, 0, 25)
    assert (rates >= min(first, 0.1)).all()
    assert (rates <= max(first, 0.3)).all()


def test_a_cosine_has_the_same_bits_on_every_machine():
    """Its products and sums are rounded alike everywhere, where `numpy.cos` differs: exact
    hexadecimal digits."""
    exact = {0: "0x1.0000000000000p+0", 1: "0x1.f378709a22a80p-1", 3: "0x1.96791823aad2fp-1"}
    exact |= {5: "0x1.0000000000000p-1", 9: "0x1.90f1ecbbab000p-6", 10: "0x0.0p+0"}
    assert {t: cosine(1.0, 10)(t).hex() for t in exact} == exact


def test_a_schedule_may_be_longer_than_any_training():
    n = 10**400
    for schedule in (
        step_decay(0.5, n),
        cosine(0.5, n),
        warm_up(0.0, n, start=0.5),
        one_cycle(0.5, n, start=0.5),
    ):
        assert schedule(0) == round(schedule(10**6), 9) == 0.5, schedule
