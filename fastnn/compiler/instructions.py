"""Shorthands for emitting LLVM's instructions by llvmlite: constants, splats, intrinsics.

What is named ``..._ir``, here and in the other files of the compiler, emits instructions for traced values.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

INT32, INT64 = ir.IntType(32), ir.IntType(64)


def const(i):
    """Return an index, a 64-bit integer."""
    return ir.Constant(INT64, i)


def mask(lanes):
    """Return the lane numbers of a shuffle."""
    return ir.Constant(ir.VectorType(INT32, len(lanes)), list(lanes))


def splat_ir(x, n):
    """Emit a vector with the number `x` in each of `n` lanes."""
    # The form that LLVM knows as a broadcast: into lane 0 of any vector, and from there to all lanes.
    undefined = ir.Constant(ir.VectorType(x.value.type, n), ir.Undefined)
    first = x.builder.insert_element(undefined, x.value, INT32(0))
    return x.builder.shuffle_vector(first, undefined, mask([0] * n))


def intrinsic_ir(name, *vectors):
    """Emit a call of LLVM's intrinsic `name` on vectors of one type, or on numbers.

    None of those used here becomes a call of the C library where the CPU has the instruction.
    """
    builder, vector = vectors[0].builder, vectors[0].value.type
    # An intrinsic is a function of the module, declared at its first use; its name ends in its vector type.
    count, kind = (f"v{vector.count}", vector.element) if isinstance(vector, ir.VectorType) else ("", vector)
    name = f"llvm.{name}.{count}{'f32' if isinstance(kind, ir.FloatType) else 'f64'}"
    signature = ir.FunctionType(vector, [vector] * len(vectors))
    return builder.call(cgutils.get_or_insert_function(builder.module, signature, name), [v.value for v in vectors])
