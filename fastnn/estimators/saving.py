"""The estimators elsewhere: saved, loaded and exported, and as scikit-learn's estimators and
results of `train`.
"""

import copy
import dataclasses
import functools
import os
from pathlib import Path
from types import NoneType
from typing import Any, NoReturn, Self

import numpy as np
from sklearn.base import ClassifierMixin, is_classifier
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor

from fastnn.backends import get_backend
from fastnn.checking.arguments import counted, describe, described, short_errors, shown
from fastnn.checking.values import Names
from fastnn.errors import ModelFileError
from fastnn.estimators.fitted import Fitted, Weights, weights_of
from fastnn.estimators.labels import binarizer_with
from fastnn.estimators.validation import attribute, feature_names_of, labels_of
from fastnn.files.archive import (
    Arrays,
    Builder,
    Format,
    Header,
    check_arrays,
    json_array,
    plain,
    read_archive,
    value_of,
    write_archive,
)
from fastnn.files.description import (
    checked_network,
    labels_array,
    names_of,
    shared_header,
    without_state,
)
from fastnn.files.description import labels_of as described_labels
from fastnn.files.export import Model, check_not_exported, export, layers_of
from fastnn.files.model import CHECKPOINT, CHECKPOINT_1, ESTIMATOR, MODEL
from fastnn.losses import CustomLoss, name_of
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.schedules import SCHEDULES
from fastnn.training.history import History
from fastnn.training.inputs import check_params
from fastnn.training.results import TrainingResult
from fastnn.training.stopping import STOP_REASONS, StopReason

_NOT_KEPT = ("coefs_init", "intercepts_init", "random_state", "backend")
"""Parameters that are no numbers or texts, or may be none."""

_SCALARS = (
    "out_activation_",
    "loss_",
    "n_iter_",
    "t_",
    "best_loss_",
    "best_validation_score_",
    "stop_reason_",
    "_no_improvement_count",
    "gamma_",
)
"""Fitted attributes of a file's header, numbers, texts or None."""

_CURVES = {
    "loss_curve": "loss_curve_",
    "scores": "validation_scores_",
    "losses": "validation_loss_curve_",
}
"""{array of the file: fitted attribute, a list of numbers or None}."""


MULTILABEL = "multilabel-indicator"


