"""The parts of the two estimators' docstrings that they share."""

from __future__ import annotations

from inspect import cleandoc
from typing import TypeVar

from fastnn.checking.hints import explains_keywords
from fastnn.estimators.validation import HIDDEN_ACTIVATIONS
from fastnn.training.stopping import STOP_REASONS

_Estimator = TypeVar("_Estimator", bound=type)

_REASONS = ", ".join(f'"{reason}"' for reason in STOP_REASONS if reason != "running")

_ACTIVATIONS = ", ".join(f'"{name}"' for name in HIDDEN_ACTIVATIONS)

_PARAMETERS = f"""\
hidden_layer_sizes : int or array-like of int, default=(100,)
    Widths of the hidden layers; ``()`` for none.
activation : str, Elu, LeakyRelu, or sequence of them, default="relu"
    Activation of the hidden layers; a sequence has one for each:
    {_ACTIVATIONS}.
    Those after "relu" are fastnn's own, as are ``Elu(alpha)`` and ``LeakyRelu(slope)``, as for `fastnn.Network`.
solver : {{"adam", "sgd", "lbfgs", "adamw", "rmsprop", "rprop"}}, default="adam"
    The last three are fastnn's own. "adamw" is "adam" with a weight decay of 0.01 besides `alpha`; "rprop" takes full
    batches, and `learning_rate_init` is its first step. The regressor has "lm" and "br" besides,
    Levenberg-Marquardt and Bayesian regularization, for up to some 500 parameters; activation "tanh" suits them. They
    scale X and y to [-1, 1] by themselves, and have their losses of these; the weights are for raw X.
alpha : float, default=0.0001
    Strength of the L2 penalty on the weights; divided by the rows of a batch. "br" finds it by itself.
batch_size : int or "auto", default="auto"
    "auto": ``min(200, n_samples)``. "lm" and "br" take all rows, and no number here.
learning_rate : {{"constant", "invscaling", "adaptive"}} or schedule, default="constant"
    A schedule, such as ``fastnn.cosine(0.01)``, is for all solvers but "lbfgs", "lm" and "br", in place of
    `learning_rate_init`; one without steps ends with `max_iter` epochs. The words are for "sgd". "invscaling":
    ``learning_rate_init / (t_ + 1) ** power_t`` after each epoch. "adaptive": divided by 5 whenever training would
    stop, until it is 1e-6.
learning_rate_init : float, default=0.001
    For all solvers but "lbfgs", "lm" and "br".
power_t : float, default=0.5
    See `learning_rate`.
max_iter : int, default=200
    The most epochs, or iterations of "lbfgs"; of "lm" and "br", the most epochs of each of the `n_restarts` starts.
shuffle : bool, default=True
    Whether each epoch sees the rows in a new order.
random_state : int, RandomState or None, default=None
    Draws the weights, then early stopping's split, then the rows' orders: the numbers that scikit-learn draws.
tol : float, default=1e-4
    An epoch whose loss (score) is not better than the best by this much fails to improve. "lbfgs" ends when no
    component of the gradient is larger. "lm" and "br" do not use it: they end by the gradient, the damping or the
    evidence, which `stop_reason_` names, and "lm" with early stopping after `n_iter_no_change` epochs.
verbose : bool, default=False
    Whether to print each epoch's loss.
warm_start : bool, default=False
    Whether `fit` goes on from the fitted weights.
momentum : float, default=0.9
    For "sgd".
nesterovs_momentum : bool, default=True
    For "sgd".
early_stopping : bool, default=False
    Whether a part of the rows is set aside, training stops by their score (see `scoring`), and the best epoch's
    weights are kept.
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
backend : {{"numba", "numpy"}}, name or Backend, default="numba"
    The back end that trains and predicts. From here on, the parameters are fastnn's own."""

_OWN_PARAMETERS = """\
max_time : float or None, default=None
    Seconds after which training stops, to about 0.05 s.
coefs_init, intercepts_init : list of arrays of shapes (fan_in, fan_out) and (fan_out,), default=None
    Initial weights, one array a layer. Weights are drawn all the same, so that the rows' orders do not change."""

_FIX_DEFECTS = """\
fix_defects : bool, default=False
    Whether to correct what scikit-learn 1.9 gets wrong, at the price of other numbers: see docs/howto/scikit-learn.md.
n_threads : int or None, default=None
    Threads that share each step, each gradient of L-BFGS, validation rows and predictions: the `threads` of
    `fastnn.train`. They show in no bit. None: as many as there are cores, where a step has enough work for them.
scoring : str, callable or None, default=None
    The score by which early stopping goes, of the rows that it sets aside or that `fit` was given. None is
    scikit-learn's: accuracy or R^2. "loss" is the negative of the loss, without the penalty; take it for classes of
    which one is rare, where accuracy hardly moves. Also the name of a scorer of scikit-learn's, such as
    "average_precision", or a function (estimator, X, y) of which greater values are better; where the rows have
    weights, it is given them as ``sample_weight=``.
clip_norm : float or None, default=None
    The most that the length of a step's gradient may be, for all solvers but "lbfgs", "lm" and "br"."""

_ATTRIBUTES = f"""\
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
    Early stopping's score after each epoch; of ``scoring="loss"`` the negative loss, as in HistGradientBoosting,
    so that greater is better.
best_validation_score_ : float or None
    The greatest of them.
validation_loss_curve_ : list of float
    Loss of the validation data that `fit` was given, after each epoch.
stop_reason_ : str
    {_REASONS};
    for "lbfgs" "converged", "limit", "abnormal", "time", "interrupted", "callback"."""

_TEXTS = {
    "parameters": _PARAMETERS,
    "own_parameters": _OWN_PARAMETERS,
    "fix_defects": _FIX_DEFECTS,
    "attributes": _ATTRIBUTES,
}


def documented(estimator: _Estimator) -> _Estimator:
    """Fill the shared texts into the docstring of an estimator, and let it explain keywords that it does not have."""
    estimator.__doc__ = cleandoc(estimator.__doc__ or "") % _TEXTS
    return explains_keywords(estimator)
