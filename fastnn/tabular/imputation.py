"""Gaps in columns of numbers, filled from the other columns by one matrix.

For jointly normal columns with the precision matrix P, the mean of column j at the others' values x is
``-sum_{i != j} P_ji x_i / P_jj`` (Rue and Held, Gaussian Markov random fields, 2005, section 2.1). The matrix of these
coefficients is made of all rows once. Applied again and again to the rows that have several gaps (Jacobi's iteration)
it leads to their mean given the values that are known.

Sums are taken column by column, in one order on all machines: no product of matrices by a BLAS, nothing of LAPACK.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

MOST_ROWS = 10_000
"""Rows of which the matrix is made; of more rows they are evenly spaced ones."""

RIDGE = 0.01
"""What is added to each column's variance, as a part of the mean variance."""

ROUNDS = 3
"""How often the matrix is made of the rows as the last one fills them, and how often it is applied to gaps."""


def fit_matrix(Z: Matrix) -> Matrix:
    """Return the matrix (k, k) of centered columns (n, k) with NaN for gaps."""
    Z = Z[:: -(-len(Z) // MOST_ROWS)]
    matrix = np.zeros((Z.shape[1], Z.shape[1]))
    for _ in range(ROUNDS):
        filled = fill(Z, matrix)
        covariance = _gram(filled) / len(filled)
        covariance += np.diag(np.full(len(covariance), RIDGE * (np.diag(covariance).sum() / len(covariance)) + 1e-12))
        precision = _inverse(covariance)
        matrix = -precision / np.diag(precision)
        np.fill_diagonal(matrix, 0.0)
    return matrix


def fill(Z: Matrix, matrix: Matrix) -> Matrix:
    """Return centered columns (n, k) with their gaps filled; 0 is a column's mean."""
    gaps = np.isnan(Z)
    filled = np.where(gaps, 0.0, Z)
    rows = np.flatnonzero(gaps.any(axis=1))
    some, places = filled[rows], gaps[rows]
    for _ in range(ROUNDS if matrix.any() else 0):
        means = np.zeros_like(some)
        for i, coefficients in enumerate(matrix):
            means += some[:, i, None] * coefficients
        some = np.where(places, means, some)
    filled[rows] = some
    return filled


def _gram(Z: Matrix) -> Matrix:
    """Return the sums of products (k, k) of the columns."""
    gram = np.empty((Z.shape[1], Z.shape[1]))
    for i in range(len(gram)):
        gram[i] = (Z[:, i, None] * Z).sum(axis=0)
    return gram


def _inverse(A: Matrix) -> Matrix:
    """Return the inverse of a positive definite matrix (k, k), by the method of Gauss and Jordan in place."""
    A = A.copy()
    for i in range(len(A)):
        pivot = A[i, i]
        column = A[:, i].copy()
        column[i] = 0.0
        A[:, i] = 0.0
        A[i, i] = 1.0
        A[i] /= pivot
        A -= column[:, None] * A[i]
    return A
