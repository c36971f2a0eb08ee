"""Estimates of the gaps in rows: means of a normal distribution, given the cells that are known.

For jointly normal columns with the precision matrix P, the mean of column j at the others' values x
is ``-sum_{i != j} P_ji x_i / P_jj`` (Rue and Held, Gaussian Markov random fields, 2005, section
2.1). The matrix of these coefficients is made once. Applied again and again to the rows that have
several gaps it leads to their mean given the values that are known (Jacobi's iteration); steps of
different lengths lead there sooner (Richardson's iteration with Chebyshev's steps: Golub and Varga,
Numerische Mathematik 1961). A last step of length 1 makes the estimate of a gap that is alone in
its row exact.

A normal distribution is completed linearly: a complete row, plus the estimate of what a row with
gaps is away from it, is a draw of what the gaps may hold (Matheron's rule: Doucet, A note on
efficient conditional simulation, 2010).

Sums are taken column by column, in one order on all machines: no product of matrices by a BLAS,
nothing of LAPACK.
"""

from typing import NamedTuple, Self

import numpy as np

from fastnn.memory import Floats, Integers

MOST_SOURCES = 100
"""Columns that estimates are made from: of more, those that leave least variance unexplained."""

MOST_CELLS = 200_000
"""The matrix is made of evenly spaced rows, as many as have so many cells, within the next two
bounds."""
FEWEST_ROWS = 150
"""Rows that the matrix is made of at least."""
MOST_ROWS = 10_000
"""Rows that the matrix is made of at most."""

RIDGE = 0.01
"""Added to each column's variance, as a part of the mean variance, besides columns / rows."""

ROWS_TO_CHOOSE_BY = 100
"""Rows that the columns to estimate from are chosen by."""

TINY = 1e-12
"""Added to variances, which may be 0."""

ROUNDS = 3
"""How often gaps of `fit` are filled with draws from the last matrix, to make the next one."""

N_DOUBLINGS = 3
"""There are 2**N_DOUBLINGS steps before the last one."""

MOST_STEPS = 2**N_DOUBLINGS + 1

RANGE = 20.0
"""Steps are made for eigenvalues from the largest one / RANGE to the largest one."""

N_ROUNDS_OF_JACOBI = 3
"""The steps of fastnn 0.3, each of length 1."""

CHUNK = 512
"""Rows that are estimated at once, whose numbers a processor's cache holds."""


class Imputation(NamedTuple):
    """The linear map from what is known of a row to estimates of what is not."""

    means: Floats  # (k,): of the columns
    sources: Integers  # (s,): the columns that estimates are made from
    matrix: Floats  # (s, k): their coefficients, those of a column for itself are 0
    steps: Floats  # (t,): parts of the way to go in each iteration

    @classmethod
    def of_jacobi(cls, means: Floats, matrix: Floats) -> Self:
        """Return the imputation of fastnn 0.3, of numbers alone: three steps of length 1."""
        return cls(means, np.arange(len(means)), matrix, np.ones(N_ROUNDS_OF_JACOBI))

    @property
    def is_jacobi(self) -> bool:
        """Whether it is that of fastnn 0.3, without words, of columns with gaps in `fit`."""
        return len(self.steps) == N_ROUNDS_OF_JACOBI

    def part(self, columns: Integers) -> "Imputation":
        """Return the imputation of some columns, in ascending order, which has the same bits: the
        sources are among them.
        """
        sources = np.searchsorted(columns, self.sources)
        return Imputation(self.means[columns], sources, self.matrix[:, columns], self.steps)

    def fill(self, Z: Floats) -> Floats:
        """Return rows (n, k), less the means, with estimates in place of NaN."""
        gaps = np.isnan(Z)
        filled = np.where(gaps, 0.0, Z)
        rows = np.flatnonzero(gaps.any(axis=1))
        columns = np.flatnonzero(gaps.any(axis=0))
        matrix = self.matrix[:, columns]
        steps = self.steps if len(columns) > 1 else self.steps[-1:]
        for first in range(0, len(rows), CHUNK):
            chunk = rows[first : first + CHUNK]
            values = np.ascontiguousarray(filled[chunk].T)
            missing = gaps[np.ix_(chunk, columns)].T
            product = np.empty(missing.shape)
            for step in steps:
                means = np.zeros(missing.shape)
                for source, coefficients in zip(self.sources, matrix, strict=True):
                    means += np.multiply(coefficients[:, None], values[source], out=product)
                last = values[columns]
                values[columns] = np.where(missing, step * means + (1 - step) * last, last)
            filled[chunk] = values.T
        return filled


