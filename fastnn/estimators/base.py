"""The base of MLPClassifier and MLPRegressor: the stages of a fit, the fitted attributes, the
outputs.
"""

import contextlib
import functools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import InvalidParameterError

from fastnn.backends import check_supported, get_backend
from fastnn.checking import display
from fastnn.checking.arguments import (
    cut,
    errors_of,
    fill_layers,
    hidden_sizes,
    short_errors,
    shown,
)
from fastnn.checking.hints import explains_keywords
from fastnn.checking.values import check_validation_parts
from fastnn.errors import FitWarning, warn
from fastnn.estimators import validation
from fastnn.estimators.adapter import Adapter, contiguous
from fastnn.estimators.epochs import Fit, FitInputs, Solver
from fastnn.estimators.fitted import Fitted, Weights
from fastnn.estimators.labels import checked_weight, row_weights
from fastnn.estimators.lbfgs import fit_lbfgs
from fastnn.estimators.scoring import HeldOut, check_scoring_name
from fastnn.estimators.second_order import fit_second_order
from fastnn.losses import CustomLoss, Pinball, Value
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.state import Data
from fastnn.training.stopping import STOP_REASONS

ONE_ROW = (
    "X is one row of {:,} columns: one sample of so many inputs. Say X.T, if it is so many "
    "samples of one input"
)
NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large "
    "values and need to be preprocessed."
)

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """An empty base class, since this scikit-learn has no callbacks."""


