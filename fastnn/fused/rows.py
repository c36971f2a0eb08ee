"""A block of one row, as in online learning: vectors along the features in place of the batch, and the same bits.

A panel of one row would be 1 part row and 7 or 15 parts padding. So the row's inputs, activations, targets and deltas
lie side by side instead, and each function here does for them what its namesake does for a panel, every number by the
same chain of operations. What lies beyond a layer's last feature, up to the end of its vector, is of no meaning.
"""

from __future__ import annotations

from fastnn.fused.control import choose, loop
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

    def vector(k, _):
        store(row, k * L, zero(row))
        return ()

    loop((n + (L - 1)) // L, vector)


@traced
def row_product(z, W, a, bias, bias_step, fan_in, fan_out):
    """``z[o] = bias[o * bias_step] + sum_k W[k, o] * a[k]``: `forward_product` for one row."""
    L = lanes_of(z)

    def columns(n, vectors):
        at_n = [(n + v) * L for v in range(vectors)]

        def step(k, sums):
            a_k = splat(a, k)
            return [fma(a_k, load(W, k * fan_out + i), s) for i, s in zip(at_n, sums, strict=True)]

        begin = choose(bias_step, lambda: [load(bias, i) for i in at_n], lambda: [splat(bias, 0)] * vectors)
        for i, s in zip(at_n, loop(fan_in, step, begin), strict=True):
            store(z, i, s)

    sweep((fan_out + (L - 1)) // L, ROW_TILES, columns)


@traced
def activate_row(z, slopes, weight, fan_out, code):
    """a = f(z) in place: `activate` for one row."""
    L = lanes_of(z)
    choose(
        code - SOFTMAX,
        lambda: activate(z, slopes, weight, (fan_out + (L - 1)) // L, L, code),
        lambda: _softmax_of_row(z, fan_out),
    )


@traced
def row_activation_delta(d, a, slopes, n, code):
    """delta = d * f'(z) in place: `activation_delta` for one row."""
    L = lanes_of(d)
    choose(
        code - SOFTMAX,
        lambda: activation_delta(d, a, slopes, 1, (n + (L - 1)) // L * L, code),
        lambda: _d_softmax_of_row(d, a, n),
    )


@outlined
def _softmax_of_row(z, n):
    """The sums go from number to number, the rest by whole vectors."""
    L = lanes_of(z)
    whole = (n + (L - 1)) // L
    (top,) = loop(n, lambda o, state: [maximum(splat(z, o), state[0])], [splat(z, 0)])

    def exponential(v, _):
        store(z, v * L, exp(load(z, v * L) - top))
        return ()

    loop(whole, exponential)
    (sum_of_e,) = loop(n, lambda o, state: [state[0] + splat(z, o)], [zero(z)])

    def divide(v, _):
        store(z, v * L, load(z, v * L) / sum_of_e)
        return ()

    loop(whole, divide)


@outlined
def _d_softmax_of_row(d, a, n):
    L = lanes_of(d)
    (mean,) = loop(n, lambda o, state: [fma(splat(d, o), splat(a, o), state[0])], [zero(d)])

    def subtract(v, _):
        i = v * L
        store(d, i, load(a, i) * (load(d, i) - mean))
        return ()

    loop((n + (L - 1)) // L, subtract)


@traced
def outer_product(G, a, d, inside, fan_in, fan_out):
    """``G[i, o] = a[i] * d[o]``: `weight_gradient` for one row. The last vectors of `inside` rows end within G."""
    L, nothing = lanes_of(G), zero(G)
    whole = fan_out // L

    def row(i, at_end):
        a_i = splat(a, i)

        def vector(v, _):
            o = v * L
            store(G, i * fan_out + o, fma(a_i, load(d, o), nothing))
            return ()

        def end(k, _):
            o = whole * L
            at_end(i * fan_out + o, fan_out - o, fma(a_i, load(d, o), nothing))
            return ()

        loop(whole, vector)
        loop((fan_out + (L - 1)) // L - whole, end)
        return ()

    # What a row's last vector writes into the next row is overwritten there: to load it, and keep it, would wait for
    # stores that are still on their way.
    loop(inside, lambda i, _: row(i, lambda place, n, x: store(G, place, x)))

    def blend(place, n, x):
        store(G, place, first(n, x, load(G, place)))

    loop(fan_in - inside, lambda i, _: row(inside + i, blend))


@traced
def row_bias_gradient(db, d, b, fan_out, n_bias, times_bias):
    """``db[o] = d[o]`` or their sum: `bias_gradient` for one row."""
    L = lanes_of(d)
    whole = n_bias // L

    def summed():
        return loop(fan_out - 1, lambda o, s: [s[0] + splat(d, o + 1)], [splat(d, 0)])

    def bias(i):
        (s,) = choose(fan_out - n_bias, summed, lambda: [load(d, i)])
        s = s + 0.0  # the padding of a panel
        (s,) = choose(times_bias, lambda: [s * load(b, i)], lambda: [s])
        return s

    def vector(v, _):
        store(db, v * L, bias(v * L))
        return ()

    def end(k, _):
        i = whole * L
        store(db, i, first(n_bias - i, bias(i), load(db, i)))
        return ()

    loop(whole, vector)
    loop((n_bias + (L - 1)) // L - whole, end)


@traced
def row_delta(below, W, d, fan_in, fan_out):
    """``below[i] = sum_o W[i, o] * d[o]``: `backward_product` for one row, on square blocks of W, turned."""
    L, nothing = lanes_of(below), zero(below)
    blocks = fan_in // L

    def rows(i, _):
        def block(o, n, sums):
            columns = turned([load(W, (i * L + j) * fan_out + o) for j in range(L)])
            for j, column in enumerate(columns):
                sums = choose(  # where j < n
                    n // (j + 1),
                    lambda j=j, column=column, s=sums[0]: [fma(column, splat(d, o + j), s)],
                    lambda s=sums[0]: [s],
                )
            return sums

        whole = fan_out // L
        sums = loop(whole, lambda k, sums: block(k * L, L, sums), [nothing])
        left = fan_out - whole * L
        sums = choose(left, lambda: block(whole * L, left, sums), lambda: sums)
        store(below, i * L, sums[0])
        return ()

    def single_row(k, _):
        i = blocks * L + k

        def step(o, sums):
            return [fma(splat(W, i * fan_out + o), splat(d, o), sums[0])]

        store(below, i, loop(fan_out, step, [nothing])[0])
        return ()

    loop(blocks, rows)
    loop(fan_in - blocks * L, single_row)
