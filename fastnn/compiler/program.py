"""The program that is compiled, by name: entry points, their arguments, and the files and settings
of their code.

The only module of this package that names the program. The compiler imports no network: the folder
of the kernels registers how they are imported, which is done when an entry point is asked for.

Python hands a NamedTuple over as an argument block, see `arguments.py`. Annotations give the type
of each word, of a kernel's parameters and of a NamedTuple's fields alike: `int`, `float`, a
NamedTuple, or an array, which is of the working dtype unless its type is written, as in
``NDArray[np.int64]``.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import sys
import types
import typing

import numpy as np

from fastnn.memory import address

KERNEL_REVISION = 2
"""Counts the changes of the kernel that change a bit of any result; the hashes in the tests stand
under it."""

_PACKAGE = pathlib.Path(__file__).parents[1]
FOLDERS = _PACKAGE / "compiler", _PACKAGE / "fused"
SOURCES_BESIDES = tuple(
    _PACKAGE / f"{name}.py"
    for name in (
        "definitions",
        "derivatives",
        "formulas",
        "losses",
        "memory",
        "network",
        "optimizers",
        "recording",
        "state",
    )
)
"""Files outside of the two folders whose constants end up in machine code."""

BOTH: tuple[str, ...] = ("float64", "float32")
ENTRIES = dict.fromkeys(
    ("train_steps", "train_with_options", "train_members", "train_in_lanes"), BOTH
)
ENTRIES |= dict.fromkeys(
    ("train_together", "loss_and_gradient", "predict", "input_jacobian", "evaluate"), BOTH
)
ENTRIES |= {"levenberg_marquardt": ("float64",), "end_epoch": BOTH, "evaluate_table": ("float32",)}
ENTRIES |= dict.fromkeys(("most_numbers", "shuffle_rows"), ("float64",))  # the same for both
"""{entry point: the dtypes for which it is compiled}"""


_registered: list[typing.Callable[[], types.ModuleType]] = []


def register_kernels(load: typing.Callable[[], types.ModuleType]) -> None:
    """Register the function that imports the module of the entry points, and Numba with it."""
    _registered[:] = [load]


def entry_point(name: str):
    """Import the kernels, and with them Numba; return the entry point of this name."""
    (load,) = _registered
    return getattr(load(), name)


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


# --------------------------------------------------------------------------------- Numba's settings


NUMBAS_DEFAULTS = {"DISABLE_JIT": 0, "CPU_NAME": None, "CPU_FEATURES": None}
NUMBAS_DEFAULTS |= {"OPT": 3, "DEBUGINFO_DEFAULT": 0, "SLP_VECTORIZE": 0, "LOOP_VECTORIZE": 1}
"""Settings of `numba.config` by which Numba compiles other code, or none."""


def numba_settings() -> dict[str, object]:
    """Return the settings of Numba that change code and are not its defaults.

    Numba itself is asked, for it reads variables and a file, and programs change its settings. But
    its import takes a while: where it is not imported yet and there is nothing for it to read, it
    will have its defaults.
    """
    variables = (f"NUMBA_{name.removesuffix('_DEFAULT')}" for name in NUMBAS_DEFAULTS)
    imported = sys.modules.get("numba") is not None
    if not (
        imported or os.path.exists(".numba_config.yaml") or any(v in os.environ for v in variables)
    ):
        return {}
    from numba import config

    return {
        name: value
        for name, default in NUMBAS_DEFAULTS.items()
        if (value := getattr(config, name)) != default
    }


# ---------------------------------------------------------------------------------------- arguments


def symbol(name, kind):
    """Return the name in machine code of a function for C; `kind` is the dtype of its first
    array.
    """
    return f"fastnn_{name}_{kind}"


class AfterFirst(typing.NamedTuple):
    """A constant of specialized kernels: the offset in bytes of a buffer from the first one of its
    NamedTuple.
    """

    bytes: int


IN_PLACE_OF_CODE: dict[int, typing.Callable] = {}
"""Where kernels run as plain Python, {what stands for the address of a formula's block, see
`fused/custom.py`: its function}."""


def relative(buffers):
    """Return a NamedTuple of buffers as constants of a specialized kernel: their distances from the
    first one.
    """
    # None for the first: where it is differs from workspace to workspace
    start = address(buffers[0])
    return type(buffers)(None, *(AfterFirst(address(buffer) - start) for buffer in buffers[1:]))


def digest(constants):
    """Return the hash of compile-time constants, some of which may be None; "" if all of them
    are.
    """
    if all(value is None for value in constants):
        return ""
    plain = [value.tolist() if isinstance(value, np.ndarray) else value for value in constants]
    return hashlib.sha256(repr(plain).encode()).hexdigest()[:32]


def element(hint, dtype):
    """Return the dtype of an array by its annotation; `dtype`, the working one, where that names
    none.
    """
    # NDArray[T] has the argument T since NumPy 2.5; before, it was ndarray[shape, dtype[T]].
    # Without T it has neither.
    kind = (None, *typing.get_args(hint))[-1]
    kind = typing.get_args(kind)[0] if typing.get_origin(kind) is np.dtype else kind
    return np.dtype(kind) if isinstance(kind, type) and issubclass(kind, np.generic) else dtype
