"""Numbers that threads share work by.

All threads see the changes of these numbers in one order, and with each of them all that was
written before it.
"""

from __future__ import annotations

import platform
import threading
import time

from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastnn.compiler.memory_ops import address_ir
from fastnn.compiler.tracing import INT32, INT64, primitive

NAP = 20
"""Microseconds of a nap, if the system's clock is so fine."""
RELAXED = 40
"""Ticks that a pause takes besides what the processor's clock says, or in its place."""
WAIT = 128
WAKE = 129
"""The operations of `futex`, among the threads of a process."""

_in_python = threading.Lock()


@primitive(
    lambda a, i: types.int64,
    lambda a, i: a.builder.load_atomic(address_ir(a, i.value), "seq_cst", 8),
)
def observed(a, i):
    """Read ``a[i]``, int64; what another thread wrote before it changed this number can be read
    afterwards.
    """
    return a[i]


def added_ir(a, i, x):
    """Emit an addition in one step."""
    return a.builder.atomic_rmw("add", address_ir(a, i.value), x.value, "seq_cst")


@primitive(lambda a, i, x: types.int64(a, i, types.int64), added_ir)
def added(a, i, x):
    """Add x to ``a[i]``, int64; return what it was. No other thread comes in between."""
    with _in_python:
        before = a[i]
        a[i] += x
    return before


def swapped_ir(a, i, old, new):
    """Emit a comparison and exchange; whether it has found the old number, as an integer."""
    pair = a.builder.cmpxchg(address_ir(a, i.value), old.value, new.value, "seq_cst", "seq_cst")
    return a.builder.zext(a.builder.extract_value(pair, 1), INT64)


@primitive(lambda a, i, old, new: types.int64(a, i, types.int64, types.int64), swapped_ir)
def swapped(a, i, old, new):
    """Write ``a[i] = new``, int64, if it is `old`; return whether it was. No other thread comes in
    between.
    """
    with _in_python:
        was_old = a[i] == old
        if was_old:
            a[i] = new
    return was_old


def _call_ir(builder, name, returns, *arguments):
    """Emit a call of LLVM's function of this name."""
    kind = ir.FunctionType(returns, [x.type for x in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def relax_ir(a):
    """Emit the processor's instruction for a loop that waits, which takes 40 to 150 ticks; none for
    one that has none.

    On arm64, where it takes some 40, no clock is read: not all systems let a program do that.
    """
    machine = platform.machine().lower()
    ticks = INT64(RELAXED)
    if machine in ("x86_64", "amd64"):
        began = _call_ir(a.builder, "llvm.readcyclecounter", INT64)
        _call_ir(a.builder, "llvm.x86.sse2.pause", ir.VoidType())
        passed = a.builder.sub(_call_ir(a.builder, "llvm.readcyclecounter", INT64), began)
        ticks = a.builder.add(passed, ticks)
    elif machine in ("aarch64", "arm64"):
        _call_ir(a.builder, "llvm.aarch64.isb", ir.VoidType(), INT32(15))
    return ticks


@primitive(lambda a: types.int64, relax_ir)
def relax(a):
    """Tell the processor that this thread waits for a number of `a`; return the ticks of its clock
    that this took.

    It saves power, and room for the processor's other threads.
    """
    return RELAXED


def nap_ir(function):
    """Emit a call of the C function with the time to sleep."""
    kind = ir.FunctionType(INT32, [INT32])
    function.builder.call(
        function.builder.inttoptr(function.value, kind.as_pointer()), [INT32(NAP)]
    )


@primitive(lambda function: types.void(types.int64), nap_ir)
def nap(function):
    """Let other threads have the CPU for a while, by the C function at this address."""
    time.sleep(NAP * 1e-6)


def futex_ir(function, number, a, i, operation, value, j):
    """Emit ``syscall(number, &a[i], operation, value, &a[j])``."""
    builder = function.builder
    kind = ir.FunctionType(INT64, [INT64] * 5)
    at, time_at = (builder.ptrtoint(address_ir(a, k.value), INT64) for k in (i, j))
    called = builder.inttoptr(function.value, kind.as_pointer())
    builder.call(called, [number.value, at, operation.value, value.value, time_at])


@primitive(
    lambda function, number, a, *rest: types.void(types.int64, types.int64, a, *[types.int64] * 4),
    futex_ir,
)
def futex(function, number, a, i, operation, value, j):
    """Sleep while the low half of ``a[i]`` is that of `value` (WAIT), or wake so many that do
    (WAKE), as Linux has it.

    `function` is the address of C's `syscall`, `number` that of the system call; ``a[j]`` and the
    next number are the seconds and nanoseconds after which a sleep ends anyway.
    """
    time.sleep(NAP * 1e-6)
