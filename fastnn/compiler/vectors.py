"""SIMD vectors that are NumPy arrays in Python and LLVM vectors in compiled code, with the same bits in both.

A vector is 64 bytes whatever the CPU: 8 float64 or 16 float32 lanes. Every primitive is a Python function, which is its
meaning (and what runs under ``NUMBA_DISABLE_JIT=1``), followed by what it compiles to. No fast-math flag is ever set,
`fma` is always fused and each reduction is one fixed tree: hence the same bits on every instruction set.

`memory_ops.py` reads and writes vectors, `lanes.py` has what crosses their lanes. LLVM's IR is emitted in these three
files, in `control.py` (loops and branches), `tracing.py` (functions) and `instructions.py` (shorthands).
"""

from __future__ import annotations

import math
import operator

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import models, register_model

from fastnn.compiler.instructions import INT64, bits_ir, intrinsic_ir, splat_ir
from fastnn.compiler.tracing import Traced, compiled, primitive
from fastnn.memory import ALIGNMENT

VECTOR_BYTES = ALIGNMENT  # the format: it shows in the bits of every sum along the lanes


class Lanes(np.ndarray):
    """A vector in Python: a value, never changed in place; numbers take its dtype, as they do in compiled code."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        return getattr(ufunc, method)(*(np.asarray(x, self.dtype) for x in inputs), **kwargs).view(Lanes)


class Vec(types.Type):
    """Numba's type of a vector in compiled code."""

    def __init__(self, elem):
        self.elem = elem
        self.lanes = VECTOR_BYTES * 8 // elem.bitwidth
        super().__init__(name=f"Vec({elem})")


@register_model(Vec)
class VecModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        elem = dmm.lookup(fe_type.elem).get_value_type()
        super().__init__(dmm, fe_type, ir.VectorType(elem, fe_type.lanes))


# ------------------------------------------------------------------------------- + - * / and unary - (Python: NumPy's)


def _binary(op, instruction):
    """Register what an operator of Python compiles to, for two vectors and for a vector and a number."""
    for formal in ((Vec, Vec), (Vec, types.Number), (types.Number, Vec)):

        @compiled(op, *formal)
        def lower_binary(x, y):
            vec = x if isinstance(x, Vec) else y
            if not isinstance(vec, Vec) or not all(t == vec or isinstance(t, types.Number) for t in (x, y)):
                return None  # vectors of two dtypes, which the kernel never mixes

            def codegen(context, builder, sig, args):
                args = [v if t == vec else splat_ir(builder, v, vec.lanes) for v, t in zip(args, sig.args, strict=True)]
                return getattr(builder, instruction)(*args)

            return vec(*(t if t == vec else vec.elem for t in (x, y))), codegen


for _name, _instruction in (("add", "fadd"), ("sub", "fsub"), ("mul", "fmul"), ("truediv", "fdiv")):
    _binary(getattr(operator, _name), _instruction)
    _binary(getattr(operator, "i" + _name), _instruction)  # ``v += w``: vectors are values, so it makes a new one


@compiled(operator.neg, Vec)
def lower_neg(x):
    return (isinstance(x, Vec) and (x(x), lambda context, builder, sig, args: builder.fneg(args[0]))) or None


# ------------------------------------------------------------------------------------------------------ arithmetic


@primitive
def like(v, x):
    """Return the number `x` in every lane of a vector of v's type."""
    return np.full_like(v, x)


@compiled(like)
def lower_like(v, x):
    return v(v, v.elem), lambda context, builder, sig, args: splat_ir(builder, args[1], v.lanes)


def _fma32(a, x, c):
    p = np.multiply(a, x, dtype=np.float64)  # exact: 24 + 24 bits
    s = p + c
    t = s - p
    e = (p - (s - t)) + (c - t)  # s + e = p + c exactly (two-sum)
    odd = np.where((e != 0) & (s.view(np.int64) & 1 == 0), np.nextafter(s, np.copysign(np.inf, e)), s)
    return odd.astype(np.float32)  # the sum was rounded to odd, so this second rounding is the right one


