"""MLPEnsembleClassifier: several MLPClassifiers that predict together."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.metrics import accuracy_score
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets

from fastnn.estimators.base import store_parameters
from fastnn.estimators.classifier import MLPClassifier
from fastnn.estimators.ensembles import BaseEnsemble
from fastnn.estimators.sklearn_callbacks import raveled
from fastnn.estimators.validation import validated
from fastnn.memory import Array


class MLPEnsembleClassifier(ClassifierMixin, BaseEnsemble):
    """Several MLPClassifiers that predict together, fitted on all cores or on the workers of an engine.

    Parameters
    ----------
    estimator : MLPClassifier, default=None
        The member, with all its parameters: early stopping, solver ... Each one is a copy with a seed of its own.
    n_members : int, default=10
        The number of members.
    sampling : {"seeds", "bootstrap", "folds"}, default="seeds"
        The rows of a member: all of them, so that members differ by their seeds only; as many, drawn with replacement;
        all but one of `n_members` folds, stratified by the labels.
    voting : {"soft", "hard"}, default="soft"
        Whether probabilities are means of those of the members, or parts of the members' votes.
    oob_score : bool, default=False
        Whether to score each row by the members that have not seen it.
    n_jobs : int, default=None
        Members that are fitted at once. None or -1: all cores that the process may use, or all workers of the engine
        that ``joblib.parallel_config`` names: loky, Dask, Ray.
    random_state : int, RandomState or None, default=None
        Draws the members' seeds, and then their rows.

    Attributes
    ----------
    estimators_ : list of MLPClassifier
        The fitted members.
    rows_ : list of ndarray of shape (n_rows,)
        The rows that each member was fitted on.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    oob_score_ : float
        Accuracy on the rows that some member has not seen.
    oob_decision_function_ : ndarray of shape (n_samples, n_classes)
        Their probabilities; NaN for rows that all members have seen.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where X had any.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastnn import MLPClassifier, MLPEnsembleClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> member = MLPClassifier((16,), max_iter=2000)
    >>> ensemble = MLPEnsembleClassifier(member, 5, sampling="folds", oob_score=True, random_state=0).fit(X, y)
    >>> ensemble.oob_score_ > 0.9
    True
    """

    _kind = MLPClassifier
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseEnsemble._parameter_constraints,
        "voting": [StrOptions({"soft", "hard"})],
    }

    def __init__(
        self,
        estimator: MLPClassifier | None = None,
        n_members: int = 10,
        *,
        sampling: str = "seeds",
        voting: str = "soft",
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
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Not negative.

        Returns
        -------
        self : object
            The fitted estimator.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastnn import MLPClassifier, MLPEnsembleClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> ensemble = MLPEnsembleClassifier(MLPClassifier((8,), solver="lbfgs"), 3, random_state=0).fit(X, y)
        >>> len(ensemble.estimators_)
        3
        """
        X, y = validated(self, X, y, dtype=(np.float64, np.float32))
        check_classification_targets(y)
        self.classes_, numbers = np.unique(raveled(y), return_inverse=True)
        return self._fit(X, np.asarray(y), sample_weight, numbers)

    def predict_proba(self, X: Any) -> Array:
        """Predict the classes' probabilities: the mean of the members', or parts of their votes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastnn import MLPClassifier, MLPEnsembleClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> ensemble = MLPEnsembleClassifier(MLPClassifier((8,), solver="lbfgs"), 3, random_state=0).fit(X, y)
        >>> ensemble.predict_proba(X).shape
        (150, 3)
        """
        X = self._checked(X)
        total = np.zeros((X.shape[0], len(self.classes_)))
        for member in self.estimators_:
            total += self._share(member, X)
        return total / len(self.estimators_)

    def _share(self, member: MLPClassifier, X: Any) -> Array:
        """Return a member's probabilities or vote (n, n_classes); it may not have seen each class."""
        share = np.zeros((X.shape[0], len(self.classes_)))
        if len(member.classes_) == 1:
            share[:, np.searchsorted(self.classes_, member.classes_)] = 1
        elif self.voting == "soft":
            share[:, np.searchsorted(self.classes_, member.classes_)] = member.predict_proba(X)
        else:
            share[np.arange(len(share)), np.searchsorted(self.classes_, member.predict(X))] = 1
        return share

    def predict(self, X: Any) -> Any:
        """Predict labels: those with the greatest `predict_proba`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            The predicted labels.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastnn import MLPClassifier, MLPEnsembleClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> ensemble = MLPEnsembleClassifier(MLPClassifier((8,), solver="lbfgs"), 3, random_state=0).fit(X, y)
        >>> ensemble.predict(X[:2])
        array([0, 0])
        """
        p = self.predict_proba(X)
        return self.classes_[p.argmax(axis=1)]

    def _score_oob(self, X: Any, y: Array) -> None:
        p, count = np.zeros((X.shape[0], len(self.classes_))), np.zeros(X.shape[0])
        for member, rows in self._out_of_bag(X):
            if len(rows):
                p[rows] += self._share(member, X[rows])
                count[rows] += 1
        with np.errstate(invalid="ignore"):
            self.oob_decision_function_ = p / count[:, None]
        seen = count > 0
        self.oob_score_ = accuracy_score(y[seen], self.classes_[p[seen].argmax(axis=1)]) if seen.any() else np.nan
