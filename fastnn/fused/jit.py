"""The one decorator of the project's compiled code: flags, disk-cache policy, KERNEL_REVISION.

`helper` compiles a function that kernels call; `entry` compiles one that Python calls and keeps it on disk. The flags
are the same: no GIL, NumPy's error model (division by zero gives infinity), no fast-math, no threads.

The disk cache is Numba's, with three rules of our own. Its key covers every file of this folder and those that its
constants come from, the versions of Numba, llvmlite and NumPy and the flags that change code, where Numba's covers one
file only. Its folder belongs to the user alone (mode 0700), for the files are pickles; where no such folder can be had,
one warning says so and every process compiles anew. Its files carry a checksum, for damaged machine code would run;
those that no process has loaded for `UNUSED_DAYS`, such as an older version's, are deleted when a new one is written.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pathlib
import pickle
import re
import secrets
import stat
import sys
import time
import warnings

import llvmlite
import numba
import numpy as np
from numba import config, njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.registry import cpu_target
from numba.core.serialize import dumps

KERNEL_REVISION = 1
"""Counts the changes of the kernel that change a bit of any result; the hashes in the tests stand under it."""

SOURCES_BESIDES = tuple(
    pathlib.Path(__file__).parents[1] / name for name in ("memory.py", "network.py", "optimizers.py", "state.py")
)
"""Files outside this folder whose constants end up in machine code."""

UNUSED_DAYS = 30
"""Kernels that were not loaded for so long are deleted from the disk cache."""

_FLAGS = {"nogil": True, "error_model": "numpy"}


def helper(function):
    """Compile a function that compiled code calls."""
    return njit(function, **_FLAGS)


def inlined(function):
    """The same for a part of a kernel, put in its place before types are inferred.

    A helper is optimised by LLVM once for itself and once more in each function that calls it, to any depth; the parts
    of a kernel, which call all helpers, would double the time of compilation.
    """
    return njit(function, inline="always", **_FLAGS)


def entry(function):
    """Compile a function that Python calls; the machine code is found again by the next process."""
    if config.DISABLE_JIT:
        return np.errstate(all="ignore")(function)  # compiled code does not warn of infinities and NaN either
    dispatcher = helper(function)
    try:
        dispatcher._cache = _Cache(function)
    except (OSError, RuntimeError) as problem:
        _warn_once(problem)
    return dispatcher


def cpu_has(feature: str) -> bool:
    """Whether code is compiled for a CPU with this feature of LLVM's, such as "avx512f".

    It may choose how a result is computed, never a bit of it. A CPU that is only named (``NUMBA_CPU_NAME``) lists none.
    """
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return f"+{feature}" in features.split(",")


def cache_folder() -> pathlib.Path:
    """Where kernels are kept: ``FASTNN_CACHE_DIR``, else a folder in ``NUMBA_CACHE_DIR``, else the user's cache."""
    if own := os.environ.get("FASTNN_CACHE_DIR"):
        return pathlib.Path(own)
    if numbas := os.environ.get("NUMBA_CACHE_DIR"):
        return pathlib.Path(numbas) / "fastnn"
    if sys.platform == "win32":
        return pathlib.Path(os.environ.get("LOCALAPPDATA") or pathlib.Path.home() / "AppData/Local") / "fastnn/cache"
    if sys.platform == "darwin":
        return pathlib.Path.home() / "Library/Caches/fastnn"
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "fastnn"


def prepare_cache_folder() -> pathlib.Path:
    """The cache folder, made where it is missing.

    Raises
    ------
    OSError
        When it cannot be made or written, or when others than the user may write it.
    """
    folder = cache_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} cannot be written; set FASTNN_CACHE_DIR to a folder that can")
    if hasattr(os, "getuid"):
        found = folder.stat()
        if found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(f"{folder} can be written by other users, who could plant code there")
    return folder


