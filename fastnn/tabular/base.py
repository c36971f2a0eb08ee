"""The base of TabularClassifier and TabularRegressor: the stages of a fit, and the outputs of the
ensemble.
"""

from __future__ import annotations

import textwrap
import time
from abc import ABC, abstractmethod
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn, Self

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
)
from sklearn.utils.validation import _num_samples, check_consistent_length, check_is_fitted

from fastnn import plotting
from fastnn.checking import display
from fastnn.checking.arguments import Faults, counted, errors_of, short_errors, shown
from fastnn.checking.hints import explains_keywords
from fastnn.checking.values import (
    check_validation_parts,
    refuse_lazy,
    refuse_missing,
    refuse_sparse,
)
from fastnn.errors import warn
from fastnn.estimators.labels import checked_weight, row_weights
from fastnn.estimators.validation import COUNT, POSITIVE, WITHIN_ONE, Constraints, name_hint
from fastnn.many import ManyResult
from fastnn.many.results import ManyHistory
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.tabular import members as ensemble
from fastnn.tabular.export import Exporting
from fastnn.tabular.jacobian import by_columns
from fastnn.tabular.levels import check_no_words
from fastnn.tabular.members import (
    PRESETS,
    Rows,
    Sample,
    Settings,
    mean_jacobian,
    mean_outputs,
    settings_of,
)
from fastnn.tabular.preparation import TablePreparation
from fastnn.tabular.ramps import Inputs
from fastnn.tabular.saving import Saving
from fastnn.training.exceptions import DivergenceError, InterruptWarning
from fastnn.training.results import TrainingResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_COLUMNS = 20
"""Most columns that an estimator's card lists."""

MOST_TEXT = 36
"""Most characters of a column's levels in it."""

MOST_MEMBERS = 10_000
"""Most members of an ensemble: a larger number is taken for a slip."""

LARGEST_TARGET = 1e15
"""Largest absolute value of a validation target, in standard deviations of y: float32 holds sums of
its square."""


class Validation(NamedTuple):
    """The rows to validate on, as `fit` takes them: the caller's own, or how they are chosen."""

    X: Any
    y: Any
    sample_weight: Any
    cv: Any
    groups: Any

    def check(self) -> None:
        """Raise ValueError for X or y without the other, and for `cv` or groups beside them."""
        check_validation_parts(self.X, self.y, self.sample_weight)
        for name in ("cv", "groups"):
            if self.X is not None and getattr(self, name) is not None:
                raise ValueError(
                    f"X_val and {name} are two ways to choose the rows to validate on: give one of "
                    "them"
                )


