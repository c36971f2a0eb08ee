"""Arrays between a caller and its workers: in files in memory on one machine, else in messages.

A message between processes is copied five times, and the system's pipe takes 64 kB at a time: the caller spends 50 us
on 26 kB, the history of 3,000 epochs. A file in memory is written once and mapped, so data are in memory once, for any
number of workers and tasks, and any engine.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastnn.memory import ALIGNMENT, Array, ceil_div

MEMORY = Path("/dev/shm")
"""The file system in memory of Linux, in which every user may create files."""

PREFIX = "fastnn-many-"

LEAST_BYTES = 1 << 18
"""Below this size, a message is as fast as a file."""

LEAST_SHARED_BYTES = 1 << 14
"""The same for an array that goes with each task."""


Place = tuple[int, tuple[int, ...], np.dtype]
"""The offset of an array in a file, its shape and dtype."""


class Laid(NamedTuple):
    """Arrays on their way to another process."""

    path: str | None
    """The file; None if the arrays are in the message."""
    arrays: list[Array]
    places: list[Place]
    """The places of the arrays in the file."""


@contextlib.contextmanager
def folder_for_workers() -> Iterator[str | None]:
    """Create a folder in memory for the workers of this machine, during a ``with``; None if that is not possible.

    The folder is locked, so that the next call can remove the folders of killed processes of this user.
    """
    with contextlib.ExitStack() as stack:
        folder = None
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                _sweep()
                made = tempfile.mkdtemp(prefix=PREFIX, dir=MEMORY)
                stack.callback(shutil.rmtree, made, ignore_errors=True)
                stack.callback(os.close, _locked(made))
                folder = made
        yield folder


def _locked(folder: str | Path) -> int:
    """Lock a folder of this user, and return its descriptor; OSError if another process has it, or it is not one."""
    import fcntl  # not on Windows

    # Any user may put anything there under our names: no link is followed, no pipe is waited for.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise PermissionError(f"{folder} belongs to another user")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _sweep() -> None:
    """Remove the folders of this user that no process has locked."""
    for folder in MEMORY.glob(PREFIX + "*"):
        with contextlib.suppress(OSError):
            os.close(_locked(folder))
            shutil.rmtree(folder)


def reaches(folder: str) -> bool:
    """Return whether this process, a worker, can read the caller's folder, so that it is on the same machine."""
    return os.access(folder, os.R_OK | os.X_OK)


def lay_down(arrays: Sequence[Array], folder: str | None) -> Laid:
    """Write arrays to a file in the caller's folder, in a worker; keep them if that fails or is not worth it."""
    laid = None
    if folder is not None and sum(array.nbytes for array in arrays) >= LEAST_BYTES:
        laid = _written(arrays, folder)
    return laid or Laid(None, list(arrays), [])


def _written(arrays: Sequence[Array], folder: str) -> Laid | None:
    """Write arrays to a new file; return None if that fails, without leaving a part of a file."""
    path, places, end = None, [], 0
    try:
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            path = file.name
            for array in arrays:
                begin = ceil_div(end, ALIGNMENT) * ALIGNMENT
                file.write(b"\0" * (begin - end))
                file.write(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
                places.append((begin, array.shape, array.dtype))
                end = begin + array.nbytes
    except OSError:  # another machine, another user, or the memory is full
        if path is not None:
            with contextlib.suppress(OSError):
                os.unlink(path)
        return None
    return Laid(path, [], places)


def take_up(laid: Laid) -> list[Array]:
    """Return the arrays that a worker wrote, in the caller: map the file, and remove its name."""
    if laid.path is None:
        return laid.arrays
    arrays = _mapped(laid.path, laid.places, mmap.ACCESS_COPY)  # the caller's own to write
    os.unlink(laid.path)
    return arrays


def in_both(some: Iterable[Any], others: Iterable[Any]) -> list[Any]:
    """Return the objects that the first and the last member share, as candidates for all members."""
    numbers = {id(thing) for thing in others}
    return [thing for thing in some if id(thing) in numbers]


def worth_a_file(things: Iterable[Any]) -> list[Array]:
    """Return the arrays that are worth a file among objects of many tasks: not small, and not in a file already."""
    arrays = [thing for thing in things if isinstance(thing, np.ndarray) and thing.dtype.kind in "fiub"]
    return [array for array in arrays if array.nbytes >= LEAST_SHARED_BYTES and not _is_mapped(array)]


def files_of(arrays: Iterable[Array], folder: str) -> dict[int, Laid]:
    """Write a lasting file for each array; return {id of the array: its file} for those that fit into memory."""
    return {id(array): laid for array in arrays if (laid := _written([array], folder)) is not None}


def received(thing: Any) -> Any:
    """Return the array of a file, read-only, in a worker; return any other object unchanged."""
    if not isinstance(thing, Laid) or thing.path is None:
        return thing
    (array,) = _mapped(thing.path, thing.places, mmap.ACCESS_READ)
    return array


def _mapped(path: str, places: Sequence[Place], access: int) -> list[Array]:
    """Map a file, and return its arrays."""
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=access)
    return [np.ndarray(shape, dtype, mapped, begin) for begin, shape, dtype in places]


def _is_mapped(array: Any) -> bool:
    """Return whether an array is a memory map, or a part of one."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array is not None
