"""The loss of a block and its derivative by the outputs, on panels and on single rows.

A loss is a pair of functions in the table `_LOSSES`, its value and its derivative, like its line in `LOSSES` of
`fastnn/reference.py`; `loss_value` and `output_delta` there are the twins of `output_loss`.
"""

from __future__ import annotations

from functools import partial

from fastnn.compiler.control import each, switch
from fastnn.compiler.elementary import log
from fastnn.compiler.lanes import horizontal_sum
from fastnn.compiler.memory_ops import lanes_of, load, put, splat, store, zero
from fastnn.compiler.tracing import outlined, traced
from fastnn.compiler.vectors import absolute, blend_prefix, copysign, fma, is_double, like, where_gt
from fastnn.fused.activations import positive
from fastnn.fused.layout import LOSS_CODES, MATCHED_POISSON
from fastnn.memory import ceil_div


def _loss(value, derivative):
    """Make the two functions of a loss, for panels and for a single row, of l(a, y) and dl/da on single vectors.

    Both write the sum of ``w l`` to `sum_of_l` and ``w dl/da`` to D. A row of weight 0 adds nothing and gets a
    derivative of 0, whatever it holds. A single row has its outputs side by side, so its l are written to `terms`
    before they are added up in the order of the panel.
    """

    def loss_of(D, A, Y, i, w):
        """Write the derivative of the vector at i to D, and return its l."""
        # Both by selection: what a row of weight 0 holds may be NaN, and 0 times NaN is NaN.
        a, y, nothing = load(A, i), load(Y, i), zero(D)
        store(D, i, where_gt(w, nothing, w * derivative(a, y), nothing))
        return where_gt(w, nothing, value(a, y), nothing)

    # In both, the loss is one chain of fma per row of the batch, in the order of the outputs.
    @traced
    def panel(sum_of_l, D, A, Y, weight, n, width):
        """Compute both on panels, see `output_loss`."""
        L, s = lanes_of(D), [zero(D)]
        for o in each(n, s):
            for v in each(width // L, s):
                b = v * L
                w = load(weight, b)
                s[0] = fma(w, loss_of(D, A, Y, o * width + b, w), s[0])
        put(sum_of_l, 0, horizontal_sum(s[0]))  # one row a lane, so this adds up the rows

    @traced
    def single(sum_of_l, D, A, Y, weight, n, terms):
        """Compute both on a single row, see `row_loss`."""
        L, w = lanes_of(D), load(weight, 0)
        for v in each(ceil_div(n, L)):
            store(terms, v * L, loss_of(D, A, Y, v * L, w))
        s = [zero(D)]
        for o in each(n, s):
            s[0] = fma(w, splat(terms, o), s[0])
        # The one row in the first lane, and 0 in those of a panel's padding: the same tree, the same bits.
        put(sum_of_l, 0, horizontal_sum(blend_prefix(1, s[0], zero(D))))

    return panel, single


def difference(a, y):
    """Return delta where loss and output are matched, and the derivative of the squared error."""
    return a - y


def squared_error(a, y):
    """Return ``(a - y)**2 / 2``."""
    e = a - y
    return e * e * 0.5


def absolute_error(a, y):
    """Return ``|a - y|``."""
    return absolute(a - y)


def sign(a, y):
    """Return the derivative of the absolute error: the sign of a - y, 0 where they are equal."""
    e = a - y
    return where_gt(absolute(e), like(e, 0.0), copysign(like(e, 1.0), e), e)  # 0 and NaN are their own


def huber(a, y):
    """Return half the square of a - y, and beyond 1 the line that goes on from there."""
    e = a - y
    size = absolute(e)
    return where_gt(size, like(e, 1.0), size - 0.5, e * e * 0.5)


def huber_derivative(a, y):
    """Return a - y, kept within -1 and 1."""
    e = a - y
    return where_gt(absolute(e), like(e, 1.0), copysign(like(e, 1.0), e), e)


def clip(p):
    """Return a probability clipped to [eps, 1 - eps] of its dtype; NaN passes."""
    # scikit-learn's bounds: log(0) would make the loss of one sure and wrong output infinite
    low = like(p, 2.0**-52 if is_double(p) else 2.0**-23)
    high = 1.0 - low
    return where_gt(low, p, low, where_gt(p, high, high, p))


def log_loss(a, y):
    """Return ``-(y log p + (1 - y) log(1 - p))`` of the clipped output; its derivative is that of a sigmoid's z."""
    p = clip(a)
    return -fma(y, log(p), (1.0 - y) * log(1.0 - p))


def cross_entropy(a, y):
    """Return ``-y log p`` of the clipped output; its derivative is that of a softmax's z."""
    return -(y * log(clip(a)))


def poisson(a, y):
    """Return ``y log(y / a) - y + a``."""
    one = like(a, 1.0)
    # By selection before the division, for 0 / a would be 0 and its logarithm -inf.
    ratio = positive(y, y, one) / positive(y, a, one)  # 0 log 0 = 0
    return fma(y, log(ratio), a - y)


def poisson_derivative(a, y):
    """Return ``1 - y / a``, for outputs that are not matched."""
    return 1.0 - y / a


_LOSSES = {
    LOSS_CODES["squared_error"]: _loss(squared_error, difference),
    LOSS_CODES["absolute_error"]: _loss(absolute_error, sign),
    LOSS_CODES["huber"]: _loss(huber, huber_derivative),
    LOSS_CODES["log_loss"]: _loss(log_loss, difference),
    LOSS_CODES["cross_entropy"]: _loss(cross_entropy, difference),
    LOSS_CODES["poisson"]: _loss(poisson, poisson_derivative),
    MATCHED_POISSON: _loss(poisson, difference),
}


@outlined
def output_loss(loss, sum_of_l, D, A, Y, weight, n, width):
    """Write the block's loss to the first lane of `sum_of_l`, and dL/da, which is delta if matched, to D (n, width).

    A (n, width) holds the outputs, Y (n, width) the targets, weight (width,) the row weights: all the workspace's.
    """
    panels = sum_of_l, D, A, Y, weight, n, width
    switch(loss, {code: partial(panel, *panels) for code, (panel, _) in _LOSSES.items()})


@outlined
def row_loss(loss, sum_of_l, d, a, y, weight, n, terms):
    """Compute the same for a single row: d, a, y and `terms` (n to the end of its vector,)."""
    rows = sum_of_l, d, a, y, weight, n, terms
    switch(loss, {code: partial(single, *rows) for code, (_, single) in _LOSSES.items()})
