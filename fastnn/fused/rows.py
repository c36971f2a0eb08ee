"""A block of one row, as in online learning: vectors along the features in place of the batch, and the same bits.

A panel of one row would be 1 part row and 7 or 15 parts padding. So the row's inputs, activations, targets and deltas
lie side by side instead, and each function here does for them what its namesake does for a panel, every number by the
same chain of operations. What lies beyond a layer's last feature, up to the end of its vector, is of no meaning.
"""

from __future__ import annotations

from fastnn.fused.control import choose, each
from fastnn.fused.elementary import exp
from fastnn.fused.jit import inlined
from fastnn.fused.layers import activate, activation_delta, copy
from fastnn.fused.lowering import outlined, traced
from fastnn.fused.places import at, get, lanes_of, load, splat, store, zero
from fastnn.fused.shuffles import turned
from fastnn.fused.simd import first, fma, like, maximum
from fastnn.fused.tiles import sweep
from fastnn.network import ACTIVATIONS

ROW_TILES = (8, 4, 2, 1)  # vectors of sums kept in registers
SOFTMAX = ACTIVATIONS["softmax"].code


@inlined
def padded(n, lanes):
    """`n` numbers to the end of their last vector: the width of a panel of `n` rows."""
    return (n + lanes - 1) // lanes * lanes


@inlined
def gather_row(scratch, data, row, n_inputs, n_outputs):
    """The row's inputs and targets, zeros if its weight is 0, and its weight in every lane; the weight."""
    w = get(data.sample_weight, row)
    store(scratch.weight, 0, like(zero(data.X), w))
    if w > 0:
        copy(scratch.activations, at(data.X, row * n_inputs), n_inputs)
        copy(scratch.targets, at(data.Y, row * n_outputs), n_outputs)
    else:
        clear(scratch.activations, n_inputs)
        clear(scratch.targets, n_outputs)
    return float(w)


@traced
def clear(row, n):
    """Zeros, to the end of the last vector."""
    L = lanes_of(row)
    for k in each((n + (L - 1)) // L):
        store(row, k * L, zero(row))


@traced
def row_product(z, W, a, bias, bias_step, fan_in, fan_out):
    """``z[o] = bias[o * bias_step] + sum_k W[k, o] * a[k]``: `forward_product` for one row."""
    L = lanes_of(z)

    for n, vectors in sweep((fan_out + (L - 1)) // L, ROW_TILES):
        at_n = [(n + v) * L for v in range(vectors)]
        sums = choose(bias_step > 0, lambda: [load(bias, i) for i in at_n], lambda: [splat(bias, 0)] * vectors)
        for k in each(fan_in, sums):
            a_k = splat(a, k)
            sums[:] = [fma(a_k, load(W, k * fan_out + i), s) for i, s in zip(at_n, sums, strict=True)]
        for i, s in zip(at_n, sums, strict=True):
            store(z, i, s)


@traced
def activate_row(z, slopes, weight, fan_out, code):
    """a = f(z) in place: `activate` for one row."""
    L = lanes_of(z)
    choose(
        code == SOFTMAX,
        lambda: _softmax_of_row(z, fan_out),
        lambda: activate(z, slopes, weight, (fan_out + (L - 1)) // L, L, code),
    )


@traced
def row_activation_delta(d, a, slopes, n, code):
    """delta = d * f'(z) in place: `activation_delta` for one row."""
    L = lanes_of(d)
    choose(
        code == SOFTMAX,
        lambda: _d_softmax_of_row(d, a, n),
        lambda: activation_delta(d, a, slopes, 1, (n + (L - 1)) // L * L, code),
    )


@outlined
def _softmax_of_row(z, n):
    """The sums go from number to number, the rest by whole vectors."""
    L = lanes_of(z)
    whole = (n + (L - 1)) // L
    top = [splat(z, 0)]
    for o in each(n, top):
        top[0] = maximum(splat(z, o), top[0])
    for v in each(whole):
        store(z, v * L, exp(load(z, v * L) - top[0]))
    sum_of_e = [zero(z)]
    for o in each(n, sum_of_e):
        sum_of_e[0] = sum_of_e[0] + splat(z, o)
    for v in each(whole):
        store(z, v * L, load(z, v * L) / sum_of_e[0])


@outlined
def _d_softmax_of_row(d, a, n):
    L = lanes_of(d)
    mean = [zero(d)]
    for o in each(n, mean):
        mean[0] = fma(splat(d, o), splat(a, o), mean[0])
    for v in each((n + (L - 1)) // L):
        i = v * L
        store(d, i, load(a, i) * (load(d, i) - mean[0]))


@traced
def outer_product(G, a, d, inside, fan_in, fan_out):
    """``G[i, o] = a[i] * d[o]``: `weight_gradient` for one row. The last vectors of `inside` rows end within G."""
    L, nothing = lanes_of(G), zero(G)
    whole = fan_out // L

    def row(i, at_end):
        a_i = splat(a, i)
        for v in each(whole):
            o = v * L
            store(G, i * fan_out + o, fma(a_i, load(d, o), nothing))
        for _ in each((fan_out + (L - 1)) // L - whole):
            o = whole * L
            at_end(i * fan_out + o, fan_out - o, fma(a_i, load(d, o), nothing))

    def blend(place, n, x):
        store(G, place, first(n, x, load(G, place)))

    # What a row's last vector writes into the next row is overwritten there: to load it, and keep it, would wait for
    # stores that are still on their way.
    for i in each(inside):
        row(i, lambda place, n, x: store(G, place, x))
    for i in each(fan_in - inside):
        row(inside + i, blend)


@traced
def row_bias_gradient(db, d, b, fan_out, n_bias, times_bias):
    """``db[o] = d[o]`` or their sum: `bias_gradient` for one row."""
    L = lanes_of(d)
    whole = n_bias // L

    def summed():
        rest, s = fan_out - 1, [splat(d, 0)]
        for o in each(rest, s):
            s[0] = s[0] + splat(d, o + 1)
        return s

    def bias(i):
        (s,) = choose(n_bias == fan_out, lambda: [load(d, i)], summed)
        s = s + 0.0  # the padding of a panel
        (s,) = choose(times_bias, lambda: [s * load(b, i)], lambda: [s])
        return s

    for v in each(whole):
        store(db, v * L, bias(v * L))
    for _ in each((n_bias + (L - 1)) // L - whole):
        i = whole * L
        store(db, i, first(n_bias - i, bias(i), load(db, i)))


@traced
def row_delta(below, W, d, fan_in, fan_out):
    """``below[i] = sum_o W[i, o] * d[o]``: `backward_product` for one row, on square blocks of W, turned."""
    L, nothing = lanes_of(below), zero(below)
    blocks = fan_in // L

    for i in each(blocks):

        def block(o, n, sums):
            columns = turned([load(W, (i * L + j) * fan_out + o) for j in range(L)])
            for j, column in enumerate(columns):
                sums = choose(j < n, lambda: [fma(column, splat(d, o + j), sums[0])], lambda: sums)
            return sums

        whole = fan_out // L
        sums = [nothing]
        for k in each(whole, sums):
            sums[:] = block(k * L, L, sums)
        left = fan_out - whole * L
        sums = choose(left > 0, lambda: block(whole * L, left, sums), lambda: sums)
        store(below, i * L, sums[0])
    for k in each(fan_in - blocks * L):
        i, s = blocks * L + k, [nothing]
        for o in each(fan_out, s):
            s[0] = fma(splat(W, i * fan_out + o), splat(d, o), s[0])
        store(below, i, s[0])
