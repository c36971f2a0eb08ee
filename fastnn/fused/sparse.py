"""The first layer on rows in CSR form: what `dense.py` does with a panel of inputs, without its
products with 0.

Each sum has the terms of the dense layer's, in its order, but for those that are 0, which change no
bit. Forward, each row of the batch adds up rows of W. Back, a row of W's gradient needs the numbers
in one column of X, while the batch has them by rows. So it is made for COLUMNS columns at a time,
and each row of the batch has a cursor that says where its next entries begin. Where sums are
chains, each entry adds its product to the row of its column, row of the batch by row. Where they
are made by lanes, the entries are sorted by column first. The gradient stands in strips, which a
near cache holds, and each is used at once: by the update, where it is the gradient of the whole
batch.
"""

from functools import partial
from typing import Any, NamedTuple

from fastnn.compiler.control import choose, each, not_, pick, repeat, smaller, sweep, when
from fastnn.compiler.memory_ops import (
    get,
    lanes_of,
    load,
    offset,
    prefetch,
    put,
    splat,
    store,
    zero,
)
from fastnn.compiler.tracing import outlined
from fastnn.compiler.vectors import fma
from fastnn.fused.dense import activate_layer, bias_of
from fastnn.fused.gather import add_to, clear, copy, scatter_panel
from fastnn.fused.layout import COLUMNS, FETCHED_FROM
from fastnn.fused.matmul import ROW_TILES, Strided, bias_of_columns
from fastnn.fused.updates import update
from fastnn.memory import ceil_div

ROWS = 2  # rows of the batch that go forward together
TILES = (4, 2, 1)  # vectors of the sums of each that are kept in registers


class Terms(NamedTuple):
    """The terms of a sum: numbers, each times a row of a matrix."""

    values: Any
    places: Any
    """Which rows."""
    n: Any


def row_step(layer, a):
    """Return how far apart rows of the layer's outputs lie: each begins with a whole vector."""
    L = lanes_of(a)
    return ceil_div(layer.fan_out, L) * L


