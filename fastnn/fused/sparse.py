"""The first layer on rows in CSR form: what `dense.py` does with a panel of inputs, without its
products with 0.

Each sum has the terms of the dense layer's, in its order, but for those that are 0, which change no
bit. Forward, each row of the batch adds up rows of W. Back, a row of W's gradient needs the numbers
in one column of X, while the batch has them by rows. So the entries in COLUMNS columns at a time
are sorted by column, and each row has a cursor that says where its next ones begin. From them the
gradient is made in strips of a few rows, which the nearest cache holds. Each is used at once: by
the update, where it is the gradient of the whole batch.
"""

from functools import partial

from fastnn.compiler.control import choose, each, not_, pick, repeat, smaller, when
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
from fastnn.fused.gather import add_to, copy, scatter_panel
from fastnn.fused.layout import COLUMNS
from fastnn.fused.matmul import Strided, row_product
from fastnn.fused.updates import update
from fastnn.memory import ceil_div


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
    for b in each(width):
        first = get(scratch.rows_of_X, b)
        n = get(scratch.row_ends, b) - first
        x = offset(X, first)
        columns = offset(indices, first)

        def row_of(k, columns=columns):
            return get(columns, k) * layer.fan_out

        z = offset(scratch.by_row, b * step)
        row_product(z, W, x, bias, n, layer.fan_out, row_of)
    Z = offset(scratch.activations, layer.output * width)
    scatter_panel(Z, scratch.by_row, layer.fan_out, width, step)
    activate_layer(layer, scratch, Z, width)


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
    used = pick(in_update, n_vectors, 0)
    _start_cursors(scratch, indices, layer.input, width)
    for c in each(ceil_div(layer.fan_in, COLUMNS), step=COLUMNS):
        n_columns = smaller(layer.fan_in - c, COLUMNS)
        _sort_entries(scratch, X, indices, layer.input + c, n_columns, width)
        at = [0]
        for _ in repeat(lambda at=at, n_columns=n_columns: at[0] < n_columns, at):
            r = at[0]
            n = smaller(n_columns - r, size)
            start = layer.weight + (c + r) * fan_out
            here = state._replace(vectors=offset(state.vectors, start))
            _make_strip(layer, scratch, here, used, r, n, width, by_lanes)
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


def _make_strip(layer, scratch, state, n_vectors, first, n, width, by_lanes):
    """Write the rows of dW for `n` of the sorted columns, from `first` on, to `scratch.strip`."""
    nothing = Strided(scratch.zeros, 0)
    fan_out = layer.fan_out
    step = row_step(layer, scratch.strip)
    for i in each(n):
        n_entries = get(scratch.counts, first + i)
        rows, values = _entries_of(scratch, first + i, width)
        _fetch(state, i * fan_out, fan_out, n_vectors)
        # its last vector may reach into the next row, which is written afterwards
        row = offset(scratch.strip, i * fan_out)

        def row_of(k, rows=rows):
            return get(rows, k) * step

        terms = scratch.by_row, values, nothing, n_entries, fan_out, row_of
        chain = partial(row_product, row, *terms)
        lanes = partial(_sum_by_lanes, row, scratch, rows, values, n_entries, fan_out, step)
        choose(by_lanes & (n_entries > 1), lanes, chain)


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
