"""Conversion of models from scikit-learn and to it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import sklearn.neural_network
from sklearn.base import is_classifier
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor

from fastnn.estimators.fitted import Fitted, weights_of

_FITTED = (
    *("n_features_in_", "feature_names_in_", "classes_", "_label_binarizer", "n_layers_", "n_outputs_"),
    *("out_activation_", "loss_", "n_iter_", "t_", "loss_curve_", "best_loss_", "validation_scores_"),
    *("best_validation_score_", "_no_improvement_count", "_random_state"),
)


class Conversion:
    """The methods `from_sklearn` and `to_sklearn`."""

    @classmethod
    def from_sklearn(cls, estimator: Any, **parameters: Any) -> Any:
        """Make an estimator like scikit-learn's, fitted if that is.

        Parameters
        ----------
        estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
            Copied. Its optimizer's moments are not taken over: `partial_fit` begins with new ones.
        **parameters
            Parameters to change, such as ``backend="numpy"``.

        Returns
        -------
        fastnn.MLPClassifier or fastnn.MLPRegressor

        Raises
        ------
        TypeError, ValueError
            For an estimator of another kind, and for weights whose shapes make no network.
        """
        theirs = TheirClassifier if issubclass(cls, sklearn.base.ClassifierMixin) else TheirRegressor
        if not isinstance(estimator, theirs):
            raise TypeError(f"{cls.__name__}.from_sklearn takes a scikit-learn {theirs.__name__}, not {estimator!r}")
        new = cls(**{**estimator.get_params(deep=False), **parameters})
        return _copy_fitted(estimator, new)

    def to_sklearn(self) -> Any:
        """Make a scikit-learn estimator like this one, fitted if this one is.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor
            Without the parameters that scikit-learn does not have, and without the optimizer's moments.

        Raises
        ------
        ValueError
            Where scikit-learn has no such network, so that it would predict something else.
        """
        theirs = TheirClassifier if is_classifier(self) else TheirRegressor
        mine: dict[str, Any] = self.get_params(deep=False)  # type: ignore[attr-defined]
        known = theirs().get_params()
        legal = theirs._parameter_constraints
        for name in ("activation", "solver", "loss"):
            value = mine.get(name)
            if name in known and not any(getattr(c, "options", ()) and value in c.options for c in legal[name]):
                raise ValueError(f"scikit-learn's {theirs.__name__} has no {name}={value!r}")
        return _copy_fitted(self, theirs(**{name: value for name, value in mine.items() if name in known}))


def _copy_fitted(old: Any, new: Any) -> Any:
    for name in _FITTED:
        if hasattr(old, name):
            setattr(new, name, copy.deepcopy(getattr(old, name)))
    if hasattr(old, "coefs_"):
        weights = weights_of(old.coefs_, old.intercepts_)
        if isinstance(new, Fitted):
            new._put(weights)
        else:
            new.coefs_, new.intercepts_ = list(map(np.array, weights.coefs)), list(map(np.array, weights.intercepts))
    return new
