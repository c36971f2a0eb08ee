"""Argument blocks: the arguments of kernels in memory, which keep the arrays that they point to.

A NamedTuple becomes a block of 8-byte words, one for each field: a number, or the address of an
array or of another block. A block keeps its NamedTuple, and so all arrays whose addresses are in
it: whoever holds the block holds them, and an address is never there without its array.
"""

from __future__ import annotations

import ctypes
import functools
import struct
import typing
import weakref

import numpy as np

from fastnn.memory import COMPILED_DATA, DATA, address, word_at


class Block(ctypes.Structure):
    """The base of argument blocks, whose fields have the names of those of the NamedTuple."""

    kept = ()
    """The NamedTuple, whose arrays and blocks stay as long as this block, and weak references as by
    `hold`."""


BlockPointer = ctypes.POINTER(Block)
"""A block as an argument in C; its attribute `contents` is the block, which it keeps."""


class MovedArray(ctypes.c_void_p):
    """An array as an argument in C, in a Python whose arrays have their data pointer elsewhere than
    at `COMPILED_DATA`: a pointer from which it is there. Its attribute `value` is the array, which
    it keeps.
    """

    def __init__(self, array=None):
        super().__init__()
        self.value = array

    @classmethod
    def from_param(cls, array):
        """Convert an argument."""
        return cls(array)

    @property
    def value(self):
        """The array."""
        return self._array

    @value.setter
    def value(self, array):
        self._array = array
        ctypes.c_void_p.value.__set__(self, id(array) + DATA - COMPILED_DATA)


ArrayPointer = ctypes.py_object if DATA == COMPILED_DATA else MovedArray
"""An array as an argument in C."""


class Table:
    """The arguments of several calls of an entry point, in rows of words: of each call by `[]`, or
    by columns of all.

    Parameters
    ----------
    kind : type
        The NamedTuple of the arguments.
    n : int
        Rows.
    """

    def __init__(self, kind, n):
        self._columns = {name: k for k, name in enumerate(kind._fields)}
        self._memory = (ctypes.c_int64 * (n * len(self._columns)))()
        self._kept = self._memory.kept = []  # by the memory, and so by the array of its words
        self.words = np.ndarray((n, len(self._columns)), np.int64, self._memory)
        """(n, n_words): the array keeps what its words point to."""

    def __setitem__(self, k, arguments):
        """Write the words of the arguments of call k."""
        block = pack(arguments)
        n_bytes = ctypes.sizeof(block)
        ctypes.memmove(ctypes.byref(self._memory, k * n_bytes), ctypes.byref(block), n_bytes)
        self._kept.append(block)

    def set_numbers(self, name, numbers):
        """Write a column of integers (n,), or one for all rows."""
        self.words[:, self._columns[name]] = numbers

    def point(self, name, array, *index):
        """Point a column to the numbers of `array` at an index, whose parts are (n,) or the same
        for all rows.
        """
        offset = sum(part * stride for part, stride in zip(index, array.strides, strict=False))
        self.set_numbers(name, address(array) + offset)
        self._kept.append((array, hold((array,))))

    def set_blocks(self, name, blocks, which=0):
        """Write a column of blocks, by their numbers `which` (n,)."""
        self.set_numbers(name, np.array([ctypes.addressof(block) for block in blocks])[which])
        self._kept.append(blocks)


def pack(arguments):
    """Return a NamedTuple as an argument block."""
    structure, packer, kinds = _layout(type(arguments))
    words = []
    arrays = []
    for value, kind in zip(arguments, kinds, strict=True):
        if kind is ARRAY:
            words.append(word_at(id(value) + DATA).value)  # `address`, without a call
            arrays.append(value)
        elif kind is NUMBER:
            words.append(value)
        else:
            words.append(0 if value is None else ctypes.addressof(value))
    block = structure.from_buffer_copy(packer.pack(*words))
    block.kept = arguments, (*map(weakref.ref, arrays),)  # see `hold`
    return block


NUMBER = "number"
ARRAY = "array"
BLOCK = "block"
"""The kinds of fields."""


@functools.cache
def _layout(kind):
    """Return the class of the blocks of a NamedTuple, the packer of their words, and the kinds of
    its fields.
    """
    hints = typing.get_type_hints(kind)
    types = [ctypes.c_double if hint is float else ctypes.c_int64 for hint in hints.values()]
    structure = type(kind.__name__, (Block,), {"_fields_": [*zip(hints, types, strict=True)]})
    packer = struct.Struct("".join("d" if hint is float else "q" for hint in hints.values()))
    return structure, packer, [kind_of(hint) for hint in hints.values()]


def kind_of(hint):
    """Return the kind of a field by its annotation."""
    if hint in (int, float):
        return NUMBER
    return BLOCK if isinstance(hint, type) and issubclass(hint, tuple) else ARRAY


def hold(arrays):
    """Return weak references to arrays whose addresses are kept: NumPy refuses to resize an array
    that has one.

    It does so with ``refcheck=False`` too, by which `ndarray.resize` passes over ordinary
    references.
    """
    # unlike `tuple(...)`, of a size that Python keeps spare ones of
    return (*map(weakref.ref, arrays),)


def flatten(value):
    """Return an argument for kernels that run as plain Python: its arrays in one dimension."""
    if isinstance(value, np.ndarray):
        return np.asarray(_Flat(value))
    return type(value)(*map(flatten, value)) if isinstance(value, tuple) else value


class _Flat:
    """The numbers of an array in one dimension, of which NumPy makes a view: what a kernel writes
    arrives in the caller's array, which `hold` keeps from being resized.
    """

    def __init__(self, array):
        self.kept = array, hold((array,))
        self.__array_interface__ = array.reshape(-1).__array_interface__
