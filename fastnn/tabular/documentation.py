"""The parts of the estimators' docstrings that they share."""

from __future__ import annotations

from typing import TypeVar

from fastnn.checking.display import fill
from fastnn.checking.hints import explains_keywords

_Estimator = TypeVar("_Estimator", bound=type)

_PARAMETERS = """\
preset : {"fast", "good", "best"}, default="good"
    The defaults of the parameters below: "fast" takes about the time of gradient boosting, "good" five times, "best"
    fifteen times as long for less error. See docs/howto/tables-presets.md.
hidden_layer_sizes : int or array-like of int of shape (n_layers,), default=None
    Widths of the hidden layers, all equal.
n_members : int, default=None
    The number of networks, whose outputs are averaged.
epochs : int, default=None
    Epochs of each member, over which the learning rate falls to 0 along half a cosine.
batch_size : int, default=None
    Rows of a step.
learning_rate : float, default=None
    Adam's first rate; None is that of the preset divided by the square root of the width."""

_MORE_PARAMETERS = """\
validation_fraction : float, default=None
    The fraction of the rows that each member leaves out, to choose its best epoch. Members leave out different rows.
cv : int, splitter or None, default=None
    Splits of the rows, as in `sklearn.model_selection.cross_val_score`: each member leaves out the test rows of one,
    instead of `validation_fraction`. For series use ``TimeSeriesSplit()``."""

_LAST_PARAMETERS = """\
max_categories : int, default=200
    The most levels of a column of words; the rarest of more levels become one.
max_time : float, default=None
    Seconds after which no other member begins; a member that could not end by then is dropped, unless it is the only
    one.
n_jobs : int, default=None
    Members to train at once. None or -1 is all cores, or all workers of the engine that ``joblib.parallel_config``
    names. It does not change a bit of the result.
random_state : int, RandomState or None, default=None
    Draws the rows that members leave out, initial weights and the orders of rows.
verbose : bool, default=False
    Whether to show a progress bar (needs the package rich)."""

_ATTRIBUTES = """\
estimators_ : list of TrainingResult
    The members: networks of the columns that `preparation_` makes.
preparation_ : TablePreparation
    The transformer from tables to numbers.
history_ : ManyHistory
    The members' losses, ``history_.validation_loss`` (n_members, n_epochs) and so on.
best_validation_score_ : float
    Minus the mean of the members' least validation losses: greater is better.
fit_seconds_ : float
    The seconds of `fit`."""

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
