"""The formulas of activations and losses, and their derivatives, on panels and on single rows.

An activation is a pair of functions in the registry `_ACTIVATIONS`: one makes a from z, the other
delta from d = dL/da and a, like its line in `ACTIVATION_FUNCTIONS` of `fastnn/reference.py`. Where
the derivative needs z, the forward function leaves f'(z) in the panel `slopes`, and delta is d
times that.

A loss is a pair of functions in the registry `_LOSSES`, its value and its derivative, like its line
in the reference's `LOSS_FUNCTIONS`; `loss_value` and `output_delta` there are the twins of
`output_loss`.
"""

import inspect
import operator
from functools import partial

from fastnn.compiler.control import choose, each, switch
from fastnn.compiler.elementary import exp, expm1, log, sigmoid, softplus, tanh
from fastnn.compiler.lanes import each_lane, horizontal_sum
from fastnn.compiler.memory_ops import get, lanes_of, load, offset, put, splat, store, zero
from fastnn.compiler.tracing import outlined, traced
from fastnn.compiler.vectors import (
    absolute,
    blend_prefix,
    copysign,
    double_of,
    fma,
    is_double,
    like,
    maximum,
    where_gt,
)
from fastnn.fused.layout import ACTIVATION_CODES, LOSS_CODES, MATCHED_POISSON, SMOOTHED
from fastnn.losses import GELU_CUBIC, GELU_SCALE, LEAST_DELTA, SELU_ALPHA, SELU_SCALE
from fastnn.memory import ceil_div

GATE_BEGINS = {"float32": -69.5, "float64": -666.0}
"""Where sigmoid and softplus are below LEAST_DELTA, and not yet subnormal."""

IDENTITY = ACTIVATION_CODES["identity"]
SOFTMAX = ACTIVATION_CODES["softmax"]


def _numbers(a, number, n):
    """Return the arguments after the vectors of a function with `n` parameters, 0 or 1, whose bits
    are at `number`.
    """
    return [like(zero(a), double_of(get(number, 0)))] if n else []


