"""Conversion of models from scikit-learn and results of `train`, and to them."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import sklearn.neural_network
from sklearn.base import is_classifier
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor

from fastnn.checking.arguments import short_errors, shown
from fastnn.estimators.fitted import Fitted, weights_of
from fastnn.estimators.saving import model_of
from fastnn.estimators.validation import attribute, feature_names_of
from fastnn.files.description import without_state
from fastnn.files.export import Model, layers_of
from fastnn.losses import name_of
from fastnn.training.history import History
from fastnn.training.inputs import check_params
from fastnn.training.results import TrainingResult
from fastnn.training.stopping import STOP_REASONS, StopReason

_FITTED = (
    *("n_features_in_", "feature_names_in_", "classes_", "_label_binarizer", "n_layers_", "n_outputs_"),
    *("out_activation_", "loss_", "n_iter_", "t_", "loss_curve_", "best_loss_", "validation_scores_"),
    *("best_validation_score_", "_no_improvement_count", "_random_state"),
)


class Conversion:
    """The methods `from_sklearn`, `to_sklearn` and `to_result`."""

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
            Of the class on which this was called.

        Raises
        ------
        TypeError, ValueError
            For an estimator of another kind, and for weights whose shapes make no network.

        Examples
        --------
        >>> from sklearn import neural_network
        >>> from sklearn.datasets import load_iris
        >>> from fastnn import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> theirs = neural_network.MLPClassifier((8,), solver="lbfgs", max_iter=1000, random_state=0).fit(X, y)
        >>> bool((MLPClassifier.from_sklearn(theirs).predict(X) == theirs.predict(X)).all())
        True
        """
        theirs = TheirClassifier if issubclass(cls, sklearn.base.ClassifierMixin) else TheirRegressor
        if not isinstance(estimator, theirs):
            raise TypeError(
                f"{cls.__name__}.from_sklearn takes a scikit-learn {theirs.__name__}, not {shown(estimator)}"
            )
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

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastnn import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> mlp = MLPClassifier((8,), solver="lbfgs", max_iter=1000, random_state=0).fit(X, y)
        >>> bool((mlp.to_sklearn().predict(X) == mlp.predict(X)).all())
        True
        """
        theirs = TheirClassifier if is_classifier(self) else TheirRegressor
        mine: dict[str, Any] = self.get_params(deep=False)  # type: ignore[attr-defined]
        known = theirs().get_params()
        legal = theirs._parameter_constraints
        for name in ("activation", "solver", "loss"):
            value = mine.get(name)
            names = {option for kind in legal.get(name, ()) for option in getattr(kind, "options", ())}
            if name in known and not (isinstance(value, str) and value in names):
                raise ValueError(f"scikit-learn's {theirs.__name__} has no {name}={shown(value)}")
        return _copy_fitted(self, theirs(**{name: value for name, value in mine.items() if name in known}))

    @short_errors()
    def to_result(self) -> TrainingResult:
        """Make a training result of this fitted estimator: it predicts the network's outputs and can be saved.

        Returns
        -------
        TrainingResult
            With the losses of the fit as its history, but without a state: ``train(..., params=result.params)`` begins
            a new training at its parameters.

        Raises
        ------
        NotFittedError
            For an estimator that is not fitted.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastnn import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> mlp = MLPClassifier((8,), solver="lbfgs", max_iter=1000, random_state=0).fit(X, y)
        >>> result = mlp.to_result()
        >>> result.network.sizes, result.network.output
        ((4, 8, 3), 'softmax')
        """
        model = model_of(self)
        of_fit: dict[str, Any] = vars(self)
        reason = _REASONS.get(attribute(self, "stop_reason_", str, ""), "epochs")
        loss, validation = (
            np.array(attribute(self, f"{name}_curve_", list | None, None) or (), np.float64)
            for name in ("loss", "validation_loss")
        )
        names = feature_names_of(self, model.network.n_inputs)
        result = without_state(model.network, model.params.copy(), of_fit["backend"], reason, feature_names=names)
        return dataclasses.replace(result, history=History(loss, validation, 0.0))


_REASONS: dict[str, StopReason] = {
    **{reason: reason for reason in STOP_REASONS},
    "abnormal": "tolerance",
    "limit": "epochs",
}
"""The stop reason of a result, from that of an estimator."""


def from_result(cls: Any, result: TrainingResult, parameters: dict[str, Any], legal: dict[str, dict[str, str]]) -> Any:
    """Make a fitted estimator like a training result.

    Parameters
    ----------
    cls : MLPClassifier or MLPRegressor
    result : TrainingResult
    parameters : dict
        Of the estimator, other than those that describe the network.
    legal : {output activation: {fastnn's loss: the estimator's}}
    """
    if not isinstance(result, TrainingResult):
        raise TypeError(f"{cls.__name__}.from_result takes a result of train, not {shown(result)}")
    network, params = result.network, check_params(result.network, result.params)
    losses = legal.get(name_of(network.output), {})
    quantile = getattr(network.loss, "quantiles", 0.5)
    is_own = network.loss == network.loss_name or (network.loss_name == "pinball" and isinstance(quantile, float))
    if network.loss_name not in losses or not is_own:
        known = ", ".join(f"{output} with {' or '.join(losses)}" for output, losses in legal.items())
        raise ValueError(
            f"{cls.__name__} has no output {network.output!r} with the loss {network.loss!r}; it has {known}"
        )
    of_network = ("hidden_layer_sizes", "activation", "loss")
    if given := [name for name in of_network if name in parameters]:
        raise TypeError(f"{', '.join(given)} cannot be given: the result's network has its own")
    names = tuple("logistic" if name == "sigmoid" else name for name in network.activations[:-1])
    activation = names if len(set(names)) > 1 else names[0] if names else "relu"
    new = cls(
        hidden_layer_sizes=network.sizes[1:-1],
        activation=activation,
        loss=losses[network.loss_name],
        **{"backend": result.backend} | ({"quantile": quantile} if network.loss_name == "pinball" else {}) | parameters,
    )
    layers = layers_of(Model(network, params))
    biases = [np.zeros(W.shape[1], W.dtype) if b is None else b for W, b, _ in layers]
    new._put(weights_of([W for W, _, _ in layers], biases))
    new.n_features_in_, new.n_outputs_, new.n_layers_ = network.n_inputs, network.n_outputs, len(network.sizes)
    if result.feature_names is not None:
        new.feature_names_in_ = np.array(result.feature_names, object)
    new.out_activation_ = "logistic" if network.output == "sigmoid" else network.output
    history, n_rows = result.history, 0 if result.state.index is None else len(result.state.index)
    new.loss_curve_, new.n_iter_ = history.loss.tolist(), result.n_epochs
    if new.loss_curve_:
        new.loss_, new.best_loss_ = new.loss_curve_[-1], min(new.loss_curve_)
    if len(history.validation_loss):
        new.validation_loss_curve_ = history.validation_loss.tolist()
    new.t_ = result.state.counters.get("epoch", 0) * n_rows
    new.validation_scores_ = new.best_validation_score_ = None
    new.stop_reason_, new._no_improvement_count = result.stop_reason, 0
    return new


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
