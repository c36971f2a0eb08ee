"""MLPClassifier: scikit-learn's classifier on fastnn's back ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels

from fastnn.backends import Backend
from fastnn.checking.arguments import short_errors, shown, store_parameters
from fastnn.checking.display import documented
from fastnn.estimators import labels
from fastnn.estimators.base import BaseMLP
from fastnn.estimators.saving import MULTILABEL, Saving, from_result
from fastnn.estimators.validation import (
    CLASSIFIER_LOSSES,
    Constraints,
    attribute,
    checked_targets,
    labels_of,
    raveled,
    validated,
)
from fastnn.losses import Function, Value
from fastnn.memory import Array
from fastnn.schedules import Schedule
from fastnn.training.results import TrainingResult


def _shows_decisions(mlp: Any) -> bool:
    if not mlp.expose_decision_function:
        raise AttributeError(
            "scikit-learn's MLPClassifier has no decision_function, and others would use it where "
            "they use predict_proba now; MLPClassifier(expose_decision_function=True) has one"
        )
    return True


@documented
class MLPClassifier(Saving, ClassifierMixin, BaseMLP):
    """A drop-in MLPClassifier: scikit-learn's on fastnn's back ends, with the same weights for the
    same seed, sooner.

    Parameters and attributes are scikit-learn's, in the same order with the same defaults, and then
    fastnn's own.

    Parameters
    ----------
    loss : {"log_loss", "squared_error"}, default="log_loss"
        Summed over the outputs, which are probabilities either way.
    class_weight : dict, list of dict, "balanced" or None, default=None
        Multiplies the weights of the rows of each class. "balanced": n_samples / (n_classes * rows
        of the class).
    expose_decision_function : bool, default=False
        Whether there is a `decision_function`. scikit-learn's MLP has none; where there is one,
        others (such as CalibratedClassifierCV) take it in place of `predict_proba`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastnn import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> MLPClassifier((16,), random_state=0, max_iter=2000).fit(X, y).score(X, y) > 0.95
    True
    """

    _parameter_constraints: ClassVar[Constraints] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions(set(CLASSIFIER_LOSSES))],
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
        "expose_decision_function": ["boolean"],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str | Value | Function | Sequence[str | Value | Function] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str | Schedule = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int | float = 10,
        max_fun: int = 15000,
        backend: str | Backend = "numba",
        loss: str = "log_loss",
        class_weight: dict[Any, float] | str | None = None,
        max_time: float | None = None,
        coefs_init: Sequence[Any] | None = None,
        intercepts_init: Sequence[Any] | None = None,
        expose_decision_function: bool = False,
        fix_defects: bool = False,
        n_threads: int | None = None,
        scoring: str | Callable[..., float] | None = None,
        clip_norm: float | None = None,
    ) -> None:
        store_parameters(self, locals())

    @classmethod
    def from_result(cls, result: TrainingResult, classes: Any, **parameters: Any) -> MLPClassifier:
        """Make a fitted classifier of a training result.

        Parameters
        ----------
        result : TrainingResult
            Of a network with the output softmax, or sigmoid: one for the second of two classes, or
            one for each of several labels that a row may have. The state of its optimizer is not
            taken over: `partial_fit` begins with a new one.
        classes : array-like of shape (n_classes,)
            The label of each output, or of one sigmoid output those of 0 and 1;
            ``range(n_outputs)`` for several sigmoid ones. The outputs are put into the order of
            sorted labels, which `classes_` has.
        **parameters
            Parameters of the classifier other than those of its network, such as ``solver="sgd"``,
            for further fits.

        Returns
        -------
        MLPClassifier
            Its probabilities are the result's outputs.

        Raises
        ------
        TypeError, ValueError
            For what is no result, for a network that the classifier does not have, and for other
            classes.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastnn import MLPClassifier, Network, train
        >>> X, y = load_iris(return_X_y=True)
        >>> result = train(Network((4, 8, 3), output="softmax"), X, y, epochs=5, seed=0)
        >>> mlp = MLPClassifier.from_result(result, classes=["setosa", "versicolor", "virginica"])
        >>> bool((mlp.predict_proba(X) == result.predict(X)).all())
        True
        """
        legal = {
            "softmax": {"cross_entropy": "log_loss", "squared_error": "squared_error"},
            "sigmoid": {"log_loss": "log_loss", "squared_error": "squared_error"},
        }
        made: MLPClassifier = from_result(cls, result, parameters, legal)
        n = made.n_outputs_
        y_type = MULTILABEL if n > 1 else "binary"
        if made.out_activation_ == "softmax":
            y_type = "multiclass"
        made.classes_, order = labels.sorted_classes(classes, 2 if y_type == "binary" else n)
        W = made.coefs_[-1]
        b = made.intercepts_[-1]
        if y_type == "binary" and order[0] == 1:  # 1 - sigmoid(z) is sigmoid(-z)
            np.negative(W, out=W)
            np.negative(b, out=b)
        elif y_type == "multiclass":
            W[...] = W[:, order]
            b[...] = b[order]
        elif y_type == MULTILABEL and made.classes_.tolist() != list(range(n)):
            raise ValueError(
                f"classes of several sigmoid outputs must be range({n}), not {shown(classes)}"
            )
        made._label_binarizer = labels.binarizer_with(made.classes_, y_type)
        return made

    def predict_proba(self, X: Any) -> Array:
        """Predict the classes' probabilities.

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
        >>> from fastnn import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> mlp = MLPClassifier((8,), solver="lbfgs", max_iter=1000, random_state=0).fit(X, y)
        >>> mlp.predict_proba(X).shape
        (150, 3)
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
        """Predict the logarithms of the classes' probabilities.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        log_p : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`; minus infinity where the probability is 0.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastnn import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> mlp = MLPClassifier((8,), solver="lbfgs", max_iter=1000, random_state=0).fit(X, y)
        >>> mlp.predict_log_proba(X).shape
        (150, 3)
        """
        p = self.predict_proba(X)
        return np.log(p, out=p)

    @available_if(_shows_decisions)
    def decision_function(self, X: Any) -> Array:
        """Compute the outputs before their activation: log-odds, with
        ``expose_decision_function=True`` only.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        z : ndarray of shape (n_samples,) or (n_samples, n_classes)
            (n_samples,) with two classes.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastnn import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> mlp = MLPClassifier(
        ...     (8,), solver="lbfgs", random_state=0, expose_decision_function=True
        ... ).fit(X, y == 0)
        >>> bool((mlp.predict(X) == (mlp.decision_function(X) > 0)).all())
        True
        """
        self._check_fitted()
        outputs = self._outputs(X, "identity")
        return outputs.ravel() if self.n_outputs_ == 1 else outputs

    @available_if(lambda mlp: mlp._has_epochs())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """Train for one epoch more.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Not negative.
        classes : array-like of shape (n_classes,), default=None
            All classes that there will be, needed at the first call.

        Returns
        -------
        self : object
            The fitted estimator.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastnn import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> mlp = MLPClassifier((8,), random_state=0)
        >>> for _ in range(3):
        ...     mlp = mlp.partial_fit(X, y, classes=[0, 1, 2])
        >>> mlp.t_  # samples seen
        450
        """
        if isinstance(self.class_weight, str) and self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' is not supported for partial_fit: give sample_weight "
                "instead"
            )
        known = labels_of(self) if hasattr(self, "classes_") else None
        with short_errors():
            y = checked_targets("y", y)
            is_known = known is not None and classes is not None and labels.are_all(classes, known)
            if not is_known and _check_partial_fit_first_call(self, classes):
                self._label_binarizer = LabelBinarizer()
                self._label_binarizer.fit(
                    y if type_of_target(y).startswith("multilabel") else classes
                )
        return self._fit(X, y, sample_weight, incremental=True)

    @short_errors()
    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy of the predictions, which is scikit-learn's.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            The share of the rows whose labels are predicted.

        Raises
        ------
        ValueError, TypeError
            For labels of another kind than those of `fit`.

        Examples
        --------
        >>> from fastnn import MLPClassifier
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> MLPClassifier((8,), solver="lbfgs", random_state=0).fit(X, y).score(X, y) > 0.9
        True
        """
        return float(super().score(X, y, sample_weight))

    def _encode(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = validated(self, X, y, multi_output=True, dtype=(np.float64, np.float32), reset=reset)
        y = raveled(y)
        goes_on = hasattr(self, "classes_") and (self.warm_start or incremental)
        if not goes_on:
            self._label_binarizer = labels.binarizer_of(y)
            self.classes_ = self._label_binarizer.classes_
        known = labels_of(self)
        number = labels.numbers_of(y, known)
        missing = number is None or (
            self.warm_start and not np.bincount(number, minlength=len(known)).all()
        )
        if goes_on and missing:
            labels.check_classes(unique_labels(y), known, all_again=self.warm_start)
        return X, labels.targets_of(y, self._binarizer(), number)

    def _encode_validation(self, y: Any) -> Array:
        number = labels.numbers_of(y, self.classes_)
        if number is None:
            unknown = np.setdiff1d(unique_labels(y), self.classes_).tolist()
            if unknown:
                fault = "the validation data have classes that y has not"
                raise ValueError(f"{fault}: {shown(unknown)}")
        return labels.targets_of(y, self._binarizer(), number)

    def _binarizer(self) -> LabelBinarizer:
        return attribute(self, "_label_binarizer", LabelBinarizer)

    def _decode(self, outputs: Array) -> Any:
        binarizer = self._binarizer()
        classes = labels_of(self)
        if binarizer.y_type_ == "multiclass" and outputs.shape[1] == len(classes):
            return classes.take(outputs.argmax(axis=1), mode="clip")
        outputs = outputs.ravel() if self.n_outputs_ == 1 else outputs
        return binarizer.inverse_transform(outputs)

    def _split_by(self, Y: Array) -> Array | None:
        if self.fix_defects and self._binarizer().y_type_ == "multiclass":
            return Y.argmax(axis=1)
        if self.n_outputs_ > 1:
            return None
        yes = Y[:, 0]
        few = min(np.count_nonzero(yes), np.count_nonzero(~yes)) < 2
        # text, as scikit-learn's error names the classes, takes twice as long
        return yes.astype(str) if few else yes

    def _output_activation(self) -> str:
        return "softmax" if self._binarizer().y_type_ == "multiclass" else "logistic"

    def _labels(self) -> str | None:
        if self.out_activation_ == "softmax":
            return "one"
        return "single" if len(self.classes_) == 1 and self.n_outputs_ == 1 else "many"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
