"""The folder of the kernel cache: where it is, and how it is opened so that code in it is the user's own.

The files there are run. So the folder and the files in it belong to the user or to root, and nobody else can write or
exchange them: every folder on the way belongs to the user or to root, and others cannot write it, or (``/tmp``) only
add to it. The folder, once open, and each file are checked and used by the same descriptor, so nothing can be exchanged
in between. Windows has neither these permissions nor such descriptors, and is trusted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

POSIX = hasattr(os, "geteuid")
DAY = 86400
"""Seconds."""

_BINARY = getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # for the other end of a pipe


def cache_folder() -> pathlib.Path:
    """Return the path of the cache: ``FASTNN_CACHE_DIR``, else a folder in ``NUMBA_CACHE_DIR``, else the user's cache.

    Raises
    ------
    OSError
        When none of the two is set and the user has no home.
    """
    if own := os.environ.get("FASTNN_CACHE_DIR"):
        return pathlib.Path(own).absolute()
    if numbas := os.environ.get("NUMBA_CACHE_DIR"):
        return pathlib.Path(numbas, "fastnn").absolute()
    try:
        return _users_cache()
    except RuntimeError as error:
        raise FileNotFoundError("this user has no home: set FASTNN_CACHE_DIR to a folder for it") from error


def _users_cache():
    if sys.platform == "win32":
        return pathlib.Path(os.environ.get("LOCALAPPDATA") or pathlib.Path.home() / "AppData/Local") / "fastnn/cache"
    if sys.platform == "darwin":
        return pathlib.Path.home() / "Library/Caches/fastnn"
    named = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG standard: a relative one is to be ignored.
    return pathlib.Path(named if os.path.isabs(named) else pathlib.Path.home() / ".cache") / "fastnn"


class Folder(NamedTuple):
    """The cache folder while it is open; `opened` makes one."""

    path: pathlib.Path
    descriptor: int | None
    """None where a system opens no folders: Windows."""

    def _at(self, name):
        """Return the path to a file, from the descriptor on where there is one."""
        return name if self.descriptor is not None else str(self.path / name)

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, and note that it was used; None where it is missing or not to be trusted.

        Raises
        ------
        OSError
            When the file is there and cannot be read.
        """
        flags = os.O_RDONLY | _BINARY | _NO_LINK | _NO_WAIT
        try:
            with open(self._at(name), "rb", opener=lambda at, _: os.open(at, flags, dir_fd=self.descriptor)) as file:
                found = os.fstat(file.fileno())
                content = file.read() if _is_safe_file(found) else None
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP):  # it is missing, or a link
                return None
            raise _explained(error, self.path / name, "read", "make it readable") from error
        # Once a day is enough: a folder on another machine would be written at every start.
        if content is not None and time.time() - found.st_mtime > DAY:
            with contextlib.suppress(OSError):
                os.utime(self._at(name), dir_fd=self.descriptor)
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write a file that only the user can read and write; who reads it meanwhile finds the old one or the new one.

        Raises
        ------
        OSError
            When it cannot be written.
        """
        temporary = self._at(f"{pathlib.Path(name).stem}.{secrets.token_hex(8)}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY | _NO_LINK
        try:
            with open(temporary, "wb", opener=lambda at, _: os.open(at, flags, 0o600, dir_fd=self.descriptor)) as file:
                file.write(content)
            # In one step, whoever reads it; a file written in place would be read half, or by two writers be mixed.
            os.replace(temporary, self._at(name), src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=self.descriptor)
            if isinstance(error, OSError):
                raise _explained(error, self.path, "written", "set FASTNN_CACHE_DIR to a folder that can") from error
            raise

    def can_be_written(self) -> bool:
        """Return whether the system lets files be added."""
        effective = os.access in os.supports_effective_ids  # in a setuid program the real user's rights do not count
        return os.access(self._at("."), os.W_OK | os.X_OK, dir_fd=self.descriptor, effective_ids=effective)

    def delete_unused(self, is_ours: Callable[[str], object], days: float) -> None:
        """Delete files, of the names that are ours, which were neither written nor used for so long.

        Another process may do the same at the same time.
        """
        for name in os.listdir(self.path if self.descriptor is None else self.descriptor):
            with contextlib.suppress(OSError):  # another process has deleted it first
                found = os.stat(self._at(name), dir_fd=self.descriptor, follow_symlinks=False)
                if is_ours(name) and time.time() - found.st_mtime > days * DAY:
                    os.unlink(self._at(name), dir_fd=self.descriptor)


@contextlib.contextmanager
def opened(make: bool = False) -> Iterator[Folder]:
    """Open the cache folder for a while, made where it is missing if that is asked for.

    Raises
    ------
    FileNotFoundError
        When it is missing and was not to be made.
    OSError
        When it cannot be made or opened, or others than the user and root could put code there.
    """
    path = cache_folder()
    if not POSIX:
        if make:
            path.mkdir(parents=True, exist_ok=True)
        yield Folder(path, None)
        return
    with contextlib.suppress(FileNotFoundError):
        os.stat(path)  # an OSError where links go round in a circle
    _refuse_unsafe_way(path, make)
    # Every link has been followed and checked by now: one that is found here has been put in since.
    descriptor = os.open(os.path.realpath(path), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(descriptor)
        _refuse_foreign(path, found)
        if _others_can_write(found):
            raise _writable_by_others(path)
        yield Folder(path, descriptor)
    finally:
        os.close(descriptor)


def cache_state() -> tuple[pathlib.Path | None, str, bool]:
    """Return the cache folder, made where it is missing, why it cannot be used or "", and whether it can be written."""
    path = None
    try:
        path = cache_folder()
        with opened(make=True) as folder:
            return path, "", folder.can_be_written()
    except OSError as error:
        return path, str(error), False


# ------------------------------------------------------------------------------------------------------ who could write


def _refuse_unsafe_way(path, make):
    """Raise an OSError where others could exchange the folder, or one on the way to it; make what is missing.

    From the root downwards: what lies in a folder that was found safe cannot be exchanged any more while one looks.
    """
    for part in (*reversed(path.parents), path):
        try:
            found = os.lstat(part)
        except FileNotFoundError:
            if not make:
                raise
            try:
                os.mkdir(part, 0o700)
            except FileExistsError:  # another process was faster
                pass
            except OSError as error:
                raise _explained(error, part, "made", "set FASTNN_CACHE_DIR to a folder that can") from error
            found = os.lstat(part)
        _refuse_foreign(part, found)
        if stat.S_ISLNK(found.st_mode):
            _refuse_unsafe_way(part.parent / os.readlink(part), make)
        elif _others_can_write(found) and not found.st_mode & stat.S_ISVTX:  # sticky: others can only add, as in /tmp
            raise _writable_by_others(part)


def _refuse_foreign(path, found):
    # Whoever owns the root folder could exchange everything. In some containers it is shown as a nobody's.
    if found.st_uid not in (os.geteuid(), 0, os.stat("/").st_uid):
        raise PermissionError(
            f"{path} belongs to another user, number {found.st_uid}, who could plant code there: set FASTNN_CACHE_DIR "
            "to a folder of your own"
        )


def _others_can_write(found):
    return bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _writable_by_others(path):
    return PermissionError(
        f"{path} can be written by other users, who could plant code there: take that right from them (chmod go-w), or "
        "set FASTNN_CACHE_DIR to a folder of your own"
    )


def _is_safe_file(found):
    """Return whether nobody but the user and root can have written a file: a second link may lie where others can."""
    if not stat.S_ISREG(found.st_mode):
        return False
    return not POSIX or (found.st_uid in (os.geteuid(), 0) and found.st_nlink == 1 and not _others_can_write(found))


def _explained(error, path, what, remedy):
    return type(error)(f"{path} cannot be {what} ({error.strerror}): {remedy}")
