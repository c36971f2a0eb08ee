"""The optimizers' steps on the flat vectors, and the loops of the same shape that finish and add
gradients.

A loop goes through a layer's numbers, weights and then biases, a vector at a time. The last vector
may reach into the next layer or the padding: it is computed whole, and the numbers there are stored
as they were.

An optimizer is a formula on single vectors in the registry `UPDATES`, like its function in
`UPDATES` of `fastnn/reference.py`. Its constants stand in `Scratch.update_constants`, in the order
of `Optimizer.constants`.
"""

import copy
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, NamedTuple

from fastnn.compiler.control import choose, each, pick, sweep, switch
from fastnn.compiler.lanes import (
    each_lane,
    each_padded,
    each_vector,
    has_padding,
    horizontal_sum,
    horizontal_sums,
    narrow_width,
)
from fastnn.compiler.memory_ops import (
    get,
    has_many,
    lanes_of,
    load,
    prefetch,
    put,
    row_lanes_of,
    splat,
    store,
    zero,
)
from fastnn.compiler.tracing import outlined, traced
from fastnn.compiler.vectors import (
    absolute,
    bit_or,
    blend_prefix,
    copysign,
    fma,
    is_double,
    like,
    maximum,
    minimum,
    sqrt,
    where_gt,
)
from fastnn.fused.dense import each_layer, layer_at
from fastnn.fused.layout import (
    ALPHA,
    DECAY,
    HYPER,
    MOMENTUM,
    N_CONSTANTS,
    RATE,
    SCALE,
    UPDATE_CODES,
)
from fastnn.memory import ceil_div

LEAST_SQUARED = {"float32": 2.0**-54, "float64": 2.0**-500}  # its square is normal, also times 1e-5
AHEAD = 64  # vectors of a sparse layer's weights that are fetched before their squares are added up
ROW_TILES = (4, 1)  # vectors of delta kept in registers, where there is no state that takes them


class State(NamedTuple):
    """The arrays of an update: the training state's vectors, and two buffers of the workspace."""

    vectors: Any  # (1 + n_slots, stride): the parameters, and the optimizer's slots
    stride: Any
    constants: Any  # (N_CONSTANTS,)
    nan_flag: Any  # (one vector,)


def state_of(scratch, spec, vectors):
    """Return the arrays of an update of a training state (1 + n_slots, spec.stride)."""
    return State(vectors, spec.stride, scratch.update_constants, scratch.nan_flag)


class Constants:
    """The update constants, each in every lane of a vector; read once, before a loop, for its
    stores may alias them: read in the loop, they made a step of online 758 ns long in place of 725.
    """

    def __init__(self, pointer):
        c = [splat(pointer, k) for k in range(N_CONSTANTS)]
        self.alpha = c[ALPHA]
        self.scale = c[SCALE]
        self.rate = c[RATE]
        self.decay = c[DECAY]
        self.hyper = c[HYPER:]  # the optimizer's own

    def times(self, factor):
        """Return these constants with the learning rate times a vector of factors."""
        scaled = copy.copy(self)
        scaled.rate = self.rate * factor
        scaled.decay = self.decay * factor
        return scaled

    def finish(self, g, p, is_weight):
        """Return the gradient with the penalty's part, for weights, divided by the batch's sum of
        row weights.
        """
        return fma(self.alpha * is_weight, p, g) * self.scale


class Update(NamedTuple):
    """An optimizer: its formula, on single vectors, returns the new [p, *slots]."""

    n_slots: int
    formula: Callable  # of (p, g, slots, constants, is_weight)

    def step(self, state, constants, i, is_weight, gradient_of, flag, n=None):
        """Step at the vector from number i on; with `n`, only its first n lanes change. Add to the
        list `flag`.
        """
        offsets = [i] + [(j + 1) * state.stride + i for j in range(self.n_slots)]
        p, *slots = old = [load(state.vectors, k) for k in offsets]
        new = self.formula(p, gradient_of(p), slots, constants, is_weight)
        if n is not None:
            # The branch chooses among whole vectors: a store under a mask would hold up the loads
            # of the next step, by 3 % of one of seed.
            blended = [blend_prefix(n, y, x) for x, y in zip(old, new, strict=True)]
            new = choose(n >= lanes_of(state.vectors), lambda: new, lambda: blended)
        for k, x in zip(offsets, new, strict=True):
            store(state.vectors, k, x)
        flag[0] = bit_or(new[0] - new[0], flag[0])  # not by addition: adders are busy here

    def step_at_border(self, state, constants, i, n, biases, gradient_of, flag):
        """Step at a vector that may hold weights, biases and what lies behind them."""
        is_weight = blend_prefix(biases - i, like(zero(state.vectors), 1.0), zero(state.vectors))
        self.step(
            state,
            constants,
            i,
            is_weight,
            lambda p: constants.finish(gradient_of(p), p, is_weight),
            flag,
            n,
        )