def rows_to_learn_from(n_rows: int, n_columns: int) -> slice:
    """Return the rows that the imputation is learned from: they have about `MOST_CELLS` cells."""
    most = min(MOST_ROWS, max(FEWEST_ROWS, MOST_CELLS // max(1, n_columns)))
    return slice(None, None, -(-n_rows // most))


def learn_imputation(Z: Floats, means: Floats) -> Imputation:
    """Learn the imputation of columns (n, k), NaN for gaps, that have these means."""
    Z = np.ascontiguousarray(Z - means)
    gaps = np.isnan(Z)
    filled = np.where(gaps, 0.0, Z)
    sources = _telling_columns(filled)
    imputation = _imputation_of(filled, means, sources)
    for _ in range(ROUNDS if gaps.any() else 0):
        others = np.roll(filled, len(Z) // 2, axis=0)
        # Draws of the gaps, not their means, so that variances do not shrink
        filled = others + imputation.fill(Z - others)
        imputation = _imputation_of(filled, means, sources)
    return imputation


def _telling_columns(Z: Floats) -> Integers:
    """Return up to `MOST_SOURCES` of the columns (n, k): all, or those of a pivoted Cholesky.

    Each is the one of which those before it leave the most variance unexplained (Harbrecht, Peters
    and Schneider, Applied Numerical Mathematics 2012).
    """
    k = Z.shape[1]
    if k <= MOST_SOURCES:
        return np.arange(k)
    columns = np.ascontiguousarray(Z[:ROWS_TO_CHOOSE_BY].T)
    unexplained = (columns**2).sum(axis=1)
    chosen = np.zeros(MOST_SOURCES, np.int64)
    factors = np.zeros((MOST_SOURCES, k))
    for i in range(MOST_SOURCES):
        j = chosen[i] = unexplained.argmax()
        explained = (factors[:i, j, None] * factors[:i]).sum(axis=0)
        factors[i] = ((columns[j] * columns).sum(axis=1) - explained) / np.sqrt(
            unexplained[j] + TINY
        )
        unexplained -= factors[i] ** 2
        unexplained[chosen[: i + 1]] = -1.0
    return np.sort(chosen)


def _covariances(Z: Floats, sources: Integers) -> Floats:
    """Return the covariances (s, k) of sources and all columns (n, k), less their means."""
    columns = np.ascontiguousarray(Z.T)
    products = np.empty(columns.shape)
    sums = np.zeros((len(sources), len(columns)))
    is_square = len(sources) == len(columns)
    for i, j in enumerate(sources):
        first = i if is_square else 0
        sums[i, first:] = np.multiply(columns[j], columns[first:], out=products[first:]).sum(axis=1)
    if is_square:
        sums += np.triu(sums, 1).T
    return sums / len(Z)


def _imputation_of(Z: Floats, means: Floats, sources: Integers) -> Imputation:
    """Return the imputation of complete columns (n, k), less their means, by some of them."""
    n = len(sources)
    covariances = _covariances(Z, sources)
    if not n:
        return Imputation(means, sources, covariances, np.ones(1))
    of_sources = covariances[:, sources]
    ridge = (RIDGE + n / len(Z)) * (np.diag(of_sources).sum() / n) + TINY
    precision = _inverse(of_sources + np.diag(np.full(n, ridge)))
    diagonal = np.diag(precision)
    matrix = _product(precision, covariances)
    matrix[:, sources] = -precision / diagonal
    matrix[np.arange(n), sources] = 0.0
    return Imputation(
        means, sources, matrix, _steps(precision / np.sqrt(diagonal[:, None] * diagonal))
    )


def _steps(A: Floats) -> Floats:
    """Return Richardson's steps for a positive definite matrix (s, s) of diagonal 1, and a 1."""
    power = A
    for _ in range(4):
        power = _product(power, power)
    largest = np.diag(power).sum()  # the sum of the eigenvalues' 16th powers
    for _ in range(4):
        largest = np.sqrt(largest)
    nodes = np.zeros(1)  # of Chebyshev's polynomials, in an order that does not let rounding grow
    for _ in range(N_DOUBLINGS):
        half = np.sqrt((1 + nodes) / 2)
        nodes = np.column_stack([half, -half]).ravel()
    return np.append(2 / largest / (1 + 1 / RANGE + (1 - 1 / RANGE) * nodes), 1.0)


def _product(A: Floats, B: Floats) -> Floats:
    """Return the product of a symmetric matrix (s, s) and one of (s, k)."""
    total = np.zeros(B.shape)
    part = np.empty(B.shape)
    for column, row in zip(A, B, strict=True):
        total += np.multiply(column[:, None], row, out=part)
    return total


def _inverse(A: Floats) -> Floats:
    """Return the inverse of a positive definite matrix (s, s), by Gauss and Jordan."""
    A = A.copy()
    for i in range(len(A)):
        pivot = A[i, i]
        column = A[:, i].copy()
        column[i] = 0.0
        A[:, i] = np.arange(len(A)) == i
        A[i] /= pivot
        A -= column[:, None] * A[i]
    return A
