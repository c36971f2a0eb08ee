"""Ramps: piecewise-linear features of numbers, by which networks learn steps.

A ramp is 0 below a bin of a column, 1 above it, and rises linearly within (Gorishniy, Rubachev and
Babenko, On Embeddings for Numerical Features in Tabular Deep Learning, NeurIPS 2022). Half of the
members of an ensemble have ramps beside the matrix: what both kinds get wrong differs.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.memory import Array, Integers
from fastnn.sparse import SparseRows

Matrix = NDArray[np.float32]
"""The inputs of networks (n, n_inputs), or some columns of them."""

Inputs = Matrix | SparseRows
"""The inputs of networks (n, n_inputs): an array, or in CSR form where words have many levels."""

MOST_RAMPS = 64
"""Most ramps of a table: 16 columns have 4 each, more columns none. They make the first layer
wider, and so a step dearer."""

FEWEST_BINS = 4
"""Fewest bins of a column of many values: with fewer there would be hardly a step to learn."""

ROWS_OF_A_BIN = 100
"""Rows for each bin of a column."""

MOST_ROWS = 40_000
"""Most rows of a table that has ramps: with more, they would take more memory than all else."""

ROWS_TO_CHOOSE_BY = 10_000
"""Rows that bins are chosen by, about; of more rows evenly spaced ones."""

CHUNK = 4096
"""Rows whose ramps are made at once."""


class Ramps(NamedTuple):
    """The ramps of a matrix, as columns on its right.

    A number x of a column becomes ``height * (clip((x - low) / width, 0, 1) - 1/2)``.
    """

    columns: Integers  # (n_ramps,): of the matrix
    lows: Array  # (n_ramps,)
    widths: Array
    heights: Array

    def beside(self, matrix: Inputs) -> Inputs:
        """Return a matrix (n, k) with the ramps beside it (n, k + n_ramps)."""
        if not len(self.columns):
            return matrix
        n, k = matrix.shape
        if isinstance(matrix, SparseRows):
            numbers = matrix.toarray(stop=int(self.columns.max()) + 1)
            ramps = np.empty((n, len(self.columns)), np.float32)
            self._write(ramps, numbers)
            return matrix.beside(ramps)
        inputs = np.empty((n, k + len(self.columns)), np.float32)
        inputs[:, :k] = matrix
        self._write(inputs[:, k:], matrix)
        return inputs

    def _write(self, ramps: Matrix, matrix: Matrix) -> None:
        """Write the ramps (n, n_ramps) of a matrix, or of its first columns."""
        for first in range(0, len(matrix), CHUNK):
            chunk = slice(first, first + CHUNK)
            ramps[chunk] = self.heights * (np.clip(self._places(matrix[chunk]), 0, 1) - 0.5)

    def slopes(self, matrix: Matrix) -> Array:
        """Return the derivatives (n, n_ramps) of the ramps by their columns of a matrix (n, k)."""
        places = self._places(matrix)
        return np.where((places > 0) & (places < 1), self.heights / self.widths, 0.0)

    def _places(self, matrix: Matrix) -> Array:
        """Return where the numbers of a matrix are in the bins, from 0 to 1 (n, n_ramps)."""
        return (matrix[:, self.columns].astype(np.float64) - self.lows) / self.widths


def no_ramps() -> Ramps:
    """Return the ramps of a table that has none."""
    return Ramps(np.zeros(0, np.int64), *np.zeros((3, 0)))


def learn_ramps(numbers: Matrix, most_bins: int, height: float) -> Ramps:
    """Choose the bins of numbers (n, k): about equally many rows are in each bin of a column.

    A column of few values has a bin between each two. `height` is the root of the sum of squares of
    a column's heights over that of three ramps of height 1.
    """
    if len(numbers) > MOST_ROWS:
        return no_ramps()
    numbers = numbers[:: max(1, len(numbers) // ROWS_TO_CHOOSE_BY)].astype(np.float64)
    values = {j: np.unique(column) for j, column in enumerate(numbers.T)}
    values = {j: of_column for j, of_column in values.items() if len(of_column) > 2}
    n_bins = min(most_bins, len(numbers) // ROWS_OF_A_BIN, MOST_RAMPS // max(1, len(values)))
    if not values or n_bins < FEWEST_BINS:
        return no_ramps()
    parts = []
    for j, of_column in values.items():
        edges = of_column
        if len(of_column) > n_bins + 1:
            edges = np.unique(np.quantile(numbers[:, j], np.linspace(0, 1, n_bins + 1)))
        n = len(edges) - 1
        heights = np.full(n, height * np.sqrt(3 / n))
        parts.append(Ramps(np.full(n, j), edges[:-1], np.diff(edges), heights))
    return Ramps(*map(np.concatenate, zip(*parts, strict=True)))
