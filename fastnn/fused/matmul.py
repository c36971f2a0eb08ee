"""The matrix products, on panels in register tiles, and on a single row: traced, so a list here is
registers there.

A tile keeps a small block of the result in registers while it walks along the sum, so that each
number it loads is used several times: memory is far slower than the multipliers. `product_tile` is
the innermost code of the library.

Each number of the result is one chain of fma in ascending order of the sum (`product_tile`), or one
chain per lane and then the tree of `horizontal_sum` (`inner_tile`), whatever tile it falls into:
tile shapes never show in the bits.

In `fastnn/reference.py`, whose matrices have a row of the batch in each row, not in each column,
the same products are ``A @ W + b`` in `forward`, ``delta @ W.T`` and ``A.T @ delta`` in `backward`.
"""

from functools import partial
from typing import Any, NamedTuple

from fastnn.compiler.control import choose, each, pick, smaller, sweep, when
from fastnn.compiler.lanes import (
    add_padding,
    each_lane,
    each_rest,
    each_vector,
    has_padding,
    last_vector,
    store_horizontal_sums,
    transposed,
)
from fastnn.compiler.memory_ops import has_many, lanes_of, load, offset, splat, store, zero
from fastnn.compiler.tracing import cpu_has, outlined, traced
from fastnn.compiler.vectors import blend_prefix, fma
from fastnn.fused.layout import SUM_BLOCK
from fastnn.memory import ceil_div

# {vectors: rows of the tiles}, widest and tallest first. Their sums, and the vectors that they take
# in, must fit the registers: 32 of 64 bytes with AVX-512; 16 of 32 bytes with AVX2, of which six
# rows of one vector take 14.
PRODUCT_TILES = {2: (8, 4, 2, 1), 1: (8, 4, 2, 1)} if cpu_has("avx512f") else {1: (6, 4, 2, 1)}
# rows of tiles on a panel of one vector, where fewer kinds of tiles have less to set up
NARROW_TILES = (4, 1)
# rows and columns, whose products must fit the registers: 4 x 4 with AVX2 wrote nearly each of them
# to memory and read it back; 2 x 2 take .96 of that time on digits, .94 to .97 on iris
INNER_TILES = (4, 2, 1) if cpu_has("avx512f") else (2, 1)
# The same for numbers of many networks, whose weights are vectors, too, and whose inner tiles are
# traced for each lane.
MANY_PRODUCT_TILES = {4: (4, 1), 1: (4, 1)} if cpu_has("avx512f") else {2: (2, 1), 1: (2, 1)}
MANY_INNER_TILES = (2, 1)
# Rows of W that all columns of the panel meet while a cache holds them: big and mnist take .985 of
# the time that they take without strips. By 120 rows, whole tiles of AVX2's six, tab took 1.4 %
# longer: its 128 neurons were two strips.
ROW_STRIP = 128
PACK_FROM = 16  # vectors that a row of W is long, from which the forward product packs it
# Without AVX-512 a tile is one vector wide and needs the next vector of the panel after 6 cycles.
# In a large panel these lie a power of two apart and evict one another from the first cache. So
# they are copied side by side: big takes .86 of the time, mnist .94, on a Zen 3.
PACKS_PANELS = not cpu_has("avx512f")
STRIP_FROM = 32  # rows of the result from which that pays
CACHED = 256  # vectors up to which a panel stays in the first cache without packing
# Terms of a sum that a product takes at a time. Tried and left: 256 and 1,024 in place of 512, and
# to fetch ahead where a strip of W is packed.
TERMS = SUM_BLOCK // 2 if PACKS_PANELS else SUM_BLOCK


class Strided(NamedTuple):
    """A pointer, and the step from one row, or from one number, to the next: a panel (step =
    width), or biases.
    """

    pointer: Any
    step: Any

    def skip(self, k, columns=0):
        """Return this without its first `k` rows, and without the first `columns` numbers of
        each.
        """
        return Strided(offset(self.pointer, k * self.step + columns), self.step)


class Matrix(NamedTuple):
    """A matrix of weights: number (m, k) stands at ``pointer[m * row_step + k * column_step]``, so
    W is W.T as well.
    """

    pointer: Any
    row_step: Any
    column_step: Any

    def skip(self, m):
        """Return this without its first `m` rows."""
        return self._replace(pointer=offset(self.pointer, m * self.row_step))


