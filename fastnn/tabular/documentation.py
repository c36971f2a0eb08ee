"""The parts of the estimators' docstrings that they share."""

from __future__ import annotations

from typing import TypeVar

from fastnn.checking.display import fill
from fastnn.checking.hints import explains_keywords

_Estimator = TypeVar("_Estimator", bound=type)

_PARAMETERS = """\
preset : {"fast", "good", "best"}, default="good"
    What the parameters below are where they are None: "fast" takes about the time of gradient boosting, "good" five
    times, "best" fifteen times as long for less error. See docs/howto/tables-presets.md.
hidden_layer_sizes : int or array-like of int of shape (n_layers,), default=None
    Widths of the hidden layers, all equal.
n_members : int, default=None
    Networks, whose outputs are averaged.
epochs : int, default=None
    Epochs of each member; the learning rate falls to 0 over them, along half a cosine.
batch_size : int, default=None
    Rows a step.
learning_rate : float, default=None
    Adam's first rate; None is the preset's over the square root of the width."""

_MORE_PARAMETERS = """\
validation_fraction : float, default=None
    The part of the rows that each member leaves out, to choose its best epoch by. Members leave out different parts.
cv : int, splitter or None, default=None
    Splits of the rows, as for `sklearn.model_selection.cross_val_score`: members leave out the test rows of one each,
    in place of `validation_fraction`. For series, such as ``TimeSeriesSplit()``."""

_LAST_PARAMETERS = """\
max_categories : int, default=200
    Levels of a column of words, at most; of more levels the rarest are one.
max_time : float, default=None
    Seconds after which no other member begins; one that could not end by then is left out, unless there is no other.
n_jobs : int, default=None
    Members that are trained at once. None or -1: all cores, or all workers of the engine that
    ``joblib.parallel_config`` names. It shows in no bit.
random_state : int, RandomState or None, default=None
    Draws which rows members leave out, initial weights and the rows' orders.
verbose : bool, default=False
    Whether to show a progress bar (needs the package rich)."""

_ATTRIBUTES = """\
estimators_ : list of TrainingResult
    The members: networks of the columns that `preparation_` makes, times ``sqrt(width / n_columns)``.
preparation_ : TablePreparation
    What makes numbers of a table.
history_ : ManyHistory
    The members' losses, ``history_.validation_loss`` (n_members, n_epochs) and so on.
best_validation_score_ : float
    Minus the mean of the members' least validation losses: greater is better.
fit_seconds_ : float
    What `fit` took."""

_LAST_ATTRIBUTES = """\
n_features_in_ : int
    Columns of X.
feature_names_in_ : ndarray of shape (`n_features_in_`,)
    Names of the columns, if X had any, all of them texts."""

_TEXTS = {
    "parameters": _PARAMETERS,
    "more_parameters": _MORE_PARAMETERS,
    "last_parameters": _LAST_PARAMETERS,
    "attributes": _ATTRIBUTES,
    "last_attributes": _LAST_ATTRIBUTES,
}


def documented(estimator: _Estimator) -> _Estimator:
    """Fill the shared texts into the docstring of an estimator, and let it explain keywords that it does not have."""
    estimator.__doc__ = fill(estimator.__doc__, _TEXTS)
    return explains_keywords(estimator)
