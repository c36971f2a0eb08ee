"""The disk cache of machine code: a folder of the user's own, and in it a checked file for each
compiled kernel.

Three rules. The key of a file covers every file that machine code depends on (`program`), the
versions of fastnn, Numba, llvmlite and NumPy, the processor, and Numba's settings that change code.
Nobody but the user and root can have written a file that is read, for it is run. Each file carries
a SHA-256, for damaged code would run, too.

So the folder and the files in it belong to the user or to root, and nobody else can write or
exchange them: every folder on the way belongs to the user or to root, and others cannot write it,
or (``/tmp``) only add to it. The folder, once open, and each file are checked and used by the same
descriptor, so nothing can be exchanged in between. Windows has neither these permissions nor such
descriptors, and is trusted. What fails is an OSError whose text says what would help.

A cache that fails is a cache that is not there, never an error: one warning says so, and every
process compiles anew.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import importlib.util
import os
import pathlib
import re
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

import numpy as np

from fastnn import __version__
from fastnn.checking.arguments import cut
from fastnn.compiler.program import numba_settings, sources_digest
from fastnn.errors import warn

POSIX = hasattr(os, "geteuid")
DAY = 86400  # seconds
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def cache_folder() -> pathlib.Path:
    """Return the path: ``FASTNN_CACHE_DIR``, else a folder in ``NUMBA_CACHE_DIR``, else one in the
    user's cache.
    """
    if own := os.environ.get("FASTNN_CACHE_DIR"):
        return pathlib.Path(own).absolute()
    if numbas := os.environ.get("NUMBA_CACHE_DIR"):
        return pathlib.Path(numbas, "fastnn").absolute()
    named = os.environ.get("XDG_CACHE_HOME", "")
    try:
        if sys.platform == "win32":
            return pathlib.Path(
                os.environ.get("LOCALAPPDATA") or pathlib.Path.home() / "AppData/Local",
                "fastnn/cache",
            )
        if sys.platform == "darwin":
            return pathlib.Path.home() / "Library/Caches/fastnn"
        # The XDG standard: a relative one is to be ignored.
        return (
            pathlib.Path(named if os.path.isabs(named) else pathlib.Path.home() / ".cache")
            / "fastnn"
        )
    except RuntimeError as error:
        raise FileNotFoundError(
            "this user has no home: set FASTNN_CACHE_DIR to a folder for it"
        ) from error


class Folder(NamedTuple):
    """The cache folder while it is open; `opened` makes one."""

    path: pathlib.Path
    descriptor: int | None
    """None where a system opens no folders: Windows."""

    def _at(self, name: str) -> str:
        """Return the path to a file, from the descriptor on where there is one."""
        return name if self.descriptor is not None else str(self.path / name)

    def _open(self, name: str, mode: str, flags: int) -> IO[Any]:
        """Open a file, and no link; one that is made is for the user alone."""
        flags |= getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        return open(
            self._at(name),
            mode,
            opener=lambda at, _: os.open(at, flags, 0o600, dir_fd=self.descriptor),
        )

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, and note that it was used; None where it is missing or not
        to be trusted.
        """
        try:
            flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)  # waits for no pipe
            with self._open(name, "rb", flags) as file:
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
        """Write a file; who reads it meanwhile finds the old one or the new one."""
        temporary = f"{pathlib.Path(name).stem}.{secrets.token_hex(8)}.tmp"
        try:
            with self._open(temporary, "wb", os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
                file.write(content)
            # In one step, whoever reads it; a file written in place would be read half, or by two
            # writers be mixed.
            os.replace(
                self._at(temporary),
                self._at(name),
                src_dir_fd=self.descriptor,
                dst_dir_fd=self.descriptor,
            )
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(self._at(temporary), dir_fd=self.descriptor)
            if isinstance(error, OSError):
                raise _explained(
                    error, self.path, "written", "set FASTNN_CACHE_DIR to a folder that can"
                ) from error
            raise

    def can_be_written(self) -> bool:
        """Return whether the system lets files be added."""
        # in a setuid program the real user's rights do not count
        effective = os.access in os.supports_effective_ids
        return os.access(
            self._at("."), os.W_OK | os.X_OK, dir_fd=self.descriptor, effective_ids=effective
        )

    def delete_unused(self, is_ours: Callable[[str], object], days: float) -> None:
        """Delete files, of the names that are ours, which were neither written nor used for so
        long.
        """
        for name in os.listdir(self.path if self.descriptor is None else self.descriptor):
            with contextlib.suppress(OSError):  # another process has deleted it first
                found = os.stat(self._at(name), dir_fd=self.descriptor, follow_symlinks=False)
                if is_ours(name) and time.time() - found.st_mtime > days * DAY:
                    os.unlink(self._at(name), dir_fd=self.descriptor)


@contextlib.contextmanager
def opened(make: bool = False) -> Iterator[Folder]:
    """Open the cache folder for a while; where it is missing, `make` it or raise a
    FileNotFoundError.
    """
    path = cache_folder()
    if not POSIX:
        if make:
            path.mkdir(parents=True, exist_ok=True)
        yield Folder(path, None)
        return
    with contextlib.suppress(FileNotFoundError):
        os.stat(path)  # an OSError where links go round in a circle
    _walk_safely(path, make)
    # Every link has been followed and checked by now: one that is found here has been put in since.
    descriptor = os.open(os.path.realpath(path), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _refuse_unsafe(path, os.fstat(descriptor))
        yield Folder(path, descriptor)
    finally:
        os.close(descriptor)


class CacheState(NamedTuple):
    """The state of the cache folder."""

    folder: pathlib.Path | None  # None where no folder was named and the user has no home
    error: str  # Why it cannot be used, or ""
    writable: bool  # Whether kernels can be added to those that are there


def cache_state() -> CacheState:
    """Return the state of the cache folder, which is made where it is missing."""
    path = None
    try:
        path = cache_folder()
        with opened(make=True) as folder:
            return CacheState(path, "", folder.can_be_written())
    except OSError as error:
        return CacheState(path, str(error), False)


# ---------------------------------------------------------------------------------- who could write


def _walk_safely(path: pathlib.Path, make: bool) -> None:
    """Go from the root down to the folder, making what is missing; refuse a way on which others
    could exchange it.

    Downwards: what lies in a folder that was found safe cannot be exchanged any more while one
    looks.
    """
    for part in (*reversed(path.parents), path):
        try:
            found = os.lstat(part)
        except FileNotFoundError:
            if not make:
                raise
            try:
                part.mkdir(0o700, exist_ok=True)  # another process may be faster
            except OSError as error:
                raise _explained(
                    error, part, "made", "set FASTNN_CACHE_DIR to a folder that can"
                ) from error
            found = os.lstat(part)
        _refuse_unsafe(part, found, on_the_way=True)
        if stat.S_ISLNK(found.st_mode):
            _walk_safely(part.parent / os.readlink(part), make)


def _refuse_unsafe(path: pathlib.Path, found: os.stat_result, on_the_way: bool = False) -> None:
    """Raise a PermissionError where others than the user and root could put code into a folder, or
    exchange it.
    """
    remedy = "set FASTNN_CACHE_DIR to a folder of your own"
    # Whoever owns the root folder could exchange everything. In some containers it is shown as a
    # nobody's.
    if found.st_uid not in (os.geteuid(), 0, os.stat("/").st_uid):
        whose = f"{cut(path)} belongs to another user, number {found.st_uid}"
        raise PermissionError(f"{whose}, who could plant code there: {remedy}")
    # On the way others may add (sticky, as in /tmp), and a link has no such rights: where it leads
    # is looked at next.
    harmless = on_the_way and (found.st_mode & stat.S_ISVTX or stat.S_ISLNK(found.st_mode))
    if found.st_mode & _OTHERS_WRITE and not harmless:
        remedy = f"take that right from them (chmod go-w), or {remedy}"
        raise PermissionError(
            f"{cut(path)} can be written by other users, who could plant code there: {remedy}"
        )


def _is_safe_file(found: os.stat_result) -> bool:
    """Return whether nobody but the user and root can have written a file: a second link may lie
    where others can.
    """
    others_write = found.st_nlink != 1 or found.st_mode & _OTHERS_WRITE
    is_own = not POSIX or (found.st_uid in (os.geteuid(), 0) and not others_write)
    return stat.S_ISREG(found.st_mode) and is_own


def _explained(error: OSError, path: object, what: str, remedy: str) -> OSError:
    """Return an OSError of the same class that says what could not be done, and what to do."""
    return type(error)(f"{path} cannot be {what} ({error.strerror}): {remedy}")


# ---------------------------------------------------------------------------------------- the files


KEPT_DAYS = 90  # without use, after which a file is deleted

_OURS = re.compile(  # only such files are ever deleted, whatever else lies in the folder
    r"\w+\.float\d\d\.[0-9a-f]{16}\.(o|[0-9a-f]{16}\.tmp)"
    r"|kernels\.\w+-\w+\.py\w+\.(\w+\.)?(nbc|nbi|tmp)"  # as version 0.1 named them
)
_errors: list[str] = []
_warned: list[bool] = []


@contextlib.contextmanager
def _never_raises() -> Iterator[None]:
    """Have a function return None in place of raising, as its decorator; `warn_once` warns of the
    error.
    """
    try:
        yield
    except Exception as error:
        # text alone: the exception would keep the frames, and arrays, alive
        _errors.append(str(error))


@_never_raises()
def load(name: str, variant: str = "") -> bytes | None:
    """Return the cached code of a kernel and variant (the digest of its constants); None if missing
    or damaged.
    """
    key = _key(name + variant)
    try:
        with opened() as folder:
            content = folder.read(_file_name(name, key)) or b""
    except FileNotFoundError:  # nothing was cached yet
        return None
    # A file is checksum, key, code. The whole key is compared, for its name holds only a part of
    # the key's hash.
    checksum = content[:32]
    rest = content[32:]
    is_whole = hashlib.sha256(rest).digest() == checksum and rest.startswith(key)
    return rest[len(key) :] if is_whole else None


@_never_raises()
def save(name: str, code: bytes, variant: str = "") -> None:
    """Cache the code of a kernel and variant; a process that loads it meanwhile finds the old file
    or the new one.
    """
    if source_stamp.__wrapped__() != source_stamp():
        # the sources were edited or upgraded meanwhile, and nobody can tell which ones were
        # compiled
        return
    key = _key(name + variant)
    content = key + code
    with opened(make=True) as folder:
        # here, for a process that compiles has the time
        folder.delete_unused(_OURS.fullmatch, KEPT_DAYS)
        folder.write(_file_name(name, key), hashlib.sha256(content).digest() + content)


def warn_once() -> None:
    """Warn of the first error of `load` or `save`, once in a process and at the line that called
    fastnn.

    A function apart from these two, which run in a thread whose stack does not lead to the caller.
    """
    if _errors and not _warned:
        _warned.append(True)
        message = (
            f"fastnn compiles anew in every process, its kernel cache is not usable: {_errors[0]}"
        )
        warn(RuntimeWarning(message))


def _key(name: str) -> bytes:
    """Return the key of a kernel's code: processes with the same key may share the code."""
    # here and below: a process that has the kernels of the wheel does without
    import llvmlite.binding as llvm

    settings = numba_settings()
    # A processor that the settings name replaces the one at hand: its code serves any host.
    host = {setting: value for setting, value in _processor() if setting not in settings}
    return repr((name, llvm.get_process_triple(), host, settings, source_stamp())).encode() + b"\n"


def _file_name(name: str, key: bytes) -> str:
    """Return the name of a kernel's file for a key."""
    return f"{name}.{hashlib.sha256(key).hexdigest()[:16]}.o"


@functools.cache
def _processor() -> tuple[tuple[str, str], ...]:
    """Return the host's processor and its features, under the names of Numba's settings that
    replace them.
    """
    import llvmlite.binding as llvm

    try:
        features = llvm.get_host_cpu_features().flatten()
    except RuntimeError:  # LLVM has no list of features for some processors
        features = ""
    return ("CPU_NAME", llvm.get_host_cpu_name()), ("CPU_FEATURES", features)


@functools.cache
def source_stamp() -> str:
    """Return the hash of the versions and source files that machine code depends on."""
    import llvmlite

    versions = (
        __version__,
        llvmlite.__version__,
        np.__version__,
        sys.version,
        os.environ.get("NUMBA_ENABLE_AVX"),
    )
    # its version is read as text: an import takes a while
    numba = importlib.util.find_spec("numba")
    numbas_version = numba and pathlib.Path(str(numba.origin)).with_name("_version.py").read_bytes()
    return hashlib.sha256(repr((*versions, numbas_version, sources_digest())).encode()).hexdigest()
