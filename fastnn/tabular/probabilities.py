"""Probabilities of classes, of outputs that label smoothing has drawn together; the rows left out say how much.

Trained on targets of which the part s is spread over K classes, a network puts out about ``(1 - s) p + s / K``. So an
offset is taken off each output, and the rest divided by its sum. It is not s / K itself, for networks do not reach
their targets, but the multiple of it that has the least log loss on rows that members left out. The order of classes
stays.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from fastnn.memory import Array
from fastnn.tabular.members import Rows

MULTIPLES = np.linspace(0, 3, 61)
"""The multiples of s / K that are tried."""

LARGEST_OFFSET = 0.9
"""Times 1 / K: the largest output of a row stays above the offset."""

LEAST, SURPRISES = 1e-3, 10
"""What the K classes have at least, together; of many rows as if so many of them were of another class."""

MOST_ROWS = 10_000
"""Rows that are judged by; of more they are evenly spaced ones."""


class Unsmoothing(NamedTuple):
    """What makes probabilities of outputs."""

    offset: float
    least: float  # what an output less the offset counts at least

    def probabilities(self, outputs: Array) -> Array:
        """Return probabilities (n, K) of outputs (n, K)."""
        rest = np.maximum(outputs - self.offset, self.least)
        return np.asarray(rest / functools.reduce(np.add, rest.T)[:, None])  # a sum in one order on all machines


def learn_unsmoothing(outputs: Array, labels: Rows, weight: Array | None, smoothing: float) -> Unsmoothing:
    """Choose by the outputs (n, K) of rows left out, NaN where there are none, for their labels and weights (n,)."""
    n_classes = outputs.shape[1]
    known = np.flatnonzero(~np.isnan(outputs[:, 0]))
    least = min(LEAST, SURPRISES / max(1, len(known))) / n_classes
    known = known[:: max(1, -(-len(known) // MOST_ROWS))]
    offsets = np.minimum(MULTIPLES * smoothing, LARGEST_OFFSET) / n_classes
    if not len(known):
        return Unsmoothing(min(smoothing, LARGEST_OFFSET) / n_classes, least)
    tried = [Unsmoothing(float(offset), least) for offset in offsets]

    def log_loss(one: Unsmoothing) -> float:
        right = one.probabilities(outputs[known])[np.arange(len(known)), labels[known]]
        return -float(np.average(np.log(right), weights=None if weight is None else weight[known]))

    return min(tried, key=log_loss)