class BaseMLP(CallbackSupportMixin, Fitted, BaseEstimator, ABC):
    """The base of both estimators.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Widths of the hidden layers; ``()`` for none.
    activation : str, Elu, LeakyRelu, callable, or sequence of them, default="relu"
        Activation of the hidden layers; a sequence has one for each: %(activations)s. Those after
        "relu" are fastnn's own, as are ``Elu(alpha)`` and ``LeakyRelu(slope)``, as for
        `fastnn.Network`.
    solver : {"adam", "sgd", "lbfgs", "adamw", "rmsprop", "rprop"}, default="adam"
        The last three are fastnn's own. "adamw" is "adam" with a weight decay of 0.01 besides
        `alpha`; "rprop" takes full batches, and `learning_rate_init` is its first step. The
        regressor has "lm" and "br" besides, Levenberg-Marquardt and Bayesian regularization, for up
        to some 500 parameters; activation "tanh" suits them. They scale X and y to [-1, 1] by
        themselves, and have their losses of these; the weights are for raw X.
    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights; divided by the rows of a batch. "br" finds it by
        itself.
    batch_size : int or "auto", default="auto"
        "auto": ``min(200, n_samples)``. "lm" and "br" take all rows, and no number here.
    learning_rate : {"constant", "invscaling", "adaptive"} or schedule, default="constant"
        A schedule, such as ``fastnn.cosine(0.01)``, is for all solvers but "lbfgs", "lm" and "br",
        in place of `learning_rate_init`; one without steps ends with `max_iter` epochs. The words
        are for "sgd". "invscaling": ``learning_rate_init / (t_ + 1) ** power_t`` after each epoch.
        "adaptive": divided by 5 whenever training would stop, until it is 1e-6.
    learning_rate_init : float, default=0.001
        For all solvers but "lbfgs", "lm" and "br".
    power_t : float, default=0.5
        See `learning_rate`.
    max_iter : int, default=200
        The most epochs, or iterations of "lbfgs"; of "lm" and "br", the most epochs of each of the
        `n_restarts` starts.
    shuffle : bool, default=True
        Whether each epoch sees the rows in a new order.
    random_state : int, RandomState or None, default=None
        Draws the weights, then early stopping's split, then the rows' orders: the numbers that
        scikit-learn draws.
    tol : float, default=1e-4
        An epoch whose loss (score) is not better than the best by this much fails to improve.
        "lbfgs" ends when no component of the gradient is larger. "lm" and "br" do not use it: they
        end by the gradient, the damping or the evidence, which `stop_reason_` names, and "lm" with
        early stopping after `n_iter_no_change` epochs.
    verbose : bool, default=False
        Whether to print each epoch's loss.
    warm_start : bool, default=False
        Whether `fit` goes on from the fitted weights.
    momentum : float, default=0.9
        For "sgd".
    nesterovs_momentum : bool, default=True
        For "sgd".
    early_stopping : bool, default=False
        Whether a part of the rows is set aside, training stops by their score (see `scoring`), and
        the best epoch's weights are kept.
    validation_fraction : float, default=0.1
        Part of the rows that early stopping sets aside.
    beta_1, beta_2 : float, default=0.9, 0.999
        For "adam" and "adamw".
    epsilon : float, default=1e-8
        For "adam", "adamw" and "rmsprop".
    n_iter_no_change : int, default=10
        Training stops when more than so many epochs in a row fail to improve.
    max_fun : int, default=15000
        Evaluations of the loss, for "lbfgs".
    backend : {"numba", "numpy"}, name or Backend, default="numba"
        The back end that trains and predicts. From here on, the parameters are fastnn's own.
    max_time : float or None, default=None
        Seconds after which training stops, to about 0.05 s.
    coefs_init, intercepts_init : list of arrays (fan_in, fan_out) and (fan_out,), default=None
        Initial weights, one array a layer. Weights are drawn all the same, so that the rows' orders
        do not change.
    fix_defects : bool, default=False
        Whether to correct what scikit-learn 1.9 gets wrong, at the price of other numbers: see
        docs/howto/scikit-learn.md.
    n_threads : int or None, default=None
        Threads that share each step, each gradient of L-BFGS, validation rows and predictions: the
        `threads` of `fastnn.train`. They show in no bit. None: as many as there are cores, where a
        step has enough work for them.
    scoring : str, callable or None, default=None
        The score by which early stopping goes, of the rows that it sets aside or that `fit` was
        given. None is scikit-learn's: accuracy or R^2. "loss" is the negative of the loss, without
        the penalty; take it for classes of which one is rare, where accuracy hardly moves. Also the
        name of a scorer of scikit-learn's, such as "average_precision", or a function (estimator,
        X, y) of which greater values are better; where the rows have weights, it is given them as
        ``sample_weight=``.
    clip_norm : float or None, default=None
        The most that the length of a step's gradient may be, for all solvers but "lbfgs", "lm" and
        "br".

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray of shapes (fan_in, fan_out) and (fan_out,)
        Weights (fan_in, fan_out) and biases (fan_out,) of the layers.
    n_features_in_, n_layers_, n_outputs_ : int
        Widths; layers are counted with the inputs.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns of X, if it had any.
    out_activation_ : str
        Activation of the last layer.
    loss_ : float
        Loss of the last epoch.
    n_iter_, t_ : int
        Epochs of the last call; samples seen in all calls.
    loss_curve_ : list of float
        Loss of each epoch. This and the next three are not there for "lbfgs".
    best_loss_ : float or None
    validation_scores_ : list of float or None
        Early stopping's score after each epoch; of ``scoring="loss"`` the negative loss, as in
        HistGradientBoosting, so that greater is better.
    best_validation_score_ : float or None
        The greatest of them.
    validation_loss_curve_ : list of float
        Loss of the validation data that `fit` was given, after each epoch.
    stop_reason_ : str
        %(reasons)s;
        for "lbfgs" "converged", "limit", "abnormal", "time", "interrupted", "callback".
    """

    _parameter_constraints: ClassVar[validation.Constraints] = validation.CONSTRAINTS

    loss_curve_: list[float]
    validation_loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    best_loss_: float | None
    _seeded: np.random.RandomState
    scoring: Any = None  # estimators of version 0.2, which were pickled, have none of these
    clip_norm: Any = None
    quantile: Any = None

    @classmethod
    @functools.cache
    def _get_param_names(cls) -> list[str]:
        """Return the names of the parameters, for which scikit-learn inspects the constructor each
        time.
        """
        return super()._get_param_names()

    @abstractmethod
    def _encode(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        """Return X, and y as targets (n, n_outputs)."""

    @abstractmethod
    def _encode_validation(self, y: Any) -> Array:
        """Return the targets (n, n_outputs) of the validation rows that the caller gave."""

    @abstractmethod
    def _output_activation(self) -> str: ...

    @abstractmethod
    def _labels(self) -> str | None:
        """Return the kind of score for early stopping, see `HeldOut`."""

    @abstractmethod
    def _decode(self, outputs: Array) -> Any:
        """Return what is predicted for rows with these outputs, or targets (n, n_outputs)."""

    def _loss(self) -> str | Value:
        """Return the network's loss, as `network_of` takes it."""
        if callable(self.loss):
            return CustomLoss(self.loss)
        if isinstance(self.loss, CustomLoss):
            return self.loss
        loss = validation.attribute(self, "loss", str)
        if loss != "quantile":
            if self.quantile is not None:
                raise ValueError(
                    f'quantile={cut(self.quantile)} is for loss="quantile", not loss={loss!r}'
                )
            return loss
        if self.quantile is None:
            raise ValueError('loss="quantile" needs quantile=, a number between 0 and 1')
        return Pinball(float(self.quantile))

    def _network(self, sizes: tuple[int, ...]) -> Network:
        """Return the network of so many inputs, neurons and outputs whose loss and activations are
        the estimator's.
        """
        output = validation.attribute(self, "out_activation_", str)
        return validation.network_of(sizes, self._activation(), output, self._loss())

    def _split_by(self, Y: Array) -> Array | None:
        """Return the labels by which early stopping's split is stratified, if it is."""
        return None

    @_fit_context(prefer_skip_nested_validation=True)
    @explains_keywords
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
            Numbers of a regressor. Class labels of a classifier; a column of zeros and ones for
            each class where a row may have several.
        sample_weight : array-like of shape (n_samples,), default=None
            Not negative.
        validation_data : tuple (X, y) or (X, y, sample_weight), default=None
            X_val, y_val and sample_weight_val in one. A Pipeline does not transform what is in it:
            give X_val behind a scaler.
        X_val : array-like or sparse matrix of shape (n_val, n_features), default=None
            Rows that are not trained on: `validation_loss_curve_` holds their loss after each
            epoch, and early stopping goes by them in place of a part of X. ``Pipeline(...,
            transform_input=["X_val"])`` transforms them like X, with metadata routing: see
            docs/howto/scikit-learn.md. Without routing, ``mlp__X_val=`` hands them on as they are:
            behind a scaler, scores would be those of rows that were not scaled.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            What belongs to X_val.
        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of X_val, not negative.

        Returns
        -------
        self : object
            The fitted estimator.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastnn import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> mlp = MLPClassifier((8,), solver="lbfgs", max_iter=1000, random_state=0).fit(X, y)
        >>> mlp.score(X, y) > 0.95
        True
        """
        return self._fit(
            X, y, sample_weight, validation_rows(validation_data, X_val, y_val, sample_weight_val)
        )

    def predict(self, X: Any) -> Any:
        """Predict labels or numbers.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predicted labels of a classifier, numbers of a regressor.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastnn import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> mlp = MLPClassifier((8,), solver="lbfgs", max_iter=1000, random_state=0).fit(X, y)
        >>> mlp.predict(X[:2])
        array([0, 0])
        """
        self._check_fitted()
        return self._decode(self._outputs(X))

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        validation_data: Any = None,
        incremental: bool = False,
    ) -> Any:
        # One function, however long: the stages of a fit, in order.
        with self._explained(incremental):
            first_pass = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
            with short_errors():
                hidden = hidden_sizes(self.hidden_layer_sizes)
                y = y_given = validation.checked_targets("y", y)
                X, Y = self._encode(X, y, incremental, first_pass)
                sample_weight = row_weights(self, y_given, sample_weight)
                if len(Y) == 1 and X.shape[1] > 1 and not incremental:
                    warn(FitWarning(ONE_ROW.format(X.shape[1])))
                sample_weight = checked_weight(sample_weight, X)
            self._random_state = self._generator()
            if self.solver not in validation.STOCHASTIC_SOLVERS:
                validation.refuse_unused(self)
            if self.early_stopping and incremental:
                raise ValueError("partial_fit does not support early_stopping=True")

            inputs = self._fit_inputs(
                X, Y, sample_weight, validation_data, hidden, incremental, first_pass
            )
            if self.solver in validation.SECOND_ORDER_SOLVERS:
                params, attributes = fit_second_order(self, inputs)
            elif self.solver in validation.STOCHASTIC_SOLVERS:
                params, attributes = Fit(self, inputs).run()
            else:
                params, attributes = fit_lbfgs(self, inputs)
            self.__dict__.update(attributes)
            if self.fix_defects and self.solver == "lbfgs":
                params = params.astype(X.dtype, copy=False)
            self._put(Weights.of(inputs.network, params))
            has_begun = self.stop_reason_ != "diverged" or self.n_iter_ or self.early_stopping
            if not np.isfinite(params).all() or not has_begun:
                raise ValueError(NOT_FINITE)
            if inputs.on_epoch is not None:
                inputs.on_epoch(None)
            return self

    @contextlib.contextmanager
    def _explained(self, incremental: bool) -> Iterator[None]:
        """Check the parameters after an error of a `partial_fit`, which does not check them before:
        that takes long.
        """
        try:
            yield
        except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
            if incremental:
                self._validate_params()
            if isinstance(error, OverflowError):
                raise ValueError(
                    f"a parameter is too large for a number of float64: {error}"
                ) from error
            raise

    def _generator(self) -> np.random.RandomState:
        """Return the generator of `random_state`; for a number it is kept and seeded anew: making
        one takes 100 us.
        """
        seed: Any = self.random_state
        if not isinstance(seed, Integral):
            return check_random_state(seed)
        if isinstance(vars(self).get("_seeded"), np.random.RandomState):
            self._seeded.seed(int(seed))
        else:
            self._seeded = check_random_state(seed)
        return self._seeded

    @short_errors()
    def _validate_params(self) -> None:
        """Check the parameters as scikit-learn does, with a hint for a name that another library
        has.
        """
        if isinstance(self.loss, Value) and not isinstance(self.loss, CustomLoss):
            raise InvalidParameterError(
                f"loss must be a name or a function here, not {shown(self.loss)}: values are for "
                "fastnn.Network and train"
            )
        try:
            super()._validate_params()
        except InvalidParameterError as error:
            said = str(error).replace("'fastnn.losses.Value'", "LeakyRelu or another activation")
            raise InvalidParameterError(f"{said}{self._hint(said)}") from None
        if self.scoring is not None:
            check_scoring_name(self.scoring, type(self).__name__)
        self._activation()  # raises what is to be raised

    def _hint(self, error: str) -> str:
        rate = self.learning_rate
        if error.startswith("The 'learning_rate' parameter") and isinstance(rate, Real):
            meant = f"did you mean learning_rate_init={rate!r}?"
            return f" (learning_rate is the schedule; {meant})"
        is_name = isinstance(self.solver, str)
        is_second_order = is_name and self.solver in validation.SECOND_ORDER_SOLVERS
        if error.startswith("The 'solver' parameter") and is_second_order:
            return (
                " ('lm' and 'br' minimize the squared error, for MLPRegressor; 'lbfgs' is the "
                "one for few rows here)"
            )
        return validation.name_hint(self)

    def _begin(
        self, sizes: tuple[int, ...], dtype: np.dtype[Any], first_pass: bool
    ) -> tuple[Array, Network]:
        """Return the initial parameters, and their network."""
        if not first_pass:
            fitted = self._weights_now()
            if fitted.sizes != sizes:
                what = f"has layers of {shown(fitted.sizes)}, this fit asks for {shown(sizes)}"
                raise ValueError(f"the fitted network {what}: keep them, or make a new estimator")
            self.n_outputs_ = sizes[-1]
            return fitted.params, self._network(sizes)
        self.t_ = self.n_iter_ = 0
        self.n_layers_ = len(sizes)
        self.n_outputs_ = sizes[-1]
        self.out_activation_ = self._output_activation()
        network = self._network(sizes)
        params = validation.draw_params(network, self._activation(), self._random_state)
        params = params.astype(dtype, copy=False)
        if self.coefs_init is not None:
            fill_layers("coefs_init", network.weights(params), self.coefs_init)
        if self.intercepts_init is not None:
            fill_layers("intercepts_init", network.biases(params), self.intercepts_init)
        for name in ("validation_loss_curve_", "gamma_"):
            self.__dict__.pop(name, None)
        # SciPy calls the objective with the dtype of its first point, and returns float64
        is_double = self.fix_defects and self.solver == "lbfgs"
        return params.astype(np.float64 if is_double else dtype, copy=False), network

    def _fit_inputs(
        self,
        X: Any,
        Y: Array,
        weight: Any,
        validation_data: Any,
        hidden: list[int],
        incremental: bool,
        first_pass: bool,
    ) -> FitInputs:
        # One function, however long: the network first, for it draws before the split does.
        sizes = (X.shape[1], *hidden, Y.shape[1])
        params, network = self._begin(sizes, X.dtype, first_pass)
        dtype = params.dtype
        backend = self._adapter()
        held_out_rows = functools.partial(
            HeldOut,
            dtype=dtype,
            labels=self._labels(),
            backend=backend,
            network=network,
            threads=validation.threads_of(self),
        )
        rows = np.arange(len(Y))
        watched = held_out = None
        if validation_data is not None:
            watched = held_out_rows(*self._checked_validation(*validation_data))
        if self.early_stopping and self.solver != "lbfgs":
            held_out = watched
            if watched is None:
                rows, rest = self._split(Y)
                held_out = held_out_rows(X[rest], Y[rest], None if weight is None else weight[rest])
        weights = np.ones(len(Y), dtype) if weight is None else contiguous(weight, dtype)
        data = Data(contiguous(X, dtype, backend.backend), contiguous(Y, dtype), weights)
        loss_is_nan = self.loss == "poisson" and bool((Y < 0).any())
        if loss_is_nan and self.fix_defects:
            raise ValueError("loss='poisson' takes targets that are not negative")
        on_epoch = epoch_callback(self, X, Y, weight, network)
        if self.solver in validation.STOCHASTIC_SOLVERS:
            solver = None
            if incremental:
                solver = validation.attribute(self, "_optimizer", Solver | None, None)
            self._optimizer = Solver(self) if solver is None else solver
            weights_of_rows = weight, getattr(watched, "sample_weight", None)
            check_supported(
                backend,
                network,
                self._optimizer.optimizer,
                alpha=float(self.alpha),
                sample_weight=any(each is not None for each in weights_of_rows),
            )
        return FitInputs(
            network=network,
            backend=backend,
            data=data,
            rows=rows,
            params=params,
            held_out=held_out,
            validation=watched,
            incremental=incremental,
            first_pass=first_pass,
            loss_is_nan=loss_is_nan,
            on_epoch=on_epoch,
        )

    def _adapter(self) -> Adapter:
        """Return the back end, with scikit-learn's value of the squared error of several
        outputs.
        """
        has_several = self.n_outputs_ > 1 and self._labels() is None
        is_mean = self.loss == "squared_error" and has_several and not self.fix_defects
        return Adapter(get_backend(self.backend), is_mean)

    def _split(self, Y: Array) -> tuple[Array, Array]:
        """Return the rows to train on, and those that early stopping sets aside."""
        # `train_test_split` asks the same classes, and validates more
        labels = self._split_by(Y)
        kind = ShuffleSplit if labels is None else StratifiedShuffleSplit
        splits = kind(1, test_size=self.validation_fraction, random_state=self._random_state)
        rows, rest = next(splits.split(np.arange(len(Y)), labels))
        if len(rest) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        return rows, rest

    def _checked_validation(
        self, X: Any, y: Any, sample_weight: Any = None
    ) -> tuple[Any, Array, Array | None]:
        with errors_of("X_val, the validation rows"):
            X = validation.validated(self, X, dtype=(np.float64, np.float32), reset=False)
        with short_errors():
            y = validation.checked_targets("the y of validation data", y)
            Y = self._encode_validation(y)
            if len(Y) != X.shape[0]:
                raise ValueError(
                    f"the validation data's X has {X.shape[0]} rows, its y has {len(Y)}"
                )
            weight = row_weights(self, y, sample_weight)
            return X, Y, checked_weight(weight, X)

    def _has_epochs(self) -> bool:
        if self.solver not in validation.STOCHASTIC_SOLVERS:
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {cut(self.solver)} is "
                "not stochastic."
            )
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


_ACTIVATIONS = ", ".join(map('"{}"'.format, validation.HIDDEN_ACTIVATIONS))
_REASONS = ", ".join(f'"{reason}"' for reason in STOP_REASONS if reason != "running")
BaseMLP.__doc__ = display.fill(BaseMLP.__doc__, {"activations": _ACTIVATIONS, "reasons": _REASONS})


def validation_rows(
    validation_data: Any, X_val: Any, y_val: Any, sample_weight_val: Any
) -> tuple[Any, ...] | None:
    """The rows to validate on, (X, y) or (X, y, sample_weight), in whichever way `fit` was given
    them; None if not.
    """
    check_validation_parts(X_val, y_val, sample_weight_val)
    if validation_data is None:
        return None if X_val is None else (X_val, y_val, sample_weight_val)
    if X_val is not None:
        raise ValueError(
            "validation_data and X_val are the same thing in two ways: give one of them"
        )
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
        raise ValueError("validation_data must be a tuple (X, y) or (X, y, sample_weight)")
    return tuple(validation_data)


def epoch_callback(
    mlp: Any, X: Any, Y: Array, sample_weight: Array | None, network: Network
) -> Any:
    """Return the function to call after each epoch with the parameters, and with None at the end.

    It returns whether a callback wants to stop. None is returned in its place if there are no
    callbacks.
    """
    if not getattr(mlp, "_skl_callbacks", None):
        return None
    metadata = None if sample_weight is None else {"sample_weight": sample_weight}
    fit = {"estimator": mlp, "X": X, "y": mlp._decode(Y), "metadata": metadata}
    root = mlp._init_callback_context(max_subtasks=mlp.max_iter)
    root.call_on_fit_task_begin(**fit)

    def begun_epoch() -> Any:
        epoch = root.subcontext(task_name="epoch")
        epoch.call_on_fit_task_begin(**fit)
        return epoch

    n_epochs = 0
    epoch = begun_epoch()

    def on_epoch(params: Array | None) -> bool:
        nonlocal n_epochs, epoch

        def fitted() -> dict[str, Any]:
            weights = mlp._flat if params is None else Weights.of(network, np.array(params))
            return {
                "coefs_": list(weights.coefs),
                "intercepts_": list(weights.intercepts),
                "_flat": weights,
            }

        ended = root if params is None else epoch
        stop = bool(ended.call_on_fit_task_end(**fit, reconstruction_attributes=fitted))
        n_epochs += 1
        if params is not None and n_epochs < mlp.max_iter and not stop:
            epoch = begun_epoch()
        return stop

    return on_epoch
