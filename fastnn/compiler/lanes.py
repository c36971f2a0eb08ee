"""Loops over vectors, and across their lanes: horizontal sums, in one fixed tree of halves onto
halves, and transposes.

The lanes of horizontal sums are those of rows. A number of many networks, see `vectors.Many`, has
one of them, and the sums of rows run over the lanes one after the other, see `each_lane`.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from fastnn.compiler.control import assign, each, pick, when
from fastnn.compiler.memory_ops import (
    address_ir,
    align,
    has_many,
    lanes_of,
    load,
    put,
    row_lanes_of,
    store,
    zero,
)
from fastnn.compiler.tracing import INT32, Traced, const, mask, primitive
from fastnn.compiler.vectors import Lanes, Many, is_many
from fastnn.memory import ceil_div


def each_vector(a, n, *kept):
    """Iterate over the first numbers of the whole vectors in `n` numbers of array a, as `each`
    does.
    """
    L = lanes_of(a)
    return each(n // L, *kept, step=L)


def each_padded(a, n, *kept):
    """Iterate like `each_vector` over all vectors, of which the last one may reach beyond the
    numbers.
    """
    L = lanes_of(a)
    return each(ceil_div(n, L), *kept, step=L)


def each_rest(a, n):
    """Iterate over the numbers behind the whole vectors, one by one."""
    L = lanes_of(a)
    whole = n // L * L
    for k in each(n - whole):
        yield whole + k


def last_vector(a, n, *kept):
    """Iterate over the first number of the vector that the numbers do not fill: once or not at
    all.
    """
    L = lanes_of(a)
    whole = n // L * L
    for _ in each(pick(n - whole > 0, 1, 0), *kept):
        yield whole


def narrow_width(a, width):
    """Return the width of a panel that is at most one vector of rows wide: a constant but for many
    networks.
    """
    return width if has_many(a) else lanes_of(a)


def each_lane(a, width, *kept):
    """Iterate over the lanes along which sums over `width` columns run: a function ``columns(width,
    *kept)`` of each.

    That is a loop over a lane's columns of a panel, ``for b in columns(width, kept)``, with `kept`
    as in `each`. All lanes of vectors of a's dtype go at once, and the body is traced once; what is
    kept then is a vector of them for `horizontal_sum`. Of numbers of many networks one lane goes
    after the other, and the body is traced for each; what is kept then is the sum of those that
    have columns, by the same tree: `add_padding` adds what panels here lack.
    """
    if not has_many(a):
        yield partial(each_vector, a)
        return
    L = row_lanes_of(a)
    begin = [list(x) for x in kept]

    def tree(first, step):
        """Leave in `kept` the sum of the lanes first, first + step, ...: depth first, so that few
        sums wait.
        """
        if step == L:
            assign(kept, [x for values in begin for x in values])
            yield lambda width, *kept: (
                b + first for b in each((width + (L - 1 - first)) // L, *kept, step=L)
            )
            return
        yield from tree(first, 2 * step)
        has_more = pick(width > first + step, 1, 0)  # else none of the others has a column
        for _ in each(has_more, *kept):
            lower = [list(x) for x in kept]
            yield from tree(first + step, 2 * step)
            assign(
                kept,
                [
                    x + y
                    for xs, ys in zip(lower, kept, strict=True)
                    for x, y in zip(xs, ys, strict=True)
                ],
            )

    yield from tree(0, 1)


def has_padding(a, width):
    """Return whether panels of rows, if they were padded, would have padding beside `width`
    columns.
    """
    L = row_lanes_of(a)
    return width // L * L < width


def add_padding(sums, n, condition):
    """Add to n sums of many networks what padding adds, on a `condition`: that there would be any,
    see `has_padding`.

    Its products are 0.0, which makes 0.0 of -0.0 and changes no other sum; so once, at the root of
    a tree, is enough.
    """
    if has_many(sums):
        nothing = zero(sums)

        def add():
            for i in each(n):
                store(sums, i, load(sums, i) + nothing)

        when(condition, add)


def horizontal_sum_ir(a):
    """Emit the tree of additions of halves onto halves."""
    if is_many(a):
        return a.value
    return a.builder.extract_element(horizontal_sums_ir([a]), INT32(0))


@primitive(lambda a: a if isinstance(a, Many) else a.elem, horizontal_sum_ir)
def horizontal_sum(a):
    """Return the sum of the lanes: the upper half onto the lower one, until one number is left."""
    if is_many(a):
        return a
    a = a.view(np.ndarray)
    # The order of these additions is part of the format: it shows in the bits.
    while a.size > 1:
        a = a[: a.size // 2] + a[a.size // 2 :]
    return a[0]


# Lists of vectors are no type of Numba's, so the following are no primitives: traced code calls
# them, and they emit.


def store_horizontal_sums(rows, vectors):
    """Write ``rows[r][c] = horizontal_sum(vectors[r * n + c])``, n vectors a row, powers of two; in
    traced code.
    """
    n = len(vectors) // len(rows)
    width = lanes_of(rows[0])
    if isinstance(rows[0], Traced) and not has_many(rows[0]):
        # up to a vector of sums at once, which is some rows of results
        for g in range(0, len(vectors), width):
            sums = horizontal_sums_ir(vectors[g : g + width])
            for j in range(0, sums.type.count, n):
                # n neighboring numbers of a row by one store; the next row's lie elsewhere
                row = rows[(g + j) // n]
                part = rows[0].builder.shuffle_vector(sums, sums, mask(range(j, j + n)))
                row.builder.store(part, address_ir(row, const(0), part.type), align=align(row))
        return
    for j, v in enumerate(vectors):
        put(rows[j // n], j % n, horizontal_sum(v))


def horizontal_sums(vectors):
    """Return the vector of the horizontal sums of as many vectors as they have lanes; in traced
    code.
    """
    if is_many(vectors[0]):
        return vectors[0]
    if isinstance(vectors[0], Traced):
        return vectors[0].of(vectors[0].type, horizontal_sums_ir(vectors))
    return np.array([horizontal_sum(v) for v in vectors]).view(Lanes)


def horizontal_sums_ir(vectors):
    """Emit the vector of the horizontal sums of 2**k vectors, at most one a lane, each by the same
    tree.
    """
    builder = vectors[0].builder
    sums = [v.value for v in vectors]
    half = sums[0].type.count

    def fold(x, y=None):
        """Add, in each run of 2 half lanes, the upper half onto the lower one; with y, x's sums and
        y's in turn.
        """
        n = x.type.count
        low = [
            k + s
            for s in range(0, n, 2 * half)
            for k in (*range(half), *(range(n, n + half) if y else ()))
        ]
        y = y or x
        first = builder.shuffle_vector(x, y, mask(low))
        second = builder.shuffle_vector(x, y, mask([k + half for k in low]))
        return builder.fadd(first, second)

    # While there are pairs, one addition folds both vectors of a pair, each in its half of the
    # lanes: n sums take n - 1 additions, where n sums by themselves take n log2(n).
    while half := half // 2:
        m = len(sums) // 2
        if m:
            sums = [fold(x, y) for x, y in zip(sums[:m], sums[m:], strict=True)]
        else:
            sums = [fold(sums[0])]
    return sums[0]


def transposed(vectors):
    """Transpose a square block of numbers, one vector a row; in traced code."""
    if isinstance(vectors[0], Traced):
        builder = vectors[0].builder
        n = len(vectors)
        rows = [v.value for v in vectors]
        # Rounds of shuffles, two for each pair of vectors: in blocks of 2 s, the two off the
        # diagonal change places.
        for s in (1 << k for k in range(n.bit_length() - 1)):
            upper = mask([n + k - s if k & s else k for k in range(n)])
            lower = mask([n + k if k & s else k + s for k in range(n)])
            for i in (i for i in range(n) if not i & s):
                a = rows[i]
                b = rows[i + s]
                rows[i] = builder.shuffle_vector(a, b, upper)
                rows[i + s] = builder.shuffle_vector(a, b, lower)
        return [v.of(v.type, row) for v, row in zip(vectors, rows, strict=True)]
    if is_many(vectors[0]):
        return vectors
    columns = np.stack(vectors).T.copy()
    return [column.view(Lanes) for column in columns]
