"""What stands in errors is cut. That no error is long, whatever a caller gives: `attempt` of the fuzzer."""

import numpy as np
import pytest
from fuzz_values import LONG_NAME, nested

from fastnn.checking.arguments import amount, cut, decimal, shown


class Wordless:
    def __repr__(self):
        raise RuntimeError("no repr")


def test_texts_are_cut():
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
