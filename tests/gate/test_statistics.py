"""The judgement: no alarm when nothing changed, what is slower is noticed, and the interval holds
the truth."""

import numpy as np
import pytest

from fastnn.gate import Quantity, Sample, compare
from fastnn.gate.compare import GateSettings, Interval, judge


def simulated(monkeypatch, seed, ratio):
    """The outcome of a gate on such runs of four quantities, in which head takes `ratio` times as
    long."""
    random = np.random.RandomState(seed)
    level = 1.0
    quantities = [Quantity("trainings", name) for name in "abcd"]

    def run(command):
        nonlocal level
        level *= np.exp(random.normal(0, 0.02))
        busy = random.uniform(1, 2) if random.random_sample() < 0.1 else 1
        factor = ratio if command == "head" else 1
        times = level * busy * factor * np.exp(random.normal(0, 0.02, len(quantities)))
        return Sample(dict(zip(quantities, times, strict=True)), {"compiled": 0}, 1.0)

    monkeypatch.setattr(compare, "run", run)
    return compare.compare("base", "head", GateSettings())


so_often = pytest.mark.parametrize("n", [60, pytest.param(200, marks=pytest.mark.slow)])


@so_often
def test_no_alarm_when_nothing_changed(n, monkeypatch):
    """Four workloads on a machine that drifts by 2 % a run and is up to twice as slow in one run of
    ten."""
    assert all(simulated(monkeypatch, seed, 1.0).passed for seed in range(n))


@so_often
def test_15_percent_are_always_noticed(n, monkeypatch):
    found = [simulated(monkeypatch, seed, 1.15) for seed in range(n)]
    assert not any(outcome.passed for outcome in found)
    assert np.mean([c.slower for outcome in found for c in outcome.comparisons]) > 0.9


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.06, 1.2, "slower"),
        (1.04, 1.2, "undecided"),
        (0.9, 1.04, "no slower"),
        (0.8, 0.9, "faster"),
    ],
)
def test_verdicts(low, high, verdict):
    assert judge(Interval(low, (low + high) / 2, high), 1.05) == verdict
