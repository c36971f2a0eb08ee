"""SIMD vectors that are NumPy arrays in Python and LLVM vectors in compiled code, with the same
bits in both.

A vector is 64 bytes whatever the CPU: 8 float64 or 16 float32 lanes. A primitive is a Python
function, which is its meaning (and what runs under ``NUMBA_DISABLE_JIT=1``); its decorator says
what it compiles to. No fast-math flag is ever set, `fma` is always fused and each reduction is one
fixed tree: hence the same bits on every instruction set.
"""

from __future__ import annotations

import math
import operator
from functools import partial

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import models, register_model

from fastnn.compiler.tracing import (
    INT64,
    Traced,
    compiled,
    intrinsic_ir,
    primitive,
    splat_ir,
    traced_vector,
)
from fastnn.memory import ALIGNMENT

VECTOR_BYTES = ALIGNMENT  # the format: it shows in the bits of every sum along the lanes


class Lanes(np.ndarray):
    """A vector in Python: a value, never changed in place; numbers take its dtype, as they do in
    compiled code.
    """

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        return getattr(ufunc, method)(*(np.asarray(x, self.dtype) for x in inputs), **kwargs).view(
            type(self)
        )


class ManyLanes(Lanes):
    """A `Many` in Python: a number that many networks have."""


class Vec(types.Type):
    """Numba's type of a vector in compiled code: of floats, or of their bits."""

    def __init__(self, elem):
        self.elem = elem
        self.lanes = VECTOR_BYTES * 8 // elem.bitwidth
        super().__init__(name=f"Vec({elem})")


class Many(Vec):
    """Numba's type of a number that many networks have, one in each lane: a vector, of which an
    array may consist.

    Number i of network n then stands at ``i * lanes + n``. What is written for vectors computes
    with it lane by lane; what goes across the lanes of rows finds a single one, see `memory_ops`.
    In Python such an array has two dimensions.
    """

    def __init__(self, elem, lanes):
        self.elem = elem
        self.lanes = lanes
        self.bitwidth = lanes * elem.bitwidth
        types.Type.__init__(self, name=f"Many({elem}, {lanes})")


@register_model(Many)
@register_model(Vec)
def vector_model(manager, vec):
    """Return Numba's model of a vector: LLVM's vector type."""
    return models.PrimitiveModel(
        manager, vec, ir.VectorType(manager.lookup(vec.elem).get_value_type(), vec.lanes)
    )


def is_many(v):
    """Return whether a vector is a number of many networks: a Python bool, also while tracing."""
    return isinstance(v.type, Many) if isinstance(v, Traced) else isinstance(v, ManyLanes)


def in_double_ir(v):
    """Emit the conversion, where there is one."""
    kind = v.context.get_value_type(Many(types.float64, v.type.lanes))
    return v.value if v.value.type == kind else v.builder.fpext(v.value, kind)


@primitive(lambda v: Many(types.float64, v.lanes), in_double_ir)
def in_double(v):
    """Return a number of many networks in float64."""
    return v.view(np.ndarray).astype(np.float64).view(ManyLanes)


# ---------------------------------------------------------------------- operators (Python: NumPy's)


def _register_operator(name, of_floats, of_bits):
    """Register the code of an operator of Python, for two vectors and for a vector and a number."""

    def returns(x, y):
        vec = x if isinstance(x, Vec) else y
        if isinstance(vec, Vec) and all(t == vec or isinstance(t, types.Number) for t in (x, y)):
            return vec(*(t if t == vec else vec.elem for t in (x, y)))
        return None  # vectors of two dtypes, which the kernel never mixes

    def lowering(x, y):
        vec = x.type if isinstance(x.type, Vec) else y.type
        operands = [v.value if v.type == vec else splat_ir(v, vec.lanes) for v in (x, y)]
        return getattr(x.builder, of_floats if isinstance(vec.elem, types.Float) else of_bits)(
            *operands
        )

    formals = (Vec, Vec), (Vec, types.Number), (types.Number, Vec)
    compiled(getattr(operator, name), returns, lowering, formals)
    # ``v += w``: it makes a new vector
    compiled(getattr(operator, f"i{name.strip('_')}"), returns, lowering, formals)