@outlined
def forward_layer(layer, scratch, X, indices, params, width):
    """Compute a panel of activations like `dense.forward_layer`, of the block's rows of X:
    ``z[b] = bias + sum_k X[b, k] * W[k]`` over the entries k of row b, from left to right.
    """
    step = row_step(layer, params)
    W = offset(params, layer.weight)
    bias = bias_of(layer, scratch, params)
    for b in each(width // ROWS, step=ROWS):
        rows = [b + r for r in range(ROWS)]
        starts = [get(scratch.rows_of_X, row) for row in rows]
        terms = [
            Terms(offset(X, start), offset(indices, start), get(scratch.row_ends, row) - start)
            for row, start in zip(rows, starts, strict=True)
        ]
        targets = [offset(scratch.by_row, row * step) for row in rows]
        _add_up(targets, terms, Strided(W, layer.fan_out), bias, layer.fan_out)
    Z = offset(scratch.activations, layer.output * width)
    scatter_panel(Z, scratch.by_row, layer.fan_out, width, step)
    activate_layer(layer, scratch, Z, width)


def _add_up(targets, terms, W, bias, fan_out):
    """Compute ``z[o] = bias[o] + sum_k values[k] * W[places[k], o]`` of each target z by its
    `Terms`, W and bias `Strided`. A sum waits for its last product, so several targets take turns.
    """
    L = lanes_of(targets[0])
    shared = terms[0].n
    for one in terms[1:]:
        shared = smaller(shared, one.n)
    for n, vectors in sweep(ceil_div(fan_out, L), TILES):
        columns = [(n + v) * L for v in range(vectors)]
        first = bias_of_columns(bias, columns)
        sums = [[*first] for _ in terms]

        def add(one, s, k, columns=columns):
            x = splat(one.values, k)
            row = W.skip(get(one.places, k)).pointer
            s[:] = [fma(x, load(row, o), old) for o, old in zip(columns, s, strict=True)]

        for k in each(shared, *sums):
            for one, s in zip(terms, sums, strict=True):
                add(one, s, k)
        for z, one, s in zip(targets, terms, sums, strict=True):
            for k in each(one.n - shared, s):
                add(one, s, shared + k)
            for o, x in zip(columns, s, strict=True):
                store(z, o, x)


def delta_by_row(layer, scratch, D, width):
    """Write delta D (fan_out, width) to `scratch.by_row`, which has a row for each of the batch."""
    scatter_panel(scratch.by_row, D, width, layer.fan_out, width, row_step(layer, D))


@outlined
def weight_gradient(
    layer, scratch, X, indices, code, state, n_vectors, width, in_update, first_block
):
    """Make dW of the layer, or of a part of its rows, from `delta_by_row`:
    ``dW[k] = sum_b X[b, k] * delta[b]`` over the rows b that have an entry in column k.

    With `in_update`, W is updated by it. Else that of the first block is written to
    `scratch.gradient`, and that of another one is added.
    """
    fan_out = layer.fan_out
    size = layer.strip
    # The order of sums is that of `matmul.weight_gradient`, or of `updates.small_layer_update`.
    is_small = in_update & (width <= lanes_of(scratch.strip)) & (layer.gather_indices >= 0)
    by_lanes = not_(layer.transposes) | is_small
    # What is near, as a table's weights are, need not be fetched.
    is_far = layer.fan_in * fan_out > FETCHED_FROM
    used = pick(in_update & is_far, n_vectors, 0)
    _start_cursors(scratch, indices, layer.input, width)
    for c in each(ceil_div(layer.fan_in, COLUMNS), step=COLUMNS):
        n_columns = smaller(layer.fan_in - c, COLUMNS)
        entries = scratch, X, indices, layer.input + c, n_columns, width
        when(by_lanes, partial(_sort_entries, *entries))
        at = [0]
        for _ in repeat(lambda at=at, n_columns=n_columns: at[0] < n_columns, at):
            r = at[0]
            n = smaller(n_columns - r, size)
            start = layer.weight + (c + r) * fan_out
            here = state._replace(vectors=offset(state.vectors, start))
            by_column = partial(_make_strip, layer, scratch, here, used, r, n, width)
            by_row = partial(_scatter_entries, fan_out, here, used, *entries)
            choose(by_lanes, by_column, by_row)
            step = partial(update, code, here, scratch.strip, 0, n * fan_out, n * fan_out)
            target = offset(scratch.gradient, start)
            write = partial(copy, target, scratch.strip, n * fan_out)
            add = partial(_add_strip, target, scratch, r, n, fan_out)
            choose(in_update, step, partial(choose, first_block, write, add))
            at[0] = r + size
        for j in each(n_columns):
            put(scratch.counts, j, 0)


def _start_cursors(scratch, indices, first_column, width):
    """Set each row's cursor to its first entry that is not before `first_column`."""
    for b in each(width):
        at = [get(scratch.rows_of_X, b)]
        end = get(scratch.row_ends, b)
        for _ in repeat(lambda: (at[0] < end) & (get(indices, at[0]) < first_column), at):
            at[0] = at[0] + 1
        put(scratch.cursors, b, at[0])


def _entries_of(scratch, column, width):
    """Return pointers to the sorted entries in a column: their rows of the batch, their numbers."""
    # A column of a row has one entry at most. A vector between the columns' keeps those from lying
    # a power of two apart, where they would evict one another from the cache.
    first = column * (width + lanes_of(scratch.entry_values))
    return offset(scratch.entry_rows, first), offset(scratch.entry_values, first)


def _sort_entries(scratch, X, indices, first_column, n_columns, width):
    """Sort the entries in `n_columns` columns by column and, within one, by row of the batch."""
    stop = first_column + n_columns
    for b in each(width):
        at = [get(scratch.cursors, b)]
        end = get(scratch.row_ends, b)
        for _ in repeat(lambda: (at[0] < end) & (get(indices, at[0]) < stop), at):
            column = get(indices, at[0]) - first_column
            k = get(scratch.counts, column)
            rows, values = _entries_of(scratch, column, width)
            put(rows, k, b)
            put(values, k, get(X, at[0]))
            put(scratch.counts, column, k + 1)
            at[0] = at[0] + 1
        put(scratch.cursors, b, at[0])


def _scatter_entries(
    fan_out, state, n_vectors, scratch, X, indices, first_column, n_columns, width
):
    """Write the rows of dW for `n_columns` columns to `scratch.strip`: each entry adds its number
    times its row's delta to the row of its column. Meanwhile `n_vectors` of the state are fetched.
    """
    strip = scratch.strip
    clear(strip, n_columns * fan_out)
    L = lanes_of(strip)
    stop = first_column + n_columns
    for b in each(width):
        first = get(scratch.cursors, b)
        end = get(scratch.row_ends, b)
        _fetch(state, b * fan_out, fan_out, pick(b < n_columns, n_vectors, 0))
        for n, vectors in sweep(fan_out // L, ROW_TILES):
            places = [(n + v) * L for v in range(vectors)]
            delta = [load(scratch.by_row, b * fan_out + o) for o in places]
            at = [first]
            for _ in repeat(lambda at=at: (at[0] < end) & (get(indices, at[0]) < stop), at):
                column = get(indices, at[0]) - first_column
                x = splat(X, at[0])
                row = offset(strip, column * fan_out)
                for o, d in zip(places, delta, strict=True):
                    store(row, o, fma(x, d, load(row, o)))
                put(scratch.counts, column, 1)  # the row is not 0
                at[0] = at[0] + 1
            put(scratch.cursors, b, at[0])


def _make_strip(layer, scratch, state, n_vectors, first, n, width):
    """Write the rows of dW for `n` of the sorted columns, from `first` on, to `scratch.strip`.
    Meanwhile `n_vectors` of the state are fetched.
    """
    nothing = Strided(scratch.zeros, 0)
    fan_out = layer.fan_out
    step = row_step(layer, scratch.strip)
    for i in each(n):
        n_entries = get(scratch.counts, first + i)
        rows, values = _entries_of(scratch, first + i, width)
        _fetch(state, i * fan_out, fan_out, n_vectors)
        # its last vector may reach into the next row, which is written afterwards
        row = offset(scratch.strip, i * fan_out)
        terms = [Terms(values, rows, n_entries)]
        chain = partial(_add_up, [row], terms, Strided(scratch.by_row, step), nothing, fan_out)
        lanes = partial(_sum_by_lanes, row, scratch, rows, values, n_entries, fan_out, step)
        choose(n_entries > 1, lanes, chain)


def _fetch(state, start, n, n_vectors):
    """Fetch `n` parameters and their slots to the cache: the update is about to read them."""
    for j in each(n_vectors):
        for o in each(ceil_div(n, lanes_of(state.vectors)), step=lanes_of(state.vectors)):
            prefetch(state.vectors, j * state.stride + start + o)


def _sum_by_lanes(row, scratch, rows, values, n, fan_out, step):
    """Write ``row[o] = sum_k values[k] * delta[rows[k], o]``, as `matmul.inner_tile` adds it up:
    the rows of the batch that fall into a lane make a chain, and the lanes are added as a tree.
    """
    L = lanes_of(row)
    for o in each(ceil_div(fan_out, L), step=L):
        for lane in range(L):
            store(scratch.lane_sums, lane * L, zero(row))
        for k in each(n):
            b = get(rows, k)
            chain = offset(scratch.lane_sums, (b - b // L * L) * L)
            delta = load(scratch.by_row, b * step + o)
            store(chain, 0, fma(splat(values, k), delta, load(chain, 0)))
        sums = [load(scratch.lane_sums, lane * L) for lane in range(L)]
        while len(sums) > 1:  # that of `horizontal_sum`
            half = len(sums) // 2
            sums = [x + y for x, y in zip(sums[:half], sums[half:], strict=True)]
        store(row, o, sums[0])


def _add_strip(target, scratch, first, n, fan_out):
    """Add a strip to the gradient, but for its rows that are 0."""
    for i in each(n):
        row = offset(scratch.strip, i * fan_out)
        add = partial(add_to, offset(target, i * fan_out), row, fan_out)
        when(get(scratch.counts, first + i) > 0, add)
