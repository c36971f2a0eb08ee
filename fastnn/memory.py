"""Arrays in memory: their type, those that begin where a vector of the kernel does, and sizes
rounded up.
"""

from __future__ import annotations

import ctypes
import functools
import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
"""An array of any shape and dtype, in type hints."""

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
"""Arrays of any shape, of one dtype."""

ALIGNMENT = 64
"""Bytes: a cache line and a vector. A load that crosses a line takes twice as long."""

ROW_BLOCK = 256
"""Rows of a block: a back end propagates so many at a time, unless it takes whole batches. The
kernel sums the gradient block by block, so another number changes every hash."""

READABLE = 0x101
"""Bits of an array's ``flags.num``, part of NumPy's binary interface: in C order, and each number
is aligned."""
WRITEABLE = 0x501
"""The same, and the array is writeable."""


DATA = object.__basicsize__
"""Offset in bytes of the data pointer in an array's object: part of NumPy's binary interface."""

COMPILED_DATA = 16
"""The offset at which compiled code reads it: `DATA` of all Pythons but the free-threaded ones,
whose objects are larger.
"""

word_at = ctypes.c_size_t.from_address


def address(array: Array) -> int:
    """Return the address of an array's data, read as compiled code does: `array.ctypes.data` takes
    5 times as long.
    """
    return word_at(id(array) + DATA).value


def aligned_zeros(shape: int | tuple[int, ...], dtype: DTypeLike) -> Array:
    """Return zeros in C order whose first element lies at a multiple of `ALIGNMENT` bytes."""
    n = shape if isinstance(shape, int) else math.prod(shape)
    raw = np.zeros(n * np.dtype(dtype).itemsize + ALIGNMENT, np.uint8)
    return np.ndarray(shape, dtype, raw, -address(raw) % ALIGNMENT)


def read_only(array: Array) -> Array:
    """Return a read-only view of an array."""
    view = array.view()
    view.setflags(write=False)
    return view


@functools.lru_cache(maxsize=256)
def padded_size(n: int, dtype: DTypeLike) -> int:
    """Return the elements to allocate for `n` numbers, so that a 64-byte vector may be read at any
    of them.
    """
    lanes = vector_lanes(np.dtype(dtype))
    return (ceil_div(n, lanes) + 1) * lanes


def vector_lanes(dtype: np.dtype[Any]) -> int:
    """Return how many numbers of a dtype a vector has."""
    return ALIGNMENT // dtype.itemsize


def ceil_div(n: int, m: int) -> int:
    """Return n / m rounded up, for numbers that are not negative: also for those of traced code
    (`fastnn.compiler`).
    """
    return (n + (m - 1)) // m
