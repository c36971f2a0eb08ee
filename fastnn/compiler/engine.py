"""LLVM's loader of machine code, one in a process: it takes object files, and modules in LLVM's language."""

from __future__ import annotations

import functools
import sys

import llvmlite.binding as llvm


def load_object(code: bytes) -> None:
    """Load an object file, which stays until the process ends."""
    engine().add_object_file(llvm.ObjectFileRef.from_data(code))
    engine().finalize_object()


def load_module(module: str) -> None:
    """Compile a module in LLVM's language, which stays until the process ends."""
    engine().add_module(llvm.parse_assembly(module))
    engine().finalize_object()


def address_of(symbol: str) -> int:
    """Return the address of a function that is loaded."""
    return engine().get_function_address(symbol)


@functools.cache
def engine():
    """Return the loader. It compiles nothing but a few instructions, so no processor is named to it."""
    if sys.platform == "win32":
        from numba.core.registry import cpu_target

        cpu_target.target_context.refresh()  # registers functions that Microsoft's C library lacks
    llvm.check_jit_execution()  # an OSError where the system lets no process run code that it has written
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # The code is complete, so neither the target machine's settings nor the empty module matter.
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine()
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
