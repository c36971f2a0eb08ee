"""Shorthands for emitting LLVM's instructions by llvmlite: constants, splats, shuffles, intrinsics.

What is named ``..._ir``, here and in the other files of the compiler, takes and returns LLVM's values, not traced ones.
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


def splat_ir(builder, x, n):
    """Emit a vector with the scalar `x` in each of `n` lanes."""
    # The form that LLVM knows as a broadcast: into lane 0 of any vector, and from there to all lanes.
    undefined = ir.Constant(ir.VectorType(x.type, n), ir.Undefined)
    first = builder.insert_element(undefined, x, ir.Constant(INT32, 0))
    return builder.shuffle_vector(first, undefined, mask([0] * n))


def intrinsic_ir(builder, name, *args):
    """Emit a call of LLVM's intrinsic `name` on vectors of one type.

    None of those used here becomes a call of the C library where the CPU has the instruction.
    """
    vector = args[0].type
    # An intrinsic is a function of the module, declared at its first use; its name ends in its vector type.
    kind = f"v{vector.count}{'f32' if isinstance(vector.element, ir.FloatType) else 'f64'}"
    signature = ir.FunctionType(vector, [vector] * len(args))
    return builder.call(cgutils.get_or_insert_function(builder.module, signature, f"llvm.{name}.{kind}"), args)


def bits_ir(builder, v):
    """Emit the elements of a vector as integers; return them, and what makes such a vector of one integer."""
    ints = ir.VectorType(ir.IntType(32 if isinstance(v.type.element, ir.FloatType) else 64), v.type.count)
    return builder.bitcast(v, ints), lambda i: ir.Constant(ints, [i] * ints.count)
