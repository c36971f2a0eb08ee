"""The registered activations and losses as functions, of which formulas are recorded.

Those of an activation are of z, or give delta from d = dL/da and a; those of a loss are of an
output a and its target y. Parameters come last. Where a derivative is 0 or 1, `where` chooses: 0
times infinity is no number. `fma` rounds once, in the kernel.
"""

import math

import numpy as np

from fastnn.recording import bounded, flush, fma, probability

# Klambauer et al., NeurIPS 2017, equation 14
SELU_SCALE, SELU_ALPHA = (1.0507009873554805, 1.6732632423543772)
# Hendrycks and Gimpel, 2016, its tanh form: z sigmoid(2u)
GELU_CUBIC, GELU_SCALE = (0.044715, math.sqrt(8 / math.pi))

# -------------------------------------------------------------------------------------- activations


def identity_delta(d, a):
    """d itself"""
    return d


def relu(z):
    """``z where z >= 0 else 0``"""
    return np.where(z < 0.0, 0.0, z)


def relu_delta(d, a):
    """d times 1 or 0"""
    return np.where(a > 0.0, d, 0.0)


def softplus(z):
    """``log(1 + exp(z))``"""
    return np.logaddexp(0.0, z)


def softplus_delta(d, a):
    """``d (1 - exp(-a))``"""
    return d * -np.expm1(-a)


def sigmoid(z):
    """``1 / (1 + exp(-z))``"""
    return 1.0 / (1.0 + np.exp(-z))


def sigmoid_delta(d, a):
    """``d a (1 - a)``"""
    return d * (a * (1.0 - a))


def tanh_delta(d, a):
    """``d (1 - a^2)``"""
    return d * fma(-a, a, 1.0)


def leaky_relu(z, slope):
    """``z where z >= 0 else slope z``"""
    return np.where(z < 0.0, z * slope, z)


def leaky_relu_delta(d, a, slope):
    """d times 1 or the slope"""
    return np.where(a > 0.0, d, d * slope)


def elu(z, alpha):
    """``z where z > 0 else alpha (exp(z) - 1)``: Clevert et al., ICLR 2016, equation 15"""
    # Both sides are computed, so the exponential must not see large z: it would overflow.
    return np.where(z > 0.0, z, np.expm1(np.where(z > 0.0, 0.0, z)) * alpha)


def elu_delta(d, a, alpha):
    """d times 1 or ``alpha exp(z)``, which is ``a + alpha``"""
    return np.where(a > 0.0, d, d * (a + alpha))


def selu(z):
    """``scale elu(z)``"""
    return elu(z, SELU_ALPHA) * SELU_SCALE


def selu_delta(d, a):
    """d times the scale, or ``a + scale alpha``"""
    return np.where(a > 0.0, d * SELU_SCALE, d * (a + SELU_SCALE * SELU_ALPHA))


def gate(u):
    """sigmoid(u), but 0 where it is tiny: no activation, and no slope, is subnormal"""
    return flush(sigmoid(bounded(u)))


def silu(z):
    """``z sigmoid(z)``"""
    return z * gate(z)


def silu_slope(z):
    """The derivative of ``z sigmoid(z)``: Elfwing et al., Neural Networks 107, 2018, equation 5"""
    s = gate(z)
    return s * fma(z, 1.0 - s, 1.0)


def gelu_gate(z):
    """``sigmoid(2u)`` with ``u = sqrt(2/pi) (z + 0.044715 z^3)``, since ``(1 + tanh u) / 2 =
    sigmoid(2u)``
    """
    return gate(fma(z * z * z, GELU_CUBIC, z) * GELU_SCALE)


def gelu(z):
    """``z sigmoid(2u)``"""
    return z * gelu_gate(z)


def gelu_slope(z):
    """The derivative of ``z sigmoid(2u)``: ``s + z s (1 - s) 2u'``"""
    s = gelu_gate(z)
    return fma(z * s * (1.0 - s), fma(z * z, 3 * GELU_CUBIC, 1.0) * GELU_SCALE, s)


def mish_gate(z):
    """``tanh(softplus(z))``: Misra, BMVC 2020"""
    return flush(np.tanh(np.logaddexp(0.0, bounded(z))))


def mish(z):
    """``z tanh(softplus(z))``"""
    return z * mish_gate(z)


def mish_slope(z):
    """The derivative of ``z tanh(softplus(z))``: ``t + z (1 - t^2) sigmoid(z)``"""
    t = mish_gate(z)
    return fma(z * gate(z), fma(-t, t, 1.0), t)


# ------------------------------------------------------------------------------------------- losses


def absolute_error(a, y):
    """``|a - y|``"""
    return abs(a - y)


def squared_error(a, y):
    """``(a - y)^2 / 2``"""
    return (a - y) * (a - y) * 0.5


def huber(a, y, delta):
    """``e^2 / 2 where |e| <= delta else delta (|e| - delta / 2)``, e = a - y: Huber, Ann. Math.
    Stat. 35, 1964
    """
    e = a - y
    return np.where(abs(e) > delta, delta * (abs(e) - delta * 0.5), e * e * 0.5)


def huber_derivative(a, y, delta):
    """``a - y``, but no more than delta"""
    e = a - y
    return np.where(e > delta, delta, np.where(e < -delta, -delta, e))


def pinball(a, y, q):
    """``(1 - q) e where e > 0 else -q e``, e = a - y: Koenker and Bassett, Econometrica 46, 1978"""
    e = a - y
    return e * np.where(e > 0.0, 1.0 - q, -q)


def pinball_derivative(a, y, q):
    """``1 - q``, 0 or ``-q``, by the sign of ``a - y``"""
    e = a - y
    return np.where(e > 0.0, 1.0 - q, np.where(e < 0.0, -q, e))


def smoothed(y, keep, share):
    """``keep y + share``: a target with label smoothing"""
    return fma(keep, y, share)


def smoothed_difference(a, y, keep, share):
    """``a`` less the smoothed target"""
    return a - smoothed(y, keep, share)


def log_loss(a, y, keep, share):
    """``-[y log p + (1 - y) log(1 - p)]``, p the clipped output"""
    y = smoothed(y, keep, share)
    p = probability(a)
    return -fma(y, np.log(p), (1.0 - y) * np.log(1.0 - p))


def cross_entropy(a, y, keep, share):
    """``-y log p``, p the clipped output"""
    return -(smoothed(y, keep, share) * np.log(probability(a)))


def poisson(a, y):
    """``y log(y / a) - y + a``, where 0 log 0 = 0: half the Poisson deviance"""
    # By selection before the division, for 0 / a would be 0 and its logarithm -inf.
    ratio = np.where(y > 0.0, y, 1.0) / np.where(y > 0.0, a, 1.0)
    return fma(y, np.log(ratio), a - y)


def poisson_derivative(a, y):
    """``1 - y / a``"""
    return 1.0 - y / a
