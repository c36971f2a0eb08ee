"""The type of an array, and arrays that begin at a multiple of 64 bytes, as wide as a vector of the fused kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
"""An array of any shape and dtype, in type hints."""

ALIGNMENT = 64
"""Bytes: a cache line and a vector. A load that crosses a line takes twice as long."""

READABLE = 0x101
"""Bits of an array's ``flags.num``, part of NumPy's binary interface: in C order, and each number is aligned."""
WRITEABLE = 0x501
"""And it may be written."""


def aligned_zeros(shape: int | tuple[int, ...], dtype: DTypeLike) -> Array:
    """Return zeros in C order whose first element lies at a multiple of `ALIGNMENT` bytes."""
    shape = (shape,) if isinstance(shape, int) else shape
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def padded_size(n: int, dtype: DTypeLike) -> int:
    """Return the elements to allocate for `n` numbers, so that a 64-byte vector may be read at any of them."""
    lanes = ALIGNMENT // np.dtype(dtype).itemsize
    return (n + 2 * lanes - 1) // lanes * lanes
