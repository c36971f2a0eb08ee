"""The fuzzer's doors of sparse matrices."""

import contextlib

import fuzz_oracle as oracle
import numpy as np
import scipy.sparse
from fuzz_objects import LABELS, N, X, Y, fitted, weights_of
from fuzz_oracle import (
    agree,
    attempt,
    is_there,
    judge,
    quietly,
    unjudged,
)

import fastnn.sparse


def can_write(format):
    """Whether the package that a format needs, if it needs one, is installed."""
    return format in ("numpy", "c") or is_there(format)


def parts_of(it):
    """The weights of a result or an estimator, and its biases."""
    if hasattr(it, "coefs_"):
        return [*it.coefs_, *it.intercepts_]
    return [*it.network.weights(it.params), *it.network.biases(it.params)]


PARTS = {
    **dict.fromkeys(("csr", "csc", "bsr"), ("data", "indices", "indptr", "_shape")),
    "coo": ("data", "row", "col", "_shape"),
    "dia": ("data", "offsets", "_shape"),
    "lil": ("rows", "data", "_shape"),
    "dok": ("_dict", "_shape"),
}


def sparse(draw):
    """A sparse X, or y, some of whose parts were changed: it gives the outputs of its numbers, or
    is refused."""
    kind = draw.of(["regressor", "classifier"])
    dtype = draw.of([np.float64, np.float32])
    mlp = fitted(kind, dtype)
    # rows in CSR form in one half of the cases, dense ones in the other
    csr = draw.of([True, False])
    fastnn.sparse.FEWEST_COLUMNS = 1 if csr else 64
    fastnn.sparse.MOST_SHARE = 1.0 if csr else 0.0
    form = draw.of(sorted(PARTS))
    rows = np.where(np.abs(X) > draw.of([0.0, 0.5, 9.0]), X, 0).astype(dtype)
    matrix = getattr(scipy.sparse, f"{form}_{draw.of(['matrix', 'array'])}")(rows)
    for _ in range(draw.of([0, 1, 1, 2])):
        spoil(draw, matrix, draw.of(PARTS[form]))
    if quietly(lambda: matrix.dtype in (np.float64, np.float32))[0] is not True:
        return unjudged(lambda: mlp.predict(matrix))  # scipy converts few other dtypes
    found = oracle.dense(matrix)
    if draw.chance(0.3):
        mlp.set_params(warm_start=True, n_threads=1)
        method = draw.of(["fit", "partial_fit", "validation_data"])
        target = Y if kind == "regressor" else LABELS

        def weights(mlp, backend):
            rows = matrix if backend == "numba" else found.astype(dtype)
            if method == "validation_data":
                return weights_of(mlp.fit(X, target, validation_data=(rows, target)))
            return weights_of(getattr(mlp, method)(rows, target))

        return judge(lambda: weights(mlp, "numba"), None) if found is None else agree(weights, mlp)
    due = None if found is None else oracle.outputs_due(mlp, found)
    attempt(lambda: mlp.predict(matrix))
    outputs = mlp.predict if kind == "regressor" else mlp.predict_proba
    return judge(lambda: outputs(matrix), due, 1e-3)


def spoil(draw, matrix, part):
    """Change a part of a sparse matrix, past what scipy's own attributes check."""
    value = getattr(matrix, part)
    if part == "_shape":
        value = draw.of([(N, 4), (N, 3), (N + 1, 4), (N, 40), (10**6, 4), (0, 4), (N, 0), (N,)])
    elif part == "_dict":
        value = {**value, draw.of([(0, 0), (N, 0), (0, 4), (-1, 0), (10**9, 1)]): 1.0}
    elif matrix.format == "lil":
        value = value.copy()
        i = draw.integer(len(value))
        value[i] = draw.of(
            [[0], [4], [-1], [10**9], [0.5], [0, 1, 2], [], [10**30], list(range(10**5))]
        )
    elif draw.chance(0.7) and getattr(value, "size", 0) and value.dtype.kind == "i":
        value = value.copy()
        with contextlib.suppress(ValueError):  # an int8 holds few numbers
            value.flat[draw.integer(value.size)] = draw.of(PLACES)
    else:
        value = draw.like(value)
    with contextlib.suppress(Exception):  # scipy refuses some parts itself
        setattr(matrix, part, value)


PLACES = [-1, 0, 1, 3, 4, 5, 11, 12, 13, 47, 48, 49, 10**6, -(10**6), 2**31 - 1]
"""Numbers for indices of matrices (N, 4)."""

DOORS = [sparse] * 4
