"""The fused kernel: the network, written in the kernel's language; docs/explanation/kernel.md is a
guide to it.
"""

from types import ModuleType

from fastnn.compiler import program


def _kernels() -> ModuleType:
    from fastnn.fused import kernels  # imports Numba

    return kernels


program.register_kernels(_kernels)
