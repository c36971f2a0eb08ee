"""Steps that fail at the n-th time: of writing files, of reading them, and NumPy's allocations."""

import builtins
import contextlib
import ctypes
import errno
import io
import itertools
import os
import pathlib
import shutil
import subprocess

import numpy as np
import pytest


def errors(failing, job):
    """Do a job again and again, and let its n-th step fail for n = 1, 2, ...; yield each error.

    None is yielded where the job did without that step. The last time, no step fails.
    """
    for n in itertools.count(1):
        error = None
        with failing(n) as counter:
            try:
                job()
            except Exception as raised:
                error = raised
        if counter.calls < n:
            assert error is None
            return
        yield error


class Counter:
    """Counts calls, of which the n-th is to fail."""

    def __init__(self, n):
        self.n = n
        self.calls = 0

    def fails(self):
        self.calls += 1
        return self.calls == self.n


# -------------------------------------------------------------------------------------------- files


def no_space():
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def counted(function, counter):
    """A function of which the n-th call fails."""

    def call(*arguments, **options):
        if counter.fails():
            raise no_space()
        return function(*arguments, **options)

    return call


STEPS = [name for name in ("fsync", "replace", "fchmod", "ftruncate") if hasattr(os, name)]
"""What `os` does with a file that is written, besides opening it and writing."""


@contextlib.contextmanager
def writes(n):
    """Let the n-th step fail of all that write files; yield the counter.

    A step is to open a file, or a call of the system for a part of it. A write that fails has
    written a half, as on a disk that is full.
    """
    counter = Counter(n)
    really_open = builtins.open

    class Raw(io.FileIO):
        def write(self, data):
            if not counter.fails():
                return super().write(data)
            super().write(memoryview(data).cast("B")[: len(data) // 2])
            raise no_space()

        def truncate(self, size=None):
            if counter.fails():
                raise no_space()
            return super().truncate(size)

    def open_counted(file, mode="r", buffering=-1, *arguments, opener=None, **options):
        if not set(mode) & set("wax+") or "b" not in mode:
            return really_open(file, mode, buffering, *arguments, opener=opener, **options)
        if counter.fails():
            raise no_space()
        raw = Raw(file, mode.replace("b", ""), opener=opener)
        if buffering == 0:
            return raw
        return io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "open", open_counted)
        for name in STEPS:
            patch.setattr(os, name, counted(getattr(os, name), counter))
        yield counter


@contextlib.contextmanager
def reads(n):
    """Let the n-th call of the system fail that reads a file; yield the counter."""
    counter = Counter(n)

    class Raw(io.FileIO):
        def readinto(self, buffer):
            if counter.fails():
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().readinto(buffer)

        def readall(self):
            if counter.fails():
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().readall()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(io, "FileIO", Raw)
        yield counter


# ------------------------------------------------------------------------------------------- memory


SOURCE = pathlib.Path(__file__).with_name("failing.c")
NAME = ctypes.create_string_buffer(b"mem_handler")
"""Of the capsule, which lives as long as the last array that it has made."""


class CountedInC(ctypes.Structure):
    """The counter of failing.c."""

    _fields_ = (("calls", ctypes.c_long), ("n", ctypes.c_long))


class Memory:
    """NumPy's allocator of the data of arrays, replaced by one whose n-th request fails.

    NumPy takes it as a capsule, by the 304th function of its C interface (NEP 49).
    """

    SET_HANDLER = 304

    def __init__(self, folder):
        cc = shutil.which("cc") or pytest.skip("needs a C compiler")
        path = folder / "failing.so"
        subprocess.run([cc, "-shared", "-fPIC", "-o", path, SOURCE], check=True)
        library = ctypes.CDLL(str(path))
        self.counter = CountedInC.in_dll(library, "counter")
        new = ctypes.pythonapi.PyCapsule_New
        new.restype = ctypes.py_object
        new.argtypes = [ctypes.c_void_p] * 3
        pointer = ctypes.pythonapi.PyCapsule_GetPointer
        pointer.restype = ctypes.POINTER(ctypes.c_void_p)
        pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
        handler = ctypes.addressof(ctypes.c_char.in_dll(library, "handler"))
        self._handler = new(handler, ctypes.addressof(NAME), None)
        functions = pointer(np._core._multiarray_umath._ARRAY_API, None)
        prototype = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)
        self._set = prototype(functions[self.SET_HANDLER])

    @contextlib.contextmanager
    def allocations(self, n):
        """Let the n-th allocation of an array's data fail; yield the counter."""
        self.counter.calls = 0
        self.counter.n = n
        before = self._set(self._handler)
        try:
            yield self.counter
        finally:
            self._set(before)
            self.counter.n = 0
