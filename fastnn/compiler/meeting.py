"""Primitives of threads that wait for one another: numbers that one announces and others observe, pauses, and sleep.

Nothing here reads and writes at once: each number has one thread that writes it. In Python, where one thread does all,
a number is there when it is observed.
"""

from __future__ import annotations

import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastnn.compiler.instructions import INT32
from fastnn.compiler.memory_ops import address_ir
from fastnn.compiler.tracing import primitive

NAP = 20
"""Microseconds of a sleep, if the system's clock is so fine."""


@primitive(lambda a, i: types.int64, lambda a, i: a.builder.load_atomic(address_ir(a, i.value), "acquire", 8))
def observed(a, i):
    """Read ``a[i]``, int64; what another thread wrote before it announced this number can be read afterwards."""
    return a[i]


@primitive(
    lambda a, i, x: types.void(a, i, types.int64),
    lambda a, i, x: a.builder.store_atomic(x.value, address_ir(a, i.value), "release", 8),
)
def announce(a, i, x):
    """Write ``a[i] = x``, int64; whoever observes it finds all that this thread wrote before."""
    a[i] = x


def relax_ir(a):
    """Emit the processor's instruction for a loop that waits; none for a processor that has none."""
    hints = {"x86_64": ("llvm.x86.sse2.pause", []), "amd64": ("llvm.x86.sse2.pause", [])}
    hints |= dict.fromkeys(("aarch64", "arm64"), ("llvm.aarch64.hint", [INT32(1)]))
    name, arguments = hints.get(platform.machine().lower(), ("", []))
    if name:
        kind = ir.FunctionType(ir.VoidType(), [x.type for x in arguments])
        a.builder.call(cgutils.get_or_insert_function(a.builder.module, kind, name), arguments)


@primitive(lambda a: types.void, relax_ir)
def relax(a):
    """Tell the processor that this thread waits for a number of `a`: it saves power, and room for its other threads."""


def sleep_ir(function):
    """Emit a call of the C function with the time to sleep."""
    kind = ir.FunctionType(INT32, [INT32])
    function.builder.call(function.builder.inttoptr(function.value, kind.as_pointer()), [INT32(NAP)])


@primitive(lambda function: types.void(types.int64), sleep_ir)
def sleep(function):
    """Let other threads have the CPU for a while, by the C function at this address."""
