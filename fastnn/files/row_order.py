"""A training's order of rows in few bytes: as many as the row numbers need, deflated where that pays."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.errors import ModelFileError
from fastnn.memory import Array

MOST_DEFLATED = 1 << 24
"""Bytes of an order up to which it is deflated: a small file must not become a large array."""

MOST_CHECKED = 1 << 20
"""Row numbers of several orders that are checked at once."""

LEVEL = 1
"""Of zlib: 6 saves one per cent more of a shuffled order, and takes twice as long."""


def pack(order: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return a permutation of 0, 1, ... n - 1 as bytes: (n_bytes, n), the low bytes first, or (any,) deflated.

    A million rows in order take 23 kB, shuffled ones 2.6 MB, hardly more than the log2(n!) bits that say which of all
    orders it is; without them, all shuffles so far would have to be done again.
    """
    plain = planes(order)
    if plain.size <= MOST_DEFLATED:
        deflated = zlib.compress(plain.tobytes(), LEVEL)
        if len(deflated) < 0.9 * plain.size:
            return np.frombuffer(deflated, np.uint8)
    return plain


def planes(order: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return a permutation of 0, 1, ... n - 1 as bytes (n_bytes, n), the low ones first."""
    n = order.size
    return np.ascontiguousarray(order.astype("<i8").view(np.uint8).reshape(n, 8)[:, : _n_bytes(n)].T)


def unpack(packed: Array, n: int) -> NDArray[np.int64]:
    """Return the order (n,) that `pack` made bytes of; ModelFileError for other bytes."""
    shape, size = (_n_bytes(n), n), _n_bytes(n) * n
    if packed.dtype != np.uint8 or (packed.ndim == 1 and size > MOST_DEFLATED):
        raise ModelFileError("damaged: its row order is not stored as fastnn stores it")
    if packed.ndim == 1:
        plain = zlib.decompressobj().decompress(packed.tobytes(), size + 1)
        packed = np.frombuffer(plain, np.uint8).reshape(shape if len(plain) == size else -1)
    if packed.shape != shape:
        raise ModelFileError(f"damaged: its row order is not that of {n} rows")
    wide = np.zeros((n, 8), np.uint8)
    wide[:, : len(packed)] = packed.T
    order: NDArray[np.int64] = wide.view("<i8")[:, 0].astype(np.int64, copy=False)
    return order


def are_orders(packed: list[Array], n: Any) -> bool:
    """Return whether all of these are results of `planes` for permutations of 0, 1, ... n - 1."""
    if type(n) is not int or not 0 < n <= packed[0].size:
        return False
    size, step = _n_bytes(n) * n, max(1, MOST_CHECKED // n)
    if any(order.dtype != np.uint8 or order.size != size for order in packed):
        return False
    for begin in range(0, len(packed), step):
        part = np.array(packed[begin : begin + step]).reshape(-1, _n_bytes(n), n)
        wide = np.zeros((len(part), n, 8), np.uint8)
        wide[:, :, : part.shape[1]] = part.transpose(0, 2, 1)
        if (np.sort(wide.view("<i8")[..., 0], axis=1) != np.arange(n)).any():
            return False
    return True


def _n_bytes(n: int) -> int:
    return max(1, ((n - 1).bit_length() + 7) // 8)
