"""Kernels in the wheel: a shared library for each level of processors, and a manifest with the hash
of their sources.

`ship.py` makes them. A process opens the library of the best level whose features its CPU has, by
the system's own loader: neither Numba nor LLVM is imported. A library is used only if it has the
hash that the manifest gives, and was made of the source files that lie here; so a damaged file, or
an edited checkout, costs one warning and is compiled as if there were no such kernels.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import json
import os
import pathlib
import platform
import stat
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from fastnn.checking.arguments import shown
from fastnn.compiler.program import numba_settings, sources_digest
from fastnn.errors import warn

FOLDER = pathlib.Path(__file__).parents[1] / "kernels"
MANIFEST = "manifest.json"
VARIABLE = "FASTNN_KERNELS"
"""The environment variable that names the level of processors to use, or is "none"."""

_errors: list[str] = []
_warned: list[bool] = []


class Library(NamedTuple):
    """The library of a level, open."""

    level: str
    signatures: dict[str, str]
    """{kernel: the letters of its result and arguments}, those of `loader.C_TYPES`."""
    address_of: Callable[[str], int | None]


def library() -> Library | None:
    """Return the library for this process' CPU; None if there is none, or if settings ask for other
    code.
    """
    if numba_settings() or "NUMBA_ENABLE_AVX" in os.environ or os.environ.get(VARIABLE) == "none":
        return None
    return _library()


def has(title: str) -> bool:
    """Return whether a kernel, such as "predict.float64", is in the library for this process."""
    found = library()
    return found is not None and title in found.signatures


def warn_once() -> None:
    """Warn of the first error, once in a process and at the line that called fastnn."""
    if _errors and not _warned:
        _warned.append(True)
        warn(
            RuntimeWarning(
                f"the kernels that came with fastnn are not used, it compiles its own: {_errors[0]}"
            )
        )


def problem() -> str:
    """Return the reason why the kernels of the wheel are not used, or ""."""
    return _errors[0] if library() is None and _errors else ""


def checksum(manifest: dict[str, Any]) -> str:
    """Return the hash of a manifest's contents."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


@functools.cache
def _library() -> Library | None:
    """Return the library, looked for once in a process; None where there is none, or after an
    error.
    """
    try:
        return _opened()
    except Exception as error:  # whatever a damaged manifest leads to
        # text alone: the exception would keep frames alive
        _errors.append(str(error) or type(error).__name__)
        return None


def _opened() -> Library | None:
    """Open the library of the best level, or raise an error that says why it is not to be used."""
    try:
        stored = json.loads(_read(FOLDER / MANIFEST))
        manifest = stored["contents"]
        is_whole = stored["sha256"] == checksum(manifest)
    except FileNotFoundError:
        return None  # a checkout, or a wheel without kernels
    except (ValueError, KeyError, TypeError):
        is_whole = False
    if not is_whole:
        raise RuntimeError(f"{FOLDER / MANIFEST} is damaged: reinstall fastnn-numba")
    made_for = (manifest["system"], manifest["machine"])
    here = (sys.platform, platform.machine())
    if made_for != here:
        raise RuntimeError(
            f"they are for {' '.join(made_for)}, and this is {' '.join(here)}: reinstall "
            f"fastnn-numba"
        )
    if manifest["sources"] != sources_digest():
        raise RuntimeError("its source files were edited since they were compiled")
    level = _best(manifest["levels"])
    path = FOLDER / level["file"]
    try:
        is_whole = hashlib.sha256(_read(path)).hexdigest() == level["sha256"]
    except OSError as error:
        raise RuntimeError(
            f"{path} cannot be read ({error.strerror}): reinstall fastnn-numba"
        ) from error
    if not is_whole:
        raise RuntimeError(f"{path} is damaged: reinstall fastnn-numba")
    functions = ctypes.CDLL(str(path))
    return Library(
        level["name"],
        level["signatures"],
        lambda name: ctypes.cast(functions[name], ctypes.c_void_p).value,
    )


def _read(path: pathlib.Path) -> bytes:
    """Return the content of a file; RuntimeError for anything else of that name, such as a pipe,
    which would wait.
    """
    with open(
        path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
    ) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise RuntimeError(f"{path} is not a regular file: reinstall fastnn-numba")
        return file.read()


def _best(levels: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the first of the levels, which are sorted, that this CPU can run and `VARIABLE`
    allows.
    """
    wanted = os.environ.get(VARIABLE)
    chosen = [level for level in levels if wanted in (None, "", level["name"])]
    if not chosen:
        names = ", ".join(level["name"] for level in levels)
        raise RuntimeError(
            f"{VARIABLE} is {shown(wanted)}, which is neither none nor one of {names}"
        )
    flags = cpu_flags()
    for level in chosen:
        if flags.issuperset(level["flags"]):
            return level
    lacking = " ".join(sorted(set(chosen[-1]["flags"]) - flags))
    raise RuntimeError(
        f"they need a CPU of {chosen[-1]['name']} at least, and this one lacks {lacking}"
    )


def cpu_flags() -> set[str]:
    """Return the features of the CPU that the system lets processes use, by Linux' names."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, words = line.partition(":")
            if name.strip() in ("flags", "Features"):  # x86, Arm
                return set(words.split())
    return set()
