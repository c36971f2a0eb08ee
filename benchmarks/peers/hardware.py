"""The machine's limits, and how near fastnn comes to them; what restricts every peer to AVX2."""

from __future__ import annotations

import ctypes
import platform
import time

from benchmarks.peers.compiler import compiled, version
from benchmarks.peers.lanes import Lane

WIDTHS = (64, 128, 256, 784)
ROUNDS = 5
SECONDS = 0.05
FLAGS = {"native": ("-march=native",), "AVX2": ("-march=haswell",)}
PEAK_STEPS, CLOCK_STEPS = 1_000_000, 4_000_000  # some milliseconds each


def compiler_version() -> str | None:
    """The C compiler here; None where there is none."""
    try:
        return version()
    except ImportError:
        return None


def has_avx2() -> bool:
    """Whether the comparison on AVX2 can be made."""
    try:
        from llvmlite import binding
    except ImportError:
        return False
    return platform.machine() in ("x86_64", "AMD64") and binding.get_host_cpu_features().get("avx2", False)


def avx2_environment() -> dict[str, str]:
    """Variables by which Numba, NumPy, OpenBLAS and XLA use nothing beyond AVX2."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    beyond = [name for name in __cpu_dispatch__ if name.startswith(("AVX512", "X86_V4")) and __cpu_features__[name]]
    return {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "",
        "NPY_DISABLE_CPU_FEATURES": " ".join(beyond),
        "OPENBLAS_CORETYPE": "Haswell",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    }


def fractions(lane: Lane, level: str) -> dict | None:
    """GF/s of the core and of the kernel's products, and the core's clock, all in turn; None without a compiler."""
    try:
        library = compiled("peak.c", "-O2", *FLAGS[level])
    except ImportError:
        return None
    library.peak.restype = library.clock_rate.restype = ctypes.c_double
    found: dict = {"peak": [], "clock": [], "products": {str(width): [] for width in WIDTHS}}
    for _ in range(ROUNDS):
        found["peak"].append(_most(library.peak, PEAK_STEPS) / 1e9)
        found["clock"].append(_most(library.clock_rate, CLOCK_STEPS) / 1e9)
        for width in WIDTHS:
            found["products"][str(width)].append(lane.ask("products", width=width, seconds=SECONDS))
    return found


def _most(function, steps: int) -> float:
    """The highest rate of several short runs: one that nothing interrupted."""
    most, stop = 0.0, time.perf_counter() + SECONDS
    while time.perf_counter() < stop:
        most = max(most, function(ctypes.c_long(steps)))
    return most
