"""MLPEnsembleRegressor: several MLPRegressors that predict together."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score

from fastnn.estimators.base import store_parameters
from fastnn.estimators.ensembles import BaseEnsemble
from fastnn.estimators.regressor import MLPRegressor
from fastnn.estimators.sklearn_callbacks import raveled
from fastnn.estimators.validation import validated
from fastnn.many.results import mean_and_deviation
from fastnn.memory import Array


class MLPEnsembleRegressor(RegressorMixin, BaseEnsemble):
    """Several MLPRegressors that predict together, fitted on all cores or on the workers of an engine.

    Parameters
    ----------
    estimator : MLPRegressor, default=None
        The member, with all its parameters: early stopping, solver ... Each one is a copy with a seed of its own.
    n_members : int, default=10
        The number of members.
    sampling : {"seeds", "bootstrap", "folds"}, default="seeds"
        The rows of a member: all of them, so that members differ by their seeds only; as many, drawn with replacement;
        all but one of `n_members` folds.
    oob_score : bool, default=False
        Whether to score each row by the members that have not seen it.
    n_jobs : int, default=None
        Members that are fitted at once. None or -1: all cores that the process may use, or all workers of the engine
        that ``joblib.parallel_config`` names: loky, Dask, Ray.
    random_state : int, RandomState or None, default=None
        Draws the members' seeds, and then their rows.

    Attributes
    ----------
    estimators_ : list of MLPRegressor
        The fitted members.
    rows_ : list of ndarray of shape (n_rows,)
        The rows that each member was fitted on.
    oob_score_ : float
        R^2 on the rows that some member has not seen.
    oob_prediction_ : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Their predictions; NaN for rows that all members have seen.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where X had any.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from fastnn import MLPEnsembleRegressor, MLPRegressor
    >>> X, y = make_regression(n_samples=200, n_features=5, random_state=0)
    >>> y /= y.std()
    >>> member = MLPRegressor(hidden_layer_sizes=(16,), learning_rate_init=0.01, early_stopping=True, max_iter=1000)
    >>> ensemble = MLPEnsembleRegressor(member, 5, random_state=0).fit(X, y)
    >>> mean, deviation = ensemble.predict(X, return_std=True)
    >>> mean.shape, deviation.shape
    ((200,), (200,))
    """

    _kind = MLPRegressor

    def __init__(
        self,
        estimator: MLPRegressor | None = None,
        n_members: int = 10,
        *,
        sampling: str = "seeds",
        oob_score: bool = False,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        store_parameters(self, locals())

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit the members to X and y.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Not negative.

        Returns
        -------
        self : object
            The fitted estimator.

        Examples
        --------
        >>> from sklearn.datasets import make_regression
        >>> from fastnn import MLPEnsembleRegressor, MLPRegressor
        >>> X, y = make_regression(n_samples=200, n_features=5, random_state=0)
        >>> y /= y.std()
        >>> member = MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs")
        >>> ensemble = MLPEnsembleRegressor(member, 3, random_state=0).fit(X, y)
        >>> len(ensemble.estimators_)
        3
        """
        dtypes = np.float64, np.float32
        X, y = validated(self, X, y, multi_output=True, y_numeric=True, dtype=dtypes)
        return self._fit(X, raveled(np.asarray(y)), sample_weight, None)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict the mean of the members' predictions.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input data.
        return_std : bool, default=False
            Whether to return the standard deviation over the members too.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predicted numbers.
        deviation : the same
            With `return_std`.

        Examples
        --------
        >>> from sklearn.datasets import make_regression
        >>> from fastnn import MLPEnsembleRegressor, MLPRegressor
        >>> X, y = make_regression(n_samples=200, n_features=5, random_state=0)
        >>> y /= y.std()
        >>> member = MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs")
        >>> ensemble = MLPEnsembleRegressor(member, 3, random_state=0).fit(X, y)
        >>> mean, deviation = ensemble.predict(X, return_std=True)
        >>> mean.shape, deviation.shape
        ((200,), (200,))
        """
        X = self._checked(X)
        mean, deviation = mean_and_deviation(member.predict(X) for member in self.estimators_)
        return (mean, deviation) if return_std else mean

    def _score_oob(self, X: Any, y: Array) -> None:
        total, count = np.zeros(y.shape), np.zeros((len(y), *[1] * (y.ndim - 1)))
        for member, rows in self._out_of_bag(X):
            if len(rows):
                total[rows] += member.predict(X[rows])
                count[rows] += 1
        with np.errstate(invalid="ignore"):
            self.oob_prediction_ = total / count
        seen = count.reshape(len(y)) > 0
        self.oob_score_ = r2_score(y[seen], self.oob_prediction_[seen]) if seen.sum() > 1 else np.nan
