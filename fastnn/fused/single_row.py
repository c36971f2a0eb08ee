"""The single-row path: the three products of `matmul.py` for a block of one row, as in online learning.

A panel of one row would be one part row and 7 or 15 parts padding. So the row's features lie side by side, and the
products here vectorize over them in place of the batch. Every number is made by the same chain of operations as in its
panel twin, so the bits are the same. W (fan_in, fan_out) is the parameters', G like it the gradient's; a and below
(fan_in,), d and z (fan_out,) are the workspace's: what lies between their end and that of a vector is never used.
"""

from fastnn.compiler.control import choose, each, sweep
from fastnn.compiler.memory_ops import lanes_of, load, splat, store, transposed, zero
from fastnn.compiler.tracing import traced
from fastnn.compiler.vectors import blend_prefix, fma
from fastnn.memory import ceil_div

ROW_TILES = (8, 4, 2, 1)  # vectors of sums kept in registers


@traced
def row_product(z, W, a, bias, fan_in, fan_out, tiles=ROW_TILES):
    """Compute ``z[o] = bias[o] + sum_k W[k, o] * a[k]``, bias a `Strided`: `forward_product` for one row."""
    L = lanes_of(z)
    for n, vectors in sweep(ceil_div(fan_out, L), tiles):
        columns = [(n + v) * L for v in range(vectors)]
        sums = choose(
            bias.step > 0,
            lambda: [load(bias.pointer, o) for o in columns],
            lambda: [splat(bias.pointer, 0)] * vectors,
        )
        # W is read by rows, as it lies: from input to input one number of `a` meets a stretch of its row.
        for k in each(fan_in, sums):
            a_k = splat(a, k)
            sums[:] = [fma(a_k, load(W, k * fan_out + o), s) for o, s in zip(columns, sums, strict=True)]
        for o, s in zip(columns, sums, strict=True):
            store(z, o, s)


@traced
def row_delta(below, W, d, fan_in, fan_out):
    """Compute ``below[i] = sum_o W[i, o] * d[o]``: `backward_product` for one row.

    A vector of results needs columns of W, whose numbers lie fan_out apart. So W is read by rows, in square blocks that
    are transposed in registers.
    """
    L, nothing = lanes_of(below), zero(below)
    n_blocks, whole = fan_in // L, fan_out // L
    for i in each(n_blocks, step=L):

        def block(o, n, sums):
            """Add the products of n columns of W, from column o on; all of them are read, where n < L past the row."""
            columns = transposed([load(W, (i + j) * fan_out + o) for j in range(L)])
            for j, column in enumerate(columns):
                sums = choose(j < n, lambda: [fma(column, splat(d, o + j), sums[0])], lambda: sums)
            return sums

        sums = [nothing]
        for o in each(whole, sums, step=L):
            sums[:] = block(o, L, sums)
        left = fan_out - whole * L
        sums = choose(left > 0, lambda: block(whole * L, left, sums), lambda: sums)
        store(below, i, sums[0])
    # The rows of W that fill no block, one result at a time: the same chain, in all lanes of one vector.
    for k in each(fan_in - n_blocks * L):
        i, s = n_blocks * L + k, [nothing]
        for o in each(fan_out, s):
            s[0] = fma(splat(W, i * fan_out + o), splat(d, o), s[0])
        store(below, i, s[0])


@traced
def outer_product(G, a, d, inside, fan_in, fan_out):
    """Compute ``G[i, o] = a[i] * d[o]``: `weight_gradient` for one row. Whole vectors of `inside` rows end within G."""
    L, nothing = lanes_of(G), zero(G)
    whole = fan_out // L

    def row(i, store_end):
        """Write row i; `store_end` writes its last vector, of which only some lanes may belong to it."""
        a_i = splat(a, i)
        for o in each(whole, step=L):
            # a sum of one term, begun at 0: the panel's product does the same, so that -0.0 becomes 0.0 in both
            store(G, i * fan_out + o, fma(a_i, load(d, o), nothing))
        for _ in each(ceil_div(fan_out, L) - whole):  # once or not at all
            o = whole * L
            store_end(i * fan_out + o, fan_out - o, fma(a_i, load(d, o), nothing))

    def blend(i, n, x):
        store(G, i, blend_prefix(n, x, load(G, i)))

    # The last vector of a row may spill into the next row, which is written afterwards. Load, blend, store would wait
    # for pending stores. Only where it would spill out of G it has to be blended.
    for i in each(inside):
        row(i, lambda i, n, x: store(G, i, x))
    for i in each(fan_in - inside):
        row(inside + i, blend)