def _of_any(loop):
    """Return a function like ``loop(optimizer, ...)`` that takes the optimizer's code in place of
    an `Update`.
    """

    @outlined
    @wraps(loop)
    def apply(code, *args):
        switch(code, {key: partial(loop, optimizer, *args) for key, optimizer in UPDATES.items()})

    return apply


def _walk(a, start, stop, *kept):
    """Iterate over the vectors of array a in a range: (its first number, how many numbers are left
    from there on).
    """
    for k in each_padded(a, stop - start, *kept):
        yield start + k, stop - start - k


@_of_any
def update(optimizer, state, gradient, start, biases, end):
    """Step on weights from `start` on and biases from `biases` on, up to `end`, by the gradient
    (padded n_params,).
    """
    L = lanes_of(state.vectors)
    one = like(zero(state.vectors), 1.0)
    constants = Constants(state.constants)
    # Vectors that hold weights only need no blending; then come the one that may hold both, and
    # those of biases.
    whole = (biases - start) // L * L
    flag = [load(state.nan_flag, 0)]
    for k in each_vector(state.vectors, whole, flag):
        i = start + k
        optimizer.step(
            state, constants, i, one, lambda p: constants.finish(load(gradient, i), p, one), flag
        )
    for i, n in _walk(state.vectors, start + whole, end, flag):
        optimizer.step_at_border(state, constants, i, n, biases, lambda p: load(gradient, i), flag)
    store(state.nan_flag, 0, flag[0])


@_of_any
def small_layer_update(optimizer, state, A, D, gather_indices, times_bias, start, biases, end):
    """Step on a small layer by its gradient from narrow panels, A (fan_in + 1, width), D (fan_out +
    1, width).

    For so small a layer a register tile is mostly empty, and scalar stores followed by vector loads
    would stall the update: a step of seed took 131 ns by tiles, 116 by a gradient that was stored
    as whole vectors, and takes 108 so. The gradient is made on the way: each number is the
    horizontal sum of one product of a row of A and a row of D, ``g = sum_b A[i, b] * D[o, b]``, and
    `Model.gather_indices` says of which. A bias is
    the weight of an input that is always 1, the last row of A; the delta of one that all neurons
    share is the sum of theirs, the last row of D.

    A is `Strided`. A narrow panel is one of one vector, and the indices are offsets in it; or one
    of as many columns of many networks, in any number, and the indices are those of rows.
    """
    one = like(zero(state.vectors), 1.0)
    constants = Constants(state.constants)
    flag = [load(state.nan_flag, 0)]
    lanes = range(lanes_of(state.vectors))
    A, width = A
    if has_many(A):  # as in `matmul.weight_gradient`; a bias of a single row is never -0.0 here
        rest = pick(has_padding(A, width) & (width > 1), zero(A), -zero(A))
    unit = width if has_many(A) else 1
    width = narrow_width(A, width)
    for i, n in _walk(state.vectors, start, end, flag):

        def gradient_of(p):
            k = i - start
            rows = [
                [get(gather_indices, 2 * (k + j) + side) * unit for side in (0, 1)] for j in lanes
            ]
            acc = [zero(A)] * len(lanes)
            for columns in each_lane(A, width, acc):
                for b in columns(row_lanes_of(A), acc):  # one in each lane
                    acc[:] = [
                        fma(load(A, a + b), load(D, d + b), s)
                        for s, (a, d) in zip(acc, rows, strict=True)
                    ]
            if has_many(A):
                acc[0] = acc[0] + rest
            # As many sums as there are lanes are folded together: 7 or 15 additions of vectors, not
            # 24 or 64.
            g = horizontal_sums(acc)
            return choose(times_bias, lambda: g * blend_prefix(biases - i, one, p), lambda: g)

        optimizer.step_at_border(state, constants, i, n, biases, gradient_of, flag)
    store(state.nan_flag, 0, flag[0])


