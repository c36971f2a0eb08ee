"""MLPRegressor: scikit-learn's regressor on fastnn's back ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import InvalidParameterError, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array, validate_data

from fastnn.backends import Backend
from fastnn.estimators.base import BaseMLP, store_parameters, validation_rows
from fastnn.estimators.constraints import REGRESSOR_LOSSES
from fastnn.estimators.convert import Conversion
from fastnn.memory import Array


class MLPRegressor(Conversion, RegressorMixin, BaseMLP):
    """scikit-learn's MLPRegressor on fastnn's back ends: the same seed gives the same weights, sooner.

    Parameters and attributes are scikit-learn's, in the same order with the same defaults, and then fastnn's own.

    Parameters
    ----------
    loss : {"squared_error", "poisson", "absolute_error", "huber"}, default="squared_error"
        The last two are fastnn's own. "poisson" takes ``y >= 0``, its outputs are exponentials.
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Widths of the hidden layers; ``()`` for none.
    activation : str or sequence of str, default="relu"
        Of the hidden layers: "identity", "logistic", "tanh", "relu" or, fastnn's own, "leaky_relu", "elu", "selu",
        "softplus", "silu", "gelu"; a sequence has one for each layer.
    solver : {"adam", "sgd", "lbfgs", "rprop"}, default="adam"
        "rprop" (fastnn's own) takes full batches; `learning_rate_init` is its first step.
    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights; divided by the rows of a batch.
    batch_size : int or "auto", default="auto"
        "auto": ``min(200, n_samples)``.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        For "sgd". "invscaling": ``learning_rate_init / (t_ + 1) ** power_t`` after each epoch. "adaptive": divided by
        5 whenever training would stop, until it is 1e-6.
    learning_rate_init : float, default=0.001
        For all solvers but "lbfgs".
    power_t : float, default=0.5
        See `learning_rate`.
    max_iter : int, default=200
        Epochs, or iterations of "lbfgs".
    shuffle : bool, default=True
        Whether each epoch sees the rows in a new order.
    random_state : int, RandomState or None, default=None
        Draws the weights, then early stopping's split, then the rows' orders: the numbers that scikit-learn draws.
    tol : float, default=1e-4
        An epoch whose loss (score) is not better than the best by this much fails to improve.
    verbose : bool, default=False
        Whether to print each epoch's loss.
    warm_start : bool, default=False
        Whether `fit` goes on from the fitted weights.
    momentum : float, default=0.9
        For "sgd".
    nesterovs_momentum : bool, default=True
        For "sgd".
    early_stopping : bool, default=False
        Whether a part of the rows is set aside, training stops by their R2, and the best epoch's weights
        are kept.
    validation_fraction : float, default=0.1
        That part.
    beta_1, beta_2 : float, default=0.9, 0.999
        For "adam".
    epsilon : float, default=1e-8
        For "adam".
    n_iter_no_change : int, default=10
        Training stops when more than so many epochs in a row fail to improve.
    max_fun : int, default=15000
        Evaluations of the loss, for "lbfgs".
    backend : {"numba", "numpy"}, name or Backend, default="numba"
        What computes. From here on, the parameters are fastnn's own.
    max_time : float or None, default=None
        Seconds after which training stops, to about 0.05 s.
    coefs_init, intercepts_init : list of arrays, default=None
        Initial weights, one array a layer. What is drawn is drawn all the same, so the order of the rows is as without.
    fix_defects : bool, default=False
        Whether to correct what scikit-learn 1.9 gets wrong, at the price of other numbers: see docs/scikit-learn.md.

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray
        Weights (fan_in, fan_out) and biases (fan_out,) of the layers.
    n_features_in_, n_layers_, n_outputs_ : int
        Widths; layers are counted with the inputs.
    feature_names_in_ : ndarray of str
        Where X had names.
    out_activation_ : str
        Of the last layer.
    loss_ : float
        The last epoch's.
    n_iter_, t_ : int
        Epochs of the last call; samples seen in all calls.
    loss_curve_ : list of float
        Not for "lbfgs", like the next three.
    best_loss_ : float or None
    validation_scores_ : list of float or None
    best_validation_score_ : float or None
    validation_loss_curve_ : list of float
        Of the validation data that `fit` was given.
    stop_reason_ : str
        "epochs" (all of them done), "tolerance", "validation", "time", "interrupted", "callback", "diverged"; for
        "lbfgs" "converged", "limit", "abnormal", "time", "interrupted", "callback".

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from fastnn import MLPRegressor
    >>> X, y = make_regression(n_samples=200, n_features=5, random_state=0)
    >>> MLPRegressor(hidden_layer_sizes=(16,), solver="lbfgs", random_state=0).fit(X, y).score(X, y) > 0.99
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions(set(REGRESSOR_LOSSES))],
    }

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
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
        max_time: float | None = None,
        coefs_init: Sequence[Any] | None = None,
        intercepts_init: Sequence[Any] | None = None,
        fix_defects: bool = False,
    ) -> None:
        store_parameters(self, locals())

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        validation_data: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Fit to X and y.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input data. float32 is computed with as float32, everything else as float64.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Not negative.
        validation_data : tuple (X, y) or (X, y, sample_weight), default=None
            X_val, y_val and sample_weight_val in one. A Pipeline does not transform what is in it: give X_val behind a
            scaler.
        X_val : array-like or sparse matrix of shape (n_val, n_features), default=None
            Rows that are not trained on: `validation_loss_curve_` holds their loss after each epoch, and early stopping
            goes by them in place of a part of X. ``Pipeline(..., transform_input=["X_val"])`` transforms them like X,
            with metadata routing: see docs/scikit-learn.md.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            What belongs to X_val.
        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of X_val, not negative.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        return self._fit(X, y, sample_weight, validation_rows(validation_data, X_val, y_val, sample_weight_val))

    def predict(self, X: Any) -> Array:
        """Predict numbers.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        self._check_fitted()
        outputs = self._outputs(X)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    @available_if(lambda mlp: not mlp.fix_defects or mlp._has_epochs())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train for one epoch more.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : object
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def _validate_params(self) -> None:
        try:
            super()._validate_params()
        except InvalidParameterError as error:
            if isinstance(self.loss, str):
                raise
            hint = f" (loss is the first argument; did you mean hidden_layer_sizes={self.loss!r}?)"
            raise InvalidParameterError(f"{error}{hint}") from None

    def _encode(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        return X, self._column(y)

    def _encode_validation(self, y: Any) -> Array:
        return self._column(check_array(y, ensure_2d=False, dtype="numeric", input_name="y"))

    @staticmethod
    def _column(y: Array) -> Array:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return y.reshape(-1, 1) if y.ndim == 1 else y

    def _decode(self, Y: Array) -> Array:
        return Y.ravel() if Y.shape[1] == 1 else Y

    def _output_activation(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _labels(self) -> str | None:
        return None
