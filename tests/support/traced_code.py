"""Traced code as Python can call it when it is compiled."""

import functools

import numba


@functools.cache
def in_machine_code(function):
    """Return a function that Python can call for one that only compiled code can."""
    plain = getattr(function, "py_func", None) or (lambda *args: function(*args))
    return numba.njit(plain, error_model="numpy")
