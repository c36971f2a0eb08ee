"""MLPRegressor: scikit-learn's regressor on fastnn's back ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array

from fastnn.backends import Backend
from fastnn.checking.arguments import shown, store_parameters
from fastnn.checking.display import documented
from fastnn.estimators.base import BaseMLP
from fastnn.estimators.saving import Saving, from_result
from fastnn.estimators.validation import (
    COUNT,
    REGRESSOR_LOSSES,
    SECOND_ORDER_SOLVERS,
    STOCHASTIC_SOLVERS,
    WITHIN_ONE,
    Constraints,
    raveled,
    validated,
)
from fastnn.losses import CustomLoss, Function, Value
from fastnn.memory import Array
from fastnn.schedules import Schedule
from fastnn.training.results import TrainingResult


@documented
class MLPRegressor(Saving, RegressorMixin, BaseMLP):
    """A drop-in MLPRegressor: scikit-learn's on fastnn's back ends, with the same weights for the
    same seed, sooner.

    Parameters and attributes are scikit-learn's, in the same order with the same defaults, and then
    fastnn's own.

    Parameters
    ----------
    loss : {"squared_error", "poisson", "absolute_error", "huber", "quantile"} or callable
        Default: "squared_error". Those from the third on are fastnn's own. "poisson" takes
        ``y >= 0``, its outputs are exponentials. "quantile" learns the `quantile` of y. A function
        of a prediction a and the target y is a loss of your own, as `fastnn.CustomLoss`; the
        estimator can be pickled if the function can be, or with a `CustomLoss` of it.
    n_restarts : int, default=5
        For "lm" and "br": so many starts. "lm" keeps that with the lowest loss, or the best score
        of validation rows, "br" the most probable one, by MacKay's evidence; half of its starts
        skip the first steps of a small penalty. Weights that are given are the only start. They
        share `max_time`.
    quantile : float or None, default=None
        Between 0 and 1, for ``loss="quantile"``: which part of y is below what is predicted.

    Attributes
    ----------
    gamma_ : float
        How many parameters the data determine, for "br".

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from fastnn import MLPRegressor
    >>> X, y = make_regression(n_samples=200, n_features=5, random_state=0)
    >>> y /= y.std()  # targets of the size of 1 are learned in a tenth of the iterations
    >>> mlp = MLPRegressor(hidden_layer_sizes=(16,), solver="lbfgs", random_state=0)
    >>> mlp.fit(X, y).score(X, y) > 0.99
    True
    """

    n_restarts: int = 5  # estimators of version 0.2, which were pickled, have none

    _parameter_constraints: ClassVar[Constraints] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions(set(REGRESSOR_LOSSES)), CustomLoss, callable],
        "solver": [StrOptions({"lbfgs", *STOCHASTIC_SOLVERS, *SECOND_ORDER_SOLVERS})],
        "n_restarts": [COUNT],
        "quantile": [WITHIN_ONE, None],
    }

    def __init__(
        self,
        loss: str | CustomLoss | Function = "squared_error",
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
        max_time: float | None = None,
        coefs_init: Sequence[Any] | None = None,
        intercepts_init: Sequence[Any] | None = None,
        fix_defects: bool = False,
        n_threads: int | None = None,
        scoring: str | Callable[..., float] | None = None,
        clip_norm: float | None = None,
        n_restarts: int = 5,
        quantile: float | None = None,
    ) -> None:
        store_parameters(self, locals())

    @classmethod
    def from_result(cls, result: TrainingResult, **parameters: Any) -> MLPRegressor:
        """Make a fitted regressor of a training result.

        Parameters
        ----------
        result : TrainingResult
            Of a network with the output identity, and exp where its loss is poisson. The state of
            its optimizer is not taken over: `partial_fit` begins with a new one.
        **parameters
            Parameters of the regressor other than those of its network, such as ``solver="sgd"``,
            for further fits.

        Returns
        -------
        MLPRegressor
            It predicts what the result does.

        Raises
        ------
        TypeError, ValueError
            For what is no result, and for a network that the regressor does not have.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import MLPRegressor, Network, train
        >>> X = np.linspace(-1, 1, 20)[:, None]
        >>> result = train(Network((1, 8, 1)), X, X**2, epochs=5, seed=0)
        >>> bool((MLPRegressor.from_result(result).predict(X) == result.predict(X)[:, 0]).all())
        True
        """
        of_identity = {
            "squared_error": "squared_error",
            "absolute_error": "absolute_error",
            "huber": "huber",
            "pinball": "quantile",
        }
        legal = {"identity": of_identity, "exp": {"poisson": "poisson"}}
        made: MLPRegressor = from_result(cls, result, parameters, legal)
        return made

    @available_if(
        lambda mlp: (
            (not mlp.fix_defects and mlp.solver not in SECOND_ORDER_SOLVERS) or mlp._has_epochs()
        )
    )
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train for one epoch more.

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
        >>> from fastnn import MLPRegressor
        >>> X, y = make_regression(n_samples=200, n_features=5, random_state=0)
        >>> y /= y.std()
        >>> MLPRegressor(hidden_layer_sizes=(8,), random_state=0).partial_fit(X, y).n_iter_
        1
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def _hint(self, error: str) -> str:
        if isinstance(self.loss, (str, CustomLoss)) or callable(self.loss):
            return super()._hint(error)
        return f" (loss is the first argument; did you mean hidden_layer_sizes={shown(self.loss)}?)"

    def _encode(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        dtypes = np.float64, np.float32
        X, y = validated(self, X, y, multi_output=True, y_numeric=True, dtype=dtypes, reset=reset)
        return X, self._column(y)

    def _encode_validation(self, y: Any) -> Array:
        return self._column(check_array(y, ensure_2d=False, dtype="numeric", input_name="y"))

    @staticmethod
    def _column(y: Array) -> Array:
        y = raveled(y)
        return y.reshape(-1, 1) if y.ndim == 1 else y

    def _decode(self, outputs: Array) -> Array:
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def _output_activation(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _labels(self) -> str | None:
        return None
