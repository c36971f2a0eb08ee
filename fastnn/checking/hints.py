"""Hints for people who come from elsewhere: what to write for other libraries' names, and what to install.

The package index knows another project under the name fastnn, and its distribution owns a folder ``fastnn`` as well.
"""

import functools
import inspect
import os
import re
import sys
import warnings
from collections.abc import Callable, Collection
from typing import Any, TypeVar, cast

from fastnn.errors import hide_frames

DISTRIBUTION = "fastnn-numba"
"""The name by which pip knows fastnn."""

FOLDER = os.path.dirname(os.path.dirname(__file__))

REMEDY = f"python -m pip uninstall fastnn {DISTRIBUTION}, and then install {DISTRIBUTION} again"

if not hasattr(sys.modules["fastnn"], "_homes"):
    found = f"__init__.py in {FOLDER} is missing, or it is that of another project's distribution, fastnn"
    raise ImportError(f"{found}: {REMEDY}", name="fastnn")

EXTRAS = {"joblib": "many", "onnx": "onnx", **dict.fromkeys(("scikit-learn", "sklearn"), "sklearn")}
EXTRAS |= dict.fromkeys(("click", "matplotlib", "rich", "typer"), "cli")
"""{package: the extra that brings it}."""


def missing_package(package: str, needs: str = "this needs") -> ImportError:
    """Return an ImportError that says how to install a package, by its extra if it has one; `needs` begins the text."""
    hint = "python -m pip install " + (f'"{DISTRIBUTION}[{EXTRAS[package]}]"' if package in EXTRAS else package)
    return ImportError(f"{needs} {package}, which is not installed: {hint}", name=package)


def warn_of_another_owner(metadata: str) -> None:
    """Warn if the distribution with the folder `metadata`, another project's, owns the package's folder as well."""
    warnings.warn(
        f"{FOLDER} belongs to {DISTRIBUTION} and to the distribution fastnn ({metadata} lies beside it), which is "
        f"another project's or version 0.1 of this one: {REMEDY}",
        stacklevel=4,  # the line that imports fastnn
    )


# --------------------------------------------------- other libraries' names for activations, losses and initial weights


ALIASES = {
    # activations
    "linear": "identity",
    "logistic": "sigmoid",
    "sigmoid": "logistic",  # in the estimators, which have scikit-learn's names
    "swish": "silu",
    # losses, all of them with or without "loss" at the end; the minimum of "rmse" is in the same place
    **dict.fromkeys(("l2", "mse", "mean_squared_error", "rmse"), "squared_error"),
    **dict.fromkeys(("l1", "mae", "mean_absolute_error"), "absolute_error"),
    "smooth_l1": "huber",
    **dict.fromkeys(("quantile", "quantile_regression"), "pinball"),
    "pinball": "quantile",  # in the estimators
    **dict.fromkeys(("bce", "bce_with_logits", "binary_crossentropy", "binary_cross_entropy", "hinge"), "log_loss"),
    **dict.fromkeys(("nll", "negative_log_likelihood", "categorical_crossentropy"), "cross_entropy"),
    "sparse_categorical_crossentropy": "cross_entropy",
    "poisson_nll": "poisson",
    # initial weights
    **dict.fromkeys(("xavier", "xavier_uniform"), "glorot_uniform"),
    "xavier_normal": "glorot_normal",
    **dict.fromkeys(("kaiming", "kaiming_normal", "he_normal"), "he"),
    "random_normal": "normal",
    "average": "mean",  # of reductions
}
"""{another name: the one here}. Capitals, "_", "-", blanks and a "loss" at the end do not count."""

_CPU_ONLY = "fastnn computes on the CPU only"
_LAST = "for the last layer only, by output="
ANSWERS = dict.fromkeys(("softmax", "exp"), _LAST) | dict.fromkeys(("cuda", "gpu", "mps"), _CPU_ONLY)
"""{a name without a counterpart in fastnn: the hint for it}, used where the name is not legal."""


# ------------------------------------------------------------------------------- keywords that a function does not have


_BY_NORM = "clip_norm=..., the most that the length of the whole gradient may be"
_NO_DROPOUT = "there is no dropout: alpha=0.001 is an L2 penalty, Stop(validation=0.1, patience=10) stops early"