class Saving:
    """The methods `save`, `load`, `export`, `from_sklearn`, `to_sklearn` and `to_result`."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to one .npz file, without pickle; `load` reads it.

        Kept are the weights, the parameters and the fitted attributes: labels, names of features,
        curves and scores. Not kept are the optimizer's moments and the generator (`partial_fit` and
        ``warm_start=True`` go on with new ones), a `random_state` that is a RandomState,
        `coefs_init` and `intercepts_init`, a function as `scoring` (they are None afterwards), one
        of your own as `learning_rate` ("constant" afterwards), a back end of your own but for its
        name, metadata requests and callbacks.

        Parameters
        ----------
        path : str or path
            Taken as it is: no ".npz" is added. An existing file is replaced, when the new one is
            complete.

        Raises
        ------
        NotFittedError
            For an estimator that is not fitted.
        ValueError, TypeError
            For weights that are not finite, for labels or parameters that are not numbers or texts
            or are illegal, and for a suffix of a format of `export`, such as ".onnx".
        OSError
            When the file cannot be written.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastnn import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> mlp = MLPClassifier((8,), solver="lbfgs", max_iter=1000, random_state=0).fit(X, y)
        >>> mlp.save("iris.npz")
        >>> bool((MLPClassifier.load("iris.npz").predict(X) == mlp.predict(X)).all())
        True
        """
        check_not_exported(path, "estimator.export({})")
        model = model_of(self)
        builder = functools.partial(_estimator, type(self))
        write_archive(path, ESTIMATOR, *_content(self, model), builder)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read an estimator that `save` wrote. Nothing in the file is executed.

        Parameters
        ----------
        path : str or path
            The file.

        Returns
        -------
        MLPClassifier or MLPRegressor
            It predicts the same to the bit.

        Raises
        ------
        OSError
            When there is no such file or it cannot be read.
        ModelFileError
            When it is not such a file, holds the other estimator, is damaged, or was written by a
            later version of fastnn. A ValueError too.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastnn import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> MLPClassifier((8,), solver="lbfgs", max_iter=1000, random_state=0).fit(X, y).save(
        ...     "iris.npz"
        ... )
        >>> MLPClassifier.load("iris.npz").classes_
        array([0, 1, 2])
        """
        builders: dict[Format, Builder[Self]] = {ESTIMATOR: functools.partial(_estimator, cls)}
        return read_archive(
            path, builders | dict.fromkeys((CHECKPOINT, CHECKPOINT_1, MODEL), _no_estimator)
        )

    def export(self, path: str | os.PathLike[str], format: str | None = None) -> list[Path]:
        """Write the fitted network for programs without fastnn.

        Parameters
        ----------
        path : str or path
            An existing file is replaced.
        format : str, optional
            One of `fastnn.files.export.FORMATS`; otherwise the path's suffix says which. See
            docs/howto/export.md.

        Returns
        -------
        list of pathlib.Path
            The files that were written, all of them or none.

        Raises
        ------
        NotFittedError
            For an estimator that is not fitted.
        ValueError, TypeError
            For an unknown format, and for what the format cannot hold.
        OSError
            When a file cannot be written.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastnn import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> mlp = MLPClassifier((8,), solver="lbfgs", max_iter=1000, random_state=0).fit(X, y)
        >>> [path.name for path in mlp.export("iris.py")]
        ['iris.py']
        """
        return export(model_of(self), path, format)

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
        >>> theirs = neural_network.MLPClassifier(
        ...     (8,), solver="lbfgs", max_iter=1000, random_state=0
        ... ).fit(X, y)
        >>> bool((MLPClassifier.from_sklearn(theirs).predict(X) == theirs.predict(X)).all())
        True
        """
        theirs = TheirClassifier if issubclass(cls, ClassifierMixin) else TheirRegressor
        if not isinstance(estimator, theirs):
            right = f"a scikit-learn {theirs.__name__}"
            raise TypeError(f"{cls.__name__}.from_sklearn takes {right}, not {shown(estimator)}")
        new = cls(**{**estimator.get_params(deep=False), **parameters})
        return _copy_fitted(estimator, new)

    def to_sklearn(self) -> Any:
        """Make a scikit-learn estimator like this one, fitted if this one is.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor
            Without the parameters that scikit-learn does not have, and without the optimizer's
            moments.

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
            names = {
                option for kind in legal.get(name, ()) for option in getattr(kind, "options", ())
            }
            if name in known and not (isinstance(value, str) and value in names):
                raise ValueError(f"scikit-learn's {theirs.__name__} has no {name}={shown(value)}")
        return _copy_fitted(
            self, theirs(**{name: value for name, value in mine.items() if name in known})
        )

    @short_errors()
    def to_result(self) -> TrainingResult:
        """Make a training result of this fitted estimator: it predicts the network's outputs and
        can be saved.

        Returns
        -------
        TrainingResult
            With the losses of the fit as its history, but without a state: ``train(...,
            params=result.params)`` begins a new training at its parameters.

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
        reason = _REASONS.get(attribute(self, "stop_reason_", str, ""), "epochs")
        loss, validation_loss = (
            np.array(attribute(self, name, list | None, None) or (), np.float64)
            for name in ("loss_curve_", "validation_loss_curve_")
        )
        result = without_state(
            model.network,
            model.params.copy(),
            vars(self)["backend"],
            reason,
            feature_names=feature_names_of(self, model.network.n_inputs),
        )
        return dataclasses.replace(result, history=History(loss, validation_loss, 0.0))


def model_of(mlp: Any) -> Model:
    """Return the network of a fitted estimator, with a classifier's labels."""
    mlp._check_fitted()
    if not isinstance(mlp.backend, str):  # a name may be unknown here
        get_backend(mlp.backend)
    weights = mlp._weights_now()
    if not np.isfinite(weights.params).all():
        raise ValueError("coefs_ and intercepts_ must be finite")
    network = mlp._network(weights.sizes)
    if not is_classifier(mlp):
        return Model(network, weights.params, "numbers")
    kind = mlp._binarizer().y_type_
    classes = labels_of(mlp)
    if not labels_fit(len(classes), kind, network.n_outputs):
        outputs = counted(network.n_outputs, "output")
        raise ValueError(f"classes_ has {counted(len(classes), 'label')}, the network {outputs}")
    if kind == MULTILABEL:
        return Model(network, weights.params, "multilabel")
    return Model(network, weights.params, "labels", classes)


def labels_fit(n: int, kind: Any, n_outputs: int) -> bool:
    """Return whether n labels fit the outputs; `kind` is scikit-learn's name of the kind of
    targets.
    """
    if kind == "binary":
        return n_outputs == 1 and n in (1, 2)
    return kind in ("multiclass", MULTILABEL) and n == n_outputs > 1


# --------------------------------------------------------------------------------------------- save


