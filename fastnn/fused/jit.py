"""The one decorator of the project's compiled code: flags, and what they are compiled for.

`helper` compiles a function that kernels call, `inlined` a part of a kernel, `entry` a kernel that `entries` hands to
Python. The flags are the same: no GIL, NumPy's error model (division by zero gives infinity), no fast-math, no threads.
"""

from __future__ import annotations

import numpy as np
from numba import config, njit
from numba.core.registry import cpu_target

_FLAGS = {"nogil": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


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
    """Compile a kernel that takes addresses and numbers, not Python's objects."""
    if config.DISABLE_JIT:
        return np.errstate(all="ignore")(function)  # compiled code does not warn of infinities and NaN either
    return njit(function, **_FLAGS)


def cpu_has(feature: str) -> bool:
    """Whether code is compiled for a CPU with this feature of LLVM's, such as "avx512f".

    It may choose how a result is computed, never a bit of it. A CPU that is only named (``NUMBA_CPU_NAME``) lists none.
    """
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return f"+{feature}" in features.split(",")
