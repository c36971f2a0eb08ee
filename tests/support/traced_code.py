"""Traced code as Python can call it when it is compiled, and the comparison of its bits."""

import functools

import numba
import numpy as np
from numpy.testing import assert_array_equal


@functools.cache
def in_machine_code(function):
    """Return a function that Python can call for one that only compiled code can."""
    plain = getattr(function, "py_func", None) or (lambda *args: function(*args))
    return numba.njit(plain, error_model="numpy")


def assert_same_bits(found, right):
    assert found.dtype == right.dtype
    nan = np.isnan(right)
    assert_array_equal(np.isnan(found), nan)
    ints = f"u{right.itemsize}"
    assert_array_equal(np.where(nan, 0, found).view(ints), np.where(nan, 0, right).view(ints))
