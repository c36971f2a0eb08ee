"""The normal equations, J'J and J'r, block by block of rows, and their solution: matrices in strips
of a vector.

A matrix in strips has its columns in groups as wide as a vector: number (r, c) of `rows` rows
stands at ``[(c // L) * rows * L + r * L + c % L]``. So a tile walks along contiguous memory,
whatever the matrix' size. Columns are parameters, up to whole vectors of them, and then a strip
whose first column is the residual: the product of all with all has J'J, and J'r behind it. Only
strips from the diagonal to the right are made.

`jacobian`, `normal_equations` and `solve` in `fastnn/reference.py` are the twins.
"""

from functools import partial
from typing import Any, NamedTuple

from fastnn.compiler.control import each, pick, smaller, sweep, when
from fastnn.compiler.lanes import each_vector, horizontal_sums, transposed
from fastnn.compiler.memory_ops import get, lanes_of, load, offset, splat, store, zero
from fastnn.compiler.tracing import cpu_has, outlined, traced
from fastnn.compiler.vectors import fma, like, sqrt, where_positive
from fastnn.fused import dense
from fastnn.fused.dense import each_layer, each_layer_back, output_layer
from fastnn.fused.formulas import squared_error
from fastnn.fused.matmul import Matrix, Strided, product_tile
from fastnn.memory import ceil_div

# rows of tiles, one vector wide: their sums must fit the registers
TILES = (16, 8) if cpu_has("avx512f") else (4,)
TERMS = 256  # of a sum, that a product takes at a time


class Columns(NamedTuple):
    """The columns of a matrix in strips, as the rows of a `Matrix`: column m of those from
    `pointer` on.
    """

    pointer: Any
    rows: Any
    column_step: int

    def skip(self, m):
        """Return the column `m`, a Python integer."""
        strip, lane = divmod(m, self.column_step)
        return Matrix(
            offset(self.pointer, strip * self.column_step * self.rows + lane), 0, self.column_step
        )