@functools.cache
def source_stamp() -> str:
    """The hash of what compiled code depends on besides the CPU and the signature."""
    digest = hashlib.sha256()
    for file in (*sorted(pathlib.Path(__file__).parent.glob("*.py")), *SOURCES_BESIDES):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    versions = (numba.__version__, llvmlite.__version__, np.__version__, sys.version)
    options = (config.BOUNDSCHECK, config.OPT, config.DEBUGINFO_DEFAULT, config.SLP_VECTORIZE, config.LOOP_VECTORIZE)
    digest.update(repr((versions, options, sorted(_FLAGS.items()))).encode())
    return digest.hexdigest()


def _warn_once(problem):
    if not _warned:
        _warned.append(problem)
        message = f"fastnn compiles anew in every process, its kernel cache is not usable: {problem}"
        warnings.warn(message, RuntimeWarning, stacklevel=4)


_warned: list[Exception] = []


class _Locator(_CacheLocator):
    """Numba's interface: where the files of one function lie and what they depend on."""

    def __init__(self, py_func, py_file):
        self._folder = str(prepare_cache_folder())
        self._py_file = py_file

    def get_cache_path(self):
        return self._folder

    def get_source_stamp(self):
        return source_stamp()

    def get_disambiguator(self):
        return source_stamp()[:10]

    @classmethod
    def from_function(cls, py_func, py_file):
        return cls(py_func, py_file)


class _Impl(CompileResultCacheImpl):
    _locator_classes = (_Locator,)


class _Files:
    """What is kept of one function: a file for each signature, of a SHA-256, and of the key and the code pickled.

    Numba has an index and numbered files without checksums: a flipped bit of the code would run, one of the index would
    run the code of another signature, and two processes that compile at once may give one number to two signatures.
    """

    NAME = re.compile(r".+-[0-9a-f]{10}\.py\w+\.[0-9a-f]{16}\.(nbc|[0-9a-f]{16}\.tmp)")
    """A file's name, whatever the version, or that of what a killed process left of one."""

    def __init__(self, folder, base):
        self._folder = pathlib.Path(folder)
        self._base = base

    def _path(self, key):
        return self._folder / f"{self._base}.{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.nbc"

    def load(self, key):
        path = self._path(key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        with contextlib.suppress(OSError):  # it is in use: see `_prune`
            os.utime(path)
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            return None
        stamp, kept_key, code = pickle.loads(content[32:])
        return code if (stamp, kept_key) == (source_stamp(), key) else None

    def save(self, key, code):
        content = dumps((source_stamp(), key, code))
        path = self._path(key)
        temporary = path.with_suffix(f".{secrets.token_hex(8)}.tmp")
        try:
            temporary.write_bytes(hashlib.sha256(content).digest() + content)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        self._prune()

    def _prune(self):
        """Delete what no process has loaded for a long time; one that wants it all the same compiles it anew."""
        oldest = time.time() - UNUSED_DAYS * 24 * 3600
        with contextlib.suppress(OSError):  # the folder may be deleted
            for path in self._folder.iterdir():
                with contextlib.suppress(OSError):  # another process may prune too
                    if self.NAME.fullmatch(path.name) and path.stat().st_mtime < oldest:
                        path.unlink()

    def flush(self):
        for path in self._folder.glob(f"{self._base}.*"):
            path.unlink(missing_ok=True)


class _Cache(FunctionCache):
    """Numba's cache of one function. A cache that fails is a cache that is not there, never an error."""

    _impl_class = _Impl

    def __init__(self, function):
        super().__init__(function)
        self._cache_file = _Files(self.cache_path, self._impl.filename_base)

    def load_overload(self, sig, target_context):
        if self._is_ours():
            with contextlib.suppress(Exception):  # a file that cannot be read is compiled anew, and written again
                return super().load_overload(sig, target_context)
        return None

    def save_overload(self, sig, data):
        if self._is_ours():
            try:
                super().save_overload(sig, data)
            except Exception as problem:
                self._give_up(problem)

    def _is_ours(self):
        """Whether the folder is there (it is made again if need be) and still belongs to the user alone."""
        try:
            if self._enabled:
                prepare_cache_folder()
        except Exception as problem:
            self._give_up(problem)
        return self._enabled

    def _give_up(self, problem):
        self.disable()
        _warn_once(problem)
