"""The disk cache of machine code: a folder of the user's own, and in it a checked file for each compiled kernel.

Three rules. The key of a file covers every file of this folder and those that its constants come from, the versions of
Numba, llvmlite and NumPy, the processor and the settings that change code. The folder belongs to the user alone (mode
0700), for what is in it is run; where no such folder can be had, one warning says so and every process compiles anew.
Each file carries a SHA-256, for damaged machine code would run. A cache that fails is a cache that is not there, never
an error.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import pathlib
import secrets
import stat
import sys
import warnings

import llvmlite
import llvmlite.binding as llvm
import numpy as np

KERNEL_REVISION = 1
"""Counts the changes of the kernel that change a bit of any result; the hashes in the tests stand under it."""

SOURCES_BESIDES = tuple(
    pathlib.Path(__file__).parents[1] / name for name in ("memory.py", "network.py", "optimizers.py", "state.py")
)
"""Files outside this folder whose constants end up in machine code."""

SETTINGS = ("ENABLE_AVX", "OPT", "BOUNDSCHECK", "DEBUGINFO", "SLP_VECTORIZE", "LOOP_VECTORIZE")
"""Variables of the environment, but for their ``NUMBA_``, by which Numba compiles other code."""


def load(name: str) -> bytes | None:
    """The machine code that was kept under a name; None where there is none, or it is not as it was written."""
    try:
        path = prepare_cache_folder() / _file_name(name)
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as problem:
        _warn_once(problem)
        return None
    checksum, rest = content[:32], content[32:]
    key = _key(name)
    if hashlib.sha256(rest).digest() != checksum or not rest.startswith(key):
        return None
    return rest[len(key) :]


def save(name: str, code: bytes) -> None:
    """Keep machine code under a name; whoever looks for it meanwhile finds the old file or the new one."""
    try:
        path = prepare_cache_folder() / _file_name(name)
        temporary = path.with_suffix(f".{secrets.token_hex(8)}.tmp")
        content = _key(name) + code
        try:
            temporary.write_bytes(hashlib.sha256(content).digest() + content)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as problem:
        _warn_once(problem)


def _key(name: str) -> bytes:
    """What must be the same for the code of one process to serve another one."""
    return repr((name, *processor(), source_stamp())).encode() + b"\n"


def _file_name(name: str) -> str:
    return f"{name}.{hashlib.sha256(_key(name)).hexdigest()[:16]}.o"


def processor() -> tuple[str, str]:
    """LLVM's name of the processor that code is compiled for, and its features as LLVM's switches."""
    name, features = os.environ.get("NUMBA_CPU_NAME"), os.environ.get("NUMBA_CPU_FEATURES")
    name = llvm.get_host_cpu_name() if name in (None, "host") else name
    return name, llvm.get_host_cpu_features().flatten() if features is None else features


@functools.cache
def source_stamp() -> str:
    """The hash of what machine code depends on besides the processor."""
    digest = hashlib.sha256()
    numba = importlib.util.find_spec("numba")
    numbas_version = pathlib.Path(numba.origin).with_name("_version.py")  # read, for an import takes a while
    for file in (*sorted(pathlib.Path(__file__).parent.glob("*.py")), *SOURCES_BESIDES, numbas_version):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    versions = (llvmlite.__version__, np.__version__, sys.version)
    digest.update(repr((versions, [os.environ.get(f"NUMBA_{name}") for name in SETTINGS])).encode())
    return digest.hexdigest()


# ----------------------------------------------------------------------------------------------------------- the folder


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


def _warn_once(problem):
    if not _warned:
        _warned.append(problem)
        message = f"fastnn compiles anew in every process, its kernel cache is not usable: {problem}"
        warnings.warn(message, RuntimeWarning, stacklevel=6)


_warned: list[Exception] = []
