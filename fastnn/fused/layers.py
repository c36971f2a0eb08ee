"""A dense layer on a panel: gathering, forward, the way back of delta, and the gradients of its weights and biases."""

from __future__ import annotations

from functools import partial

from fastnn.fused.control import each, pick, select, when
from fastnn.fused.elementary import exp, expm1, sigmoid, softplus, tanh
from fastnn.fused.jit import inlined
from fastnn.fused.lowering import outlined, traced
from fastnn.fused.places import at, gather, get, lanes_of, load, prefetch, put, store, zero
from fastnn.fused.shuffles import store_totals, turned
from fastnn.fused.simd import fma, like, maximum, where_gt
from fastnn.fused.tiles import sweep, turn
from fastnn.network import ACTIVATIONS, GELU_CUBIC, GELU_SCALE, LEAKY_SLOPE, SELU_ALPHA, SELU_SCALE

AHEAD = 4  # blocks of features that rows are fetched ahead of their use: there are more of them than a CPU follows
BIAS_TILES = (4, 1)  # neurons whose deltas are added up together

# --------------------------------------------------------------------------------------------------------- gathering


@traced
def copy(target, source, n):
    """Copy `n` numbers, and read none beyond them."""
    L = lanes_of(target)
    whole = n // L
    for k in each(whole):
        store(target, k * L, load(source, k * L))
    for k in each(n - whole * L):
        i = whole * L + k
        put(target, i, get(source, i))


@inlined
def gather_rows(scratch, rows, n, sample_weight, n_inputs, n_outputs, width):
    """Note where the `n` rows begin in X and Y, and write their weights; the sum of the weights, in ascending order.

    Padding takes the last row's place, which can be read, and weight 0, so nothing of it is used.
    """
    sum_of_weights = 0.0
    for b in range(width):
        row = get(rows, min(b, n - 1))
        put(scratch.rows_of_X, b, row * n_inputs)
        put(scratch.rows_of_Y, b, row * n_outputs)
        w = get(sample_weight, row) if b < n else get(scratch.zeros, 0)
        put(scratch.weight, b, w)
        sum_of_weights += float(w)
    return sum_of_weights