def product_tile(rows, vectors, Z, W, A, bias, K, begun):
    """Compute `rows` x `vectors` vectors of ``Z[m, :] = bias[m] + sum_k W[m, k] * A[k, :]``.

    Z (rows, any), A (K, any) and bias are `Strided`, W (rows, K) is a `Matrix`. `rows` and
    `vectors` are Python integers: the lists below become so many registers. With `begun` the sum
    goes on from what stands in Z.
    """
    L = lanes_of(Z.pointer)
    weights = [W.skip(m).pointer for m in range(rows)]
    results = [Z.skip(m).pointer for m in range(rows)]
    acc = choose(
        begun,
        lambda: [load(results[m], n * L) for m in range(rows) for n in range(vectors)],
        lambda: [b for m in range(rows) for b in [splat(bias.pointer, m * bias.step)] * vectors],
    )
    for k in each(K, acc):
        a = offset(A.pointer, k * A.step)
        panel = [load(a, n * L) for n in range(vectors)]
        weight = [splat(weights[m], k * W.column_step) for m in range(rows)]
        # every weight meets every vector of the panel: rows + vectors loads for rows * vectors fma
        acc[:] = [
            fma(weight[m], panel[n], acc[m * vectors + n])
            for m in range(rows)
            for n in range(vectors)
        ]
    for m in range(rows):
        for n in range(vectors):
            store(results[m], n * L, acc[m * vectors + n])


