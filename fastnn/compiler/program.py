"""The program that is compiled: its module, by name, and the files that its machine code depends on.

The only module of this package that names the program, so that the compiler imports no network: the kernels are
imported when an entry point is asked for, and Numba with them.
"""

from __future__ import annotations

import hashlib
import importlib
import pathlib

KERNEL_REVISION = 2
"""Counts the changes of the kernel that change a bit of any result; the hashes in the tests stand under it."""

_PACKAGE = pathlib.Path(__file__).parents[1]
FOLDERS = _PACKAGE / "compiler", _PACKAGE / "fused"
SOURCES_BESIDES = tuple(_PACKAGE / f"{name}.py" for name in ("memory", "network", "optimizers", "state"))
"""Files outside of the two folders whose constants end up in machine code."""

ENTRIES = {
    "train_steps": ("float64", "float32"),
    "levenberg_marquardt": ("float64",),
    "train_members": ("float64", "float32"),
    "train_in_lanes": ("float64", "float32"),
    "end_epoch": ("float64", "float32"),
    "train_together": ("float64", "float32"),
    "loss_and_gradient": ("float64", "float32"),
    "predict": ("float64", "float32"),
    "evaluate": ("float64", "float32"),
    "most_numbers": ("float64",),  # the same for both, as is the next one
    "shuffle_rows": ("float64",),
}
"""{entry point: the dtypes for which it is compiled}"""


def entry_point(name: str):
    """Import the kernels, and with them Numba; return the entry point of this name."""
    kernels = importlib.import_module(
        "fastnn.fused.kernels"
    )  # an import statement would tie the compiler to the network
    return getattr(kernels, name)


def sources() -> list[pathlib.Path]:
    """Return all files that machine code depends on."""
    return [*(file for folder in FOLDERS for file in sorted(folder.glob("*.py"))), *SOURCES_BESIDES]


def sources_digest() -> str:
    """Return the hash of these files, by their names and bytes."""
    digest = hashlib.sha256()
    for file in sources():
        content = file.read_bytes()
        digest.update(f"{file.parent.name}/{file.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()
