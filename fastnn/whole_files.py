"""Files that are written whole or not at all: beside their places, and then moved there."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from fastnn.checking.arguments import shown

Path = str | bytes | os.PathLike[str]

MOST_OF_A_PATH = 4096 if os.name == "posix" else 32767
"""Most characters of a path that systems take."""


def name_of(path: Any) -> Any:
    """Return the name of a file; TypeError for a number, which would be the descriptor of an open
    one.
    """
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"path must be the name of a file, such as 'model.npz', not {shown(path)}")
    name = os.fspath(path)
    if len(name) > MOST_OF_A_PATH:  # the system's error would have all of it
        said = f"the name of a file has at most {MOST_OF_A_PATH:,} characters, not {len(name):,}"
        raise OSError(errno.ENAMETOOLONG, said)
    return name


def check_place(path: Path) -> str:
    """Return the real path of a file to write; raise the error that writing would, before there is
    anything to write.

    Raises
    ------
    OSError
        Where there is no such folder, it cannot be written, or something else than a regular file
        has the name.
    """
    name = os.fsdecode(name_of(path))
    place = os.path.realpath(name)  # a link stays a link
    if os.path.exists(place) and not os.path.isfile(place):
        raise OSError(errno.EINVAL, "not a regular file, so it is not replaced", os.fspath(path))
    if os.path.basename(name) in ("", "."):
        raise OSError(
            errno.EISDIR,
            "it ends as the name of a folder does; add the name of a file",
            os.fspath(path),
        )
    folder = os.path.dirname(place)
    if not os.path.exists(folder):
        raise OSError(
            errno.ENOENT, f"there is no folder {shown(folder)}; make it first", os.fspath(path)
        )
    if not os.path.isdir(folder):
        raise OSError(errno.ENOTDIR, f"{shown(folder)} is a file, not a folder", os.fspath(path))
    if not os.access(folder, os.W_OK):
        raise OSError(
            errno.EACCES,
            f"the folder {shown(folder)} cannot be written by this user",
            os.fspath(path),
        )
    return place


def write_whole(files: Mapping[Any, Callable[[BinaryIO], object]]) -> None:
    """Write files, each by a function that writes to an open file, in place of what is there.

    They are moved to their places when all are complete and on the disk: a crash leaves the old
    ones.

    Raises
    ------
    OSError
        When a file cannot be written; none is, then.
    """
    places = {path: check_place(path) for path in files}
    temporary = {path: _beside(place) for path, place in places.items()}
    copies: dict[str, str] = {}
    if len(places) > 1:  # to put the first ones back where a later one cannot be moved
        copies = {place: _beside(place) for place in places.values() if os.path.exists(place)}
    moved: list[str] = []
    path: Any = None
    try:
        for path, write in files.items():
            with open(temporary[path], "xb") as file:
                _take_over_mode(file, places[path])
                write(file)
                file.flush()
                os.fsync(file.fileno())
        for place, copy in copies.items():
            shutil.copy2(place, copy)
        for path, place in places.items():
            os.replace(temporary[path], place)
            moved.append(place)
    except BaseException as error:
        for place in moved:
            with contextlib.suppress(OSError):
                if place in copies:
                    os.replace(copies[place], place)
                else:
                    os.unlink(place)
        if isinstance(error, OSError) and error.errno:  # of the path that the caller knows
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise
    finally:
        for name in (*temporary.values(), *copies.values()):
            with contextlib.suppress(OSError):
                os.unlink(name)


def _beside(place: str) -> str:
    """Return a new name in the folder of a file; a short one, for the file's own may be as long as
    systems take.
    """
    return os.path.join(os.path.dirname(place), f".fastnn-{secrets.token_hex(8)}.tmp")


def _take_over_mode(file: BinaryIO, old: str) -> None:
    """Copy the permissions of a file that is going to be replaced: a private file stays private."""
    if hasattr(os, "fchmod"):  # Windows has no such permissions
        with contextlib.suppress(FileNotFoundError):
            os.fchmod(file.fileno(), os.stat(old).st_mode & 0o777)
