"""Elementary functions on SIMD vectors: exp, expm1, log, log1p, tanh, sigmoid, softplus.

Each takes and gives NaN, infinities and signed zeros as C's functions do, in float64 and float32,
subnormal numbers included. No table, no branch, no call of the C library and no conversion between
integers and floats, which AVX2 lacks for float64; fused multiplication and addition only where it
says `fma`.

The largest errors met, in ULP, are in float64 of some 10**7 arguments, most of them where the
function is at its worst, and in float32 of all 2**32: exp 1.02 and 1.07, expm1 1.63 and 1.59,
sigmoid 1.9994 and 1.9991, tanh 1.94 and 1.96, log 0.87 and 0.84, log1p 1.40 and 1.40, softplus 1.68
and 1.68. tests/compiler/test_elementary.py holds them below 2.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

from fastnn.compiler.tracing import traced_vector
from fastnn.compiler.vectors import (
    absolute,
    at_least,
    at_most,
    copysign,
    fma,
    frexp,
    is_double,
    like,
    maximum,
    pow2,
    rounding,
    where_gt,
)

LOG2_E = 1.4426950408889634  # 1 / ln(2), not asked of the C library
# what may be subnormal is computed as 2**64 times itself and rounded to a subnormal number once, at
# the end
SCALE = 64
TANH_WINDOW = (0.43, 1.0)


# exp: q of e**r = 1 + r + r**2 q(r), |r| <= ln(2)/2. log: p of log(1 + f) = 2s + s**3 p(s**2), s =
# f / (2 + f), sqrt(1/2) <= 1 + f <= sqrt(2). Both minimax (Remez's exchange in 200 bits, then
# rounded), the first in the relative error of e**r - 1 (2**-61.7 in float64, 2**-26.2 in float32),
# the second in that of log(1 + f) (2**-59.5, 2**-30.2).
EXP_DOUBLE = [
    0.5,
    0.16666666666666677,
    0.04166666666666651,
    0.0083333333333217,
    0.0013888888888962312,
    0.00019841269885939722,
    2.4801587172616527e-05,
    2.755724440349506e-06,
    2.7557402608387184e-07,
    2.5108967730995336e-08,
    2.087533070842534e-09,
]
EXP_SINGLE = [
    0.4999999701976776,
    0.1666654348373413,
    0.04166720062494278,
    0.00836651399731636,
    0.0013882522471249104,
]
LOG_DOUBLE = [
    0.6666666666666734,
    0.3999999999941637,
    0.28571428742016736,
    0.22222198610647972,
    0.18183562412747564,
    0.15314098625591377,
    0.14795477412510694,
]
LOG_SINGLE = [0.6666677594184875, 0.39977574348449707, 0.2987093925476074]

_CONSTANTS = {  # of float64, of float32
    # so short that any exponent times it is exact
    "ln2_hi": (0.6931471805598903, 0.693145751953125),
    "ln2_lo": (5.497923018708371e-14, 1.428606765330187e-06),
    "overflow": (710.0, 89.0),  # exp is infinity from here on
    "underflow": (-746.0, -104.0),  # exp is 0 up to here
    "saturation": (-40.0, -18.0),  # exp is below 1/4 ULP of 1 up to here
    "tiny": (2.0**-1022, 2.0**-126),  # the smallest normal number
    "linear": (2.0**-54, 2.0**-25),  # below this |x|, expm1(x) = log1p(x) = x to half an ULP
    "exp": (EXP_DOUBLE, EXP_SINGLE),
    "log": (LOG_DOUBLE, LOG_SINGLE),
}
DOUBLE, SINGLE = (
    SimpleNamespace(**{name: pair[k] for name, pair in _CONSTANTS.items()}) for k in (0, 1)
)


def _constants(x):
    """Return the constants of a vector's dtype."""
    return DOUBLE if is_double(x) else SINGLE


