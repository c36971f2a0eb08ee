"""The two matrix products on panels, as register tiles: plain Python that is traced, so a list here is registers there.

A panel is a matrix (features, width) with one column per row of the batch, contiguous, its width a multiple of the
vector. A tile keeps a small block of results in registers while it walks along the sum, so each number that it loads
is used several times. Each result is one chain of fma in ascending order of the sum (`_product`) or one chain per lane
and then the tree of `total` (`inner_product`), whatever tile it falls into: tile shapes never show in the bits.
"""

from __future__ import annotations

from fastnn.fused.control import choose, each, pick, smaller
from fastnn.fused.jit import cpu_has
from fastnn.fused.lowering import outlined, traced
from fastnn.fused.model import SUM_BLOCK
from fastnn.fused.places import at, lanes_of, load, splat, store, zero
from fastnn.fused.shuffles import store_totals, turned
from fastnn.fused.simd import fma

# {vectors: rows of the tiles}, the widest and the tallest first. rows x vectors sums, and the vectors of the panel that
# they take in, must fit the registers: 32 of 64 bytes with AVX-512; 16 of 32 bytes with AVX2, of which a tile of six
# rows and one vector takes 14.
PRODUCT_TILES = {2: (8, 4, 2, 1), 1: (8, 4, 2, 1)} if cpu_has("avx512f") else {1: (6, 4, 2, 1)}
NARROW_TILES = (4, 1)  # rows of tiles on a panel of one vector, where fewer kinds of tiles have less to set up
ROW_STRIP = 128  # rows of W that all columns of the panel meet while a cache holds them
INNER_TILES = (4, 2, 1) if cpu_has("avx512f") else (2, 1)  # rows and columns, whose products must fit the registers
TURN_FROM = 16  # fan_in from which the weight gradient turns the deltas; part of the format: it shows in the bits
PACK_FROM = 16  # vectors that a row of W is long, from which the forward product packs it
# A tile of one vector needs the next one of the panel after 6 cycles. In a large panel these lie a power of two apart,
# and evict one another from the first cache; so they are packed, a strip of the panel for all tiles on it.
PACKS_PANELS = not cpu_has("avx512f")
STRIP_FROM = 32  # rows of results from which that pays
CACHED = 256  # vectors up to which a panel stays in the cache as it lies
TERMS = SUM_BLOCK // 2 if PACKS_PANELS else SUM_BLOCK  # of a sum, that a product goes through at a time


def sweep(n, sizes):
    """Cover range(n) with the largest pieces that fit, in order: (start, size) of each; sizes descend to 1."""
    start = 0
    for size in sizes:
        count = (n - start) // size
        for k in each(count):
            yield start + k * size, size
        start = start + count * size


def product_tile(rows, vectors, Z, W, row, col, A, step_A, bias, bias_step, K, width, begun):
    """`rows` x `vectors` of the results of `_product`, at the front of the arrays given; on top of Z if `begun`."""
    lanes = lanes_of(Z)
    Wm, Zm = [at(W, m * row) for m in range(rows)], [at(Z, m * width) for m in range(rows)]

    acc = choose(
        begun,
        lambda: [load(Zm[m], n * lanes) for m in range(rows) for n in range(vectors)],
        lambda: [b for m in range(rows) for b in [splat(bias, m * bias_step)] * vectors],
    )
    for k in each(K, acc):
        a = at(A, k * step_A)
        panel = [load(a, n * lanes) for n in range(vectors)]
        weight = [splat(Wm[m], k * col) for m in range(rows)]
        acc[:] = [fma(weight[m], panel[n], acc[m * vectors + n]) for m in range(rows) for n in range(vectors)]
    for m in range(rows):
        for n in range(vectors):
            store(Zm[m], n * lanes, acc[m * vectors + n])


