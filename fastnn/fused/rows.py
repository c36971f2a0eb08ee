"""A block of one row, as in online learning: vectors along the features in place of the batch, and the same bits.

A panel of one row would be 1 part row and 7 or 15 parts padding. So the row's inputs, hidden activations and deltas lie
side by side instead, and each function here does for them what its namesake does for a panel, every number by the same
chain of operations. Only the outputs are spread into a panel, for the loss and softmax. What lies beyond a layer's last
feature, up to the end of its vector, is of no meaning.
"""

from __future__ import annotations

from fastnn.fused.jit import inlined
from fastnn.fused.lowering import choose, loop, traced
from fastnn.fused.places import get, lanes, lanes_of, load, put, splat, store, zero
from fastnn.fused.shuffles import turned
from fastnn.fused.simd import first, fma, like
from fastnn.fused.tiles import sweep

ROW_TILES = (8, 4, 2, 1)  # vectors of sums kept in registers


@inlined
def gather_inputs_of_row(scratch, X, row, n_inputs):
    """The inputs of a row to `scratch.activations`, side by side."""
    for i in range(n_inputs):
        put(scratch.activations, i, get(X, row * n_inputs + i))
    store(scratch.ones, 0, like(zero(X), 1.0))


@inlined
def gather_row(scratch, data, row, n_inputs, n_outputs):
    """The inputs of a row side by side, its targets and weight to panels of one row; the weight."""
    L = lanes(data.X)
    gather_inputs_of_row(scratch, data.X, row, n_inputs)
    for o in range(n_outputs):
        store(scratch.targets, o * L, zero(data.X))
        put(scratch.targets, o * L, get(data.Y, row * n_outputs + o))
    w = get(data.sample_weight, row)
    store(scratch.weight, 0, zero(data.X))
    put(scratch.weight, 0, w)
    return float(w)


@traced
def _row_product(z, a, W, fan_in, fan_out):
    L = lanes_of(z)

    def columns(n, vectors):
        at_n = [(n + v) * L for v in range(vectors)]

        def step(k, sums):
            a_k = splat(a, k)
            return [fma(a_k, load(W, k * fan_out + i), s) for i, s in zip(at_n, sums, strict=True)]

        for i, s in zip(at_n, loop(fan_in, step, [load(z, i) for i in at_n]), strict=True):
            store(z, i, s)

    sweep((fan_out + (L - 1)) // L, ROW_TILES, columns)


@inlined
def row_product(z, W, a, bias, bias_step, fan_in, fan_out):
    """``z[o] = bias[o * bias_step] + sum_k W[k, o] * a[k]``: `forward_product` for one row."""
    for o in range(fan_out):
        put(z, o, get(bias, o * bias_step))
    _row_product(z, a, W, fan_in, fan_out)


@inlined
def spread(z, n):
    """Make a row of `n` numbers, in place, the first column of a panel (n, one vector); from the last to the first."""
    for o in range(n - 1, -1, -1):
        z_o = get(z, o)
        store(z, o * lanes(z), zero(z))
        put(z, o * lanes(z), z_o)


@inlined
def collect(row, panel, n):
    """The first column of a panel (n, one vector) as a row."""
    for o in range(n):
        put(row, o, get(panel, o * lanes(panel)))


@inlined
def outer_product(G, a, d, fan_in, fan_out):
    """``G[i, o] = a[i] * d[o]``: `weight_gradient` for one row."""
    L = lanes(G)
    reaching_beyond = (L + fan_out - 1) // fan_out  # rows whose last vector may end behind G
    _outer_product(G, a, d, max(0, fan_in - reaching_beyond), fan_in, fan_out)


@traced
def _outer_product(G, a, d, inside, fan_in, fan_out):
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


@inlined
def row_bias_gradient(db, d, b, fan_out, n_bias, times_bias):
    """``db[o] = d[o]`` or their sum: `bias_gradient` for one row."""
    for o in range(n_bias):
        db_o = get(d, o)
        if n_bias != fan_out:
            for k in range(1, fan_out):
                db_o += get(d, k)
        db_o += 0 * db_o
        if times_bias:
            db_o = db_o * get(b, o)
        put(db, o, db_o)


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
