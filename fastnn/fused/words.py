"""How Python hands arguments to compiled code: a NamedTuple as a row of 8-byte words, an array in it as its address.

The annotations say what a word is, those of a kernel's parameters and of a NamedTuple's fields alike: `int`, `float`, a
NamedTuple, or an array, ``NDArray[np.int64]`` of this type and any other of the working dtype.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import struct
import typing

import numpy as np


def pack(value):
    """A value as ctypes takes it. The arrays must outlive the call: a word does not hold them."""
    if isinstance(value, np.ndarray):
        return address(value)
    if isinstance(value, tuple):
        return struct.pack(_format(type(value)), *map(pack, value))
    return value


def flatten(value):
    """What kernels that run as plain Python take: an array, and each array of a NamedTuple, in one dimension."""
    if isinstance(value, np.ndarray):
        return value.reshape(-1)
    if isinstance(value, tuple):
        return type(value)(*map(flatten, value))
    return value


DATA = object.__basicsize__
"""Bytes from where an array's object begins to the address of its numbers: part of NumPy's binary interface."""


def address(array):
    """Where an array's first number is, read as compiled code does. ``array.ctypes.data`` takes three times as long."""
    return ctypes.c_void_p.from_address(id(array) + DATA).value


class After(typing.NamedTuple):
    """Of an array that is known to lie some bytes after the first one of its NamedTuple."""

    bytes: int


def digest(known):
    """A word for what is known: for None of it, and for each array or number a different one."""
    plain = [value.tolist() if isinstance(value, np.ndarray) else value for value in known]
    return hashlib.sha256(repr(plain).encode()).hexdigest()[:32] if any(value is not None for value in known) else ""


@functools.cache
def _format(kind):
    """The format of `struct` for the words of a NamedTuple."""
    return "".join("d" if hint is float else "q" for hint in hints(kind).values())


def hints(thing):
    """{name: annotation} of a NamedTuple's fields or a function's parameters, and "return" for its result."""
    return typing.get_type_hints(thing)


def element(hint, dtype):
    """The dtype of an array that is annotated so; `dtype` is the working one."""
    kind = (None, *typing.get_args(hint))[-1]  # of NDArray, since NumPy 2.5; before, of ndarray: a dtype with a type
    kind = typing.get_args(kind)[0] if typing.get_origin(kind) is np.dtype else kind
    return np.dtype(kind) if isinstance(kind, type) and issubclass(kind, np.generic) else dtype