def _product(Z, W, row, col, A, bias, bias_step, M, K, width, begun, packed):
    """All tiles of ``Z[m, :] = bias[m * bias_step] + sum_k W[m * row + k * col] * A[k, :]``, m < M, k < K."""
    lanes = lanes_of(Z)

    for b in each((M + (ROW_STRIP - 1)) // ROW_STRIP):
        first = b * ROW_STRIP
        M_here = smaller(M - first, ROW_STRIP)
        packs = PACKS_PANELS & (M_here >= STRIP_FROM) & (K * width >= CACHED * lanes)

        for n, vectors in sweep(width // lanes, tuple(PRODUCT_TILES)):
            n = n * lanes

            def strip():
                _pack(packed, at(A, n), width, K)
                return [at(packed, 0), lanes]

            A_n, step_A = choose(packs, strip, lambda: [at(A, n), width])
            for m, rows in sweep(M_here, PRODUCT_TILES[vectors]):
                m = first + m
                place = at(Z, m * width + n), at(W, m * row), row, col, A_n, step_A, at(bias, m * bias_step), bias_step
                product_tile(rows, vectors, *place, K, width, begun)


def _in_parts(K):
    """(k, n, begun) of the n terms of a sum from term k on, TERMS at most; `begun`: not the first part."""
    begun = [0]
    for b in each((K + (TERMS - 1)) // TERMS, begun):
        k = b * TERMS
        yield k, smaller(K - k, TERMS), *begun
        begun[0] = 1


def _pack(P, A, step, K):
    """K vectors that lie `step` apart, side by side to P."""
    L = lanes_of(P)
    for k in each(K):
        store(P, k * L, load(A, k * step))


@outlined
def _wide_forward(Z, W, A, bias, bias_step, fan_in, fan_out, width, packed):
    L = lanes_of(Z)
    packs = (fan_out >= PACK_FROM * L) & (width >= PACK_FROM * L // 8)
    strip_of_W = at(packed, (SUM_BLOCK - TERMS) * L)
    n_strips = pick(packs, (fan_out + (L - 1)) // L, 1)

    for k, n, begun in _in_parts(fan_in):
        Wk, Ak = at(W, k * fan_out), at(A, k * width)
        for s in each(n_strips):
            o = s * L

            def from_pack():
                _pack(strip_of_W, at(Wk, o), fan_out, n)
                return [strip_of_W, L, smaller(fan_out - o, L)]

            P, col, rows = choose(packs, from_pack, lambda: [Wk, fan_out, fan_out])
            _product(at(Z, o * width), P, 1, col, Ak, at(bias, o * bias_step), bias_step, rows, n, width, begun, packed)


@outlined
def _wide_backward(Z, W, A, zeros, packed, M, K, width):
    """``Z[m, :] = sum_k W[m, k] * A[k, :]``: W (M, K) as it lies."""
    for k, n, begun in _in_parts(K):
        _product(Z, at(W, k), K, 1, at(A, k * width), zeros, 0, M, n, width, begun, packed)


@traced
def _narrow_product(Z, W, row, col, A, bias, bias_step, M, K):
    """`_product` on panels of one vector."""
    L = lanes_of(Z)
    for m, rows in sweep(M, NARROW_TILES):
        place = at(Z, m * L), at(W, m * row), row, col, A, L, at(bias, m * bias_step), bias_step
        product_tile(rows, 1, *place, K, L, 0)


@traced
def forward_product(Z, W, A, bias, bias_step, fan_in, fan_out, width, packed):
    """``Z[o, :] = bias[o * bias_step] + sum_i W[i, o] * A[i, :]``: Z (fan_out, width), W (fan_in, fan_out), A (fan_in,
    width), all row-major.

    No copy of W is turned. But where the numbers of a column of W lie so far apart that a cache cannot hold them
    together, a strip of W goes to `packed` (SUM_BLOCK, one vector) first, as may a strip of a large panel.
    """
    choose(
        width > lanes_of(Z),
        lambda: _wide_forward(Z, W, A, bias, bias_step, fan_in, fan_out, width, packed),
        lambda: _narrow_product(Z, W, 1, fan_out, A, bias, bias_step, fan_out, fan_in),
    )


@traced
def backward_product(Z, W, D, zeros, packed, fan_in, fan_out, width):
    """``Z[i, :] = sum_o W[i, o] * D[o, :]``: Z (fan_in, width), W (fan_in, fan_out), D (fan_out, width)."""
    choose(
        width > lanes_of(Z),
        lambda: _wide_backward(Z, W, D, zeros, packed, fan_in, fan_out, width),
        lambda: _narrow_product(Z, W, fan_out, 1, D, zeros, 0, fan_in, fan_out),
    )


def inner_tile(rows, cols, G, A, D, fan_out, width):
    """`rows` x `cols` of the results of `inner_product`, at the front of the arrays given."""
    lanes = lanes_of(G)
    Ai, Do = [at(A, i * width) for i in range(rows)], [at(D, o * width) for o in range(cols)]

    acc = [zero(G)] * (rows * cols)
    for k in each(width // lanes, acc):
        a, d = [load(x, k * lanes) for x in Ai], [load(x, k * lanes) for x in Do]
        acc[:] = [fma(a[i], d[o], acc[i * cols + o]) for i in range(rows) for o in range(cols)]
    store_totals([at(G, i * fan_out) for i in range(rows)], acc)


@traced
def _inner_product(G, A, D, fan_in, fan_out, width):
    for i, rows in sweep(fan_in, INNER_TILES):
        for o, cols in sweep(fan_out, INNER_TILES):
            inner_tile(rows, cols, at(G, i * fan_out + o), at(A, i * width), at(D, o * width), fan_out, width)


@traced
def turn(T, D, n, width, rows):
    """``T[b, o] = D[o, b]``, b < rows: D (n, width) to T (rows, n), as far as blocks of a vector each way are whole."""
    lanes = lanes_of(D)

    for i in each(n // lanes):
        for k in each(rows // lanes):
            o, b = i * lanes, k * lanes
            for j, x in enumerate(turned([load(D, (o + j) * width + b) for j in range(lanes)])):
                store(T, (b + j) * n + o, x)


@traced
def weight_gradient(G, A, D, T, zeros, packed, fan_in, fan_out, width):
    """``G[i, o] = sum_b A[i, b] * D[o, b]``: G (fan_in, fan_out), A (fan_in, width), D (fan_out, width), all row-major.

    Where a row of G is whole vectors and there are enough rows to repay the turning of D into T (width, fan_out), this
    is the product A T, summed over b in ascending order; elsewhere an inner product, summed lane by lane and then by
    `total`. Which one depends on the shape alone.
    """

    def turned_product():
        turn(T, D, fan_out, width, width)
        _wide_backward(G, A, T, zeros, packed, fan_in, width, fan_out)

    whole = fan_out // lanes_of(G) * lanes_of(G) >= fan_out
    choose((fan_in >= TURN_FROM) & whole, turned_product, lambda: _inner_product(G, A, D, fan_in, fan_out, width))