def _fma64(a, x, c):
    """Compute fma of Python floats by integers, for int / int is correctly rounded."""
    if not (math.isfinite(a) and math.isfinite(x)):
        return a * x + c  # infinity or NaN, whatever is rounded
    if not math.isfinite(c):
        return c  # a * x alone may overflow, the exact product does not
    (i, p), (j, q), (k, r) = a.as_integer_ratio(), x.as_integer_ratio(), c.as_integer_ratio()
    n = i * j * r + k * p * q
    try:
        return n / (p * q * r) if n else a * x + c  # an exact 0 has a sign, by the rules of IEEE 754
    except OverflowError:
        return math.inf if n > 0 else -math.inf


@primitive
def fma(a, x, c):
    """Return ``a * x + c``, rounded once."""
    assert a.dtype == x.dtype == c.dtype
    a, x, c = (v.view(np.ndarray) for v in (a, x, c))
    if a.dtype == np.float32:
        return _fma32(a, x, c).view(Lanes)
    return np.array(list(map(_fma64, a.tolist(), x.tolist(), c.tolist()))).view(Lanes)


@compiled(fma)
def lower_fma(a, x, c):
    return a(a, a, a), lambda context, builder, sig, args: intrinsic_ir(builder, "fma", *args)


@primitive
def sqrt(a):
    """Return the square root, correctly rounded, as IEEE 754 demands."""
    return np.sqrt(a)


@compiled(sqrt)
def lower_sqrt(a):
    return a(a), lambda context, builder, sig, args: intrinsic_ir(builder, "sqrt", *args)


@primitive
def absolute(a):
    """Return ``|a|``: the sign bit cleared, of NaN as well."""
    return np.abs(a)


@compiled(absolute)
def lower_absolute(a):
    return a(a), lambda context, builder, sig, args: intrinsic_ir(builder, "fabs", *args)


@primitive
def copysign(a, sign):
    """Return `a` with the sign bit of `sign`."""
    return np.copysign(a, sign)


@compiled(copysign)
def lower_copysign(a, sign):
    return a(a, a), lambda context, builder, sig, args: intrinsic_ir(builder, "copysign", *args)


@primitive
def bit_or(a, b):
    """Return the bits that are set in a or in b: NaN where one of them is, if the others are zeros."""
    a, b = (v.view(np.ndarray).view(f"u{v.itemsize}") for v in (a, b))
    return (a | b).view(f"f{a.itemsize}").view(Lanes)


@compiled(bit_or)
def lower_bit_or(a, b):
    def codegen(context, builder, sig, args):
        p, q = (bits_ir(builder, v)[0] for v in args)
        return builder.bitcast(builder.or_(p, q), args[0].type)

    return a(a, a), codegen


# -------------------------------------------------------------------------------------------------- selections


@primitive
def where_gt(a, b, p, q):
    """Return ``p where a > b else q``, lane by lane; `q` where a or b is NaN."""
    return np.where(a.view(np.ndarray) > b.view(np.ndarray), p, q).view(Lanes)


@compiled(where_gt)
def lower_where_gt(a, b, p, q):
    def codegen(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered(">", *args[:2]), *args[2:])  # ordered: false where one is NaN

    return a(a, a, a, a), codegen


@primitive
def maximum(a, b):
    """Return the larger one; `b` where a is NaN or equal, NaN where b is."""
    return where_gt(a, b, a, b)


@compiled(maximum)
def lower_maximum(a, b):
    return a(a, a), lambda context, builder, sig, args: builder.select(builder.fcmp_ordered(">", *args), *args)


@primitive
def blend_prefix(n, p, q):
    """Return `p` in the first `n` lanes, `q` in the others; n may be negative or larger than the vector."""
    return np.where(np.arange(p.size) < n, p, q).view(Lanes)


