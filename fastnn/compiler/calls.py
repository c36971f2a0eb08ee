"""Calls of a compiled entry point from compiled code, by the address of its machine code."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastnn.compiler.instructions import INT32, INT64, const
from fastnn.compiler.memory_ops import BYTES, address_ir
from fastnn.compiler.tracing import primitive


def caller(n_arguments):
    """Return the primitive that calls an entry point of so many arguments, each an integer, an array or a NamedTuple.

    ``call(code, result, arguments)`` reads the arguments as Python would hand them over, 8-byte words in memory: an
    integer, the address of an array's object or that of an argument block. It writes what the entry point returns.
    """

    def call_ir(code, result, arguments):
        builder = code.builder
        words = [builder.load(address_ir(arguments, const(k))) for k in range(n_arguments)]
        # Numba's calling convention, see `loader._callable`: an integer goes the same way as a pointer.
        kind = ir.FunctionType(INT32, [INT64.as_pointer(), BYTES.as_pointer(), *[INT64] * n_arguments])
        unused = cgutils.alloca_once(builder, BYTES)
        written = builder.bitcast(result.value, INT64.as_pointer())  # or a float, of as many bytes
        builder.call(builder.inttoptr(code.value, kind.as_pointer()), [written, unused, *words])

    @primitive(lambda code, result, arguments: types.void, call_ir)
    def call(code, result, arguments):
        """Call the entry point at the address `code`."""
        raise NotImplementedError("in plain Python, entry points are called by their names")

    return call
