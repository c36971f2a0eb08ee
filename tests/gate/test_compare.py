"""The comparison of two commands: their turns, when it ends, what fails it, and what one side alone measures."""

import pytest
from gate_samples import DIGITS, ONLINE, START, sample

from fastnn.gate import CommandError, Quantity, Sample, compare
from fastnn.gate.compare import GateSettings, Sides


def test_pairs_turn_and_stop_when_decided(runs):
    called = runs(lambda command, i: sample())
    outcome = compare.compare("base", "head", GateSettings())
    assert outcome.passed
    assert called == ["base", "head"] * 2 + ["head", "base", "base", "head"] * 2 + ["head", "base"]
    assert len(outcome.comparisons[0].rounds[0]) == compare.FEWEST


@pytest.mark.parametrize(
    ("seconds", "quantity", "verdicts"),
    [
        (lambda head, i: 1.0 + 0.1 * (i % 3) * head, DIGITS, ("undecided",)),
        (lambda head, i: 1.5 if head and i <= 2 + 2 * compare.FEWEST else 1.0, DIGITS, ("slower", "no slower")),
        (lambda head, i: 1.15 if head else 1.0, START, ("no slower",)),  # starts have a threshold of their own
        (lambda head, i: 1.5 if head else 1.0, DIGITS, ("slower", "slower")),
    ],
)
def test_slower_must_be_found_twice_and_undecided_takes_all_pairs(runs, seconds, quantity, verdicts):
    called = runs(lambda command, i: sample(seconds(command == "head", i), quantity=quantity))
    outcome = compare.compare("base", "head", GateSettings(pairs=8))
    assert outcome.comparisons[0].verdicts == verdicts
    assert outcome.passed == (verdicts != ("slower", "slower"))
    if verdicts == ("undecided",):
        assert len(called) == 2 + 2 * 8


def test_a_worse_count_fails_and_nothing_is_timed(runs):
    called = runs(lambda command, i: sample(counts=[("compiled", 1 if command == "head" else 0)]))
    outcome = compare.compare("base", "head", GateSettings())
    assert not outcome.passed
    assert outcome.counts == (Sides(Quantity("counts", "compiled"), 0, 1),)
    assert outcome.comparisons == ()
    assert len(called) == 4


def test_the_first_run_may_compile(runs):
    runs(lambda command, i: sample(counts=[("compiled", 9 if i <= 2 else 0)]))
    assert compare.compare("base", "head", GateSettings()).passed


def test_fewer_or_new_counts_pass(runs):
    runs(lambda command, i: sample(counts=[("a", 0), ("new", 5)] if command == "head" else [("a", 3)]))
    outcome = compare.compare("base", "head", GateSettings(timed=False))
    assert outcome.passed
    assert [(count.quantity.name, count.verdict) for count in outcome.counts] == [("a", "fewer"), ("new", "new")]


def test_what_one_side_alone_measures_is_shown_and_the_rest_compared(runs):
    def both(command, i):
        only = ONLINE if command == "base" else START
        return Sample({DIGITS: 1.0, only: 2.0}, {"both": 0, command: 3}, 1.0)

    runs(both)
    outcome = compare.compare("base", "head", GateSettings())
    assert outcome.passed
    assert [c.quantity for c in outcome.comparisons] == [DIGITS]
    assert outcome.alone == (Sides(ONLINE, 2.0, None), Sides(START, None, 2.0))
    verdicts = {count.quantity.name: count.verdict for count in outcome.counts}
    assert verdicts == {"both": "equal", "base": "gone", "head": "new"}
    assert outcome.gone == ["online", "base"]


def test_nothing_in_common_is_an_error(runs):
    runs(lambda command, i: sample(counts=(), quantity=ONLINE if command == "head" else DIGITS))
    with pytest.raises(CommandError, match="nothing of the same name"):
        compare.compare("base", "head", GateSettings())


def test_a_side_must_measure_the_same_in_each_run(runs):
    runs(lambda command, i: sample(quantity=ONLINE if i == 5 else DIGITS))
    with pytest.raises(CommandError, match="head does not measure the same in each run; missing this time: digits"):
        compare.compare("base", "head", GateSettings())
