"""The derivatives of predictions by the columns of a table: by the chain rule, back through ramps,
estimates of gaps and scaling.
"""

import functools

import numpy as np

from fastnn.memory import Array
from fastnn.tabular.preparation import LARGEST_SCALED, LIMIT, Rows, TablePreparation

CHUNK = 256
"""Rows with gaps whose estimates are differentiated at once, by all of their columns."""


def by_columns(preparation: TablePreparation, rows: Rows, inputs: Array, slopes: Array) -> Array:
    """Return the derivatives (n, n_outputs, n_features) by the columns of a table of numbers.

    Parameters
    ----------
    preparation : TablePreparation
        What made the inputs; it has no columns of words.
    rows : Rows
        The rows of the table.
    inputs : ndarray (n, n_inputs)
        Their inputs.
    slopes : ndarray (n, n_outputs, n_inputs)
        The derivatives by these.

    Returns
    -------
    ndarray (n, n_outputs, n_features)
        NaN by a number that is missing, and 0 by a column that `fit` left out.
    """
    places = preparation.number_columns_
    by_scaled = slopes[:, :, : len(places)].copy()
    ramps = preparation.ramps_
    of_ramps = ramps.slopes(inputs)
    by_ramps = slopes[:, :, inputs.shape[1] - len(ramps.columns) :]
    for r, column in enumerate(ramps.columns):
        by_scaled[:, :, column] += by_ramps[:, :, r] * of_ramps[:, None, r]
    of_scaling = scaling_slopes(preparation, rows.numbers)
    by_numbers = by_scaled * of_scaling[:, None]  # NaN by a missing number
    incomplete = np.flatnonzero(rows.gaps.any(axis=1))
    for first in range(0, len(incomplete), CHUNK):
        some = incomplete[first : first + CHUNK]
        moved = _moved_cells(preparation, rows.gaps[some], of_scaling[some])
        products = moved[:, None] * by_scaled[some, :, None]
        by_known = functools.reduce(np.add, products.transpose(3, 0, 1, 2))
        by_numbers[some] = np.where(rows.gaps[some, None], np.nan, by_known)
    jacobian = np.zeros((*slopes.shape[:2], preparation.n_features_in_))
    jacobian[:, :, places] = by_numbers
    return jacobian


def scaling_slopes(preparation: TablePreparation, numbers: Array) -> Array:
    """Return the derivatives (n, n_numbers) of scaled numbers by the numbers, NaN of gaps.

    The derivative of ``s / sqrt(1 + (s / 3)^2)`` is ``(1 + (s / 3)^2)^(-3/2)``.
    """
    with np.errstate(over="ignore"):
        scaled = (numbers - preparation.centers_) * preparation.factors_
    squares = (np.clip(scaled, -LARGEST_SCALED, LARGEST_SCALED) / LIMIT) ** 2
    return preparation.factors_ / ((1 + squares) * np.sqrt(1 + squares))


def _moved_cells(preparation: TablePreparation, gaps: Array, of_scaling: Array) -> Array:
    """Return the derivatives (n, k, k) of the scaled numbers of rows, estimates of gaps among them,
    by each of the k columns.

    Estimates are linear: what fills the gaps of a change is the change of what fills gaps.
    """
    n, k = gaps.shape
    changes = np.where(gaps[:, None], np.nan, np.eye(k) * of_scaling[:, None])
    filled = preparation.imputation_.fill(changes.reshape(n * k, k))
    return np.nan_to_num(filled).reshape(n, k, k)