_register_operator("add", "fadd", "add")
_register_operator("sub", "fsub", "sub")
_register_operator("mul", "fmul", "mul")
_register_operator("truediv", "fdiv", None)
_register_operator("and_", None, "and_")
_register_operator("or_", None, "or_")
_register_operator("lshift", None, "shl")
_register_operator("rshift", None, "lshr")
compiled(
    operator.neg,
    lambda x: x if isinstance(x, Vec) else None,
    lambda x: x.builder.fneg(x.value),
    [[Vec]],
)


def _alike(first, *others):
    """Return the signature of a function of vectors of one type whose result is another one of
    it.
    """
    return first(first, *[first] * len(others))


@primitive(lambda v, x: v(v, v.elem), lambda v, x: splat_ir(x, v.type.lanes))
def like(v, x):
    """Return the number `x` in every lane of a vector of v's type."""
    return np.full_like(v, x)


def _fma32(a, x, c):
    """Compute fma of float32 vectors in float64, rounded to odd before it is rounded to float32."""
    p = np.multiply(a, x, dtype=np.float64)  # exact: 24 + 24 bits
    s = p + c
    t = s - p
    e = (p - (s - t)) + (c - t)  # s + e = p + c exactly (two-sum)
    is_even = s.view(np.int64) & 1 == 0
    toward_e = np.nextafter(s, np.copysign(np.inf, e))
    odd = np.where((e != 0) & is_even, toward_e, s)
    # the sum was rounded to odd, so this second rounding is the right one
    return odd.astype(np.float32)


def _fma64(a, x, c):
    """Compute fma of Python floats by integers, for int / int is correctly rounded."""
    if not (math.isfinite(a) and math.isfinite(x)):
        return a * x + c  # infinity or NaN, whatever is rounded
    if not math.isfinite(c):
        return c  # a * x alone may overflow, the exact product does not
    i, p = a.as_integer_ratio()
    j, q = x.as_integer_ratio()
    k, r = c.as_integer_ratio()
    n = i * j * r + k * p * q
    try:
        # an exact 0 has a sign, by the rules of IEEE 754
        return n / (p * q * r) if n else a * x + c
    except OverflowError:
        return math.inf if n > 0 else -math.inf


@primitive(_alike, partial(intrinsic_ir, "fma"))
def fma(a, x, c):
    """Return ``a * x + c``, rounded once."""
    assert a.dtype == x.dtype == c.dtype
    kind = type(a)
    a, x, c = (v.view(np.ndarray) for v in (a, x, c))
    if a.dtype == np.float32:
        return _fma32(a, x, c).view(kind)
    return np.array(list(map(_fma64, a.tolist(), x.tolist(), c.tolist()))).view(kind)


@primitive(_alike, partial(intrinsic_ir, "sqrt"))
def sqrt(a):
    """Return the square root, of a number too, correctly rounded, as IEEE 754 demands."""
    return np.sqrt(a)


@primitive(_alike, partial(intrinsic_ir, "fabs"))
def absolute(a):
    """Return ``|a|``: the sign bit cleared, of NaN as well."""
    return np.abs(a)


@primitive(_alike, partial(intrinsic_ir, "copysign"))
def copysign(a, sign):
    """Return `a` with the sign bit of `sign`."""
    return np.copysign(a, sign)


def where_gt_ir(a, b, p, q):
    """Emit a comparison and a selection, lane by lane."""
    greater = a.builder.fcmp_ordered(">", a.value, b.value)  # ordered: false where one is NaN
    return a.builder.select(greater, p.value, q.value)


@primitive(_alike, where_gt_ir)
def where_gt(a, b, p, q):
    """Return ``p where a > b else q``, lane by lane; `q` where a or b is NaN."""
    return np.where(a.view(np.ndarray) > b.view(np.ndarray), p, q).view(type(a))


def where_positive(weight, x):
    """Return `x` where the weight is above 0, else 0: by selection, for 0 times infinity is NaN."""
    nothing = like(x, 0.0)
    return where_gt(weight, nothing, x, nothing)


@traced_vector
def maximum(a, b):
    """Return the larger one; `b` where a is NaN or equal, NaN where b is."""
    return where_gt(a, b, a, b)


