"""The arguments that Python passes to compiled code: a NamedTuple as an argument block, 8-byte words in memory.

An array in it is a word, its address. Annotations give the type of each word, those of a kernel's parameters and of a
NamedTuple's fields alike: `int`, `float`, a NamedTuple, or an array, which is of the working dtype unless its type is
written, as in ``NDArray[np.int64]``.
"""

from __future__ import annotations

import functools
import hashlib
import struct
import typing

import numpy as np

from fastnn.memory import DATA, address, word_at


def pack(value):
    """Return an array's address, or a NamedTuple as an argument block; the caller keeps the arrays alive."""
    if isinstance(value, np.ndarray):
        return address(value)
    pack_words, are_numbers = _packer(type(value))
    words = []  # a list: of an iterator Python makes a tuple of ten and cuts it, and keeps 2000 of those that were cut
    for field, is_number in zip(value, are_numbers, strict=True):
        words.append(field if is_number else word_at(id(field) + DATA).value)  # `address`, without a call
    return pack_words(*words)  # bytes: ctypes passes their address


@functools.cache
def _packer(kind):
    """Return the function of `struct` that packs a NamedTuple's words, and for each field whether it is a number."""
    hints = list(typing.get_type_hints(kind).values())
    are_numbers = [hint in (int, float) for hint in hints]
    return struct.Struct("".join("d" if hint is float else "q" for hint in hints)).pack, are_numbers


def symbol(name, kind):
    """Return the name in machine code of a function for C; `kind` is the dtype of its first array."""
    return f"fastnn_{name}_{kind}"


def flatten(value):
    """Return an argument for kernels that run as plain Python: its arrays in one dimension."""
    if isinstance(value, np.ndarray):
        return value.reshape(-1)  # a view, so what the kernel writes arrives in the caller's array
    return type(value)(*map(flatten, value)) if isinstance(value, tuple) else value


class AfterFirst(typing.NamedTuple):
    """A constant of specialized kernels: the offset in bytes of a buffer from the first one of its NamedTuple."""

    bytes: int


def relative(buffers):
    """Return a NamedTuple of buffers as constants of a specialized kernel: their distances from the first one."""
    start = address(buffers[0])  # None for the first: where it is differs from workspace to workspace
    return type(buffers)(None, *(AfterFirst(address(buffer) - start) for buffer in buffers[1:]))


def digest(constants):
    """Return the hash of compile-time constants, some of which may be None; "" if all of them are."""
    plain = [value.tolist() if isinstance(value, np.ndarray) else value for value in constants]
    return hashlib.sha256(repr(plain).encode()).hexdigest()[:32] if any(value is not None for value in plain) else ""


def element(hint, dtype):
    """Return the dtype of an array by its annotation; `dtype`, the working one, where that names none."""
    # NDArray[T] has the argument T since NumPy 2.5; before, it was ndarray[shape, dtype[T]]. Without T it has neither.
    kind = (None, *typing.get_args(hint))[-1]
    kind = typing.get_args(kind)[0] if typing.get_origin(kind) is np.dtype else kind
    return np.dtype(kind) if isinstance(kind, type) and issubclass(kind, np.generic) else dtype
