"""The program that is compiled: its module by name, and the files that its machine code depends on.

The only module of this package that names the program, so that the compiler imports no network: the kernels are
imported when an entry point is asked for, and Numba with them.
"""

from __future__ import annotations

import importlib
import pathlib

KERNEL_REVISION = 1
"""Counts the changes of the kernel that change a bit of any result; the hashes in the tests stand under it."""

KERNELS = "fastnn.fused.kernels"
"""The module of the entry points."""

_PACKAGE = pathlib.Path(__file__).parents[1]

FOLDERS = (_PACKAGE / "compiler", _PACKAGE.joinpath(*KERNELS.split(".")[1:-1]))
"""The folders of the compiler and of the kernels."""

SOURCES_BESIDES = tuple(_PACKAGE / name for name in ("memory.py", "network.py", "optimizers.py", "state.py"))
"""Files outside the folders of the compiler and the kernels whose constants end up in machine code."""


def entry_point(name: str):
    """Import the kernels, and with them Numba; return the entry point of this name."""
    return getattr(importlib.import_module(KERNELS), name)  # by name: an import would tie the compiler to the network


def sources() -> list[pathlib.Path]:
    """Return all files that machine code depends on: those of the compiler, those of the kernels, and those besides."""
    return [*(file for folder in FOLDERS for file in sorted(folder.glob("*.py"))), *SOURCES_BESIDES]