class BaseTabular(Saving, Exporting, BaseEstimator, ABC):
    """The base of both estimators.

    Parameters
    ----------
    preset : {"fast", "good", "best"}, default="good"
        The defaults of the parameters below: "fast" takes about the time of gradient boosting,
        "good" five times, "best" fifteen times as long for less error. See
        docs/howto/tables-presets.md.
    hidden_layer_sizes : int or array-like of int of shape (n_layers,), default=None
        Widths of the hidden layers, all equal.
    n_members : int, default=None
        The number of networks, whose outputs are averaged, at most 10,000.
    epochs : int, default=None
        Epochs of each member, over which the learning rate falls to 0 along half a cosine.
    batch_size : int, default=None
        Rows of a step.
    learning_rate : float, default=None
        Adam's first rate; None is that of the preset divided by the square root of the width.
    validation_fraction : float, default=None
        The fraction of the rows that each member leaves out, at most 0.5: they judge it, and choose
        the epochs of other members. Members leave out different rows, in parts of equal sizes, so
        the nearest of 1/2, 1/3, 1/4 and so on is taken.
    cv : int, splitter or None, default=None
        Splits of the rows, as in `sklearn.model_selection.cross_val_score`: each member leaves out
        the test rows of one, instead of `validation_fraction`. For series use
        ``TimeSeriesSplit()``.
    max_categories : int, default=200
        The most levels of a column of words; the rarest of more levels become one.
    max_time : float, default=None
        Seconds after which no other member begins; a member that could not end by then is dropped,
        unless it is the only one.
    n_jobs : int, default=None
        Members to train at once. None or -1 is all cores, or all workers of the engine that
        ``joblib.parallel_config`` names. It does not change a bit of the result.
    random_state : int, RandomState or None, default=None
        Draws the rows that members leave out, initial weights and the orders of rows.
    verbose : bool or int, default=False
        Whether to show a progress bar (needs the package rich).

    Attributes
    ----------
    estimators_ : list of TrainingResult
        The members: networks of the columns that `preparation_` makes.
    preparation_ : TablePreparation
        The transformer from tables to numbers.
    history_ : ManyHistory
        The members' losses, ``history_.validation_loss`` (n_members, n_epochs) and so on.
    best_validation_score_ : float
        Minus the mean of the members' validation losses at the epochs of their parameters: greater
        is better.
    fit_seconds_ : float
        The seconds of `fit`.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X had any, as texts.
    """

    _parameter_constraints: ClassVar[Constraints] = {
        "preset": [StrOptions(set(PRESETS))],
        "hidden_layer_sizes": ["array-like", COUNT, None],
        "n_members": [Interval(Integral, 1, MOST_MEMBERS, closed="both"), None],
        "epochs": [COUNT, None],
        "batch_size": [COUNT, None],
        "learning_rate": [POSITIVE, None],
        "validation_fraction": [WITHIN_ONE, None],
        "cv": ["cv_object"],
        **TablePreparation._parameter_constraints,
        "max_time": [POSITIVE, None],
        "n_jobs": [COUNT, Options(Integral, {-1}), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    _bins: ClassVar[tuple[int, float]]
    """The most bins of a column of numbers, and the height of their ramps."""

    estimators_: list[TrainingResult]
    history_: ManyHistory
    preparation_: TablePreparation

    @abstractmethod
    def _checked(self, y: Any) -> Array:
        """Return y as labels (n,), or as numbers (n,) or (n, n_outputs); raise ValueError for what
        is neither.
        """

    @abstractmethod
    def _learn_targets(self, y: Array) -> Array:
        """Learn from a checked y what the outputs stand for; return its targets (n, n_outputs)
        float32.
        """

    @abstractmethod
    def _targets(self, y: Array) -> Array:
        """Return the targets (n, n_outputs) float32 of a checked y, such as that of validation
        rows.
        """

    @abstractmethod
    def _network(self, n_inputs: int, hidden: tuple[int, ...], n_outputs: int) -> Network: ...

    @abstractmethod
    def _score(self, targets: Array, outputs: Array) -> float:
        """Return the accuracy, or R^2, of outputs (n, n_outputs), of rows where they are not
        NaN.
        """

    @abstractmethod
    def _learn_from_left_out(
        self, sample: Sample, outputs: Array, counts: Array, random_state: np.random.RandomState
    ) -> None:
        """Calibrate on the outputs (n, n_outputs) for rows left out, by as many members as `counts`
        (n,) says.
        """

    @abstractmethod
    def _slopes(self, outputs: Array, slopes: Array) -> Array:
        """Return the derivatives (n, n_outputs, n_inputs) of predictions, by those of outputs (n,
        n_outputs).
        """

    def _shaped(self, values: Array) -> Array:
        """Return values of predictions (n, n_outputs, ...) in the shape of y."""
        return values

    def _set_out_of_bag(self, outputs: Array) -> None:
        """Keep the mean outputs (n, n_outputs) of rows by the members that left them out; NaN where
        none did.
        """
        self._out_of_bag = outputs

    def _labels(self, targets: Array) -> Rows | None:
        """Return the labels (n,) that are dealt out evenly, if there are any."""
        return None

    # ------------------------------------------------------------------------------------------ fit

    @property
    def partial_fit(self) -> NoReturn:
        """Not there: the preparation and the members learn from all rows at once.

        Raises
        ------
        AttributeError
            Always, and names what learns from a stream instead.

        Examples
        --------
        >>> from fastnn import TabularRegressor
        >>> hasattr(TabularRegressor(), "partial_fit")
        False
        """
        raise AttributeError(
            f"{type(self).__name__} has no partial_fit: fit on all rows again, or learn from a "
            "stream by MLPClassifier or train(..., resume=...)"
        )

    @short_errors()
    def _validate_params(self) -> None:
        try:
            super()._validate_params()
        except InvalidParameterError as error:
            raise InvalidParameterError(f"{error}{name_hint(self)}") from None

    @_fit_context(prefer_skip_nested_validation=True)
    @explains_keywords
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        groups: Any = None,
    ) -> Self:
        """Fit the ensemble to a table and its targets.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            Numbers, booleans and words, as they are; None, NaN and NA are gaps.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The targets: labels of a classifier (n_samples,), numbers of a regressor.
        sample_weight : array-like of shape (n_samples,), default=None
            Not negative; a row of weight 0 is as if it were not there: neither training nor scores
            use it, and a class of such rows alone is no class.
        X_val, y_val : as X and y, default=None
            Rows to choose the best epochs of members; members then train on all rows of X, and
            nothing judges them.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights.
        groups : array-like of shape (n_samples,), default=None
            The group of each row, such as a patient: a member leaves out all rows of a group, or
            none.

        Returns
        -------
        self : object
            The fitted estimator. After Ctrl-C it has the complete members, with an
            `InterruptWarning`.

        Raises
        ------
        ValueError, TypeError
            For columns that are neither numbers nor words (they are named), for targets that are
            missing or all of one class, and for two ways to choose the validation rows.
        DivergenceError
            If all members diverge in their first epoch.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import TabularRegressor
        >>> X = [[size, color] for size in np.linspace(0, 1, 50) for color in ("red", "blue")]
        >>> y = [size if color == "red" else 1 - size for size, color in X]
        >>> bool(TabularRegressor("fast", random_state=0).fit(X, y).score(X, y) > 0.99)
        True
        """
        began = time.perf_counter()
        before = dict(vars(self))
        validation = Validation(X_val, y_val, sample_weight_val, self.cv, groups)
        validation.check()
        try:
            self._fit(X, y, sample_weight, validation, began)
        except BaseException:  # the estimator stays as it was
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        return self

    @short_errors()
    def _fit(
        self, X: Any, y: Any, sample_weight: Any, validation: Validation, began: float
    ) -> None:
        random_state = check_random_state(self.random_state)
        X, y, sample_weight, validation, place = _weighted_rows(X, y, sample_weight, validation)
        self._check_there_are_targets(y)
        preparation, inputs, n_copies, targets = self._prepare(X, y, random_state)
        weight = ensemble.moderate(row_weights(self, y, sample_weight))
        used = np.arange(len(targets)) if weight is None else np.flatnonzero(weight)
        left_out, settings = self._choose_left_out(
            targets, used, n_copies, validation, random_state
        )
        n_inputs = inputs.shape[1] + len(preparation.ramps_.columns)
        n_outputs = targets.shape[1]
        network = self._network(n_inputs, settings.hidden_layer_sizes, n_outputs)
        rows_to_validate = None
        if validation.X is not None:
            rows_to_validate = self._validation(preparation, validation, n_outputs)
        sample = Sample(inputs, targets, weight, rows_to_validate, preparation.ramps_)
        del inputs
        n_ramped = settings.n_members // 2
        trainer = ensemble.Trainer(
            network, sample, left_out, settings, random_state, self.n_jobs, n_ramped
        )
        end = None if self.max_time is None else began + self.max_time
        many = trainer.train(end, bool(self.verbose))
        members = self._complete_members(many, settings.n_members)
        self._set_preparation(preparation)
        self.estimators_, epochs = trainer.finish(many, members, end)
        self.history_ = many[members].history
        losses = self.history_.validation_loss[np.arange(len(members)), epochs - 1]
        self.best_validation_score_ = -float(losses.mean())
        judged_by = [trainer.judged_by[i] for i in members] if left_out else []
        outputs, counts = self._predict_left_out(sample, judged_by)
        self._learn_from_left_out(sample, outputs, counts, random_state)
        self._set_out_of_bag(place(outputs))
        n_judged = np.count_nonzero(counts)
        self.oob_score_ = self._score(targets, outputs) if n_judged > 1 else np.nan
        labels = self._labels(targets)
        self._truth = place(targets if labels is None else labels)
        self.fit_seconds_ = time.perf_counter() - began

    def _prepare(
        self, X: Any, y: Any, random_state: np.random.RandomState
    ) -> tuple[TablePreparation, Any, int, Array]:
        """Learn the preparation of a table; return it, the inputs, of so many copies of the rows,
        and the targets.
        """
        preparation = TablePreparation(self.max_categories)
        preparation._owner = type(self).__name__
        faults = Faults()
        targets: Any = None
        with faults.part():
            targets = self._learn_targets(self._checked(y))
        with faults.part():
            has_ramps = PRESETS[self.preset].has_ramps and self.n_members != 1
            bins = self._bins if has_ramps else None
            inputs, n_copies = preparation._fit_inputs(X, random_state, targets, bins)
        faults.check()
        check_consistent_length(range(len(inputs) // n_copies), targets)
        return preparation, inputs, n_copies, targets

    def _check_there_are_targets(self, y: Any) -> None:
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        refuse_sparse("y", y)
        refuse_lazy("y", y)
        is_alone = isinstance(y, (list, tuple)) and len(y) == 1
        name = y[0] if is_alone else y
        if isinstance(name, str):
            such = f"fit(frame.drop(columns={name!r}), frame[{name!r}])"
            way = f"give the column itself, as in {such}"
            raise ValueError(f"y is the text {shown(name)}, not the targets: {way}")

    def _choose_left_out(
        self,
        targets: Array,
        used: Rows,
        n_copies: int,
        validation: Validation,
        random_state: np.random.RandomState,
    ) -> tuple[list[Rows], Settings]:
        """Return the rows that each member leaves out, of those used, or none with `X_val`; and the
        settings.
        """
        n = len(used)
        if n < 2:
            why = "a member learns from some rows and is judged by others, which takes 2 rows"
            raise ValueError(f"n_samples={n}: {why}")
        labels = self._labels(targets)
        fraction = self.validation_fraction or PRESETS[self.preset].validation_fraction
        if fraction > 0.5:
            most = "members leave out at most half of the rows, 0.5"
            raise ValueError(f"validation_fraction={fraction:g}: {most}")
        splits = ensemble.splits(
            validation.cv, targets, labels, validation.groups, fraction, random_state
        )
        left_out = [np.intersect1d(part, used) for part in splits]
        left_out = [rows for rows in left_out if len(rows)]
        if splits and not left_out:
            raise ValueError("cv: no split leaves out a row of a weight above 0")
        settings = settings_of(
            self, n, classes=labels is not None, n_splits=len(left_out), n_copies=n_copies
        )
        if validation.X is not None:
            return [], settings
        if any(len(rows) == n for rows in left_out):
            fault = f"cv: a split holds out all {n} rows"
            raise ValueError(f"{fault}, and a member learns from the others")
        if not left_out:
            dealt = ensemble.parts(n, settings.n_members, fraction, random_state)
            left_out = [used[rows] for rows in dealt]
        return [left_out[i % len(left_out)] for i in range(settings.n_members)], settings

    def _validation(
        self, preparation: TablePreparation, validation: Validation, n_outputs: int
    ) -> tuple[Any, ...]:
        """Return the caller's own validation rows as (X, Y, weight)."""
        with errors_of("X_val, the validation rows"):
            inputs = preparation.transform(validation.X)
        with errors_of("y_val, the targets of validation rows"):
            targets = self._targets(self._checked(validation.y))
            check_consistent_length(inputs, targets)
            if targets.shape[1] != n_outputs:
                raise ValueError(f"{counted(targets.shape[1], 'column')}, y has {n_outputs}")
            if (abs(targets) > LARGEST_TARGET).any():
                raise ValueError(
                    "they are so far from y that float32 has no squares of the differences"
                )
        weight = checked_weight(validation.sample_weight, inputs)
        weight = ensemble.moderate(row_weights(self, validation.y, weight))
        return (inputs, targets) if weight is None else (inputs, targets, weight)

    def _complete_members(self, many: ManyResult, n_members: int) -> list[int]:
        """Return the members that trained all epochs; where there are none, those that trained one
        or more.

        Raises
        ------
        KeyboardInterrupt, ValueError
            Where no member trained an epoch, before Ctrl-C or in `max_time`.
        """
        reasons = many.stop_reason
        n_epochs = many.n_epochs
        members: list[int] = np.flatnonzero(reasons == "epochs").tolist()
        if not members:
            members = np.flatnonzero(n_epochs).tolist()
        if not members:
            if "interrupted" in reasons:
                raise KeyboardInterrupt
            if "diverged" in reasons:
                fault = "the members diverged in their first epoch: take a smaller learning_rate"
                raise DivergenceError(fault, many)
            late = f"were over before an epoch of {n_members} members"
            raise ValueError(f"max_time={self.max_time} seconds {late}: give more")
        if "interrupted" in reasons:
            have = f"the estimator has {len(members)} of {n_members} members"
            warn(InterruptWarning(f"fit was interrupted: {have}", many))
        elif "epochs" not in reasons and self.max_time is not None:
            trained = ", ".join(map(str, n_epochs[members]))
            ended = f"max_time={self.max_time} seconds ended all members early"
            warn(UserWarning(f"{ended}, after {trained} epochs"))
        return members

    def _set_preparation(self, preparation: TablePreparation) -> None:
        self.preparation_ = preparation
        preparation._owner = type(self).__name__
        self.n_features_in_ = preparation.n_features_in_
        self.__dict__.pop("feature_names_in_", None)
        if hasattr(preparation, "feature_names_in_"):
            self.feature_names_in_ = preparation.feature_names_in_

    def _predict_left_out(self, sample: Sample, left_out: list[Rows]) -> tuple[Array, Array]:
        """Return the mean outputs (n, n_outputs) of rows by the members that left them out, and how
        many (n,) did.

        Outputs are NaN where none did.
        """
        total = np.zeros(sample.targets.shape)
        counts = np.zeros(len(sample.targets))
        for member, rows in zip(self.estimators_, left_out, strict=bool(left_out)):
            if len(rows):  # a member that left out a single row is judged by none
                total[rows] += member.predict(sample.with_ramps(rows), assume_finite=True)
                counts[rows] += 1
        total[counts == 0] = np.nan
        return total / np.maximum(counts, 1)[:, None], counts

    def _inputs(self, X: Any) -> Inputs:
        """Return the members' inputs (n, n_inputs)."""
        check_is_fitted(self)
        return self.preparation_._inputs(self.preparation_._read(X))

    @explains_keywords
    def input_jacobian(self, X: Any) -> Array:
        """Compute the derivatives of the predictions by the columns of a table of numbers.

        That is the mean of the members' Jacobians, by the chain rule through the scaling of the
        columns and of the targets. The bits of a row do not depend on the rows beside it.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            Numbers, as for `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_features), (n_samples, n_outputs, n_features) or \
                (n_samples, n_classes, n_features)
            The derivatives of a regressor's only target, of its targets, or of probabilities, in
            units of y, or of probability, by units of the columns of `fit`. They are 0 where a
            prediction is clipped to the range of the targets and of columns that were constant in
            `fit`, NaN by a number that is missing; by the others, its estimate moves along.

        Raises
        ------
        NotFittedError
            For an estimator that is not fitted.
        ValueError
            For a table with words, by which there is no derivative; their columns are named.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import TabularRegressor
        >>> X = np.random.RandomState(0).uniform(size=(500, 2))
        >>> model = TabularRegressor("fast", random_state=0).fit(X, 3 * X[:, 0] - X[:, 1])
        >>> model.input_jacobian([[0.5, 0.5]]).round()
        array([[ 3., -1.]])
        """
        check_is_fitted(self)
        preparation = self.preparation_
        check_no_words(preparation, "by words there is no derivative: make numbers of them")
        rows = preparation._read(X)
        inputs = preparation._matrix(rows)
        outputs = mean_outputs(self.estimators_, inputs)
        slopes = self._slopes(outputs, mean_jacobian(self.estimators_, inputs))
        return self._shaped(by_columns(preparation, rows, inputs, slopes))

    # ---------------------------------------------------------------------------------------- shown

    def plot(self) -> Figure:
        """Draw the members' losses and, where rows were left out, how right predictions of them
        are, by matplotlib.

        Of numbers these are the true ones against the predicted ones; of classes, how often the
        predicted class was right against its probability.

        Returns
        -------
        matplotlib.figure.Figure
            16 by 7 inches; `fastnn.plotting.save` writes it.

        Raises
        ------
        NotFittedError
            For an estimator that is not fitted.
        ImportError
            Where matplotlib is not installed.

        Examples
        --------
        >>> from fastnn import TabularClassifier
        >>> model = TabularClassifier("fast", random_state=0).fit(
        ...     [["red"], ["blue"]] * 20, [1, 0] * 20
        ... )
        >>> [axes.get_title() for axes in model.plot().axes]
        ['Losses of the members', 'Rows left out, accuracy 1.000']
        """
        check_is_fitted(self)
        figure, axes = plotting.empty_figure("", "", "")
        has_rows = not np.isnan(self._out_of_bag[:, 0]).all()
        figure.set_size_inches(16 if has_rows else 8, 7)
        axes.remove()
        panels = figure.subplots(1, 1 + has_rows, squeeze=False)[0]
        plotting.member_curves(self.history_, axes=panels[0])
        if has_rows:
            self._draw_left_out(panels[1])
        return figure

    def _html_repr(self) -> str:
        """Return HTML for a notebook: scikit-learn's diagram and, of a fitted estimator, a card."""
        diagram: str = super()._html_repr()
        if not hasattr(self, "history_"):
            return diagram
        return diagram + display.card(self, self._facts(), self.history_._chart())

    def _facts(self) -> dict[str, object]:
        network = self.estimators_[0].network
        preparation = self.preparation_
        n = preparation.n_features_in_
        names = getattr(preparation, "feature_names_in_", [str(j) for j in range(n)])
        n_left_out = np.count_nonzero(~np.isnan(self._out_of_bag[:, 0]))
        score = "accuracy" if is_classifier(self) else "R²"
        facts: dict[str, object] = {
            "networks": f"{len(self.estimators_)} of {display.sizes_text(network.sizes)}",
            "rows": f"{len(self._truth):,}, {n_left_out:,} of them left out",
            f"{score}, rows left out": f"{self.oob_score_:.4g}",
            "seconds": f"{self.fit_seconds_:.3g}",
        }
        for j, name in enumerate(names[:MOST_COLUMNS]):
            label = name if name.startswith("column ") else f"column {name}"
            facts[label] = column_in_words(preparation, j)
        if n > MOST_COLUMNS:
            facts["..."] = f"and {n - MOST_COLUMNS} other columns"
        return facts

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        return tags


def _check_groups(groups: Any, n: int) -> None:
    """Raise ValueError unless groups are one for each of n rows, none of them missing."""
    if (shape := np.shape(groups)) != (n,):
        raise ValueError(
            f"groups has the shape {shape}, not ({n},): name the group of each row of X"
        )
    refuse_missing(groups, "groups")


def _weighted_rows(X: Any, y: Any, sample_weight: Any, validation: Validation) -> tuple[Any, ...]:
    """Return the arguments without the rows of weight 0, and a function that puts values of the
    others in their places.

    It fills the places of rows of weight 0 with NaN, those of labels with 0. `cv` splits all rows.
    """
    if validation.groups is not None:
        _check_groups(validation.groups, _num_samples(X))
    sample_weight = checked_weight(sample_weight, X)
    if sample_weight is None or sample_weight.all() or not sample_weight.any():
        return X, y, sample_weight, validation, lambda values: values
    rows = np.flatnonzero(sample_weight)
    n_rows = len(sample_weight)
    cv = validation.cv
    groups = validation.groups
    check_consistent_length(X, y, groups)
    if cv is not None and not isinstance(cv, Integral):
        folds = check_cv(cv).split(np.zeros((n_rows, 1)), y, groups)
        parts = ([ensemble.row_numbers(part, n_rows) for part in fold] for fold in folds)
        cv = [tuple(np.flatnonzero(np.isin(rows, part)) for part in fold) for fold in parts]

    def place(values: Array) -> Array:
        placed = np.zeros((n_rows, *values.shape[1:]), values.dtype)
        if values.dtype.kind == "f":
            placed.fill(np.nan)
        placed[rows] = values
        return placed

    X, y, sample_weight, groups = (
        None if part is None else _safe_indexing(part, rows)
        for part in (X, y, sample_weight, groups)
    )
    return X, y, sample_weight, validation._replace(cv=cv, groups=groups), place


def column_in_words(preparation: TablePreparation, j: int) -> str:
    """Return in words how the column j of a table was read."""
    if j in preparation.number_columns_:
        gaps = ", with gaps" if preparation.has_gaps_[preparation.number_columns_.index(j)] else ""
        doubt = ", but may be names" if j in getattr(preparation, "_doubtful", ()) else ""
        return f"number{gaps}{doubt}"
    gaps_are_known = not preparation.imputation_.is_jacobi  # not in files of 0.3
    for levels, has_gaps in zip(preparation.levels_, preparation.has_word_gaps_, strict=True):
        if levels.column == j:
            words = ", ".join(map(str, levels.levels))
            words = textwrap.shorten(words, MOST_TEXT, placeholder=" ...")
            rest = " and the rest" if levels.has_rest else ""
            gaps = ", with gaps" if has_gaps and gaps_are_known else ""
            return f"{counted(len(levels.levels), 'level')}{rest}{gaps}: {words}"
    return "always the same, left out"
