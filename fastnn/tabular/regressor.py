"""TabularRegressor: numbers for the rows of a table as it is."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils.validation import _check_y

from fastnn.estimators.base import store_parameters
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.tabular.base import BaseTabular, Validation


class TabularRegressor(RegressorMixin, BaseTabular):
    def __init__(
        self,
        preset: str = "good",
        *,
        hidden_layer_sizes: Any = None,
        n_members: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        validation_fraction: float | None = None,
        cv: Any = None,
        max_categories: int = 200,
        max_time: float | None = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        store_parameters(self, locals())

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        groups: Any = None,
    ) -> Self:
        return self._fit(X, y, sample_weight, Validation(X_val, y_val, sample_weight_val), groups)

    def predict(self, X: Any) -> Array:
        return self._decoded(self._outputs(X))

    def _learn_targets(self, y: Any) -> Array:
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        y = _numbers_of(self, y)
        self._one_target = y.ndim == 1
        y = y.reshape(len(y), -1)
        self._mean, self._deviation = y.mean(axis=0), y.std(axis=0)
        self._deviation[self._deviation == 0] = 1.0
        self._low, self._high = y.min(axis=0), y.max(axis=0)
        return self._targets(y)

    def _targets(self, y: Any) -> Array:
        y = _numbers_of(self, y)
        return ((y.reshape(len(y), -1) - self._mean) / self._deviation).astype(np.float32)

    def _decoded(self, outputs: Array) -> Array:
        y = np.clip(outputs * self._deviation + self._mean, self._low, self._high)
        return y[:, 0] if self._one_target else y

    def _network(self, n_inputs: int, hidden: tuple[int, ...], n_outputs: int) -> Network:
        return Network((n_inputs, *hidden, n_outputs), "gelu")

    def _set_out_of_bag(self, outputs: Array, targets: Array) -> None:
        self.oob_prediction_ = self._decoded(outputs)
        known = ~np.isnan(outputs[:, 0])
        self.oob_score_ = float(r2_score(targets[known], outputs[known])) if known.sum() > 1 else np.nan

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _numbers_of(estimator: Any, y: Any) -> Array:
    y = _check_y(y, multi_output=True, y_numeric=True, estimator=estimator)
    return np.asarray(y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y, np.float64)
