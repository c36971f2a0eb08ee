"""A training's order of rows in few bytes: as many as the row numbers need, deflated where that pays."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from fastnn.errors import ModelFileError
from fastnn.memory import Array

MOST_DEFLATED = 1 << 24
"""Bytes of an order up to which it is deflated: a small file must not become a large array."""

MOST_CHECKED = 1 << 18
"""Bytes of several orders that are checked at once."""

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
    return _rows_of(packed)


def _rows_of(packed: Array) -> NDArray[np.int64]:
    """Return the row numbers (..., n) of which these are the bytes (..., n_bytes, n), the low ones first."""
    *several, n_bytes, n = packed.shape
    rows = np.zeros((*several, n), "<i8")
    rows.view(np.uint8).reshape(*several, n, 8)[..., :n_bytes] = packed.swapaxes(-1, -2)
    return rows.astype(np.int64, copy=False)


def n_rows_of(flat: Array, ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return of how many rows each of k results of `planes` is, one after the other in `flat`; 0 for other bytes.

    ``flat[ends[i]:ends[i + 1]]`` is the one of number i.
    """
    sizes, found = np.diff(ends), np.zeros(len(ends) - 1, np.int64)
    by_size = np.argsort(sizes, kind="stable")
    for alike in np.split(by_size, np.flatnonzero(np.diff(sizes[by_size])) + 1):
        size = int(sizes[alike[0]]) if len(alike) else 0
        n, step = _n_of(size), max(1, MOST_CHECKED // max(size, 1))
        for begin in range(0, len(alike) if n else 0, step):
            some = alike[begin : begin + step]
            first = ends[some]
            packed = flat[first[0] :][:size] if len(some) == 1 else flat[first[:, None] + np.arange(size)]
            rows = _rows_of(packed.reshape(len(some), -1, n))
            are_less = rows.max(axis=1) < n
            seen = np.zeros(rows.shape, bool)
            np.put_along_axis(seen, np.minimum(rows, n - 1, out=rows), True, axis=1)
            found[some[are_less & seen.all(axis=1)]] = n
    return found


def _n_of(size: int) -> int:
    """Return the number of rows whose order takes so many bytes; 0 where there is no such number."""
    for n_bytes in range(1, 9):
        n, rest = divmod(size, n_bytes)
        if n and not rest and _n_bytes(n) == n_bytes:
            return n
    return 0


def _n_bytes(n: int) -> int:
    return max(1, ((n - 1).bit_length() + 7) // 8)