@traced_vector
def minimum(a, b):
    """Return the smaller one; `b` where a is NaN or equal, NaN where b is."""
    return where_gt(b, a, a, b)


def at_least(x, low):
    """Return `x`, or the number `low` where x is below it; NaN stays NaN."""
    return maximum(like(x, low), x)


def at_most(x, high):
    """Return `x`, or the number `high` where x is above it; NaN stays NaN."""
    return minimum(like(x, high), x)


def blend_prefix_ir(n, p, q):
    """Emit a selection by the lanes' numbers."""
    if is_many(p):
        return n.builder.select(n.builder.icmp_signed(">", n.value, INT64(0)), p.value, q.value)
    numbers = ir.Constant(ir.VectorType(INT64, p.type.lanes), list(range(p.type.lanes)))
    return n.builder.select(
        n.builder.icmp_signed("<", numbers, splat_ir(n, p.type.lanes)), p.value, q.value
    )


@primitive(lambda n, p, q: p(n, p, p), blend_prefix_ir)
def blend_prefix(n, p, q):
    """Return `p` in the first `n` lanes, `q` in the others; n may be negative or larger than the
    vector.

    A number of many networks is one lane.
    """
    if is_many(p):
        return p if n > 0 else q
    return np.where(np.arange(p.size) < n, p, q).view(Lanes)


# -------------------------------------------- exponent and mantissa: integer arithmetic on the bits


def is_double(v):
    """Return whether a vector is of float64: a Python bool, also while tracing."""
    return (v.type.elem.bitwidth if isinstance(v, Traced) else v.itemsize * 8) == 64


def _format(v):
    """Return the mantissa's bits, the bias of the exponent, and the bits of sqrt(1/2) as an
    integer.
    """
    return (52, 1023, 0x3FE6A09E667F3BCD) if is_double(v) else (23, 127, 0x3F3504F3)


def _reinterpretation(kinds):
    """Return the arguments of `primitive` for a function that reads a vector's bits as another
    type: {type: other}.
    """

    def returns(v):
        return Many(kinds[v.elem], v.lanes) if isinstance(v, Many) else Vec(kinds[v.elem])

    return returns, lambda v: v.builder.bitcast(v.value, v.context.get_value_type(returns(v.type)))


@primitive(*_reinterpretation({types.float64: types.uint64, types.float32: types.uint32}))
def bits(v):
    """Return the bits of each number as an unsigned integer."""
    return v.view(f"u{v.itemsize}")


@primitive(*_reinterpretation({types.uint64: types.float64, types.uint32: types.float32}))
def from_bits(v):
    """Return the numbers that have these bits."""
    return v.view(f"f{v.itemsize}")


@primitive(
    lambda word: types.float64, lambda word: word.builder.bitcast(word.value, ir.DoubleType())
)
def double_of(word):
    """Return the float64 that has the bits of an integer, not of a vector."""
    return float(np.int64(word).view(np.float64))


def bit_or(a, b):
    """Return the bits that are set in a or in b: NaN where one of them is, if the others are
    zeros.
    """
    return from_bits(bits(a) | bits(b))


def rounding(v):
    """Return the number S for which S + x, rounded, is S plus the integer nearest to x: its last
    bit counts ones.
    """
    mantissa, bias, _ = _format(v)
    # the bias makes the low bits of t the exponent field of 2**(t - S)
    return 1.5 * 2.0**mantissa + bias


def pow2(t):
    """Return ``2**k`` for t = rounding(t) + k, 2**k normal, else any number (also for NaN): one
    shift.
    """
    mantissa, *_ = _format(t)
    return from_bits(bits(t) << mantissa)


def frexp(x):
    """Return (z, k) of x = 2**k * z, sqrt(1/2) <= z < sqrt(2), for a positive normal x; else any
    such numbers.
    """
    mantissa, bias, root = _format(x)
    one = bias << mantissa  # the bits of 1.0
    # from sqrt(2) on this carries into the exponent, and z falls below 1
    moved = bits(x) + (one - root)
    # k as the last bits of 2**mantissa + k: no conversion from integers, which AVX2 lacks
    k = from_bits((moved >> mantissa) | ((bias + mantissa) << mantissa)) - (2.0**mantissa + bias)
    return from_bits((moved & ((1 << mantissa) - 1)) + root), k
