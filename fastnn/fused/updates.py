"""The optimisers' steps on the flat vectors, and what shares their shape: finishing and adding gradients.

A range of the vectors is walked through a vector at a time, from `low` to `high`; its weights end and its biases begin
at `middle`. The last vector may reach beyond `high`, into the next layer or the padding: it is computed whole and
stored with its old numbers there, so the same code does the end of a range as its middle.
"""

from __future__ import annotations

import math
from functools import partial

from fastnn.fused.control import choose, each, select
from fastnn.fused.jit import inlined
from fastnn.fused.lowering import outlined, traced
from fastnn.fused.model import ALPHA, DECAY, HYPER, MOMENTUM, N_RATES, RATE, SCALE
from fastnn.fused.narrow import narrow_gradient
from fastnn.fused.places import get, lanes_of, load, put, splat, store, zero
from fastnn.fused.simd import copysign, either, first, fma, is_double, like, magnitude, sqrt, where_gt
from fastnn.fused.tiles import sweep
from fastnn.optimizers import RPROP, SGD, Adam, AdamW, RMSprop

ADAM, ADAMW = Adam.code, AdamW.code
ROW_TILES = (4, 1)  # vectors of delta kept in registers, where there is no state that takes them


@inlined
def set_rates(rates, rule, beta_products, learning_rate, divisor):
    """What this step's update multiplies with, formed in float64 and rounded once to the working dtype."""
    put(beta_products, 0, get(beta_products, 0) * rule.beta_1)
    put(beta_products, 1, get(beta_products, 1) * rule.beta_2)
    rate = learning_rate
    if rule.code == ADAM or rule.code == ADAMW:
        rate = learning_rate * math.sqrt(1 - get(beta_products, 1)) / (1 - get(beta_products, 0))
    put(rates, RATE, rate)
    put(rates, DECAY, learning_rate * rule.weight_decay)
    put(rates, SCALE, 1 / divisor)