REMEDIES = {
    **dict.fromkeys(("epoch", "n_epochs", "num_epochs", "nb_epoch", "max_iter", "max_epochs", "n_iter"), "epochs=..."),
    **dict.fromkeys(("batch", "batchsize", "minibatch_size"), "batch_size=..."),
    **dict.fromkeys(("random_state", "rng", "random_seed"), "seed=..."),
    **dict.fromkeys(("weights", "sample_weights", "class_weight", "class_weights"), "sample_weight=..."),
    **dict.fromkeys(("l2", "weight_penalty", "l2_penalty"), "alpha=..."),
    **dict.fromkeys(("verbose", "show_progress"), "progress=True"),
    **dict.fromkeys(("callback",), "callbacks=[...]"),
    **dict.fromkeys(("init_params", "coefs_init"), "params=..."),
    **dict.fromkeys(("lr", "learning_rate", "learning_rate_init"), "optimizer=Adam(learning_rate=...)"),
    **dict.fromkeys(("eps", "epsilon"), "optimizer=Adam(epsilon=...)"),
    **dict.fromkeys(("betas", "beta1", "beta2", "beta_1", "beta_2"), "optimizer=Adam(beta_1=..., beta_2=...)"),
    "momentum": "optimizer=SGD(momentum=...)",
    "nesterov": "optimizer=SGD(momentum=0.9, nesterov=True)",
    "weight_decay": "optimizer=AdamW(weight_decay=...)",
    **dict.fromkeys(("solver", "optimizer"), "train(..., optimizer=Adam())"),
    "sequential": "optimizer=Adam(sequential=True)",
    **dict.fromkeys(("validation_split", "validation_fraction", "validation"), "stop=Stop(validation=0.1)"),
    **dict.fromkeys(("validation_data", "X_val", "y_val", "eval_set"), "stop=Stop(validation=(X, Y))"),
    **dict.fromkeys(("patience", "n_iter_no_change"), "stop=Stop(patience=...)"),
    "early_stopping": "stop=Stop(patience=10, validation=0.1)",
    **dict.fromkeys(("tol", "min_delta", "tolerance"), "stop=Stop(tol=...)"),
    **dict.fromkeys(("restore_best", "restore_best_weights"), "stop=Stop(restore_best=True)"),
    **dict.fromkeys(("monitor", "metric", "metrics", "scoring"), "stop=Stop(monitor=...)"),
    **dict.fromkeys(("reduce_lr", "lr_scheduler", "scheduler"), "stop=Stop(reduce=ReduceRate())"),
    **dict.fromkeys(("min_lr", "lr_min"), "ReduceRate(least=...)"),
    **dict.fromkeys(("max_seconds", "max_time", "timeout"), "stop=Stop(max_seconds=...)"),
    **dict.fromkeys(("on_divergence", "terminate_on_nan"), "stop=Stop(on_divergence='stop')"),
    "on_interrupt": "stop=Stop(on_interrupt='return')",
    **dict.fromkeys(("loss", "criterion", "loss_function"), "Network(..., loss=...)"),
    **dict.fromkeys(("quantile", "quantiles", "tau"), "Network(..., loss=Pinball((0.05, 0.5, 0.95)))"),
    **dict.fromkeys(("delta", "huber_delta"), "Network(..., loss=Huber(delta=...))"),
    "label_smoothing": "Network(..., loss=CrossEntropy(label_smoothing=...))",
    **dict.fromkeys(("negative_slope", "slope"), "Network(..., activation=LeakyRelu(slope=...))"),
    **dict.fromkeys(("output", "out_activation", "output_activation"), "Network(..., output=...)"),
    **dict.fromkeys(("activation", "activations"), "Network(..., activation=...)"),
    **dict.fromkeys(("hidden_layer_sizes", "layers", "sizes"), "Network(sizes=(n_inputs, ..., n_outputs))"),
    **dict.fromkeys(("biases", "use_bias"), "Network(..., bias=...)"),
    **dict.fromkeys(("kernel_initializer", "initializer"), "Network(..., init=...)"),
    **dict.fromkeys(("clipnorm", "global_clipnorm", "max_norm", "max_grad_norm", "gradient_clip_val"), "clip_norm=..."),
    **dict.fromkeys(("clipvalue", "clip_value", "clip", "clip_grad"), _BY_NORM),
    **dict.fromkeys(("freeze", "frozen", "trainable", "lr_mult", "param_groups"), "rates=(0, ..., 1)"),
    **dict.fromkeys(("dropout", "dropout_rate"), _NO_DROPOUT),
    **dict.fromkeys(("device", "cuda", "gpu"), _CPU_ONLY),
}
"""{a keyword of another library, or of another function of fastnn: the code to write, or why there is none}."""