def product(Z, W, A, zeros, rows, terms, rows_of_W, begun):
    """Compute ``Z[m, :] = sum_k W[k, m] * A[k, :]``: Z (rows, L) and A (terms, L) are strips, W is
    in strips.
    """
    L = lanes_of(Z)
    for m, tile in sweep(rows, TILES):
        W_m = Columns(offset(W, m // L * (rows_of_W - 1) * L + m), rows_of_W, L)
        product_tile(
            tile, 1, Strided(Z, L).skip(m), W_m, Strided(A, L), Strided(zeros, 0), terms, begun
        )


@outlined
def add_products(H, J, zeros, n, width, begun):
    """Add the products of the columns of J (width, n + L) with one another to H (n, n + L), or
    write the first ones.
    """
    L = lanes_of(H)
    for c in each(n // L + 1):
        product(
            offset(H, c * n * L),
            J,
            offset(J, c * width * L),
            zeros,
            smaller((c + 1) * L, n),
            width,
            width,
            begun,
        )


@outlined
def transpose_jacobian(J, activations, deltas, factors, n_columns, width):
    """Write the Jacobian of a block, J (width, n_columns) in strips: each number is an activation
    times a delta.

    `factors` (n_columns / L, 2, L) has the rows of either that belong to each column.
    """
    L = lanes_of(J)
    for j in each(n_columns // L):
        a = [offset(activations, get(factors, j * 2 * L + k) * width) for k in range(L)]
        d = [offset(deltas, get(factors, j * 2 * L + L + k) * width) for k in range(L)]
        for b in each_vector(J, width):
            columns = [load(a[k], b) * load(d[k], b) for k in range(L)]
            for r, x in enumerate(transposed(columns)):
                store(J, (j * width + b + r) * L, x)


@outlined
def loss_of_block(scratch, model, params, width):
    """Go forward and write the block's loss to `scratch.sum_of_l`; whole vectors of the parameters
    are read.
    """
    for _, layer in each_layer(model):
        dense.forward_layer(layer, scratch, params, width)
    A = offset(scratch.activations, output_layer(model).output * width)
    squared_error(scratch, A, model.n_outputs, width)


@outlined
def output_slopes(scratch, model, params, deltas, o, width):
    """Write the derivatives of output `o` by each layer's z to `deltas`, whose panels lie as those
    of the activations.

    They are times the roots of the rows' weights. The first row has the residuals of this output,
    times the same.
    """
    last = output_layer(model)
    n_outputs = model.n_outputs
    A, D = (offset(x, last.output * width) for x in (scratch.activations, deltas))
    for b in each_vector(deltas, width):
        w = load(scratch.weight, b)
        root = sqrt(w)
        residual = root * (load(A, o * width + b) - load(scratch.targets, o * width + b))
        store(deltas, b, where_positive(w, residual))
        store(deltas, model.n_inputs * width + b, zero(deltas))  # of columns beyond the parameters
        for k in each(n_outputs):
            store(D, k * width + b, pick(o == k, root, zero(deltas)))
        for _, layer in each_layer(model):
            # the factor of biases
            store(scratch.activations, (layer.input + layer.fan_in) * width + b, like(w, 1.0))
    dense.layer_delta(last, scratch, D, width, last.activation)
    for l, layer in each_layer_back(model):
        delta = offset(deltas, layer.output * width)
        below = offset(deltas, layer.input * width)
        add_sum = partial(dense.add_sum_of_rows, delta, layer.fan_out, width)
        when(layer.n_bias < layer.fan_out, add_sum)
        when(l > 0, partial(dense.backward_layer, layer, scratch, params, delta, below, width))


# U'U is the matrix. Until a row of U is reached, -S stands in its place, S what the rows above
# leave of it: so that a tile only adds.


@outlined
def negate(U, H, n):
    """Write ``U = -H``, both (n, n + L) in strips, from the diagonal to the right."""
    L = lanes_of(U)
    for c in each(n // L + 1):
        for r in each(smaller((c + 1) * L, n)):
            i = (c * n + r) * L
            store(U, i, -load(H, i))


@outlined
def take_off_rows(U, zeros, n, first, rows, k, terms):
    """Add ``sum_k U[k, m] * U[k, :]`` to the rows m, `rows` from `first` on: the terms from `k`
    on.
    """
    L = lanes_of(U)
    for part in each(ceil_div(terms, TERMS), step=TERMS):
        terms_here = smaller(terms - part, TERMS)
        U_k = offset(U, (k + part) * L)
        for c in each((n - first) // L + 1):
            strip = (first // L + c) * n * L
            W = offset(U_k, first * n)
            Z = offset(U, strip + first * L)
            product(Z, W, offset(U_k, strip), zeros, smaller((c + 1) * L, rows), terms_here, n, 1)


@outlined
def finish_rows(U, inverse, n, first):
    """Make the L rows of U from `first` on, but for the strip of the diagonal, which is there: D.

    `inverse` has the inverses of the diagonal from there on.
    """
    L = lanes_of(U)
    D = offset(U, first * n + first * L)
    for c in each((n - first) // L):
        _finish_strip(offset(D, (c + 1) * n * L), D, inverse)


def _finish_strip(Z, D, inverse):
    """Make L rows of a strip, in which -S stands."""
    L = lanes_of(Z)
    rows = []
    for i in range(L):
        s = load(Z, i * L)
        for j in range(i):
            s = fma(splat(D, j * L + i), rows[j], s)
        rows.append(s * -splat(inverse, i))
        store(Z, i * L, rows[i])


@outlined
def diagonal_of_inverse(out, U, inverse, Z, unit, zeros, n):
    """Write the diagonal of ``(U'U)^-1`` to `out` (n,): the sums of the squares of the columns of
    ``U'^-1``.

    These are made strip by strip in Z (n, L); `unit` (L, L) is -I.
    """
    L = lanes_of(U)
    for first in each_vector(out, n):
        for i in range(L):
            store(Z, (first + i) * L, load(unit, i * L))
        _finish_strip(
            offset(Z, first * L), offset(U, first * n + first * L), offset(inverse, first)
        )
        for below in each((n - first) // L - 1, step=L):
            k = first + L + below
            U_k = offset(U, k * n)
            Z_k = offset(Z, k * L)
            product(Z_k, offset(U_k, first * L), offset(Z, first * L), zeros, L, k - first, n, 0)
            _finish_strip(Z_k, offset(U_k, k * L), offset(inverse, k))
        squares = [zero(out)]
        for r in each(n - first, squares):
            z = load(Z, (first + r) * L)
            squares[0] = fma(z, z, squares[0])
        store(out, first, squares[0])


@traced
def subtract_columns(y, U, x, n_rows):
    """Compute ``y[r] -= sum_i U[r, i] * x[i]`` of a strip U (n_rows, L), with x (L,) and y
    (n_rows,), whole vectors.
    """
    L = lanes_of(y)
    known = load(x, 0)
    for r in each_vector(y, n_rows):
        sums = horizontal_sums([load(U, (r + k) * L) * known for k in range(L)])
        store(y, r, load(y, r) - sums)
