"""Validation rows, which are not trained on: scikit-learn's score of them, and their loss."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from fastnn.estimators.adapter import Adapter, contiguous
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.optimizers import SGD
from fastnn.state import Data, Task
from fastnn.training.monitors import Score, accuracy, r2


class HeldOut:
    """Rows to validate on.

    Parameters
    ----------
    X : (n, n_inputs), dense or sparse
    Y : (n, n_outputs)
        As the loss takes them: zeros and ones for a classifier.
    sample_weight : (n,) or None
    labels : {None, "one", "many", "single"}
        The score: R2 for None; else the accuracy, of rows with one label of three or more ("one"), with yes or no in
        each column ("many"), or where all rows have the same ("single").
    """

    def __init__(self, X: Any, Y: Array, sample_weight: Array | None, labels: str | None) -> None:
        self.X, self.Y, self.sample_weight, self.labels = X, Y, sample_weight, labels
        self._task: Task | None = None

    def outputs(self, backend: Adapter, network: Network, params: Array, threads: int | None) -> Array:
        """Return the network's outputs (n, n_outputs)."""
        return backend.predict(network, params, self.X, threads)

    def loss(self, backend: Adapter, network: Network, params: Array, threads: int | None) -> float:
        """Return the mean loss, without the penalty of alpha."""
        if self._task is None:
            weight = np.ones(len(self.Y)) if self.sample_weight is None else self.sample_weight
            data = Data(*(contiguous(array, params.dtype) for array in (self.X, self.Y, weight)))
            self._task = Task(network, SGD(), data, threads=threads)
        return float(backend.loss(self._task, params))

    def score(self, outputs: Array) -> float:
        """Return the accuracy or R2; NaN for R2 if an output is not finite."""
        if self.labels is None and not np.isfinite(outputs).all():
            return float("nan")
        if self.sample_weight is not None and not self.sample_weight.any():
            raise ValueError("Sample weights must contain at least one non-zero number.")
        return self._score(outputs)

    @functools.cached_property
    def _score(self) -> Score:
        if self.labels == "single":
            return lambda outputs: 1.0
        if self.labels is None:
            return r2(self.Y, self.sample_weight)
        return accuracy(self.Y, self.sample_weight, exclusive=self.labels == "one")
