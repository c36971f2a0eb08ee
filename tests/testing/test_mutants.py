"""The conformance suite is tested: each bug of `mutants.py` is caught and named, and what is right
passes."""

import pytest
from mutants import MUTANTS, RIGHT, caught, report_on

from fastnn.testing import check_backend


def assert_caught(name, *which):
    """The error of `check_backend` names the bug too, although it repeats few messages."""
    kinds, text = caught(name, *which)
    assert kinds, "not caught"
    assert text is not None, f"caught, but no text says {MUTANTS[name].words!r}"
    assert MUTANTS[name].words in report_on(name, *which).summary()


@pytest.mark.parametrize("name", MUTANTS)
def test_each_bug_is_caught_and_named(name):
    """By one kind of checks, which stand by themselves in the error; the slow test below has them
    all."""
    assert_caught(name, (MUTANTS[name].dtype,), MUTANTS[name].kind)


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_each_bug_is_caught_and_named_among_all_checks_of_both_dtypes(name):
    assert_caught(name)


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_passes(name):
    report = check_backend(RIGHT[name]())
    assert report.count("passed") > 200
    text = report.summary()
    assert not [mutant.words for mutant in MUTANTS.values() if mutant.words in text]


def test_a_bug_raises():
    with pytest.raises(AssertionError, match="b of layer 0"):
        check_backend(MUTANTS["no bias gradient"].make(), dtypes=["float64"])
