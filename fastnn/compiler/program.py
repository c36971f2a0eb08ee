"""The program that is compiled: its module, by name, and the files that its machine code depends on.

The only module of this package that names the program, so that the compiler imports no network: the kernels are
imported when an entry point is asked for, and Numba with them.
"""

from __future__ import annotations

import importlib
import pathlib

KERNEL_REVISION = 1
"""Counts the changes of the kernel that change a bit of any result; the hashes in the tests stand under it."""

_PACKAGE = pathlib.Path(__file__).parents[1]
FOLDERS = _PACKAGE / "compiler", _PACKAGE / "fused"
SOURCES_BESIDES = tuple(_PACKAGE / name for name in ("memory.py", "network.py", "optimizers.py", "state.py"))
"""Files outside of the two folders whose constants end up in machine code."""


def entry_point(name: str):
    """Import the kernels, and with them Numba; return the entry point of this name."""
    kernels = importlib.import_module(
        "fastnn.fused.kernels"
    )  # an import statement would tie the compiler to the network
    return getattr(kernels, name)


def sources() -> list[pathlib.Path]:
    """Return all files that machine code depends on."""
    return [*(file for folder in FOLDERS for file in sorted(folder.glob("*.py"))), *SOURCES_BESIDES]