def _forward(function, slope=None, n_numbers=0):
    """Make the forward function of an activation, see `activate`, from f and, where needed, f' on
    single vectors.
    """

    @traced
    def activate(Z, slopes, weight, number, n, width):
        L = lanes_of(Z)
        own = _numbers(Z, number, n_numbers)
        for o in each(n):  # row by row of the panel: the weights are those of its columns
            for b in each(width // L, step=L):
                i = o * width + b
                z = load(Z, i)
                used = load(weight, b)
                nothing = zero(Z)
                # by selection, not by a product: f(z), f'(z) of padding may be infinite, and 0
                # times infinity is NaN
                if slope is not None:  # Python's `if`: decided while tracing, for good
                    store(slopes, i, where_gt(used, nothing, slope(z), nothing))
                store(Z, i, where_gt(used, nothing, function(z, *own), nothing))

    activate.function = function
    return activate


def _backward(function, by_slope=False, n_numbers=0):
    """Make the backward function of an activation, see `activation_delta`, from ``function(d, a)``
    on single vectors.

    With `by_slope` it is ``function(d, f'(z))``.
    """

    @traced
    def derive(D, A, slopes, weight, number, n, width):
        L = lanes_of(D)
        own = _numbers(D, number, n_numbers)
        # In padding d, a and f'(z) are 0, and so is delta.
        for b in each(width // L, step=L):
            w = load(weight, b)
            for o in each(n):
                i = o * width + b
                store(
                    D, i, flush(function(load(D, i), load(slopes if by_slope else A, i), *own), w)
                )

    return derive


def flush(x, w):
    """Return 0 where |x| is below LEAST_DELTA times the row weight w, else x: `flush` in the
    reference.
    """
    least = w * LEAST_DELTA["float64" if is_double(w) else "float32"]
    return where_gt(least, absolute(x), like(x, 0.0), x)


def positive(x, p, q):
    """Return p where x > 0, else q."""
    return where_gt(x, like(x, 0.0), p, q)


# Each takes a vector z and is written so that NaN passes; the reference's function of the same name
# has the formula.


def relu(z):
    """Return max(z, 0)."""
    return where_gt(like(z, 0.0), z, like(z, 0.0), z)


def leaky_relu(z, slope):
    """Return z, or slope z where it is negative."""
    return where_gt(like(z, 0.0), z, z * slope, z)


def elu(z, alpha):
    """Return z, or alpha (e**z - 1) where it is not positive."""
    # Both sides are computed in every lane, so the exponential must not see large z: it would
    # overflow.
    return positive(z, z, expm1(positive(z, like(z, 0.0), z)) * alpha)


def gate(x, function=sigmoid):
    """Return the function of x, but 0 where that is below LEAST_DELTA: no activation, and no slope,
    is subnormal.
    """
    dtype = "float64" if is_double(x) else "float32"
    nothing = like(x, 0.0)
    s = function(maximum(like(x, GATE_BEGINS[dtype]), x))
    return where_gt(like(x, LEAST_DELTA[dtype]), s, nothing, s)


def silu_slope(z):
    """Return the derivative of ``z sigmoid(z)``: ``s (1 + z (1 - s))``."""
    s = gate(z)
    return s * fma(z, 1.0 - s, like(z, 1.0))


def gelu_gate(z):
    """Return gelu's factor of z: ``sigmoid(2u)``, u the cubic of the tanh form."""
    return gate(fma(z * z * z, like(z, GELU_CUBIC), z) * GELU_SCALE)


def gelu_slope(z):
    """Return the derivative of ``z sigmoid(2u)``: ``s + z s (1 - s) 2u'``."""
    s = gelu_gate(z)
    return fma(z * s * (1.0 - s), fma(z * z, like(z, 3 * GELU_CUBIC), like(z, 1.0)) * GELU_SCALE, s)


def mish_gate(z):
    """Return mish's factor of z: tanh(softplus(z))."""
    return gate(z, lambda x: tanh(softplus(x)))


def mish_slope(z):
    """Return the derivative of ``z tanh(softplus(z))``: ``t + z (1 - t^2) sigmoid(z)``."""
    t = mish_gate(z)
    return fma(z * gate(z), fma(-t, t, like(z, 1.0)), t)


# Softmax, twice each: on panels one column is one row of the batch, so sums go from vector to
# vector; on a single row they go from number to number, in the same order. `softmax` and
# `unmatched` in the reference.


@traced
def _softmax(Z, slopes, weight, number, n, width):
    """Overwrite each column of Z (n, width) by exp(z - max z) over its sum, which is added up in
    ascending order.
    """
    L = lanes_of(Z)
    for b in each(width // L, step=L):
        top = [load(Z, b)]
        sum_of_e = [zero(Z)]
        for o in each(n, top):  # the largest z is subtracted, so that no exponential overflows
            top[0] = maximum(load(Z, o * width + b), top[0])
        for o in each(n, sum_of_e):
            e = exp(load(Z, o * width + b) - top[0])
            store(Z, o * width + b, e)
            sum_of_e[0] = sum_of_e[0] + e
        for o in each(n):
            store(Z, o * width + b, load(Z, o * width + b) / sum_of_e[0])


@outlined
def _row_softmax(z, n):
    """Overwrite a single row z (n to the end of its vector,) like `_softmax`, by whole vectors but
    for the sums.
    """
    L = lanes_of(z)
    n_vectors = ceil_div(n, L)
    top = [splat(z, 0)]
    sum_of_e = [zero(z)]
    for o in each(n, top):
        top[0] = maximum(splat(z, o), top[0])
    # the lanes behind the n-th become any number, which no sum takes in
    for i in each(n_vectors, step=L):
        store(z, i, exp(load(z, i) - top[0]))
    for o in each(n, sum_of_e):
        sum_of_e[0] = sum_of_e[0] + splat(z, o)
    # a division, as on panels: a product with the inverse would round twice
    for i in each(n_vectors, step=L):
        store(z, i, load(z, i) / sum_of_e[0])


@traced
def _softmax_delta(D, A, slopes, weight, number, n, width):
    """Overwrite D (n, width) by the full Jacobian's product: ``delta = a * (d - sum(d a))``, column
    by column.
    """
    L = lanes_of(D)
    for b in each(width // L, step=L):
        w = load(weight, b)
        inner = [
            zero(D)
            # the inner product of d and a: each output depends on each z, so delta of one takes in
            # all d
        ]
        for o in each(n, inner):
            inner[0] = fma(load(D, o * width + b), load(A, o * width + b), inner[0])
        for o in each(n):
            i = o * width + b
            store(D, i, flush(load(A, i) * (load(D, i) - inner[0]), w))


@outlined
def _row_softmax_delta(d, a, weight, n):
    """Overwrite a single row d (n to the end of its vector,) like `_softmax_delta`."""
    L = lanes_of(d)
    w = load(weight, 0)
    inner = [zero(d)]
    for o in each(n, inner):
        inner[0] = fma(splat(d, o), splat(a, o), inner[0])
    for i in each(ceil_div(n, L), step=L):
        store(d, i, flush(load(a, i) * (load(d, i) - inner[0]), w))


# Neither silu nor gelu has a formula for f'(z) in terms of a, which is what forward leaves for the
# others.
_by_slope = _backward(lambda d, slope: d * slope, by_slope=True)
_ACTIVATIONS = {
    "identity": (_forward(lambda z: z), _backward(lambda d, a: d)),  # it flushes
    "sigmoid": (_forward(sigmoid), _backward(lambda d, a: d * (a * (1.0 - a)))),
    "tanh": (_forward(tanh), _backward(lambda d, a: d * fma(-a, a, like(a, 1.0)))),
    "relu": (_forward(relu), _backward(lambda d, a: positive(a, d, like(d, 0.0)))),
    "leaky_relu": (
        _forward(leaky_relu, n_numbers=1),
        _backward(lambda d, a, s: positive(a, d, d * s), n_numbers=1),
    ),
    "elu": (
        _forward(elu, n_numbers=1),
        _backward(lambda d, a, alpha: positive(a, d, d * (a + alpha)), n_numbers=1),
    ),
    "selu": (
        _forward(lambda z: elu(z, SELU_ALPHA) * SELU_SCALE),
        _backward(lambda d, a: positive(a, d * SELU_SCALE, d * (a + SELU_SCALE * SELU_ALPHA))),
    ),
    "softplus": (_forward(softplus), _backward(lambda d, a: d * -expm1(-a))),
    "silu": (_forward(lambda z: z * gate(z), silu_slope), _by_slope),
    "gelu": (_forward(lambda z: z * gelu_gate(z), gelu_slope), _by_slope),
    "softmax": (_softmax, _softmax_delta),
    "exp": (_forward(exp), _backward(lambda d, a: d * a)),
    "mish": (_forward(lambda z: z * mish_gate(z), mish_slope), _by_slope),
}


@outlined
def activate(Z, slopes, weight, number, n, width, code):
    """Overwrite z by a = f(z) on the panel Z (n, width), and `slopes` (n, width) by f'(z) where the
    derivative needs z.

    Where the row weight is 0, a is 0, whatever z is; not for softmax, an output. `number` points to
    the bits of the activation's parameter.
    """
    panels = Z, slopes, weight, number, n, width
    switch(
        code,
        {
            ACTIVATION_CODES[name]: partial(forward, *panels)
            for name, (forward, _) in _ACTIVATIONS.items()
        },
    )


@traced
def row_activate(z, slopes, weight, number, n, code):
    """Overwrite a single row z (n to the end of its vector,) like `activate`."""
    # Number by number, a row is as good as a panel of one vector: its weight is in every lane.
    # Softmax alone sums.
    L = lanes_of(z)
    panels = slopes, weight, number, ceil_div(n, L), L, code
    choose(code == SOFTMAX, lambda: _row_softmax(z, n), lambda: activate(z, *panels))


def numbers_of_row(name):
    """Return the function (z, n) that applies an activation to z (n,) where a vector is one number,
    as in C code.

    Behind them it takes the activation's parameter, if there is one.
    """
    if name == "softmax":
        return inspect.unwrap(_row_softmax)

    def each_number(z, n, *number):
        for o in each(n):
            x = load(z, o)
            store(z, o, _ACTIVATIONS[name][0].function(x, *(like(x, value) for value in number)))

    return each_number


@outlined
def activation_delta(D, A, slopes, weight, number, n, width, code):
    """Overwrite d = dL/da by delta = d f'(z) on the panel D (n, width); A and `slopes` (n, width)
    are `activate`'s.
    """
    panels = D, A, slopes, weight, number, n, width
    switch(
        code,
        {
            ACTIVATION_CODES[name]: partial(back, *panels)
            for name, (_, back) in _ACTIVATIONS.items()
        },
    )


@traced
def row_activation_delta(d, a, slopes, weight, number, n, code):
    """Overwrite a single row d (n to the end of its vector,) like `activation_delta`."""
    L = lanes_of(d)  # as in `row_activate`
    panels = slopes, weight, number, ceil_div(n, L), L, code
    choose(
        code == SOFTMAX,
        lambda: _row_softmax_delta(d, a, weight, n),
        lambda: activation_delta(d, a, *panels),
    )


# ------------------------------------------------------------------------------------------- losses


def _loss(value, derivative, n_numbers=0):
    """Make the three functions of a loss, from l(a, y) and dl/da on single vectors: for panels, for
    threads, for a row.

    Both get `n_numbers` parameters of the loss behind a and y. The first and the last function add
    up ``w l`` in one chain of fma per row of the batch, in the order of the outputs. A row of
    weight 0 adds nothing and gets a derivative of 0, whatever it holds.
    """

    def numbers_at(scratch, read, n, o):
        """Read the parameters from output o on, of n outputs."""
        L = lanes_of(scratch.loss_numbers)
        return [read(scratch.loss_numbers, k * (ceil_div(n, L) * L) + o) for k in range(n_numbers)]

    def loss_of(scratch, A, i, w, numbers):
        """Write ``w dl/da`` of the vector at i to `scratch.delta`, and return its l."""
        # Both by selection: what a row of weight 0 holds may be NaN, and 0 times NaN is NaN.
        a = load(A, i)
        y = load(scratch.targets, i)
        nothing = zero(scratch.delta)
        store(scratch.delta, i, where_gt(w, nothing, w * derivative(a, y, *numbers), nothing))
        return where_gt(w, nothing, value(a, y, *numbers), nothing)

    @traced
    def panel(scratch, A, n, width):
        L = lanes_of(A)
        s = [zero(A)]
        for o in each(n, s):
            numbers = numbers_at(scratch, splat, n, o)
            for b in each(width // L, s, step=L):
                w = load(scratch.weight, b)
                s[0] = fma(w, loss_of(scratch, A, o * width + b, w, numbers), s[0])
        put(scratch.sum_of_l, 0, horizontal_sum(s[0]))  # one row a lane, so this adds up the rows

    @traced
    def terms(scratch, A, n, width):
        L = lanes_of(A)
        for o in each(n):
            numbers = numbers_at(scratch, splat, n, o)
            for b in each(width // L, step=L):
                i = o * width + b
                store(
                    scratch.delta_below, i, loss_of(scratch, A, i, load(scratch.weight, b), numbers)
                )

    @traced
    def single(scratch, a, n):
        L = lanes_of(a)
        w = load(scratch.weight, 0)
        # Its outputs lie side by side: each l is written to memory before they are added up one by
        # one.
        terms = scratch.delta_below  # free until backward, and as long as the outputs
        for i in each(ceil_div(n, L), step=L):
            store(terms, i, loss_of(scratch, a, i, w, numbers_at(scratch, load, n, i)))
        s = [zero(a)]
        for o in each(n, s):
            s[0] = fma(w, splat(terms, o), s[0])
        # The one row in the first lane, and 0 in those of a panel's padding: the same tree, the
        # same bits.
        put(scratch.sum_of_l, 0, horizontal_sum(blend_prefix(1, s[0], zero(a))))

    return panel, terms, single


# a - y: the derivative of the squared error, and delta where loss and output are matched
difference = operator.sub


def sign(a, y):
    """Return the sign of a - y, and a - y itself where it is 0 or NaN."""
    e = a - y
    return where_gt(absolute(e), like(e, 0.0), copysign(like(e, 1.0), e), e)


def huber(a, y, delta):
    """Return ``e**2 / 2`` where |e| <= delta, else ``delta (|e| - delta / 2)``, e = a - y."""
    e = a - y
    size = absolute(e)
    return where_gt(size, delta, delta * (size - delta * 0.5), e * e * 0.5)


def huber_derivative(a, y, delta):
    """Return a - y, but with the size of delta where it is larger."""
    e = a - y
    return where_gt(absolute(e), delta, copysign(delta, e), e)


def pinball(a, y, q):
    """Return ``(1 - q) e`` where e > 0, else ``-q e``, e = a - y."""
    e = a - y
    return e * where_gt(e, like(e, 0.0), 1.0 - q, -q)


def pinball_derivative(a, y, q):
    """Return 1 - q or -q by the sign of a - y, and a - y itself where it is 0 or NaN."""
    e = a - y
    nothing = like(a, 0.0)
    return where_gt(e, nothing, 1.0 - q, where_gt(nothing, e, -q, e))


def clip(p):
    """Return a probability clipped to [eps, 1 - eps] of its dtype; NaN passes."""
    # scikit-learn's bounds: log(0) would make the loss of one sure and wrong output infinite
    low = like(p, 2.0**-52 if is_double(p) else 2.0**-23)
    high = 1.0 - low
    return where_gt(low, p, low, where_gt(p, high, high, p))


def log_loss(a, y):
    """Return ``-(y log p + (1 - y) log(1 - p))`` of the clipped output."""
    p = clip(a)
    return -fma(y, log(p), (1.0 - y) * log(1.0 - p))


def cross_entropy(a, y):
    """Return ``-y log p`` of the clipped output."""
    return -(y * log(clip(a)))


def _smoothed(function):
    """Make a function of a and y one of a and smoothed targets."""
    return lambda a, y, keep, share: function(a, fma(keep, y, share))


def poisson(a, y):
    """Return ``y log(y / a) - y + a``."""
    one = like(a, 1.0)
    # By selection before the division, for 0 / a would be 0 and its logarithm -inf.
    ratio = positive(y, y, one) / positive(y, a, one)  # 0 log 0 = 0
    return fma(y, log(ratio), a - y)


_LOSSES = {
    LOSS_CODES["squared_error"]: _loss(lambda a, y: (a - y) * (a - y) * 0.5, difference),
    LOSS_CODES["absolute_error"]: _loss(lambda a, y: absolute(a - y), sign),
    LOSS_CODES["huber"]: _loss(huber, huber_derivative, 1),
    LOSS_CODES["log_loss"]: _loss(log_loss, difference),
    LOSS_CODES["cross_entropy"]: _loss(cross_entropy, difference),
    LOSS_CODES["poisson"]: _loss(poisson, lambda a, y: 1.0 - y / a),
    LOSS_CODES["pinball"]: _loss(pinball, pinball_derivative, 1),
    MATCHED_POISSON: _loss(poisson, difference),
    SMOOTHED["log_loss"]: _loss(_smoothed(log_loss), _smoothed(difference), 2),
    SMOOTHED["cross_entropy"]: _loss(_smoothed(cross_entropy), _smoothed(difference), 2),
}


squared_error, *_ = _LOSSES[LOSS_CODES["squared_error"]]
"""The function of panels of the squared error, for those who know no other."""


@outlined
def output_loss(loss, scratch, A, n, width):
    """Write a block's loss to `scratch.sum_of_l`, and dL/da to `scratch.delta`: of the outputs A
    (n, width).

    Where loss and output are matched, it is delta itself.
    """
    switch(
        loss, {code: partial(panel, scratch, A, n, width) for code, (panel, *_) in _LOSSES.items()}
    )


@outlined
def output_terms(loss, scratch, A, n, width):
    """Write each l of a thread's columns to `scratch.delta_below`, and dL/da, as `output_loss`
    does: A (n, width).
    """
    switch(
        loss,
        {code: partial(terms, scratch, A, n, width) for code, (_, terms, _) in _LOSSES.items()},
    )


@traced
def sum_terms(scratch, n, width, columns):
    """Write a block's loss to `scratch.sum_of_l`: the sum of the l of all its columns, in the order
    of `output_loss`.

    `columns(*kept)` iterates over the threads' columns: (the first of them, how many), in all
    `width`.
    """
    s = [zero(scratch.weight)]
    for lane in each_lane(scratch.weight, width, s):
        for o in each(n, s):
            # The threads' columns in a row are those of one panel, in this order; so the lanes add
            # up the same terms.
            for first, count in columns(s):
                weight = offset(scratch.weight, first)
                terms = offset(scratch.delta_below, first * n + o * count)
                for b in lane(count, s):
                    s[0] = fma(load(weight, b), load(terms, b), s[0])
    put(scratch.sum_of_l, 0, horizontal_sum(s[0]))


@outlined
def row_loss(loss, scratch, a, n):
    """Write a single row's loss and dL/da, as `output_loss` does: of the outputs a (n to the end of
    its vector,).
    """
    switch(loss, {code: partial(single, scratch, a, n) for code, (*_, single) in _LOSSES.items()})
