"""Operations across the lanes of vectors: horizontal sums, in one fixed tree of halves onto halves, and transposes."""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from fastnn.compiler.instructions import INT32, const, mask
from fastnn.compiler.memory_ops import address_ir, lanes_of, put
from fastnn.compiler.tracing import Traced, compiled, primitive
from fastnn.compiler.vectors import Lanes


@primitive
def horizontal_sum(a):
    """Return the sum of the lanes: the upper half onto the lower one, until one number is left."""
    a = a.view(np.ndarray)
    # The order of these additions is part of the format: it shows in the bits.
    while a.size > 1:
        a = a[: a.size // 2] + a[a.size // 2 :]
    return a[0]


@compiled(horizontal_sum)
def lower_horizontal_sum(a):
    def codegen(context, builder, sig, args):
        x = args[0]
        while n := x.type.count // 2:
            low, high = (builder.shuffle_vector(x, x, mask(range(i, i + n))) for i in (0, n))
            x = builder.fadd(low, high)
        return builder.extract_element(x, ir.Constant(INT32, 0))

    return a.elem(a), codegen


# Lists of vectors are no type of Numba's, so the following are no primitives: traced code calls them, and they emit.


def store_horizontal_sums(rows, vectors):
    """Write ``rows[r][c] = horizontal_sum(vectors[r * n + c])``, n vectors a row, powers of two; in traced code."""
    n, width = len(vectors) // len(rows), lanes_of(rows[0])
    if isinstance(rows[0], Traced):
        for g in range(0, len(vectors), width):  # up to a vector of sums at once, which is some rows of results
            builder = rows[0].builder
            sums = horizontal_sums_ir(builder, [v.value for v in vectors[g : g + width]])
            for j in range(0, sums.type.count, n):
                row = rows[(g + j) // n]
                # n neighboring numbers of a row by one store; the next row's lie elsewhere
                address = address_ir(row.context, builder, row.type, row.value, const(0))
                part = builder.shuffle_vector(sums, sums, mask(range(j, j + n)))
                builder.store(
                    part, builder.bitcast(address, part.type.as_pointer()), align=row.type.dtype.bitwidth // 8
                )
    else:
        for j, v in enumerate(vectors):
            put(rows[j // n], j % n, horizontal_sum(v))


def horizontal_sums(vectors):
    """Return the vector of the horizontal sums of as many vectors as they have lanes; in traced code."""
    if isinstance(vectors[0], Traced):
        return vectors[0].of(vectors[0].type, horizontal_sums_ir(vectors[0].builder, [v.value for v in vectors]))
    return np.array([horizontal_sum(v) for v in vectors]).view(Lanes)


def transposed(vectors):
    """Transpose a square block of numbers, one vector a row; in traced code."""
    if isinstance(vectors[0], Traced):
        return transposed_ir(vectors)
    return [v.view(Lanes) for v in np.stack(vectors).T.copy()]


def transposed_ir(vectors):
    """Emit the transpose in log2(n) rounds of shuffles, two for each pair of vectors."""
    builder, n = vectors[0].builder, len(vectors)
    rows = [v.value for v in vectors]
    for s in (1 << k for k in range(n.bit_length() - 1)):  # in blocks of 2 s: the two off the diagonal change places
        upper = mask([n + k - s if k & s else k for k in range(n)])
        lower = mask([n + k if k & s else k + s for k in range(n)])
        for i in (i for i in range(n) if not i & s):
            a, b = rows[i], rows[i + s]
            rows[i], rows[i + s] = builder.shuffle_vector(a, b, upper), builder.shuffle_vector(a, b, lower)
    return [v.of(v.type, row) for v, row in zip(vectors, rows, strict=True)]


def horizontal_sums_ir(builder, vectors):
    """Emit the vector of the horizontal sums of 2**k vectors, at most one a lane, each by the same tree."""
    # While there are pairs, one addition folds both vectors of a pair, each in its half of the lanes: n sums take n - 1
    # additions, where n sums by themselves take n log2(n).
    half = vectors[0].type.count // 2
    while half:
        pairs = zip(vectors[: len(vectors) // 2], vectors[len(vectors) // 2 :], strict=True)
        pairs = pairs if len(vectors) > 1 else [(vectors[0], None)]
        vectors = [_fold_ir(builder, x, y, half) for x, y in pairs]
        half //= 2
    return vectors[0]


def _fold_ir(builder, x, y, half):
    """Emit, for each run of 2 half lanes, the upper half onto the lower one; with y, x's sums and y's in turn."""
    n = x.type.count
    low = [k + s for s in range(0, n, 2 * half) for k in (*range(half), *(range(n, n + half) if y else ()))]
    y = y or x
    return builder.fadd(*(builder.shuffle_vector(x, y, mask([k + up for k in low])) for up in (0, half)))
