"""From the user's arrays to panels and back; `take` in `fastnn/reference.py`."""

from fastnn.compiler.control import each
from fastnn.compiler.lanes import each_padded, each_rest, each_vector, transposed
from fastnn.compiler.memory_ops import (
    gather,
    get,
    lanes_of,
    load,
    offset,
    prefetch,
    put,
    store,
    zero,
)
from fastnn.compiler.tracing import traced
from fastnn.compiler.vectors import where_positive
from fastnn.fused.matmul import transpose

# blocks of features that rows are fetched ahead of their use: there are more of them than a CPU
# follows
AHEAD = 4


@traced
def copy(target, source, n):
    """Copy `n` numbers, and read none beyond them: the user's array may end there."""
    for i in each_vector(target, n):
        store(target, i, load(source, i))
    for i in each_rest(target, n):
        put(target, i, get(source, i))


@traced
def clear(row, n):
    """Fill a single row with zeros, to the end of its last vector."""
    for i in each_padded(row, n):
        store(row, i, zero(row))


@traced
def gather_panel(panel, source, offsets, weight, n_features, width):
    """Write ``panel[f, b] = source[offsets[b] + f]``, 0 where the row weight is 0, a vector of rows
    at a time.

    panel (n_features, width), offsets (width,) and weight (width,) are the workspace's, `source` is
    the user's X or Y.
    """
    L = lanes_of(panel)
    for b in each_vector(panel, width):
        w = load(weight, b)
        start = offset(offsets, b)
        rows = [get(start, j) for j in range(L)]  # read once, for all features
        # A number at a time, a panel would be written all over; so square blocks are transposed in
        # registers.
        for f in each_vector(panel, n_features):
            for row in rows:
                prefetch(source, row + f + AHEAD * L)
            for j, x in enumerate(transposed([load(source, row + f) for row in rows])):
                store(panel, (f + j) * width + b, where_positive(w, x))
        # What is left, feature by feature: reading whole vectors might reach beyond the end of the
        # user's array.
        for f in each_rest(panel, n_features):
            store(panel, f * width + b, where_positive(w, gather(source, start, f)))


@traced
def gather_each(panel, source, offsets, n_features, width):
    """Write ``panel[f, b] = source[offsets[b] + f]`` for vectors b of networks: a number of each,
    by its own offset.

    panel (n_features, width, L) and offsets (width, L). All numbers are written by vectors, for so
    they are read.
    """
    L = lanes_of(panel)
    for b in each(width):
        for f in each(n_features):
            store(panel, (f * width + b) * L, gather(source, offset(offsets, b * L), f))


@traced
def add_to(target, source, n):
    """Add `n` numbers to others, and read and write none beyond them."""
    for i in each_vector(target, n):
        store(target, i, load(target, i) + load(source, i))
    for i in each_rest(target, n):
        put(target, i, get(target, i) + get(source, i))


@traced
def scatter_panel(out, panel, n, n_features, width, step=None):
    """Write ``out[b, f] = panel[f, b]``, b < n: out (n, n_features) is the user's, panel
    (n_features, width). With `step`, rows of `out` lie so far apart.
    """
    L = lanes_of(panel)
    step = n_features if step is None else step

    def numbers(first_b, first_f):
        """Write the features from first_f on of the rows from first_b on."""
        for k in each(n_features - first_f):
            f = first_f + k
            for i in each(n - first_b):
                b = first_b + i
                put(out, b * step + f, get(panel, f * width + b))

    transpose(out, step, panel, n_features, width, n)
    # Number by number, the features behind the last block for all rows, then the rows behind it;
    # some of them twice.
    numbers(0, n_features // L * L)
    numbers(n // L * L, 0)