@traced
def gather_panel(panel, source, places, weight, n_features, width):
    """``panel[f, b] = source[places[b] + f]``, 0 where the row weight is 0; a vector of rows at a time."""
    L = lanes_of(panel)
    for v in each(width // L):
        b = v * L
        used, nothing, place = load(weight, b), zero(panel), at(places, b)
        rows = [get(place, j) for j in range(L)]
        for k in each(n_features // L):  # as many features as a vector has lanes: read along the rows and turned
            f = k * L
            for row in rows:
                prefetch(source, row + f + AHEAD * L)
            for j, x in enumerate(turned([load(source, row + f) for row in rows])):
                store(panel, (f + j) * width + b, where_gt(used, nothing, x, nothing))
        for k in each(n_features - n_features // L * L):
            f = n_features // L * L + k
            store(panel, f * width + b, where_gt(used, nothing, gather(source, place, f), nothing))


@traced
def scatter_panel(out, panel, n, n_features, width):
    """``out[b * n_features + f] = panel[f, b]``, b < n: the other way, block by block as far as blocks are whole."""
    L = lanes_of(panel)

    def numbers(first_b, first_f):
        for k in each(n_features - first_f):
            f = first_f + k
            for i in each(n - first_b):
                b = first_b + i
                put(out, b * n_features + f, get(panel, f * width + b))

    turn(out, panel, n_features, width, n)
    numbers(0, n_features // L * L)
    numbers(n // L * L, 0)


# ------------------------------------------------------------------------------------------------------- activations
# A pair of functions a name: a from z, and delta from d = dL/da and a; where the derivative needs z, forward leaves
# f'(z) in the panel `slopes` and delta is d times that.


def _forward(function, slope=None):
    """The panel function of an activation: z is overwritten by a, and `slopes` by f'(z) where `slope` is given."""

    @traced
    def activate(Z, slopes, weight, n, width):
        L = lanes_of(Z)
        for o in each(n):
            for v in each(width // L):
                b = v * L
                i = o * width + b
                z, used, nothing = load(Z, i), load(weight, b), zero(Z)
                if slope is not None:
                    store(slopes, i, slope(z))
                store(Z, i, where_gt(used, nothing, function(z), nothing))

    return activate


def _backward(function, by_slope=False):
    """The panel function of a derivative: D, dL/da, is overwritten by delta, formed with a or with f'(z)."""

    @traced
    def derive(D, A, slopes, n, width):
        L = lanes_of(D)
        for v in each(n * width // L):
            i = v * L
            store(D, i, function(load(D, i), load(slopes if by_slope else A, i)))

    return derive


def positive(x, p, q):
    """p where x > 0 else q"""
    return where_gt(x, like(x, 0.0), p, q)


def relu(z):
    return where_gt(like(z, 0.0), z, like(z, 0.0), z)  # NaN passes


def leaky_relu(z):
    return where_gt(like(z, 0.0), z, z * LEAKY_SLOPE, z)


def elu(z):
    return positive(z, z, expm1(where_gt(z, like(z, 0.0), like(z, 0.0), z)))


def selu(z):
    return positive(z, z, expm1(where_gt(z, like(z, 0.0), like(z, 0.0), z)) * SELU_ALPHA) * SELU_SCALE


def silu_slope(z):
    s = sigmoid(z)
    return s * fma(z, 1.0 - s, like(z, 1.0))


def gelu_gate(z):
    return sigmoid(fma(z * z * z, like(z, GELU_CUBIC), z) * GELU_SCALE)


def gelu_slope(z):
    s = gelu_gate(z)
    return fma(z * s * (1.0 - s), fma(z * z, like(z, 3 * GELU_CUBIC), like(z, 1.0)) * GELU_SCALE, s)


@traced
def _softmax(Z, slopes, weight, n, width):
    """Of each column: exp(z - max z), divided by its sum, which is added up in ascending order."""
    L = lanes_of(Z)
    for v in each(width // L):
        b = v * L
        top, sum_of_e = [load(Z, b)], [zero(Z)]
        for o in each(n, top):
            top[0] = maximum(load(Z, o * width + b), top[0])
        for o in each(n, sum_of_e):
            e = exp(load(Z, o * width + b) - top[0])
            store(Z, o * width + b, e)
            sum_of_e[0] = sum_of_e[0] + e
        for o in each(n):
            store(Z, o * width + b, load(Z, o * width + b) / sum_of_e[0])


@traced
def _d_softmax(D, A, slopes, n, width):
    """The full Jacobian: ``delta = a * (d - sum(d a))``."""
    L = lanes_of(D)
    for v in each(width // L):
        b = v * L
        mean = [zero(D)]
        for o in each(n, mean):
            mean[0] = fma(load(D, o * width + b), load(A, o * width + b), mean[0])
        for o in each(n):
            i = o * width + b
            store(D, i, load(A, i) * (load(D, i) - mean[0]))


_by_slope = _backward(lambda d, slope: d * slope, by_slope=True)
_PAIRS = {
    "identity": (_forward(lambda z: z), None),
    "sigmoid": (_forward(sigmoid), _backward(lambda d, a: d * (a * (1.0 - a)))),
    "tanh": (_forward(tanh), _backward(lambda d, a: d * fma(-a, a, like(a, 1.0)))),
    "relu": (_forward(relu), _backward(lambda d, a: positive(a, d, like(d, 0.0)))),
    "leaky_relu": (_forward(leaky_relu), _backward(lambda d, a: positive(a, d, d * LEAKY_SLOPE))),
    "elu": (_forward(elu), _backward(lambda d, a: positive(a, d, d * (a + 1.0)))),
    "selu": (
        _forward(selu),
        _backward(lambda d, a: positive(a, d * SELU_SCALE, d * (a + SELU_SCALE * SELU_ALPHA))),
    ),
    "softplus": (_forward(softplus), _backward(lambda d, a: d * -expm1(-a))),
    "silu": (_forward(lambda z: z * sigmoid(z), silu_slope), _by_slope),
    "gelu": (_forward(lambda z: z * gelu_gate(z), gelu_slope), _by_slope),
    "softmax": (_softmax, _d_softmax),
    "exp": (_forward(exp), _backward(lambda d, a: d * a)),
}
"""{activation: (the panel function of it, that of its derivative)}"""


@outlined
def activate(Z, slopes, weight, n, width, code):
    """a = f(z) on the panel Z (n, width), in place; 0 where the row weight is 0 (not for softmax, an output)."""
    panels = Z, slopes, weight, n, width
    select(code, {ACTIVATIONS[name].code: partial(forward, *panels) for name, (forward, _) in _PAIRS.items()})


@outlined
def activation_delta(D, A, slopes, n, width, code):
    """delta = d * f'(z) on the panel D (n, width), in place; A holds a, `slopes` f'(z) where that was kept."""
    panels = D, A, slopes, n, width
    select(code, {ACTIVATIONS[name].code: partial(back, *panels) for name, (_, back) in _PAIRS.items() if back})


# ------------------------------------------------------------------------------------------------------------ biases


@traced
def bias_gradient(db, D, b, n_bias, fan_out, width, times_bias):
    """``db[o] = sum_b D[o, b]``, or one sum over all of D for a scalar bias; times the bias for the tutorial's rule."""
    L = lanes_of(D)
    n = pick(n_bias == fan_out, width, fan_out * width)

    for o, tile in sweep(n_bias, BIAS_TILES):
        rows = [at(D, (o + j) * n) for j in range(tile)]
        target, rest, acc = at(db, o), n // L - 1, [load(row, 0) for row in rows]
        for k in each(rest, acc):
            acc[:] = [s + load(row, (k + 1) * L) for s, row in zip(acc, rows, strict=True)]
        store_totals([target], acc)

    def scale():
        for o in each(n_bias):
            put(db, o, get(db, o) * get(b, o))

    when(times_bias, scale)
