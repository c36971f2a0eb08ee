"""MLPRegressor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import InvalidParameterError, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array, validate_data

from fastnn.estimators.base import BaseMLP, store_parameters
from fastnn.estimators.convert import Conversion
from fastnn.estimators.tables import REGRESSOR_LOSSES

Array = NDArray[Any]


class MLPRegressor(Conversion, RegressorMixin, BaseMLP):
    """DOC"""

    _parameter_constraints = {**BaseMLP._parameter_constraints, "loss": [StrOptions(set(REGRESSOR_LOSSES))]}

    def __init__(
        self,
        loss="squared_error",
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
        max_time=None,
        coefs_init=None,
        intercepts_init=None,
        fix_defects=False,
    ):
        store_parameters(self, locals())

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