def _product(Z, W, A, bias, M, K, begun, packed):
    """Compute the product of `product_tile` tile by tile: Z (M, width), W (M, K), A (K, width).

    `packed` is the workspace's, and has room for K vectors.
    """
    L = lanes_of(Z.pointer)
    width = Z.step
    tiles, packs_panels = (
        (MANY_PRODUCT_TILES, False) if has_many(Z.pointer) else (PRODUCT_TILES, PACKS_PANELS)
    )
    for first in each(ceil_div(M, ROW_STRIP), step=ROW_STRIP):
        M_here = smaller(M - first, ROW_STRIP)
        # Packing costs as much as some rows of the result: it has to be for many, and of a panel
        # that is large.
        packs = packs_panels & (M_here >= STRIP_FROM) & (K * width >= CACHED * L)
        for n, vectors in sweep(width // L, tuple(tiles)):
            columns = Strided(offset(A.pointer, n * L), width)
            columns = Strided(*choose(packs, lambda: _pack(packed, *columns, K), lambda: columns))
            for m, rows in sweep(M_here, tiles[vectors]):
                m = first + m
                product_tile(
                    rows, vectors, Z.skip(m, n * L), W.skip(m), columns, bias.skip(m), K, begun
                )


def _in_parts(K):
    """Iterate over a sum of K terms in parts that fit a cache: (first term, number of terms,
    whether it has begun).
    """
    for k in each(ceil_div(K, TERMS), step=TERMS):
        yield k, smaller(K - k, TERMS), k > 0


def _pack(target, source, step, K):
    """Copy K vectors that lie `step` apart to `target`, side by side; return [pointer to them,
    their new step].
    """
    L = lanes_of(target)
    for k in each(K):
        store(target, k * L, load(source, k * step))
    return [offset(target, 0), L]


@outlined
def _wide_forward(Z, W, A, bias, fan_in, fan_out, width, packed):
    """Compute `forward_product` on panels of several vectors."""
    L = lanes_of(Z)
    # A column's numbers lie fan_out apart: where a cache cannot hold them, a vector's width of
    # columns is packed first. Of many networks, each number is as long as a line of the cache.
    packs = 0 if has_many(Z) else (fan_out >= PACK_FROM * L) & (width >= PACK_FROM * L // 8)
    strip_of_W = offset(packed, (SUM_BLOCK - TERMS) * L)
    n_strips = pick(packs, ceil_div(fan_out, L), 1)
    for k, K, begun in _in_parts(fan_in):
        W_k = offset(W, k * fan_out)
        A_k = Strided(offset(A, k * width), width)
        for o in each(n_strips, step=L):
            pointer, step, M = choose(
                packs,
                lambda: [*_pack(strip_of_W, offset(W_k, o), fan_out, K), smaller(fan_out - o, L)],
                lambda: [W_k, fan_out, fan_out],
            )
            Z_o = Strided(offset(Z, o * width), width)
            _product(Z_o, Matrix(pointer, 1, step), A_k, bias.skip(o), M, K, begun, packed)


@outlined
def _wide_backward(Z, W, A, zeros, packed, M, K, width, begun=0):
    """Compute ``Z[m, :] = sum_k W[m, k] * A[k, :]``: Z (M, width), W (M, K), A (K, width), all
    row-major.
    """
    for k, K_here, later in _in_parts(K):
        A_k = Strided(offset(A, k * width), width)
        W_k = Matrix(offset(W, k), K, 1)
        _product(Strided(Z, width), W_k, A_k, Strided(zeros, 0), M, K_here, begun | later, packed)


@traced
def _narrow_product(Z, W, A, bias, M, K):
    """Compute `_product` on panels of one vector: Z (M, L) and A (K, L)."""
    L = lanes_of(Z)
    for m, rows in sweep(M, NARROW_TILES):
        product_tile(rows, 1, Strided(Z, L).skip(m), W.skip(m), Strided(A, L), bias.skip(m), K, 0)


@traced
def forward_product(Z, W, A, bias, fan_in, fan_out, width, packed):
    """Compute ``Z[o, :] = bias[o] + sum_i W[i, o] * A[i, :]``.

    Z (fan_out, width), W (fan_in, fan_out) and A (fan_in, width) are row-major, bias (fan_out,) is
    `Strided`. W is not transposed in memory, but strips of it and of large panels may go to
    `packed` (SUM_BLOCK, one vector).
    """
    wide = partial(_wide_forward, Z, W, A, bias, fan_in, fan_out, width, packed)
    narrow = partial(_narrow_product, Z, Matrix(W, 1, fan_out), A, bias, fan_out, fan_in)
    choose(width > lanes_of(Z), wide, narrow)


@traced
def backward_product(Z, W, D, zeros, packed, fan_in, fan_out, width):
    """Compute ``Z[i, :] = sum_o W[i, o] * D[o, :]``: Z (fan_in, width), W (fan_in, fan_out), D
    (fan_out, width).
    """
    wide = partial(_wide_backward, Z, W, D, zeros, packed, fan_in, fan_out, width)
    narrow = partial(
        _narrow_product, Z, Matrix(W, fan_out, 1), D, Strided(zeros, 0), fan_in, fan_out
    )
    choose(width > lanes_of(Z), wide, narrow)


def inner_tile(rows, cols, G, panels, width, i, o, fan_out):
    """Compute `rows` x `cols` numbers, from number (i, o) on, of ``G[i, o] = sum_b A[i, b] * D[o,
    b]``.

    G (rows, fan_out) begins at that number; `panels` has A and D, in all of `width` columns, see
    `weight_gradient`. The sums run along the lanes: one horizontal sum a number.
    """
    acc = [zero(G)] * (rows * cols)
    # Each lane sums the rows of the batch that fall into it: a panel is read as it lies, and not
    # transposed.
    for columns in each_lane(G, width, acc):
        for A, D, _, n, _ in panels(acc):
            A_rows = [offset(A, (i + r) * n) for r in range(rows)]
            D_rows = [offset(D, (o + c) * n) for c in range(cols)]
            for b in columns(n, acc):
                a = [load(x, b) for x in A_rows]
                d = [load(x, b) for x in D_rows]
                acc[:] = [
                    fma(a[r], d[c], acc[r * cols + c]) for r in range(rows) for c in range(cols)
                ]
    store_horizontal_sums([offset(G, r * fan_out) for r in range(rows)], acc)


@traced
def transpose(T, step, D, n, width, rows):
    """Write ``T[b, o] = D[o, b]``, b < rows: D (n, width) to T (rows, n), whose rows lie `step`
    apart, as far as square blocks of vectors reach.
    """
    L = lanes_of(D)
    for o in each_vector(D, n):
        for b in each_vector(D, rows):
            for j, x in enumerate(transposed([load(D, (o + j) * width + b) for j in range(L)])):
                store(T, (b + j) * step + o, x)


@traced
def transpose_delta(layer, T, D, width):
    """Write ``T = D.T``, as far as a layer's weight gradient takes delta transposed."""
    n = layer.fan_out
    when(layer.transposes, lambda: transpose(T, n, D, n, width, width))


@traced
def weight_gradient(layer, scratch, G, panels, width):
    """Compute ``G[i, o] = sum_b A[i, b] * D[o, b]``: G (fan_in, fan_out), A (fan_in, width), D
    (fan_out, width).

    A and D may consist of several panels of some columns each. `panels(*kept)` iterates over these,
    with the lists that an `each` keeps: (A, D, T, width, whether other columns stand before these).

    Where a row of G is whole vectors and there are enough rows to repay the transposing of D into T
    (width, fan_out), see `transpose_delta`, this is the product A T, summed over b in ascending
    order; elsewhere an inner product, summed lane by lane and then by `horizontal_sum`. Which one
    it is depends on the shape alone, never on the CPU: it shows in the bits. By the first, and by
    gathering in blocks, digits took .89 of its time, mnist and big .93. (The second is that of
    `updates.small_layer_update` too, which takes this function's place where a layer is small: see
    `SMALL`.)
    """
    fan_in = layer.fan_in
    fan_out = layer.fan_out

    def product():
        for A, _, T, n, begun in panels():
            _wide_backward(G, A, T, scratch.zeros, scratch.packed, fan_in, n, fan_out, begun)

    def inner_products():
        tiles = MANY_INNER_TILES if has_many(G) else INNER_TILES
        for i, rows in sweep(fan_in, tiles):
            for o, cols in sweep(fan_out, tiles):
                inner_tile(rows, cols, offset(G, i * fan_out + o), panels, width, i, o, fan_out)

    choose(layer.transposes, product, inner_products)
    # A single row is no panel: its gradient is products, and nothing is added to them, see
    # `outer_product`.
    add_padding(G, fan_in * fan_out, has_padding(G, width) & (width > 1))


# -------------------------------------------------------------------------------------- single rows

# A panel of one row, as in online learning, would be one part row and 7 or 15 parts padding. So the
# row's features lie side by side, and the products below vectorize over them in place of the batch.
# Every number is made by the same chain of operations as in the panel, so the bits are the same. a
# and below (fan_in,), d and z (fan_out,) are the workspace's: what lies between their end and that
# of a vector is never used.

ROW_TILES = (8, 4, 2, 1)  # vectors of sums kept in registers
NUMBER_TILES = (4, 1)  # the same where a vector is one number, in C


@traced
def row_product(z, W, a, bias, n_terms, fan_out):
    """Compute ``z[o] = bias[o] + sum_k W[k, o] * a[k]``, k < n_terms, bias a `Strided`.

    This is `forward_product` for one row.
    """
    L = lanes_of(z)
    for n, vectors in sweep(ceil_div(fan_out, L), ROW_TILES if L > 1 else NUMBER_TILES):
        columns = [(n + v) * L for v in range(vectors)]
        sums = bias_of_columns(bias, columns)
        # W is read by rows, as it lies: from input to input one number of `a` meets a stretch of
        # its row.
        for k in each(n_terms, sums):
            a_k = splat(a, k)
            row = k * fan_out
            sums[:] = [fma(a_k, load(W, row + o), s) for o, s in zip(columns, sums, strict=True)]
        for o, s in zip(columns, sums, strict=True):
            store(z, o, s)


def bias_of_columns(bias, columns):
    """Return vectors of a bias, `Strided`, from these columns on: sums begin with them."""
    return choose(
        bias.step > 0,
        lambda: [load(bias.pointer, o) for o in columns],
        lambda: [splat(bias.pointer, 0)] * len(columns),
    )


@traced
def row_delta(below, W, d, fan_in, fan_out):
    """Compute ``below[i] = sum_o W[i, o] * d[o]``: `backward_product` for one row.

    A vector of results needs columns of W, whose numbers lie fan_out apart. So W is read by rows,
    in square blocks that are transposed in registers. By this, and by the gradient within the
    update (`updates.row_update`), a step of online came from 725 to 606 ns.
    """
    L = lanes_of(below)
    nothing = zero(below)
    for i in each_vector(below, fan_in):

        def block(o, n, s):
            """Add the products of n columns of W, from column o on; all of them are read, where n <
            L past the row.
            """
            columns = transposed([load(W, (i + j) * fan_out + o) for j in range(L)])
            for j, column in enumerate(columns):
                s = choose(j < n, lambda: fma(column, splat(d, o + j), s), lambda: s)
            return s

        s = [nothing]
        for o in each_vector(below, fan_out, s):
            s[0] = block(o, L, s[0])
        for o in last_vector(below, fan_out, s):
            s[0] = block(o, fan_out - o, s[0])
        store(below, i, s[0])
    # The rows of W that fill no block, one result at a time: the same chain, in all lanes of one
    # vector.
    for i in each_rest(below, fan_in):
        s = [nothing]
        for o in each(fan_out, s):
            s[0] = fma(splat(W, i * fan_out + o), splat(d, o), s[0])
        store(below, i, s[0])


@traced
def outer_product(G, a, d, inside, fan_in, fan_out):
    """Compute ``G[i, o] = a[i] * d[o]``: `weight_gradient` for one row. Whole vectors of `inside`
    rows end within G.
    """
    nothing = zero(G)

    def row(i, store_end):
        """Write row i; `store_end` writes its last vector, of which only some lanes may belong to
        it.
        """
        a_i = splat(a, i)
        for o in each_vector(G, fan_out):
            # a sum of one term, begun at 0: the panel's product does the same, so that -0.0 becomes
            # 0.0 in both
            store(G, i * fan_out + o, fma(a_i, load(d, o), nothing))
        for o in last_vector(G, fan_out):
            store_end(i * fan_out + o, fan_out - o, fma(a_i, load(d, o), nothing))

    def blend(i, n, x):
        store(G, i, blend_prefix(n, x, load(G, i)))

    # The last vector of a row may spill into the next row, which is written afterwards. Load,
    # blend, store would wait for pending stores, and a store under a mask takes an AMD processor
    # before Zen 4 some 20 cycles. Only where it would spill out of G it has to be blended.
    for i in each(inside):
        row(i, lambda i, n, x: store(G, i, x))
    for i in each(fan_in - inside):
        row(inside + i, blend)