def _walk(low, high, lanes, *kept):
    """(i, n) of each vector of the range: it begins at i and its first n lanes belong to the range."""
    for k in each((high - low + (lanes - 1)) // lanes, *kept):
        i = low + k * lanes
        yield i, high - i


def _update(n_slots, step):
    """The update functions of an optimiser: ``step(p, g, slots, rates, is_weight) -> [p, *slots]`` on single vectors.

    `vectors` is the storage of the training state as one array: p at i, slot j at ``(1 + j) * stride + i``. To `check`,
    one vector, the bits of each new parameter less itself are added: it is NaN when one of them is not finite. `update`
    takes the gradient from memory. The others make it on the way: `narrow` of a small layer from a block of one vector,
    `row` of the weights of a layer of whole vectors from a block of one row.
    """

    def vector(vectors, stride, rates, i, is_weight, keep, gradient_of, checked):
        places = [i] + [(j + 1) * stride + i for j in range(n_slots)]
        p, *slots = old = [load(vectors, place) for place in places]
        new = keep(old, step(p, gradient_of(p), slots, rates.__getitem__, is_weight))
        for place, x in zip(places, new, strict=True):
            store(vectors, place, x)
        return [either(new[0] - new[0], checked[0])]  # adders are idle here, multipliers are not

    def all_new(old, new):
        return new

    def mixed(vectors, stride, rates, i, n, middle, gradient_of, checked):  # biases, and what lies around them
        def keep(old, new):  # a store under a mask would hold up the loads of the next step
            blended = [first(n, y, x) for x, y in zip(old, new, strict=True)]
            return choose(n >= lanes_of(vectors), lambda: new, lambda: blended)

        is_weight = first(middle - i, like(zero(vectors), 1.0), zero(vectors))

        def finished(p):
            return _finished(rates, is_weight, p, gradient_of(p))

        return vector(vectors, stride, rates, i, is_weight, keep, finished, checked)

    def update(vectors, stride, gradient, rates, check, low, middle, high):
        L, one = lanes_of(vectors), like(zero(vectors), 1.0)
        rates = _in_registers(rates)

        count, checked = (middle - low) // L, [load(check, 0)]
        for k in each(count, checked):  # all lanes are weights
            i = low + k * L

            def gradient_of(p):
                return _finished(rates, one, p, load(gradient, i))

            checked[:] = vector(vectors, stride, rates, i, one, all_new, gradient_of, checked)
        for i, n in _walk(low + count * L, high, L, checked):
            checked[:] = mixed(vectors, stride, rates, i, n, middle, lambda p: load(gradient, i), checked)
        store(check, 0, checked[0])

    def narrow(vectors, stride, A, D, pairs, times_bias, rates, check, low, middle, high):
        one, rates, checked = like(zero(vectors), 1.0), _in_registers(rates), [load(check, 0)]
        for i, n in _walk(low, high, lanes_of(vectors), checked):

            def gradient_of(p):
                g = narrow_gradient(A, D, pairs, i - low)
                return choose(times_bias, lambda: [g * first(middle - i, one, p)], lambda: [g])[0]

            checked[:] = mixed(vectors, stride, rates, i, n, middle, gradient_of, checked)
        store(check, 0, checked[0])

    def row(vectors, stride, a, d, rates, check, low, fan_in, fan_out, bare):
        L, one, rates = lanes_of(vectors), like(zero(vectors), 1.0), _in_registers(rates)

        for n, tile in sweep(fan_out // L, ROW_TILES if n_slots == 0 else ROW_TILES[-1:]):
            d_n, checked = [load(d, (n + v) * L) for v in range(tile)], [load(check, 0)]
            for i in each(fan_in, checked):
                a_i = splat(a, i)
                for v in range(tile):

                    def gradient_of(p):
                        g = fma(a_i, d_n[v], zero(vectors))
                        return choose(bare, lambda: [g], lambda: [_finished(rates, one, p, g)])[0]

                    place = low + i * fan_out + (n + v) * L
                    checked[:] = vector(vectors, stride, rates, place, one, all_new, gradient_of, checked)
            store(check, 0, checked[0])

    return update, narrow, row


def _finished(rates, is_weight, p, g):
    """The gradient with the penalty's part, for weights, and divided by the batch's sum of row weights."""
    return fma(rates[ALPHA] * is_weight, p, g) * rates[SCALE]


def _in_registers(rates):
    """The numbers of `rates` as vectors; read inside a loop they would be read again after every store."""
    return [splat(rates, k) for k in range(N_RATES)]


def flush(x):
    """0 where |x| is below the smallest normal number, which a CPU computes with 20 times slower; NaN passes."""
    tiny = like(x, 2.0**-1022 if is_double(x) else 2.0**-126)
    return where_gt(tiny, magnitude(x), like(x, 0.0), x)


def plain_sgd(p, g, slots, rate, is_weight):
    return [fma(-rate(RATE), g, p)]


def momentum_sgd(p, g, slots, rate, is_weight):
    """rates: momentum; 1 for Nesterov else 0, which makes both one formula"""
    momentum, nesterov = rate(HYPER), rate(HYPER + 1)
    step = rate(RATE) * g
    v = flush(fma(momentum, slots[0], -step))
    ahead = fma(momentum, v, -step)
    return [p + where_gt(nesterov, like(p, 0.0), ahead, v), v]


def _adam_moments(g, slots, rate):
    """rates: beta_1, 1 - beta_1, beta_2, 1 - beta_2, epsilon"""
    m = flush(fma(slots[0], rate(HYPER), rate(HYPER + 1) * g))
    v = flush(fma(slots[1], rate(HYPER + 2), rate(HYPER + 3) * g * g))
    return m, v


def adam(p, g, slots, rate, is_weight):
    m, v = _adam_moments(g, slots, rate)
    return [p - rate(RATE) * m / (sqrt(v) + rate(HYPER + 4)), m, v]


def adamw(p, g, slots, rate, is_weight):
    m, v = _adam_moments(g, slots, rate)
    step = rate(RATE) * m / (sqrt(v) + rate(HYPER + 4))
    return [p - fma(rate(DECAY) * is_weight, p, step), m, v]


def rmsprop(p, g, slots, rate, is_weight):
    """rates: rho, 1 - rho, epsilon"""
    v = flush(fma(slots[0], rate(HYPER), rate(HYPER + 1) * g * g))
    return [p - rate(RATE) * g / (sqrt(v) + rate(HYPER + 2)), v]


def rprop(p, g, slots, rate, is_weight):
    """rates: grow, shrink, smallest, largest step. A step size of 0 means that p has not been updated yet."""
    last, size = slots
    grow, shrink, smallest, largest = (rate(HYPER + k) for k in range(4))
    nothing = like(p, 0.0)
    size = where_gt(size, nothing, size, rate(RATE))
    agreement = g * last
    grown, shrunk = size * grow, size * shrink
    grown, shrunk = where_gt(grown, largest, largest, grown), where_gt(smallest, shrunk, smallest, shrunk)
    size = where_gt(agreement, nothing, grown, where_gt(nothing, agreement, shrunk, size))
    g = where_gt(nothing, agreement, nothing, g)
    step = where_gt(magnitude(g), nothing, copysign(size, g), g * size)  # of 0, 0; of NaN, NaN
    return [p - step, g, size]


_UPDATES = {
    SGD.code: _update(0, plain_sgd),
    MOMENTUM: _update(1, momentum_sgd),
    Adam.code: _update(2, adam),
    AdamW.code: _update(2, adamw),
    RMSprop.code: _update(1, rmsprop),
    RPROP.code: _update(2, rprop),
}


@outlined
def update(code, vectors, stride, gradient, rates, check, low, middle, high):
    """One optimiser's step on the range low ... high of the vectors (1 + n_slots, stride)."""
    places = vectors, stride, gradient, rates, check, low, middle, high
    select(code, {key: partial(step, *places) for key, (step, _, _) in _UPDATES.items()})


@outlined
def narrow_update(code, vectors, stride, A, D, pairs, times_bias, rates, check, low, middle, high):
    """The same for a small layer that begins at low; its gradient is that of the narrow panels A and D."""
    places = vectors, stride, A, D, pairs, times_bias, rates, check, low, middle, high
    select(code, {key: partial(step, *places) for key, (_, step, _) in _UPDATES.items()})


@outlined
def row_update(code, vectors, stride, a, d, rates, check, low, fan_in, fan_out, bare):
    """The same for the weights of a layer of whole vectors that begins at low; their gradient is ``a[i] * d[o]``, with
    nothing to add to it or to divide it by if `bare`.
    """
    places = vectors, stride, a, d, rates, check, low, fan_in, fan_out, bare
    select(code, {key: partial(step, *places) for key, (_, _, step) in _UPDATES.items()})


@traced
def finish_gradient(gradient, params, rates, low, middle, high):
    """``g = (g + alpha p) * scale`` in place, alpha for weights only: what `update` does on the way."""
    L = lanes_of(gradient)
    nothing, alpha, scale = zero(gradient), splat(rates, ALPHA), splat(rates, SCALE)
    for i, n in _walk(low, high, L):
        g = load(gradient, i)
        store(gradient, i, first(n, fma(first(middle - i, alpha, nothing), load(params, i), g) * scale, g))


@traced
def add(gradient, block_gradient, low, high):
    """Add one block's gradient to that of the blocks before it."""
    for i, n in _walk(low, high, lanes_of(gradient)):
        g = load(gradient, i)
        store(gradient, i, first(n, g + load(block_gradient, i), g))


@traced
def add_squares(sums, params, low, high):
    """Add the squares of a range of the parameters to the vector `sums`, lane by lane."""
    nothing, s = zero(params), [load(sums, 0)]
    for i, n in _walk(low, high, lanes_of(params), s):
        p = first(n, load(params, i), nothing)
        s[0] = fma(p, p, s[0])
    store(sums, 0, s[0])