@short_errors()
def _content(mlp: Any, model: Model) -> tuple[Header, Arrays]:
    """Return header and arrays of an estimator's file."""
    fitted = {
        name: getattr(mlp, name) for name in (*_SCALARS, *_CURVES.values()) if hasattr(mlp, name)
    }
    arrays = {"params": model.params}
    for name, curve in _CURVES.items():
        if fitted.get(curve) is not None:  # else it is an entry of the header
            arrays[name] = np.array(fitted.pop(curve), np.float64)
    names = feature_names_of(mlp, model.network.n_inputs)
    if names is not None:
        arrays["feature_names"] = json_array(names)
    header = {
        **shared_header(model.network, model.params, mlp.backend),
        "kind": "classifier" if is_classifier(mlp) else "regressor",
        "parameters": {name: plain(name, value) for name, value in _kept_parameters(mlp).items()},
        "fitted": {name: plain(name, value) for name, value in fitted.items()},
    }
    if is_classifier(mlp):
        classes = labels_of(mlp)
        labels = mlp._binarizer()
        header["labels"] = {
            "type": labels.y_type_,
            "sparse": bool(labels.sparse_input_),
            "kind": classes.dtype.kind,
        }
        arrays["classes"] = labels_array(classes)
    return header, arrays


def _kept_parameters(mlp: Any) -> dict[str, Any]:
    """Return the parameters that a file keeps; see `Saving.save` on those that it changes."""
    parameters = {
        name: value for name, value in mlp.get_params(deep=False).items() if name not in _NOT_KEPT
    }
    if callable(parameters["scoring"]):
        parameters["scoring"] = None
    rate = parameters["learning_rate"]
    if callable(rate):
        is_known = type(rate) in SCHEDULES.values()
        parameters["learning_rate"] = describe(rate) if is_known else "constant"
    is_generator = isinstance(mlp.random_state, np.random.RandomState)
    parameters["random_state"] = None if is_generator else mlp.random_state
    return parameters


# --------------------------------------------------------------------------------------------- load


def _no_estimator(header: Header, arrays: Arrays) -> NoReturn:
    raise ModelFileError(
        "it holds a training result, no estimator: fastnn.load reads it, from_result makes one of "
        "it"
    )


def _estimator(cls: Any, header: Header, arrays: Arrays) -> Any:
    """Build an estimator of a file's header and arrays; any error means that the file is
    damaged.
    """
    kind = "classifier" if issubclass(cls, ClassifierMixin) else "regressor"
    if header["kind"] != kind:
        raise ModelFileError(f"it holds a {header['kind']!s:.50}, not a {kind}")
    network = checked_network(header, arrays)
    parameters = {name: value_of(value) for name, value in header["parameters"].items()}
    if isinstance(rate := parameters.get("learning_rate"), dict):
        parameters["learning_rate"] = described(rate, SCHEDULES)
    mlp = cls(**parameters, backend=header["backend"])
    mlp._validate_params()
    _check_fitted(header["fitted"])
    vars(mlp).update(header["fitted"])
    if network != mlp._network(network.sizes):
        raise ModelFileError("damaged: the network and the parameters of its header do not agree")
    for name, curve in _CURVES.items():
        if name in arrays:
            check_arrays(arrays, {name: (np.float64, (arrays[name].size,))})
            setattr(mlp, curve, arrays[name].tolist())
    if hasattr(mlp, "validation_scores_"):
        mlp._scored_by = mlp.scoring
    _put_widths(mlp, network, names_of(arrays.get("feature_names"), network.n_inputs))
    mlp._put(Weights.of(network, arrays["params"]))
    if kind == "classifier":
        _put_labels(mlp, header["labels"], arrays["classes"])
    return mlp


def _check_fitted(values: dict[str, Any]) -> None:
    """Raise ModelFileError for a fitted attribute that no file has, or a value of another type."""
    for name, value in values.items():
        is_scalar = name in _SCALARS and isinstance(value, (int, float, str, NoneType))
        if not is_scalar and (name not in _CURVES.values() or value is not None):
            raise ModelFileError(f"damaged: {name:.50} is {value!r:.50} in its header")


def _put_labels(mlp: Any, labels: dict[str, Any], classes: Array) -> None:
    """Give a classifier the labels of a file."""
    mlp.classes_ = described_labels(classes, labels["kind"], max(mlp.n_outputs_, 2))
    if not labels_fit(n := len(mlp.classes_), labels["type"], mlp.n_outputs_):
        raise ModelFileError(
            f"damaged: {n} labels, {labels['type']!r:.50}, of {mlp.n_outputs_} outputs"
        )
    mlp._label_binarizer = binarizer_with(mlp.classes_, labels["type"], bool(labels["sparse"]))


