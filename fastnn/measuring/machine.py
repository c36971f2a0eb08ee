"""Facts about the machine: versions, processor, cache folder; shown by `fastnn info` and beside
each number.
"""

import contextlib
import datetime
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastnn import __version__
from fastnn.checking.hints import DISTRIBUTION
from fastnn.compiler.cache import cache_state as cache_state

# Vector extensions in the names that LLVM uses, widest first, and the bytes of their registers.
_REGISTER_BYTES = {"avx512f": 64, "avx2": 32, "avx": 32, "sse2": 16, "neon": 16}
_SHOWN_FEATURES = (
    "sse2",
    "sse4.2",
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512dq",
    "avx512vl",
    "neon",
    "sve",
)


def versions() -> dict[str, str]:
    """Return the versions of fastnn, Python and the packages that matter; "not installed" where one
    is missing.
    """
    packages = {
        package: version(package) for package in ("numpy", "numba", "llvmlite", "scikit-learn")
    }
    return {"fastnn": __version__, "python": platform.python_version(), **packages}


def version(name: str) -> str:
    """Return the version of a distribution, or "not installed"."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def circumstances() -> dict[str, Any]:
    """Return date, processor, its cores, the load of the minute before, and versions: they stand
    beside each figure.
    """
    cores = os.cpu_count()
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": cpu_model(),
        "cores": cores,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": versions(),
    }


def other_distributions() -> list[str]:
    """Return the distributions that own a folder ``fastnn`` besides ours, as pip has recorded them,
    with versions.
    """
    owners = importlib.metadata.packages_distributions().get("fastnn", [])
    return [f"{name} {version(name)}" for name in dict.fromkeys(owners) if name != DISTRIBUTION]


def cpu_model() -> str:
    """Return the processor's name as the operating system gives it."""
    with contextlib.suppress(OSError):
        for line in (
            Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        ):
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown"


def flush_to_zero() -> bool:
    """Return whether this process flushes denormal numbers to zero; then fastnn's promise of equal
    bits is off.
    """
    return bool((np.array([np.finfo(np.float64).tiny]) * 0.5 == 0.0)[0])


class Cpu(NamedTuple):
    """The processor as LLVM sees it, and as Numba compiles for it."""

    llvm_name: str | None = None
    """LLVM's name of it; None where llvmlite is not installed, then nothing of what follows is
    known."""
    features: tuple[str, ...] = ()
    """Vector extensions that LLVM sees, as far as they matter here."""
    override: tuple[str, ...] = ()
    """The environment variables by which Numba was told to compile for another processor."""
    register_bytes: int | None = None
    """Width of the widest vector register that kernels use; None where only LLVM knows it (see
    `override`)."""


def cpu() -> Cpu:
    """Return the processor and its vector extensions by LLVM, and those that Numba was told to use
    instead.
    """
    from fastnn.compiler.program import numba_settings

    try:
        from llvmlite import binding
    except ImportError:
        return Cpu()
    used = features = {name for name, there in binding.get_host_cpu_features().items() if there}
    asked_for = numba_settings().get("CPU_FEATURES")
    if isinstance(asked_for, str):  # "" leaves the choice to LLVM, by the processor's name
        used = {word[1:] for word in asked_for.split(",") if word.startswith("+")}
    overriding = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")
    return Cpu(
        llvm_name=binding.get_host_cpu_name(),
        features=tuple(feature for feature in _SHOWN_FEATURES if feature in features),
        override=tuple(f"{name}={os.environ[name]}" for name in overriding if name in os.environ),
        register_bytes=next(
            (size for feature, size in _REGISTER_BYTES.items() if feature in used), None
        ),
    )


def cache_is_used() -> bool:
    """Return whether a kernel that this process has used did not come with the wheel."""
    from fastnn.compiler.loader import WHEEL, origins

    return any(origin != WHEEL for origin in origins.values())


def side_by_side() -> dict[str, int] | None:
    """Return how large networks of `train_many` train side by side: {dtype: numbers}, None if that
    is not compiled.
    """
    from fastnn.compiler.loader import COMPILED, origin
    from fastnn.fused.backend import most_numbers

    if origin("most_numbers.float64") == COMPILED:
        return None
    return {"float64": most_numbers(8), "float32": most_numbers(16)}


class Kernels(NamedTuple):
    """The origin of the machine code in this process."""

    # The level of processors for which the kernels of the wheel that it uses were compiled, or ""
    level: str
    problem: str  # Why it does not use those that are there, or ""
    origins: dict[str, list[str]]
    """{origin: the kernels, as "predict.float64", that come from there when they are used}."""


def kernels() -> Kernels:
    """Return the origin of each kernel: the wheel, the disk cache, or a compilation when it is
    first used.
    """
    from fastnn.compiler import shipped
    from fastnn.compiler.loader import ORIGINS, origin
    from fastnn.compiler.program import ENTRIES

    origins: dict[str, list[str]] = {place: [] for place in ORIGINS}
    for title in (f"{name}.{dtype}" for name, dtypes in ENTRIES.items() for dtype in dtypes):
        origins[origin(title)].append(title)
    library = shipped.library()
    return Kernels(library.level if library else "", shipped.problem(), origins)