@compiled(blend_prefix)
def lower_blend_prefix(n, p, q):
    def codegen(context, builder, sig, args):
        number = ir.Constant(ir.VectorType(INT64, p.lanes), list(range(p.lanes)))
        chosen = builder.icmp_signed("<", number, splat_ir(builder, args[0], p.lanes))
        return builder.select(chosen, *args[1:])

    return p(types.intp, p, p), codegen


# ---------------------------------------------- exponent and mantissa: integer arithmetic on the bits of each element

_FORMAT = {32: (23, 127, 0x3F3504F3), 64: (52, 1023, 0x3FE6A09E667F3BCD)}  # mantissa bits, bias, bits of sqrt(1/2)


def is_double(v):
    """Return whether a vector is of float64: a Python bool, also while tracing."""
    return (v.type.elem.bitwidth if isinstance(v, Traced) else v.itemsize * 8) == 64


def rounding(v):
    """Return the number S for which S + x, rounded, is S plus the integer nearest to x: its last bit counts ones."""
    mantissa, bias, _ = _FORMAT[64 if is_double(v) else 32]
    return 1.5 * 2.0**mantissa + bias  # the bias makes the low bits of t the exponent field of 2**(t - S)


@primitive
def pow2(t):
    """Return ``2**k`` for t = rounding(t) + k, 2**k normal, else any number (also for NaN): one shift."""
    bits = t.view(np.ndarray).view(f"u{t.itemsize}")
    return (bits << bits.dtype.type(_FORMAT[8 * t.itemsize][0])).view(t.dtype).view(Lanes)


@compiled(pow2)
def lower_pow2(t):
    def codegen(context, builder, sig, args):
        bits, number = bits_ir(builder, args[0])
        return builder.bitcast(builder.shl(bits, number(_FORMAT[t.elem.bitwidth][0])), args[0].type)

    return t(t), codegen


@primitive
def fraction(x):
    """Return `z` of x = 2**k * z, sqrt(1/2) <= z < sqrt(2), for a positive normal x; else any such number."""
    mantissa, bias, root = _FORMAT[8 * x.itemsize]
    bits = x.view(np.ndarray).view(f"u{x.itemsize}")
    one = bias << mantissa  # the bits of 1.0; from sqrt(2) on the sum carries into the exponent, and z falls below 1
    z = ((bits + bits.dtype.type(one - root)) & bits.dtype.type((1 << mantissa) - 1)) + bits.dtype.type(root)
    return z.view(x.dtype).view(Lanes)


@compiled(fraction)
def lower_fraction(x):
    mantissa, bias, root = _FORMAT[x.elem.bitwidth]

    def codegen(context, builder, sig, args):
        bits, number = bits_ir(builder, args[0])
        above = builder.and_(builder.add(bits, number((bias << mantissa) - root)), number((1 << mantissa) - 1))
        return builder.bitcast(builder.add(above, number(root)), args[0].type)

    return x(x), codegen


@primitive
def exponent(x):
    """Return `k` of the same x = 2**k * z."""
    mantissa, bias, root = _FORMAT[8 * x.itemsize]
    bits = x.view(np.ndarray).view(f"u{x.itemsize}")
    k = (bits + bits.dtype.type((bias << mantissa) - root)) >> bits.dtype.type(mantissa)
    return (k.astype(x.dtype) - x.dtype.type(bias)).view(Lanes)  # exact: k is a small integer


@compiled(exponent)
def lower_exponent(x):
    mantissa, bias, root = _FORMAT[x.elem.bitwidth]
    counter = 2.0**mantissa  # a number whose last bit counts ones: no conversion from integers, which AVX2 lacks

    def codegen(context, builder, sig, args):
        bits, number = bits_ir(builder, args[0])  # the sum is that of `fraction`, so that k belongs to its z
        k = builder.lshr(builder.add(bits, number((bias << mantissa) - root)), number(mantissa))
        counted = builder.bitcast(builder.or_(k, number((bias + mantissa) << mantissa)), args[0].type)
        return builder.fsub(counted, splat_ir(builder, ir.Constant(args[0].type.element, counter + bias), x.lanes))

    return x(x), codegen