AT_ONCE = {
    "threads": "threads=..., which share each step (train_many trains several networks at once: n_jobs=...)",
    "n_jobs": "n_jobs=..., the members that are trained at once, each by a thread of its own",
}
"""{the keyword of a function that says how much is done at once: what it means}"""

OF_AT_ONCE = ("threads", "n_threads", "num_threads", "n_jobs", "n_workers", "num_workers", "workers", "processes")
"""The names that this has in other functions and libraries."""

OF_TRIALS = ("n_iter", "n_trials", "max_trials", "n_candidates", "num_samples")
"""The names that searches of other libraries have for the number of trials."""

F = TypeVar("F", bound=Callable[..., Any])


def explains_keywords(function: F) -> F:
    """Return a function, or a class, with an error that says what to write in the place of a keyword it does not have.

    Its signature stays as it is, and a call that is right costs less than half a microsecond more.
    """
    if inspect.isclass(function):
        type.__setattr__(function, "__init__", explains_keywords(vars(function)["__init__"]))
        return function

    @functools.wraps(function)
    def explained(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except Exception as error:
            hide_frames(error)
            if not isinstance(error, TypeError):
                raise
            legal = inspect.signature(function).parameters
            unknown = [name for name in options if name not in legal]
            began = error.__traceback__ is not None and error.__traceback__.tb_next is not None
            if began or not unknown:
                raise
        owner = f"{type(args[0]).__name__}." if args and "self" in legal else ""  # a base may have the method
        name = f"{owner}{function.__name__}".removesuffix(".__init__")
        raise unknown_keyword(name, unknown[0], legal)

    return cast(F, explained)


def unknown_keyword(function: str, unknown: str, legal: Collection[str]) -> TypeError:
    """Return the error of a function, by name, for a keyword that it does not have."""
    return TypeError(f"{function} has no argument {unknown!r:.200}{instead_of(unknown, legal)}")


def instead_of(unknown: str, legal: Collection[str]) -> str:
    """Return the remedy of `REMEDIES`; its inner part where that is an argument here, as in ``stop=Stop(tol=...)``."""
    if unknown.lower() in OF_AT_ONCE and (own := [name for name in AT_ONCE if name in legal]):
        return f": say {AT_ONCE[own[0]]}"
    if unknown.lower() in OF_TRIALS and "budget" in legal:
        return ": say budget=..., the epochs of all networks together, which decide how many are tried"
    remedy = REMEDIES.get(unknown.lower())
    if "damping" in legal and "learning_rate" not in legal and remedy == REMEDIES["learning_rate"]:
        remedy = f"its steps have no rate, they go by {', '.join(name for name in legal if name != 'self')}"
    is_code = remedy is None or re.match(r"\w+[=(]", remedy)  # else a sentence
    if not {"random_state", "X_val"}.isdisjoint(legal) and is_code:  # an estimator, with own names for the same
        wanted = remedy or f"{unknown.lower()}=..."
        known = [*(name for name, said in REMEDIES.items() if said == wanted), wanted.partition("=")[0]]
        if same := [name for name in known if name in legal]:
            return ": say X_val=..., y_val=..." if "X_val" in same else f": say {same[-1]}=..."
        remedy = None
    if remedy is None:
        import difflib

        near = difflib.get_close_matches(unknown, legal, 1)
        names = ", ".join(name for name in legal if name != "self")
        return f": did you mean {near[0]!r}?" if near else f"; it has {names}"
    if not is_code:
        return f": {remedy}"
    inner = remedy.partition("(")[2].removesuffix(")").removeprefix("..., ")
    return f": say {inner if inner.partition('=')[0] in legal else remedy}"