def row_gradient(constants, a, d, is_weight, is_final, p):
    """Return the gradient of weights p, of an input a and a row's deltas d; `is_final` is that of
    `row_update`.
    """
    g = fma(a, d, like(d, 0.0))
    return choose(is_final, lambda: g, lambda: constants.finish(g, p, is_weight))


@_of_any
def row_update(optimizer, state, a, d, start, fan_in, fan_out, is_final):
    """Step on the weights from `start` on by the gradient ``a[i] * d[o]``, a (fan_in,), d
    (fan_out,).

    In memory the gradient would be written and read once more: see `matmul.row_delta` for what that
    took. What is left is what the stores take: of 64 x 64 weights some 250 ns, by a loop in C 238.

    `is_final`: the gradient needs no penalty and no division, a quarter of the update's time.
    """
    L = lanes_of(state.vectors)
    one = like(zero(state.vectors), 1.0)
    constants = Constants(state.constants)
    # Down the columns of W, so that delta stays in registers; with slots there is no room for more
    # than one vector.
    for n, tile in sweep(fan_out // L, ROW_TILES if optimizer.n_slots == 0 else ROW_TILES[-1:]):
        d_n = [load(d, (n + v) * L) for v in range(tile)]
        flag = [load(state.nan_flag, 0)]
        for i in each(fan_in, flag):
            a_i = splat(a, i)
            for v in range(tile):
                gradient_of = partial(row_gradient, constants, a_i, d_n[v], one, is_final)
                optimizer.step(
                    state, constants, start + i * fan_out + (n + v) * L, one, gradient_of, flag
                )
        store(state.nan_flag, 0, flag[0])


@_of_any
def scaled_update(optimizer, state, gradient, factors, is_weight, start, end, is_finished):
    """Step on the parameters from `start` to `end`, at the rate times `factors`. Where a factor is
    0, nothing changes.

    `is_finished`: the gradient needs no penalty, and is only multiplied with SCALE. All arrays are
    (padded n_params,).
    """
    constants = Constants(state.constants)
    flag = [load(state.nan_flag, 0)]
    nothing = zero(state.vectors)
    for i, n in _walk(state.vectors, start, end, flag):
        factor = load(factors, i)
        scaled = constants.times(factor)

        def formula(p, g, slots, scaled, is_weight, factor=factor):
            new = optimizer.formula(p, g, slots, scaled, is_weight)
            return [
                where_gt(factor, nothing, x, old) for x, old in zip(new, [p, *slots], strict=True)
            ]

        g = load(gradient, i)
        weights = load(is_weight, i)

        def gradient_of(p, g=g, weights=weights):
            return choose(
                is_finished, lambda: g * constants.scale, lambda: constants.finish(g, p, weights)
            )

        update_where = optimizer._replace(formula=formula)  # the factor is not 0
        update_where.step(state, scaled, i, weights, gradient_of, flag, n)
    store(state.nan_flag, 0, flag[0])


@traced
def finish_gradients(scratch, model, params):
    """Finish `scratch.gradient` in place: ``(g + alpha p) * scale``, which an update does on the
    way.
    """
    gradient = scratch.gradient
    constants = scratch.update_constants
    nothing = zero(gradient)
    alpha = splat(constants, ALPHA)
    scale = splat(constants, SCALE)
    for _, layer in each_layer(model):
        biases = layer.bias
        for i, n in _walk(gradient, layer.weight, biases + layer.n_bias):
            g = load(gradient, i)
            finished = fma(blend_prefix(biases - i, alpha, nothing), load(params, i), g) * scale
            store(gradient, i, blend_prefix(n, finished, g))


@traced
def add(gradient, start, stop, block_gradient):
    """Add one block's gradient of the parameters from `start` to `stop` to that of the blocks
    before it.
    """
    for i, n in _walk(gradient, start, stop):
        g = load(gradient, i)
        store(gradient, i, blend_prefix(n, g + load(block_gradient, i), g))


@traced
def square_weights(scratch, model, params):
    """Write the sum of the squares of all weights to `scratch.squares`: each layer's over the
    lanes, from the first.
    """
    L = lanes_of(params)
    nothing = zero(params)
    s = [zero(params)]

    def of_layer(lane, layer, ahead):
        n = layer.bias - layer.weight  # no bias counts
        total = [*s]
        for k in lane(ceil_div(n, L) * L, total):
            if ahead:
                prefetch(params, layer.weight + k + ahead)
            p = blend_prefix(n - k, load(params, layer.weight + k), nothing)
            total[0] = fma(p, p, total[0])
        return total

    for lane in each_lane(params, row_lanes_of(params), s):
        for l in each(model.n_layers, s):
            layer = layer_at(model, l)
            large = partial(of_layer, lane, layer, AHEAD * L)
            s[:] = choose(layer.strip > 0, large, partial(of_layer, lane, layer, 0))
    put(scratch.squares, 0, horizontal_sum(s[0]))


def flush_subnormal(x):
    """Return ``x where |x| >= tiny else 0``, tiny the smallest normal number, below which a CPU
    computes 20 times slower; NaN passes.
    """
    tiny = like(x, 2.0**-1022 if is_double(x) else 2.0**-126)
    return where_gt(tiny, absolute(x), like(x, 0.0), x)


def _square(g, factor):
    """Return ``factor * max(|g|, LEAST_SQUARED)**2``, so that no moment of squares is subnormal. To
    flush the moment afterwards took one instruction more a vector.
    """
    least = like(g, LEAST_SQUARED["float64" if is_double(g) else "float32"])
    size = maximum(least, absolute(g))
    return factor * size * size


# The formulas, on vectors: ``formula(p, g, slots, constants, is_weight)`` returns the new p and
# slots.


def plain_sgd(p, g, slots, constants, is_weight):
    """Return p - rate g."""
    return [fma(-constants.rate, g, p)]


def momentum_sgd(p, g, slots, constants, is_weight):
    """Return p + v, or p + momentum v - rate g with Nesterov; v = momentum v - rate g."""
    momentum, nesterov, *_ = constants.hyper  # 1 for Nesterov else 0, which makes both one formula
    step = constants.rate * g
    v = flush_subnormal(fma(momentum, slots[0], -step))
    ahead = fma(momentum, v, -step)
    return [p + where_gt(nesterov, like(p, 0.0), ahead, v), v]


def _adam_step(g, slots, constants):
    """Return rate m / (sqrt(v) + epsilon), m and v; `rate` has the corrections of both moments."""
    beta_1, one_less_beta_1, beta_2, one_less_beta_2, epsilon, *_ = constants.hyper
    m = flush_subnormal(fma(slots[0], beta_1, one_less_beta_1 * g))
    v = fma(slots[1], beta_2, _square(g, one_less_beta_2))
    return constants.rate * m / (sqrt(v) + epsilon), m, v


def adam(p, g, slots, constants, is_weight):
    """Return p less Adam's step."""
    step, *moments = _adam_step(g, slots, constants)
    return [p - step, *moments]


def adamw(p, g, slots, constants, is_weight):
    """Return p less Adam's step, and less decay p for weights."""
    step, *moments = _adam_step(g, slots, constants)
    return [p - fma(constants.decay * is_weight, p, step), *moments]


def rmsprop(p, g, slots, constants, is_weight):
    """Return p - rate g / (sqrt(v) + epsilon); v = rho v + (1 - rho) g**2."""
    rho, one_less_rho, epsilon, *_ = constants.hyper
    v = fma(slots[0], rho, _square(g, one_less_rho))
    return [p - constants.rate * g / (sqrt(v) + epsilon), v]


def rprop(p, g, slots, constants, is_weight):
    """Return p less its own step in the direction of g, which grows while g keeps its sign and
    shrinks else.
    """
    last, size = slots
    grow, shrink, smallest, largest, *_ = constants.hyper
    nothing = like(p, 0.0)
    # a step size of 0: p has not been updated yet
    size = where_gt(size, nothing, size, constants.rate)
    agreement = g * last
    grown = minimum(largest, size * grow)
    shrunk = maximum(smallest, size * shrink)
    size = where_gt(agreement, nothing, grown, where_gt(nothing, agreement, shrunk, size))
    # after a change of sign p waits for one step (iRprop-)
    g = where_gt(nothing, agreement, nothing, g)
    step = where_gt(absolute(g), nothing, copysign(size, g), g * size)  # 0 for g = 0, NaN for NaN
    return [p - step, g, size]


UPDATES = {
    UPDATE_CODES["SGD"]: Update(0, plain_sgd),
    MOMENTUM: Update(1, momentum_sgd),
    UPDATE_CODES["Adam"]: Update(2, adam),
    UPDATE_CODES["AdamW"]: Update(2, adamw),
    UPDATE_CODES["RMSprop"]: Update(1, rmsprop),
    UPDATE_CODES["RPROP"]: Update(2, rprop),
}
