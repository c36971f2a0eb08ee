"""Files that are written whole or not at all: beside their places, and moved there when they are complete."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from fastnn.checking.arguments import shown

Path = str | bytes | os.PathLike[str]

MOST_OF_A_PATH = 4096 if os.name == "posix" else 32767
"""Characters of a path, which is what systems take."""


def name_of(path: Any) -> Any:
    """Return the name of a file. A number would be the descriptor of one that is open."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"path must be the name of a file, such as 'model.npz', not {shown(path)}")
    name = os.fspath(path)
    if len(name) > MOST_OF_A_PATH:  # the system's error would have all of it
        raise OSError(
            errno.ENAMETOOLONG, f"the name of a file has at most {MOST_OF_A_PATH:,} characters, not {len(name):,}"
        )
    return name


def check_place(path: Path) -> str:
    """Return the real path of a file to write; raise the error that writing would, before there is anything to write.

    Raises
    ------
    OSError
        Where there is no such folder, it cannot be written, or something else than a regular file has the name.
    """
    place = os.path.realpath(os.fsdecode(name_of(path)))  # a link stays a link
    if os.path.exists(place) and not os.path.isfile(place):
        raise OSError(errno.EINVAL, "not a regular file, so it is not replaced", os.fspath(path))
    folder = os.path.dirname(place)
    if not os.path.exists(folder):
        raise OSError(errno.ENOENT, f"there is no folder {shown(folder)}; make it first", os.fspath(path))
    if not os.path.isdir(folder):
        raise OSError(errno.ENOTDIR, f"{shown(folder)} is a file, not a folder", os.fspath(path))
    if not os.access(folder, os.W_OK):
        raise OSError(errno.EACCES, f"the folder {shown(folder)} cannot be written by this user", os.fspath(path))
    return place


def write_whole(files: Mapping[Any, Callable[[BinaryIO], object]]) -> None:
    """Write files, each by a function that writes to an open file, in place of what is there.

    They are moved to their places when all are complete and on the disk: a crash leaves the old ones.

    Raises
    ------
    OSError
        When a file cannot be written; none is, then.
    """
    places = {path: check_place(path) for path in files}
    temporary = {path: _beside(place) for path, place in places.items()}
    path: Any = None
    try:
        for path, write in files.items():
            with open(temporary[path], "xb") as file:
                _take_over_mode(file, places[path])
                write(file)
                file.flush()
                os.fsync(file.fileno())
        for path, place in places.items():
            os.replace(temporary[path], place)
    except BaseException as error:
        for name in temporary.values():
            with contextlib.suppress(OSError):
                os.unlink(name)
        if isinstance(error, OSError) and error.errno:  # of the path that the caller knows
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise


def _beside(place: str) -> str:
    folder, name = os.path.split(place)
    return os.path.join(folder, f".{name}.{secrets.token_hex(4)}.tmp")


def _take_over_mode(file: BinaryIO, old: str) -> None:
    """Copy the permissions of a file that is going to be replaced: a private file stays private."""
    if hasattr(os, "fchmod"):  # Windows has no such permissions
        with contextlib.suppress(FileNotFoundError):
            os.fchmod(file.fileno(), os.stat(old).st_mode & 0o777)
