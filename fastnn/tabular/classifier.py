"""TabularClassifier: classes of the rows of a table as it is."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelEncoder
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from fastnn.estimators.base import store_parameters
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.tabular.base import BaseTabular, Validation
from fastnn.tabular.members import Rows

LABEL_SMOOTHING = 0.1


class TabularClassifier(ClassifierMixin, BaseTabular):
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseTabular._parameter_constraints,
        "label_smoothing": [Interval(Real, 0, 1, closed="left"), None],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        preset: str = "good",
        *,
        hidden_layer_sizes: Any = None,
        n_members: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        label_smoothing: float | None = None,
        validation_fraction: float | None = None,
        cv: Any = None,
        class_weight: Any = None,
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
        p = self._outputs(X)
        return self.classes_[p.argmax(axis=1)]

    def predict_proba(self, X: Any) -> Array:
        return self._outputs(X)

    def _learn_targets(self, y: Any) -> Array:
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        y = _labels_of(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(f"y has only one class, {self.classes_[0]!r}: there is nothing to tell apart")
        return self._targets(y)

    def _targets(self, y: Any) -> Array:
        smoothing = LABEL_SMOOTHING if self.label_smoothing is None else self.label_smoothing
        encoder = LabelEncoder()
        encoder.classes_ = self.classes_
        targets = np.full((len(y), len(self.classes_)), smoothing / len(self.classes_), np.float32)
        targets[np.arange(len(y)), encoder.transform(_labels_of(y))] += np.float32(1 - smoothing)
        return targets

    def _network(self, n_inputs: int, hidden: tuple[int, ...], n_outputs: int) -> Network:
        return Network((n_inputs, *hidden, n_outputs), "gelu", output="softmax")

    def _labels(self, targets: Array) -> Rows:
        return targets.argmax(axis=1)

    def _weight(self, X: Any, y: Any, sample_weight: Any) -> Array | None:
        weight = super()._weight(X, y, sample_weight)
        if self.class_weight is None:
            return weight
        of_class = compute_sample_weight(self.class_weight, y)
        return of_class if weight is None else of_class * weight

    def _set_out_of_bag(self, outputs: Array, targets: Array) -> None:
        self.oob_decision_function_ = outputs
        known = ~np.isnan(outputs[:, 0])
        right = outputs.argmax(axis=1) == self._labels(targets)
        self.oob_score_ = float(right[known].mean()) if known.any() else np.nan


def _labels_of(y: Any) -> Array:
    shape = getattr(y, "shape", ()) or np.shape(y)
    if len(shape) == 2 and shape[1] > 1:
        raise ValueError(
            f"y has {shape[1]} columns where a row has one class: fit a TabularClassifier for each column, by "
            "sklearn.multioutput.MultiOutputClassifier"
        )
    y = column_or_1d(y, warn=True)
    if y.dtype.kind == "O" or y.dtype.kind == "f":
        gaps = np.array([v is None or v != v for v in y.tolist()], bool)
        if gaps.any():
            raise ValueError(f"y is missing (NaN) in {gaps.sum()} rows, such as row {gaps.argmax()}: leave them out")
    check_classification_targets(y)
    return y