def _polynomial(x, coefficients):
    """Return ``c0 + c1 x + c2 x**2 + ...``: in pairs for the latency (Estrin), the last three one
    by one (Horner).
    """
    terms = [like(x, c) for c in coefficients]
    while len(terms) > 3:
        pairs = [fma(x, high, low) for low, high in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[2 * len(pairs) :]
        x = x * x
    result = terms.pop()
    while terms:
        result = fma(x, result, terms.pop())
    return result


def _exp_parts(x, times=1, shift=0, fine=False):
    """Return (t, m) with e**(times x) = 2**k (1 + times m) and pow2(t) = 2**(k + shift): Cody and
    Waite's reduction.

    k is rounded by the addition of a number so large that its last bit counts ones, which leaves k
    in the low bits of t; `times`, 1, -1, 2 or -2, goes into the constants and costs nothing. With
    `fine` m is more accurate and two operations later: for results near 0, in which 1 + times m is
    all but cancelled.
    """
    c = _constants(x)
    origin = like(x, rounding(x) + shift)
    t = fma(x, like(x, LOG2_E * times), origin)
    k = t - origin
    head = fma(k, like(x, -c.ln2_hi / times), x)  # exact
    lost = -c.ln2_lo / times
    r = fma(k, like(x, lost), head)
    q = [a * times**n for n, a in enumerate(c.exp, 1)]
    if fine:
        quotient = fma(r, _polynomial(r, q[1:]), like(x, q[0]))
        return t, fma(r * r, quotient, k * lost) + head
    return t, fma(r * r, _polynomial(r, q), r)


@traced_vector
def exp(x):
    """Return e**x: ``2**k + 2**k m``, rounded once.

    It is computed as 2**64 times itself, for x > 0 as 2**-64 times, so that the power of two is a
    normal number; the last factor overflows or rounds to a subnormal number where it should.
    """
    c = _constants(x)
    x = at_most(at_least(x, c.underflow), c.overflow)
    t, m = _exp_parts(x)
    zero = like(x, 0.0)
    s = pow2(t + where_gt(x, zero, like(x, -SCALE), like(x, SCALE)))
    return fma(s, m, s) * where_gt(x, zero, like(x, 2.0**SCALE), like(x, 2.0**-SCALE))


@traced_vector
def expm1(x):
    """Return e**x - 1: twice ``(2**k - 1) / 2 + 2**k / 2 m``, for 2**k alone may overflow; x itself
    where small.
    """
    c = _constants(x)
    t, m = _exp_parts(at_most(at_least(x, c.saturation), c.overflow), shift=-1, fine=True)
    s = pow2(t)
    return where_gt(like(x, c.linear), absolute(x), x, fma(s, m, s - 0.5) * 2.0)


@traced_vector
def sigmoid(x):
    """Return 1 / (1 + e**-x), both sides scaled by 2**-64, so that the division itself rounds a
    subnormal result.

    ``1 + 2**k m`` comes first: ``1 + 2**k`` would lose the 1 at k = 53. The two additions cost at
    most 1.5 ULP of the result (where the sum is just above 1 or 2 and m all but exact) and the
    division half an ULP: never more than 2.
    """
    c = _constants(x)
    t, m = _exp_parts(at_most(at_least(x, c.underflow), -c.saturation), times=-1, shift=-SCALE)
    s = pow2(t)
    one = like(x, 2.0**-SCALE)
    return one / (s + fma(-s, m, one))


@traced_vector
def tanh(x):
    """Return (1 - e**-2|x|) / (1 + e**-2|x|) with the sign of x; each of the two is rounded once,
    after exact steps.

    A rounding error is large beside a number just above a power of two. In TANH_WINDOW, where tanh
    is just below one, that would be too much, so both are multiplied by 1.375 there.
    """
    c = _constants(x)
    y = absolute(x)
    low, high = (like(x, bound) for bound in TANH_WINDOW)
    unit = like(x, 1.0)
    one = where_gt(y, low, where_gt(high, y, like(x, 1.375), unit), unit)
    t, m = _exp_parts(at_most(y, c.saturation * -0.5), times=-2, shift=1, fine=True)
    s = pow2(t) * one
    numerator = fma(s, m, fma(s, like(x, -0.5), one))
    denominator = fma(-s, m, fma(s, like(x, 0.5), one))
    return copysign(numerator / denominator, x)


def _log_parts(k, f):
    """Return ``k ln(2) + log(1 + f)``, sqrt(1/2) <= 1 + f <= sqrt(2).

    The method of fdlibm's e_log.c, with ``log(1 + f) = f - (f**2 / 2 - s (f**2 / 2 + s**2
    p(s**2)))``.
    """
    c = _constants(f)
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    tail = fma(s, fma(z, _polynomial(z, c.log), half), k * c.ln2_lo)
    return fma(k, like(f, c.ln2_hi), f - (half - tail))


def _log_special(x, y):
    """Return log(x), which is `y` where x is positive and finite."""
    inf = like(x, math.inf)
    y = where_gt(inf, absolute(x), y, x)  # inf and NaN
    y = where_gt(like(x, 0.0), x, like(x, math.nan), y)
    tiniest = like(x, 2.0**-1074 if is_double(x) else 2.0**-149)
    return where_gt(tiniest, absolute(x), -inf, y)


@traced_vector
def log(x):
    """Return ln(x): x = 2**k (1 + f), subnormal x scaled first."""
    tiny = like(x, _constants(x).tiny)
    normal = where_gt(tiny, x, x * 2.0**SCALE, x)
    z, k = frexp(normal)
    return _log_special(x, _log_parts(k - where_gt(tiny, x, like(x, SCALE), like(x, 0.0)), z - 1.0))


@traced_vector
def log1p(x):
    """Return ln(1 + x): the logarithm of the rounded sum, with what rounding took from it added to
    f.
    """
    c = _constants(x)
    u = x + 1.0
    back = u - 1.0
    lost = (1.0 - (u - back)) + (x - back)  # 1 + x = u + lost exactly (two-sum)
    z, k = frexp(u)
    f = z - 1.0
    whole = fma(lost, pow2(like(x, rounding(x)) - k), f)  # pow2 needs k < the bias
    f = where_gt(like(x, 2.0**60), x, whole, f)
    return where_gt(like(x, c.linear), absolute(x), x, _log_special(u, _log_parts(k, f)))


@traced_vector
def softplus(x):
    """Return ln(1 + e**x) = max(x, 0) + log1p(e**-|x|): the power as in `exp`, the logarithm as in
    `log1p`.
    """
    c = _constants(x)
    t, m = _exp_parts(at_least(-absolute(x), c.underflow), shift=SCALE)
    s = pow2(t)
    e = fma(s, m, s) * 2.0**-SCALE
    u = e + 1.0
    z, k = frexp(u)  # k is 0 or 1
    f = fma(e - (u - 1.0), 1.0 - k * 0.5, z - 1.0)
    y = where_gt(like(x, c.linear), e, e, _log_parts(k, f))
    return maximum(x, like(x, 0.0)) + y
