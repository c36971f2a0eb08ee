"""Arrays from a worker to its caller by a file in memory, where both are on one machine; elsewhere in the message.

Between processes a message is copied five times, and 64 kB at a time by the system's pipe: the caller spends 50 us on
26 kB, the history of 3,000 epochs. A file in memory is written once, and mapped.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastnn.memory import ALIGNMENT, Array, ceil_div

MEMORY = Path("/dev/shm")
"""The file system in memory that Linux has, in which each user may make files."""

PREFIX = "fastnn-many-"

LEAST_BYTES = 1 << 18
"""Below this a message takes no longer."""


class Laid(NamedTuple):
    """Arrays on their way to the caller."""

    path: str | None
    """The file; None where the arrays are in the message."""
    arrays: list[Array]
    places: list[tuple[int, tuple[int, ...], np.dtype]]
    """Of each array in the file: where it begins, its shape and dtype."""


@contextlib.contextmanager
def folder_for_workers() -> Iterator[str | None]:
    """Make a folder in memory for the workers of this machine, for the time of a ``with``; None where none can be.

    It is locked: what processes left that were killed is removed by the next one.
    """
    with contextlib.ExitStack() as stack:
        folder = None
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                _sweep()
                folder = tempfile.mkdtemp(prefix=PREFIX, dir=MEMORY)
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
                stack.callback(os.close, _locked(folder))
        yield folder


def _locked(folder: str | Path) -> int:
    """Lock a folder, and return its descriptor; OSError where another process has it."""
    import fcntl  # not on Windows

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _sweep() -> None:
    for folder in MEMORY.glob(PREFIX + "*"):
        with contextlib.suppress(OSError):
            os.close(_locked(folder))
            shutil.rmtree(folder)


def lay_down(arrays: Sequence[Array], folder: str | None) -> Laid:
    """Write arrays to a file in the caller's folder, in a worker; where that fails, or does not pay, keep them."""
    path = None
    if folder is not None and sum(array.nbytes for array in arrays) >= LEAST_BYTES:
        places, end = [], 0
        try:
            with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
                path = file.name
                for array in arrays:
                    begin = ceil_div(end, ALIGNMENT) * ALIGNMENT
                    file.write(b"\0" * (begin - end))
                    file.write(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
                    places.append((begin, array.shape, array.dtype))
                    end = begin + array.nbytes
            return Laid(path, [], places)
        except OSError:  # another machine, another user, or the memory is full
            if path is not None:
                with contextlib.suppress(OSError):
                    os.unlink(path)
    return Laid(None, list(arrays), [])


def take_up(laid: Laid) -> list[Array]:
    """Return what `lay_down` was given, in the caller: a file is mapped, and loses its name."""
    if laid.path is None:
        return laid.arrays
    with open(laid.path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)  # the caller's own to write
    os.unlink(laid.path)
    return [np.ndarray(shape, dtype, mapped, begin) for begin, shape, dtype in laid.places]
