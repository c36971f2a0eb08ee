"""The loss of a block and its derivative by the outputs, on panels and on single rows.

A loss is a pair of functions in the registry `_LOSSES`, its value and its derivative, like its line in
`LOSS_FUNCTIONS` of `fastnn/reference.py`; `loss_value` and `output_delta` there are the twins of `output_loss`.
"""

import operator
from functools import partial

from fastnn.compiler.control import each, switch
from fastnn.compiler.elementary import log
from fastnn.compiler.memory_ops import each_lane, horizontal_sum, lanes_of, load, offset, put, splat, store, zero
from fastnn.compiler.tracing import outlined, traced
from fastnn.compiler.vectors import absolute, blend_prefix, copysign, fma, is_double, like, where_gt
from fastnn.fused.activations import positive
from fastnn.fused.layout import LOSS_CODES, MATCHED_POISSON, SMOOTHED
from fastnn.memory import ceil_div


def _loss(value, derivative, n_numbers=0):
    """Make the three functions of a loss, from l(a, y) and dl/da on single vectors: for panels, for threads, for a row.

    Both get `n_numbers` parameters of the loss behind a and y. The first and the last function add up ``w l`` in one
    chain of fma per row of the batch, in the order of the outputs. A row of weight 0 adds nothing and gets a derivative
    of 0, whatever it holds.
    """

    def numbers_at(scratch, read, n, o):
        """Read the parameters from output o on, of n outputs."""
        L = lanes_of(scratch.loss_numbers)
        return [read(scratch.loss_numbers, k * (ceil_div(n, L) * L) + o) for k in range(n_numbers)]

    def loss_of(scratch, A, i, w, numbers):
        """Write ``w dl/da`` of the vector at i to `scratch.delta`, and return its l."""
        # Both by selection: what a row of weight 0 holds may be NaN, and 0 times NaN is NaN.
        a, y, nothing = load(A, i), load(scratch.targets, i), zero(scratch.delta)
        store(scratch.delta, i, where_gt(w, nothing, w * derivative(a, y, *numbers), nothing))
        return where_gt(w, nothing, value(a, y, *numbers), nothing)

    @traced
    def panel(scratch, A, n, width):
        L, s = lanes_of(A), [zero(A)]
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
                store(scratch.delta_below, i, loss_of(scratch, A, i, load(scratch.weight, b), numbers))

    @traced
    def single(scratch, a, n):
        L, w = lanes_of(a), load(scratch.weight, 0)
        # Its outputs lie side by side: each l is written to memory before they are added up one by one.
        terms = scratch.delta_below  # free until backward, and as long as the outputs
        for i in each(ceil_div(n, L), step=L):
            store(terms, i, loss_of(scratch, a, i, w, numbers_at(scratch, load, n, i)))
        s = [zero(a)]
        for o in each(n, s):
            s[0] = fma(w, splat(terms, o), s[0])
        # The one row in the first lane, and 0 in those of a panel's padding: the same tree, the same bits.
        put(scratch.sum_of_l, 0, horizontal_sum(blend_prefix(1, s[0], zero(a))))

    return panel, terms, single


difference = operator.sub  # a - y: the derivative of the squared error, and delta where loss and output are matched


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
    e, nothing = a - y, like(a, 0.0)
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
    """Write a block's loss to `scratch.sum_of_l`, and dL/da to `scratch.delta`: of the outputs A (n, width).

    Where loss and output are matched, it is delta itself.
    """
    switch(loss, {code: partial(panel, scratch, A, n, width) for code, (panel, *_) in _LOSSES.items()})


@outlined
def output_terms(loss, scratch, A, n, width):
    """Write each l of a thread's columns to `scratch.delta_below`, and dL/da, as `output_loss` does: A (n, width)."""
    switch(loss, {code: partial(terms, scratch, A, n, width) for code, (_, terms, _) in _LOSSES.items()})


@traced
def sum_terms(scratch, n, width, columns):
    """Write a block's loss to `scratch.sum_of_l`: the sum of the l of all its columns, in the order of `output_loss`.

    `columns(*kept)` iterates over the threads' columns: (the first of them, how many), in all `width`.
    """
    s = [zero(scratch.weight)]
    for lane in each_lane(scratch.weight, width, s):
        for o in each(n, s):
            # The threads' columns in a row are those of one panel, in this order; so the lanes add up the same terms.
            for first, count in columns(s):
                weight, terms = offset(scratch.weight, first), offset(scratch.delta_below, first * n + o * count)
                for b in lane(count, s):
                    s[0] = fma(load(weight, b), load(terms, b), s[0])
    put(scratch.sum_of_l, 0, horizontal_sum(s[0]))


@outlined
def row_loss(loss, scratch, a, n):
    """Write a single row's loss and dL/da, as `output_loss` does: of the outputs a (n to the end of its vector,)."""
    switch(loss, {code: partial(single, scratch, a, n) for code, (*_, single) in _LOSSES.items()})