def _put_widths(mlp: Any, network: Network, feature_names: Names | None) -> None:
    """Give an estimator the attributes that follow from its network, and the names of its
    features.
    """
    mlp.n_features_in_ = network.n_inputs
    mlp.n_outputs_ = network.n_outputs
    mlp.n_layers_ = len(network.sizes)
    if feature_names is not None:
        mlp.feature_names_in_ = np.array(feature_names, object)


# ------------------------------------------------ scikit-learn's estimators, and results of `train`


_FITTED = (
    "n_features_in_",
    "feature_names_in_",
    "classes_",
    "_label_binarizer",
    "n_layers_",
    "n_outputs_",
    "out_activation_",
    "loss_",
    "n_iter_",
    "t_",
    "loss_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
    "_no_improvement_count",
    "_random_state",
)
"""Fitted attributes that both have, but the weights."""

_REASONS: dict[str, StopReason] = {reason: reason for reason in STOP_REASONS}
_REASONS |= {"abnormal": "tolerance", "limit": "epochs"}
"""The stop reason of a result, from that of an estimator."""


def from_result(
    cls: Any, result: TrainingResult, parameters: dict[str, Any], legal: dict[str, dict[str, str]]
) -> Any:
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
    network = result.network
    params = check_params(network, result.params)
    new = cls(**{"backend": result.backend} | _parameters_of(cls, network, parameters, legal))
    layers = layers_of(Model(network, params))
    weights = [W for W, _, _ in layers]
    biases = [np.zeros(W.shape[1], W.dtype) if b is None else b for W, b, _ in layers]
    new._put(weights_of(weights, biases))
    _put_widths(new, network, result.feature_names)
    new.out_activation_ = "logistic" if network.output == "sigmoid" else network.output
    history = result.history
    n_rows = 0 if result.state.index is None else len(result.state.index)
    new.loss_curve_ = history.loss.tolist()
    new.n_iter_ = result.n_epochs
    if new.loss_curve_:
        new.loss_ = new.loss_curve_[-1]
        new.best_loss_ = min(new.loss_curve_)
    if len(history.validation_loss):
        new.validation_loss_curve_ = history.validation_loss.tolist()
    new.t_ = result.state.counters.get("epoch", 0) * n_rows
    new.validation_scores_ = new.best_validation_score_ = None
    new.stop_reason_ = result.stop_reason
    new._no_improvement_count = 0
    return new


def _parameters_of(
    cls: Any, network: Network, parameters: dict[str, Any], legal: dict[str, dict[str, str]]
) -> dict[str, Any]:
    """Return the parameters of an estimator that has this network, and the further ones; raise
    ValueError or TypeError if the class has no such network, or they describe another one.
    """
    losses = legal.get(name_of(network.output), {})
    quantile = getattr(network.loss, "quantiles", 0.5)
    is_own = network.loss == network.loss_name or (
        network.loss_name == "pinball" and isinstance(quantile, float)
    )
    has_custom_loss = isinstance(network.loss, CustomLoss) and "absolute_error" in losses
    if not has_custom_loss and (network.loss_name not in losses or not is_own):
        known = ", ".join(
            f"{output} with {' or '.join(losses)}" for output, losses in legal.items()
        )
        wrong = f"output {network.output!r} with the loss {network.loss!r}"
        raise ValueError(f"{cls.__name__} has no {wrong}; it has {known}")
    fixed = ("hidden_layer_sizes", "activation", "loss")
    repeated = [name for name in fixed if name in parameters]
    if repeated:
        raise TypeError(f"{', '.join(repeated)} cannot be given: the result's network has its own")
    names = tuple("logistic" if name == "sigmoid" else name for name in network.activations[:-1])
    parameters_of_network: dict[str, Any] = {
        "hidden_layer_sizes": network.sizes[1:-1],
        "activation": names if len(set(names)) > 1 else (*names, "relu")[0],
        "loss": losses.get(network.loss_name, network.loss),
    }
    if network.loss_name == "pinball":
        parameters_of_network["quantile"] = quantile
    return parameters_of_network | parameters


def _copy_fitted(old: Any, new: Any) -> Any:
    for name in _FITTED:
        if hasattr(old, name):
            setattr(new, name, copy.deepcopy(getattr(old, name)))
    if hasattr(old, "coefs_"):
        weights = weights_of(old.coefs_, old.intercepts_)
        if isinstance(new, Fitted):
            new._put(weights)
        else:
            new.coefs_ = list(map(np.array, weights.coefs))
            new.intercepts_ = list(map(np.array, weights.intercepts))
    return new
