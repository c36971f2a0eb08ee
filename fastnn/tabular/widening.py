"""The errors that gaps bring to predictions, beside those of the residuals of `fit`.

Networks and sizes of residuals are taught a pattern of gaps by the rows of `fit` that have it (see
`TablePreparation.gap_patterns_`). The error of a row with other gaps has two parts: that of the row
with as many of its gaps as were taught together, the others estimated; and how far the prediction
is from that row's. The second part is measured on rows of `fit`, the donors: what predictions of
them change by where their numbers and words are taken away.
"""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import numpy as np

from fastnn.memory import Array, Flags
from fastnn.sparse import SparseRows
from fastnn.tabular.preparation import Rows, TablePreparation
from fastnn.tabular.ramps import Inputs

N_DONORS = 64
"""Rows of `fit` that gaps are measured on."""

CHUNK = 32
"""Patterns that are measured at once."""


class Errors(NamedTuple):
    """What is expected of the errors of predictions."""

    sizes: Array  # (n, n_outputs): of residuals, where no gaps are but those that `fit` taught
    spread: Array  # (n, n_outputs): the root mean square of what other gaps add

    def times(self, of_sizes: Array, of_spread: float) -> Array:
        """Return the root of the sum of squares of both parts, each times a factor."""
        sizes = of_sizes * self.sizes
        return np.where(self.spread > 0, np.sqrt(sizes**2 + (of_spread * self.spread) ** 2), sizes)


def donors_of(inputs: Inputs, targets: Array) -> Array:
    """Return `N_DONORS` rows of inputs (n, n_inputs), evenly spaced by the first target."""
    order = np.argsort(targets[:, 0], kind="stable")
    n = min(N_DONORS, len(order))
    donors = inputs[order[(2 * np.arange(n) + 1) * len(order) // (2 * n)]]
    return donors.toarray() if isinstance(donors, SparseRows) else donors


def add_gaps(
    errors: Errors,
    preparation: TablePreparation,
    table: Rows,
    donors: Array,
    predict: Callable[[Array], Array],
    sizes_of: Callable[[Array], Array],
) -> None:
    """Add to errors what gaps in the rows of a table bring.

    `predict` and `sizes_of` take inputs (n, n_inputs), and return predictions and expected sizes
    (n, n_outputs).
    """
    gaps = table.pattern()
    if not gaps.any() or not len(donors):
        return
    rows = np.flatnonzero(gaps.any(axis=1))
    patterns, pattern_of = np.unique(gaps[rows], axis=0, return_inverse=True)
    taught = _taught(patterns, preparation.gap_patterns_)
    cells = preparation._cells(table.part(rows))
    widths = preparation._widths
    to_estimate = np.repeat((patterns & ~taught)[pattern_of], widths, axis=1)
    cells = np.where(to_estimate, preparation._completed(cells), cells)
    errors.sizes[rows] = sizes_of(preparation._inputs_of(cells))
    k = len(preparation.means_)
    flags = np.s_[k : k + preparation.has_gaps_.sum()]
    donors = np.delete(donors, flags, axis=1).astype(np.float64)

    def predictions(masks: Flags) -> Array:
        """Return predictions (n_donors, n, n_outputs) of donors, gaps by masks (n, n_columns)."""
        masked = np.where(np.repeat(masks, widths, axis=1), np.nan, donors[:, None])
        made = predict(preparation._inputs_of(masked.reshape(-1, donors.shape[1])))
        return made.reshape(len(donors), len(masks), -1)

    bases, base_of = np.unique(taught, axis=0, return_inverse=True)
    of_bases = predictions(bases)
    spread = np.zeros((len(patterns), errors.spread.shape[1]))
    for first in range(0, len(patterns), CHUNK):
        chunk = slice(first, first + CHUNK)
        changes = predictions(patterns[chunk]) - of_bases[:, base_of[chunk]]
        squares = reduce(np.add, changes**2)  # in one order for any number of patterns
        spread[chunk] = np.sqrt(squares / len(donors))
    errors.spread[rows] = spread[pattern_of]


def _taught(patterns: Flags, of_fit: Flags) -> Flags:
    """Return of each pattern (n, n_columns) the largest part that is one of `fit`, or no gaps."""
    taught = np.zeros(patterns.shape, bool)
    for pattern in of_fit[np.argsort(of_fit.sum(axis=1), kind="stable")]:
        taught[(patterns | ~pattern).all(axis=1)] = pattern
    return taught
