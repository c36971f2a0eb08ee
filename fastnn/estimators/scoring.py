"""Validation rows, which are not trained on: their score, by which early stopping goes, and their
loss.
"""

import math
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils._param_validation import InvalidParameterError

from fastnn.cached import cached_property
from fastnn.checking.arguments import did_you_mean, shown
from fastnn.estimators.adapter import Adapter, contiguous
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.optimizers import SGD
from fastnn.state import Data, Task
from fastnn.training.stopping import Score, accuracy, r2

Scoring = str | Callable[..., float]
"""The `scoring` of an estimator, where it is not None."""

LOSS = "loss"
"""The scoring by which the score is the negative of the loss, as in HistGradientBoosting."""


def check_scoring_name(scoring: Any, owner: str) -> None:
    """Raise InvalidParameterError for a text that names no score."""
    if not isinstance(scoring, str) or scoring == LOSS:
        return
    from sklearn.metrics import get_scorer_names

    names = get_scorer_names()
    if scoring not in names:
        raise InvalidParameterError(
            f"The 'scoring' parameter of {owner} must be None, 'loss', a scorer's name, of those "
            "in sklearn.metrics.get_scorer_names(), or a callable (estimator, X, y). Got "
            f"{shown(scoring)} instead.{did_you_mean(scoring, names)}"
        )


class HeldOut:
    """Rows to validate on.

    Parameters
    ----------
    X : (n, n_inputs), dense or sparse
    Y : (n, n_outputs)
        As the loss takes them: zeros and ones for a classifier.
    sample_weight : (n,) or None
    dtype : numpy.dtype
        Of X.
    labels : {None, "one", "many", "single"}
        scikit-learn's score of the estimator: R2 for None; else the accuracy, of rows with one
        label of three or more ("one"), with yes or no in each column ("many"), or where all rows
        have the same ("single").
    backend : Adapter
    network : Network
    threads : int or None

    Attributes
    ----------
    raw : (n, n_inputs), dense or sparse
        X, as scorers of the user take it.
    """

    def __init__(
        self,
        X: Any,
        Y: Array,
        sample_weight: Array | None,
        *,
        dtype: np.dtype[Any],
        labels: str | None,
        backend: Adapter,
        network: Network,
        threads: int | None,
    ) -> None:
        self.raw = X
        self.X = contiguous(X, dtype, backend.backend)
        self.Y = Y
        self.sample_weight = sample_weight
        self.labels = labels
        self.backend = backend
        self.network = network
        self.threads = threads
        self._task: Task | None = None

    def loss(self, params: Array) -> float:
        """Return the mean loss, without the penalty of alpha."""
        if self._task is None:
            data = self.data(params.dtype)
            self._task = Task(self.network, SGD(), data, threads=self.threads)
        return float(self.backend.loss(self._task, params))

    def data(self, dtype: np.dtype[Any]) -> Data:
        """Return the rows as a back end takes them."""
        weight = np.ones(len(self.Y)) if self.sample_weight is None else self.sample_weight
        return Data(*(contiguous(array, dtype) for array in (self.X, self.Y, weight)))

    def score(self, params: Array) -> float:
        """Return scikit-learn's score of the estimator: the accuracy or R2; where outputs are not
        finite, R2 is NaN.
        """
        outputs = self.backend.predict(self.network, params, self.X, self.threads)
        if self.labels is None and not np.isfinite(outputs).all():
            return float("nan")
        return self._score(outputs)

    @cached_property
    def _score(self) -> Score:
        if self.labels == "single":
            return lambda outputs: 1.0
        if self.labels is None:
            return r2(self.Y, self.sample_weight)
        return accuracy(self.Y, self.sample_weight, exclusive=self.labels == "one")

    def check_weights(self) -> None:
        """Raise ValueError, in scikit-learn's words, where all weights are 0."""
        if self.sample_weight is not None and not self.sample_weight.any():
            raise ValueError("Sample weights must contain at least one non-zero number.")


class Scorer:
    """A scorer of scikit-learn's interface, and the rows that it scores.

    Parameters
    ----------
    mlp : BaseMLP
        The estimator that is being fitted, with all its fitted attributes but the weights.
    scoring : str or callable
        The name of a scorer, or a function (estimator, X, y) whose greater values are better.
    rows : HeldOut
    """

    def __init__(self, mlp: Any, scoring: Scoring, rows: HeldOut) -> None:
        from sklearn.metrics import check_scoring

        self.scoring = scoring
        self.rows = rows
        self.mlp = mlp
        self.scorer: Callable[..., Any] = check_scoring(mlp, scoring=scoring)
        self.y = mlp._decode(rows.Y)

    def score(self, params: Array) -> float:
        """Return the score of these parameters (n_params,).

        Raises
        ------
        TypeError, ValueError
            Where the scorer takes no weights, of rows that have some, or returns what is no number.
        """
        weight = self.rows.sample_weight
        estimator = self.mlp._with(self.rows.network, params)
        options = {} if weight is None else {"sample_weight": weight}
        try:
            value = self.scorer(estimator, self.rows.raw, self.y, **options)
        except TypeError as error:
            if weight is None:
                raise
            why = "for the validation rows have weights, those of class_weight included"
            said = f"scoring={shown(self.scoring)} was called with sample_weight=, {why}: {error}"
            raise TypeError(said) from error
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
            raise TypeError(
                f"scoring={shown(self.scoring)} must return a number, not {shown(value)}"
            )
        if math.isnan(value):
            rows = (
                f"the {len(self.rows.Y)} validation rows, as a score does that is not defined "
                f"for them"
            )
            way = "such as of one class: give more rows, or X_val and y_val"
            raise ValueError(f"scoring={shown(self.scoring)} returned NaN for {rows}, {way}")
        return float(value)
