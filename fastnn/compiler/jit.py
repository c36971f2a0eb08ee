"""The decorators of ordinary Numba code, that of the entry points; traced code has those of `tracing.py`.

No GIL, NumPy's error model (division by zero gives infinity), no fast-math, no threads, no wrappers for Python.
"""

from __future__ import annotations

import numpy as np
from numba import config, njit
from numba.core.registry import cpu_target

# Python never calls these functions by Numba's own wrappers: `loader.py` calls their machine code.
_FLAGS = {"nogil": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def inlined(function):
    """Compile a part of a kernel where it is called, before types are inferred.

    Numba would optimize a function of its own twice, for itself and in the kernel.
    """
    return njit(function, inline="always", **_FLAGS)


def entry(function):
    """Compile an entry point, which takes addresses and numbers, not Python's objects."""
    if config.DISABLE_JIT:
        return np.errstate(all="ignore")(function)  # compiled code does not warn of infinities and NaN either
    return njit(function, **_FLAGS)  # pragma: no cover - compiled


def cpu_has(feature: str) -> bool:
    """Return whether code is compiled for a CPU with this feature of LLVM's, such as "avx512f".

    It may choose how a result is computed, never a bit of it. A CPU that is only named (``NUMBA_CPU_NAME``) lists none.
    """
    # Numba's setting or the host's: the same features that the cache's key holds.
    return f"+{feature}" in cpu_target.target_context.codegen().magic_tuple()[2].split(",")
