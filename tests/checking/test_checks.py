"""Arguments: fields of dataclasses that are checked, what stands in errors, numbers and learning rates as text."""

from dataclasses import dataclass

import numpy as np
import pytest
from fuzz_values import LONG_NAME, nested

from fastnn import SGD, BayesianRegularization, cosine
from fastnn.checking.arguments import amount, cut, decimal, describe, described, shown
from fastnn.schedules import SCHEDULES


def test_fields_become_what_their_checks_return():
    sgd = SGD(np.float32(0.5), momentum=np.float64(0.5), nesterov=np.True_)
    assert [type(sgd.learning_rate), type(sgd.momentum), type(sgd.nesterov)] == [float, float, bool]
    assert type(BayesianRegularization(first_steps=np.int64(3)).first_steps) is int


class Wordless:
    def __repr__(self):
        raise RuntimeError("no repr")


def test_texts_are_cut():
    """That no error is long, whatever a caller gives: `attempt` of the fuzzer."""
    assert shown("x" * 10**6) == "'" + "x" * 47 + "..." + "x" * 48 + "'"
    assert len(shown(nested(6))) == len(cut(LONG_NAME)) == 200
    assert cut("a\n b") == "a b"
    assert shown(10**5000) == "an object of type int"
    assert shown(Wordless()).startswith("<Wordless instance at")
    assert shown(np.zeros((2, 3))) == "ndarray of shape (2, 3)"
    assert (amount(1234), amount(10**30)) == ("1,234", "more than 10^24")


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, np.longdouble])
def test_a_decimal_is_the_number_whatever_the_print_options(kind):
    numbers = np.random.RandomState(0).standard_normal(300) * 10.0 ** np.random.RandomState(1).uniform(-6, 4, 300)
    for number in np.append(numbers, [0.0, -0.0, 1e-4, 60000.0, 1.0, 3.25]).astype(kind):
        text = decimal(number)
        assert kind(text) == number
        with np.printoptions(legacy="1.13", precision=1, suppress=True):
            assert decimal(number) == text


@dataclass
class Steps:
    """A function of the step that is no schedule of fastnn, with arrays that JSON does not know."""

    rates: np.ndarray

    def __call__(self, step):
        return self.rates[step]


def test_learning_rates_in_the_types_of_json():
    for rate, expected in ((max, "max"), (lambda t: t, "<lambda>"), (Steps(np.ones(3)), "Steps")):
        assert describe(rate).endswith(expected)
    for rate in (0.5, cosine(0.4, steps=3, final=0.1)):  # a number and a schedule come back
        assert described(describe(rate), SCHEDULES) == rate
    for description in ("max", {"schedule": "unknown", "learning_rate": 0.1}):
        with pytest.raises(LookupError):
            described(description, SCHEDULES)
