"""TabularRegressor: numbers for the rows of a table as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import _check_y

from fastnn.estimators.base import store_parameters
from fastnn.estimators.validation import refuse_text
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.tabular.base import BaseTabular
from fastnn.tabular.columns import LARGEST
from fastnn.tabular.documentation import documented


@documented
class TabularRegressor(RegressorMixin, BaseTabular):
    """A regressor of the rows of tables as they are: an ensemble of networks that learns well by itself.

    It prepares the columns (see `TablePreparation`) and scales the targets, trains the members by one call of
    `train_many`, each on the rows but for a part by which its best epoch is chosen, and predicts the mean of their
    outputs, within the range of the targets.

    Parameters
    ----------
    %(parameters)s
    %(more_parameters)s
    %(last_parameters)s

    Attributes
    ----------
    %(attributes)s
    oob_prediction_ : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        The mean predictions of each row by the members that left it out; NaN where all trained on it.
    oob_score_ : float
        Their R^2, on the rows where there are any.
    %(last_attributes)s

    See Also
    --------
    TabularClassifier : The same for classes; its notes are of both.
    MLPRegressor : One network, with scikit-learn's parameters and numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import TabularRegressor
    >>> X = [[size, color] for size in np.linspace(0, 1, 50) for color in ("red", "blue")]
    >>> y = [size if color == "red" else 1 - size for size, color in X]
    >>> model = TabularRegressor("fast", random_state=0).fit(X, y)
    >>> model.predict([[0.5, "red"], [1.0, "blue"]]).round(1)
    array([0.5, 0. ])
    """

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

    def predict(self, X: Any) -> Array:
        """Predict numbers.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            Columns as those of `fit`: of a frame by their names, in any order; others are passed over, with a warning.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The members' mean predictions.

        Examples
        --------
        >>> from fastnn import TabularRegressor
        >>> model = TabularRegressor("fast", random_state=0).fit([["red"], ["blue"]] * 20, [1.0, 0.0] * 20)
        >>> model.predict([["blue"], ["red"]]).round(1)
        array([0., 1.])
        """
        return self._decoded(self._outputs(X))

    def _learn_targets(self, y: Any) -> Array:
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        y = _numbers_of(self, y)
        self._one_target = y.ndim == 1
        y = y.reshape(len(y), -1)
        deviation = y.std(axis=0)
        self._scaling = np.array([y.mean(axis=0), np.where(deviation, deviation, 1.0), y.min(axis=0), y.max(axis=0)])
        return self._targets(y)

    def _targets(self, y: Any) -> Array:
        y = _numbers_of(self, y)
        mean, deviation, *_ = self._scaling
        return ((y.reshape(len(y), -1) - mean) / deviation).astype(np.float32)

    def _decoded(self, outputs: Array) -> Array:
        mean, deviation, low, high = self._scaling
        y = np.clip(outputs * deviation + mean, low, high)
        return y[:, 0] if self._one_target else y

    def _network(self, n_inputs: int, hidden: tuple[int, ...], n_outputs: int) -> Network:
        return Network((n_inputs, *hidden, n_outputs), "gelu")

    def _score(self, targets: Array, outputs: Array) -> float:
        return float(r2_score(targets, outputs))

    def _set_out_of_bag(self, outputs: Array) -> None:
        super()._set_out_of_bag(outputs)
        self.oob_prediction_ = self._decoded(outputs)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _numbers_of(estimator: Any, y: Any) -> Array:
    refuse_text(y)
    y = np.asarray(_check_y(y, multi_output=True, y_numeric=True, estimator=estimator), np.float64)
    if (abs(y) > LARGEST).any():
        raise ValueError(f"y holds {abs(y).max():g}: targets must be below {LARGEST:g}")
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
