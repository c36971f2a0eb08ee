"""MLPClassifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import validate_data

from fastnn.estimators.base import BaseMLP, store_parameters
from fastnn.estimators.convert import Conversion
from fastnn.estimators.tables import CLASSIFIER_LOSSES

Array = NDArray[Any]


def _shows_decisions(mlp: Any) -> bool:
    if not mlp.expose_decision_function:
        raise AttributeError(
            "scikit-learn's MLPClassifier has no decision_function, and others would use it where they use "
            "predict_proba now; MLPClassifier(expose_decision_function=True) has one"
        )
    return True


class MLPClassifier(Conversion, ClassifierMixin, BaseMLP):
    """DOC"""

    _parameter_constraints = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions(set(CLASSIFIER_LOSSES))],
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
        "expose_decision_function": ["boolean"],
    }

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        backend="numba",
        loss="log_loss",
        class_weight=None,
        max_time=None,
        coefs_init=None,
        intercepts_init=None,
        expose_decision_function=False,
        fix_defects=False,
    ):
        store_parameters(self, locals())

    # --------------------------------------------------------------------------------------------------------- predicting

    def predict(self, X: Any) -> Any:
        """Predict labels.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        self._check_fitted()
        outputs = self._outputs(X)
        return self._decode(outputs)

    def predict_proba(self, X: Any) -> Array:
        """The classes' probabilities.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        self._check_fitted()
        outputs = self._outputs(X)
        if self.n_outputs_ > 1:
            return outputs
        p = np.empty((len(outputs), 2), outputs.dtype)
        p[:, 1] = outputs[:, 0]
        np.subtract(1, p[:, 1], out=p[:, 0])
        return p

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithms of the classes' probabilities.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        log_p : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`; minus infinity where the probability is 0.
        """
        p = self.predict_proba(X)
        return np.log(p, out=p)

    @available_if(_shows_decisions)
    def decision_function(self, X: Any) -> Array:
        """The outputs before their activation: log-odds, with ``expose_decision_function=True`` only.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        z : ndarray of shape (n_samples,) or (n_samples, n_classes)
            (n_samples,) with two classes.
        """
        self._check_fitted()
        outputs = self._outputs(X, "identity")
        return outputs.ravel() if self.n_outputs_ == 1 else outputs

    # ------------------------------------------------------------------------------------------------------------ fitting

    @available_if(lambda mlp: mlp._has_epochs())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """Train for one epoch more.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
        sample_weight : array-like of shape (n_samples,), default=None
        classes : array-like of shape (n_classes,), default=None
            All classes that there will be, needed at the first call.

        Returns
        -------
        self : object
        """
        if self.class_weight == "balanced":
            raise ValueError("class_weight='balanced' is not supported for partial_fit: give sample_weight instead")
        if self._is_first_partial_fit(classes):
            self._label_binarizer = LabelBinarizer()
            self._label_binarizer.fit(y if type_of_target(y).startswith("multilabel") else classes)
        return self._fit(X, y, sample_weight, incremental=True)

    def _is_first_partial_fit(self, classes: Any) -> bool:
        known = getattr(self, "classes_", None)
        if classes is None:
            if known is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            return False
        given = unique_labels(classes)
        if known is None:
            self.classes_ = given
            return True
        if not np.array_equal(known, given):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {known!r}"
            )
        return False

    def _encode(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer()
            self._label_binarizer.fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_classes(unique_labels(y))
        return X, self._binarized(y)

    def _check_classes(self, classes: Array) -> None:
        if self.warm_start:
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {self.classes_}, `y` has {classes}"
                )
        elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _encode_validation(self, y: Any) -> Array:
        unknown = np.setdiff1d(unique_labels(y), self.classes_)
        if len(unknown):
            raise ValueError(f"validation_data has classes that y has not: {unknown}")
        return self._binarized(y)

    def _binarized(self, y: Any) -> Array:
        Y = self._label_binarizer.transform(y)
        Y = (Y.toarray() if hasattr(Y, "toarray") else Y).astype(bool)
        return Y.reshape(-1, 1) if Y.ndim == 1 else Y

    def _decode(self, outputs: Array) -> Any:
        binarizer, classes = self._label_binarizer, self.classes_
        if binarizer.y_type_ == "multiclass" and outputs.shape[1] == len(classes):
            return classes.take(outputs.argmax(axis=1), mode="clip")
        outputs = outputs.ravel() if self.n_outputs_ == 1 else outputs
        return binarizer.inverse_transform(outputs)

    def _weights(self, y: Any, sample_weight: Any) -> Any:
        if self.class_weight is None:
            return sample_weight
        of_class = compute_sample_weight(self.class_weight, y)
        return of_class if sample_weight is None else of_class * np.asarray(sample_weight)

    def _split_by(self, Y: Array) -> Array | None:
        if self.fix_defects and self._label_binarizer.y_type_ == "multiclass":
            return Y.argmax(axis=1)
        return Y if self.n_outputs_ == 1 else None

    def _output_activation(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _labels(self) -> str | None:
        if self.out_activation_ == "softmax":
            return "one"
        return "single" if len(self.classes_) == 1 and self.n_outputs_ == 1 else "many"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
