"""The disk cache of machine code: a folder of the user's own, and in it a checked file for each compiled kernel.

Three rules. The key of a file covers every file that machine code depends on (`program`), the versions of fastnn,
Numba, llvmlite and NumPy, the processor, and Numba's settings that change code. Nobody but the user and root can have
written a file that is read (`folder`), for it is run. Each file carries a SHA-256, for damaged code would run, too.

A cache that fails is a cache that is not there, never an error: one warning says so, and every process compiles anew.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import pathlib
import re
import sys

import numpy as np

from fastnn import __version__
from fastnn.compiler.folder import opened
from fastnn.compiler.program import sources_digest
from fastnn.compiler.settings import numba_settings
from fastnn.errors import warn
from fastnn.memory import DATA

KEPT_DAYS = 90  # without use, after which a file is deleted

_OURS = re.compile(  # only such files are ever deleted, whatever else lies in the folder
    r"\w+\.float\d\d\.[0-9a-f]{16}\.(o|[0-9a-f]{16}\.tmp)"
    r"|kernels\.\w+-\w+\.py\w+\.(\w+\.)?(nbc|nbi|tmp)"  # as version 0.1 named them
)
_errors: list[str] = []
_warned: list[bool] = []


def _never_raises(function):
    """Decorate a function to return None in place of raising; `warn_once` warns of the error."""

    @functools.wraps(function)
    def call(*args):
        try:
            return function(*args)
        except Exception as error:
            _errors.append(str(error))  # text alone: the exception would keep the frames, and arrays, alive

    return call


@_never_raises
def load(name: str, variant: str = "") -> bytes | None:
    """Return the cached code of a kernel and variant (the digest of its constants); None if missing or damaged."""
    key = _key(name + variant)
    try:
        with opened() as folder:
            content = folder.read(_file_name(name, key)) or b""
    except FileNotFoundError:  # nothing was cached yet
        return None
    # A file is checksum, key, code. The whole key is compared, for its name holds only a part of the key's hash.
    checksum, rest = content[:32], content[32:]
    return rest[len(key) :] if hashlib.sha256(rest).digest() == checksum and rest.startswith(key) else None


@_never_raises
def save(name: str, code: bytes, variant: str = "") -> None:
    """Cache the code of a kernel and variant; a process that loads it meanwhile finds the old file or the new one."""
    if source_stamp.__wrapped__() != source_stamp():
        return  # the sources were edited or upgraded meanwhile, and nobody can tell which ones were compiled
    key = _key(name + variant)
    content = key + code
    with opened(make=True) as folder:
        folder.delete_unused(_OURS.fullmatch, KEPT_DAYS)  # here, for a process that compiles has the time
        folder.write(_file_name(name, key), hashlib.sha256(content).digest() + content)


def warn_once() -> None:
    """Warn of the first error of `load` or `save`, once in a process and at the line that called fastnn.

    A function apart from these two, which run in a thread whose stack does not lead to the caller.
    """
    if _errors and not _warned:
        _warned.append(True)
        message = f"fastnn compiles anew in every process, its kernel cache is not usable: {_errors[0]}"
        warn(RuntimeWarning(message))


def _key(name: str) -> bytes:
    """Return the key of a kernel's code: processes with the same key may share the code."""
    import llvmlite.binding as llvm  # here and below: a process that has the kernels of the wheel does without

    settings = numba_settings()
    # A processor that the settings name replaces the one at hand: its code serves any host.
    host = {setting: value for setting, value in _processor() if setting not in settings}
    return repr((name, llvm.get_process_triple(), host, settings, source_stamp())).encode() + b"\n"


def _file_name(name: str, key: bytes) -> str:
    """Return the name of a kernel's file for a key."""
    return f"{name}.{hashlib.sha256(key).hexdigest()[:16]}.o"


@functools.cache
def _processor():
    """Return the host's processor and its features, under the names of Numba's settings that replace them."""
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

    versions = (__version__, llvmlite.__version__, np.__version__, sys.version, os.environ.get("NUMBA_ENABLE_AVX"))
    numba = importlib.util.find_spec("numba")  # its version is read as text: an import takes a while
    numbas_version = numba and pathlib.Path(numba.origin).with_name("_version.py").read_bytes()
    return hashlib.sha256(repr((*versions, DATA, numbas_version, sources_digest())).encode()).hexdigest()
