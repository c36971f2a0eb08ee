"""TabularRegressor: numbers for the rows of a table as it is."""

from numbers import Real
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import _check_y, check_is_fitted

from fastnn import plotting
from fastnn.checking.arguments import errors_of, shown, store_parameters
from fastnn.checking.display import documented
from fastnn.checking.hints import explains_keywords
from fastnn.checking.values import refuse_missing, refuse_text
from fastnn.estimators.validation import WITHIN_ONE, Constraints
from fastnn.losses import CustomLoss, Function, Huber, Pinball
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.tabular.base import BaseTabular
from fastnn.tabular.calibration import FEWEST_ROWS, Residuals, learn_residuals
from fastnn.tabular.columns import LARGEST
from fastnn.tabular.members import Sample, mean_outputs
from fastnn.tabular.ramps import Inputs
from fastnn.tabular.units import loss_of_targets
from fastnn.tabular.widening import Errors, add_gaps, donors_of

LOSSES = ("squared_error", "absolute_error", "huber", "quantile")
"""The losses by their names."""


@documented
class TabularRegressor(RegressorMixin, BaseTabular):
    """A regressor for tables as they are: an ensemble of networks that learns well without
    settings.

    It prepares the columns (see `TablePreparation`) and scales the targets, trains the members
    together, each on the rows but for a part that judges it, and predicts the mean of their
    outputs, within the range of the targets. A member's epoch is chosen by rows that other members
    leave out.

    Parameters
    ----------
    loss : str, Huber, Pinball, CustomLoss or callable, default="squared_error"
        "squared_error", "absolute_error", "huber", "quantile", or a function of a prediction a and
        its target y that is convex in a, as for `CustomLoss`. It is in the units of y, as is
        ``Huber(delta)``, and "huber" is ``Huber(1.0)``. It is what training makes small, and what
        chooses the epoch of a member; `oob_score_` and `score` are R^2 whatever the loss is.
    quantile : float or None, default=None
        Between 0 and 1, for ``loss="quantile"``: which part of y is below what is predicted.

    Attributes
    ----------
    oob_prediction_ : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        The mean predictions of each row by the members that left it out; NaN where all trained on
        it.
    oob_score_ : float
        Their R^2, with the variance of all targets: what to expect of new rows, or a little less,
        since all members predict those. From 40 rows on it is right on average; of one small table
        it may be far off.

    See Also
    --------
    TabularClassifier : The same for classes; its notes are of both.
    MLPRegressor : One network, with scikit-learn's parameters and numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import TabularRegressor
    >>> X = [[size, color] for size in np.linspace(0, 1, 50) for color in ("red", "blue")]
    >>> y = [size if color == "red" else 1 - size for size, color in X]
    >>> model = TabularRegressor("fast", random_state=0).fit(X, y)
    >>> model.predict([[0.5, "red"], [1.0, "blue"]]).round(1)
    array([0.5, 0. ])
    """

    _parameter_constraints: ClassVar[Constraints] = {
        **BaseTabular._parameter_constraints,
        "loss": [StrOptions(set(LOSSES)), Huber, Pinball, CustomLoss, callable],
        "quantile": [WITHIN_ONE, None],
    }

    # estimators of version 0.3, which were pickled, have none of these
    loss: Any = "squared_error"
    quantile: float | None = None

    _bins = 16, 1.0

    def __init__(
        self,
        preset: str = "good",
        *,
        loss: str | Huber | Pinball | CustomLoss | Function = "squared_error",
        quantile: float | None = None,
        hidden_layer_sizes: Any = None,
        n_members: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        validation_fraction: float | None = None,
        cv: Any = None,
        max_categories: int = 200,
        max_time: float | None = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool | int = False,
    ) -> None:
        store_parameters(self, locals())

    @explains_keywords
    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict numbers.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            Columns as those of `fit`: of a frame by their names, in any order; others are passed
            over, with a warning.
        return_std : bool, default=False
            Whether to return, besides, how far a row's own number may be off: the noise is a part
            of it.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The members' mean predictions.
        std : ndarray of the same shape
            Only with `return_std`: standard deviations, from the residuals of rows that members
            left out.

        Raises
        ------
        ValueError
            With `return_std`, where there are no such residuals.

        Examples
        --------
        >>> from fastnn import TabularRegressor
        >>> model = TabularRegressor("fast", random_state=0).fit(
        ...     [["red"], ["blue"]] * 20, [1.0, 0.0] * 20
        ... )
        >>> model.predict([["blue"], ["red"]]).round(1)
        array([0., 1.])
        """
        check_is_fitted(self)
        if not return_std:
            outputs = mean_outputs(self.estimators_, self._inputs(X))
            return self._shaped(self._unscaled(outputs))
        of_sizes = self._checked_residuals().deviation()
        y, errors = self._predictions_and_errors(X)
        return self._shaped(y), self._shaped(errors.times(of_sizes, 1.0))

    @explains_keywords
    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Predict an interval for each row, in which its number lies with a probability.

        The probability is that over new rows like those of `fit`, on average, from 100 rows of
        `fit` on; with 40 it may be less by 0.1. It is calibrated by rows that members left out and
        that chose nothing of these members. Where the residuals of similar rows were large,
        intervals are wide; of few rows all intervals have one width.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            As for `predict`.
        coverage : float, default=0.9
            The probability, greater than 0 and less than 1.

        Returns
        -------
        ndarray of shape (n_samples, 2) or (n_samples, n_outputs, 2)
            Low and high, of each target by itself.

        Raises
        ------
        ValueError
            For a coverage that is no probability, for a fit of fewer than 40 rows, and for a
            coverage that takes more rows left out: 1 / (1 - coverage) of them.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import TabularRegressor
        >>> X = np.random.RandomState(0).uniform(size=(500, 1))
        >>> y = X[:, 0] + np.random.RandomState(1).uniform(-0.1, 0.1, 500)
        >>> model = TabularRegressor("fast", random_state=0).fit(X, y)
        >>> low, high = model.predict_interval([[0.5]])[0]
        >>> bool(low < 0.5 < high < low + 0.3)
        True
        """
        if not isinstance(coverage, Real) or not 0 < coverage < 1:
            raise ValueError(
                f"coverage must be greater than 0 and less than 1, such as 0.9, not "
                f"{shown(coverage)}"
            )
        check_is_fitted(self)
        of_sizes = self._checked_residuals().quantile(float(coverage))
        of_spread = NormalDist().inv_cdf((1 + float(coverage)) / 2)
        y, errors = self._predictions_and_errors(X)
        half = errors.times(of_sizes, of_spread)
        return np.stack([self._shaped(y - half), self._shaped(y + half)], axis=-1)

    def _predictions_and_errors(self, X: Any) -> tuple[Array, Errors]:
        """Return predictions (n, n_outputs), and what is expected of their errors."""

        def predict(inputs: Inputs) -> Array:
            return self._unscaled(mean_outputs(self.estimators_, inputs))

        table = self.preparation_._read(X)
        inputs = self.preparation_._inputs(table)
        sizes = self._residuals.sizes(inputs)
        errors = Errors(sizes, np.zeros(sizes.shape))
        add_gaps(errors, self.preparation_, table, self._donors, predict, self._residuals.sizes)
        return predict(inputs), errors

    def _checked_residuals(self) -> Residuals:
        """Return the residuals; raise ValueError where `fit` had too few rows to say how large new
        ones will be.
        """
        n_rows = np.count_nonzero(np.isfinite(self._truth[:, 0]))
        if n_rows < FEWEST_ROWS:
            raise ValueError(
                f"fit had {n_rows} rows, too few to say how far predictions are off: fit "
                f"{FEWEST_ROWS} rows or more; from 100 rows on, coverage is near the probability "
                "asked for"
            )
        return self._residuals

    def _checked(self, y: Any) -> Array:
        """Return the targets (n,) or (n, n_outputs) float64; raise ValueError for missing and for
        too large ones.
        """
        refuse_text(y)
        refuse_missing(y)
        y = np.asarray(_check_y(y, multi_output=True, y_numeric=True, estimator=self), np.float64)
        if (abs(y) > LARGEST).any():
            raise ValueError(f"y holds {abs(y).max():g}: targets must be below {LARGEST:g}")
        return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y

    def _learn_targets(self, y: Array) -> Array:
        self._one_target = y.ndim == 1
        y = y.reshape(len(y), -1)
        exponent = np.frexp(abs(y).max(axis=0))[1]
        deviation = np.ldexp(np.ldexp(y, -exponent).std(axis=0), exponent)  # no square is too small
        self._scaling = np.array(
            [y.mean(axis=0), np.where(deviation, deviation, 1.0), y.min(axis=0), y.max(axis=0)]
        )
        return self._targets(y)

    def _targets(self, y: Array) -> Array:
        mean, deviation, *_ = self._scaling
        with np.errstate(over="ignore"):
            return ((y.reshape(len(y), -1) - mean) / deviation).astype(np.float32)

    def _unscaled(self, outputs: Array) -> Array:
        """Return the numbers (n, n_outputs) that outputs stand for, within the range of the
        targets.
        """
        mean, deviation, low, high = self._scaling
        return np.clip(outputs * deviation + mean, low, high)

    def _slopes(self, outputs: Array, slopes: Array) -> Array:
        mean, deviation, low, high = self._scaling
        y = outputs * deviation + mean
        return np.where(((y > low) & (y < high))[:, :, None], slopes * deviation[:, None], 0.0)

    def _shaped(self, values: Array) -> Array:
        return values[:, 0] if self._one_target else values

    def _network(self, n_inputs: int, hidden: tuple[int, ...], n_outputs: int) -> Network:
        loss = loss_of_targets(self.loss, self.quantile, self._scaling)
        with errors_of("loss, of y less its mean and divided by its deviation"):
            return Network((n_inputs, *hidden, n_outputs), "gelu", loss=loss)

    def _score(self, targets: Array, outputs: Array) -> float:
        """Return R^2 of the rows with outputs, as a part of the variance of all targets: of a few
        it is a guess.
        """
        known = ~np.isnan(outputs[:, 0])
        residual = ((targets[known] - outputs[known]) ** 2).mean(axis=0)
        variance = targets.var(axis=0)
        return float(np.mean(1 - residual / np.where(variance > 0, variance, 1.0)))

    def _learn_from_left_out(
        self, sample: Sample, outputs: Array, counts: Array, random_state: np.random.RandomState
    ) -> None:
        sizes = abs(self._unscaled(sample.targets) - self._unscaled(outputs))
        self._donors = donors_of(sample.inputs[: len(sample.targets)], sample.targets)
        self._residuals = learn_residuals(
            self.estimators_, sample, outputs, counts, sizes, random_state, self.n_jobs
        )

    def _draw_left_out(self, axes: Any) -> None:
        known = ~np.isnan(self._out_of_bag[:, 0])
        true = self._truth[known].astype(np.float64)
        predicted = self._out_of_bag[known]
        units = "in standard deviations, "
        if self._one_target:
            true = self._unscaled(true)
            predicted = self._unscaled(predicted)
            units = ""
        title = f"Rows left out, {units}R² {self.oob_score_:.3f}"
        plotting.predictions(true, predicted, title, axes=axes)

    def _set_out_of_bag(self, outputs: Array) -> None:
        super()._set_out_of_bag(outputs)
        self.oob_prediction_ = self._shaped(self._unscaled(outputs))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
