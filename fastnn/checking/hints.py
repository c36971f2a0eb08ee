"""Hints for people who come from elsewhere: other libraries' names, and what to install.

The package index knows another project under the name fastnn, and its distribution owns a folder
``fastnn`` as well.
"""

import functools
import inspect
import os
import re
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar, cast

from fastnn.errors import hide_frames

DISTRIBUTION = "fastnn-numba"
"""The name by which pip knows fastnn."""

FOLDER = os.path.dirname(os.path.dirname(__file__))

REMEDY = f"python -m pip uninstall fastnn {DISTRIBUTION}, and then install {DISTRIBUTION} again"

if not hasattr(sys.modules["fastnn"], "_homes"):
    fault = f"__init__.py in {FOLDER} is missing, or it is that "
    fault += "of another project's distribution, fastnn"
    raise ImportError(f"{fault}: {REMEDY}", name="fastnn")


def by_name(names: Mapping[str, str]) -> dict[str, str]:
    """Return {name: what is said of it} for {what is said: all names of which it is, with blanks
    between}.
    """
    return {name: said for said, all_names in names.items() for name in all_names.split()}


EXTRAS = by_name(
    {
        "many": "joblib",
        "onnx": "onnx",
        "sklearn": "scikit-learn sklearn",
        "cli": "click matplotlib rich typer",
        "tables": "pandas",
    }
)
"""{package: the extra that brings it}."""


def missing_package(package: str, needs: str = "this needs") -> ImportError:
    """Return an ImportError that says how to install a package, by its extra if it has one.

    `needs` begins the text.
    """
    name = f'"{DISTRIBUTION}[{EXTRAS[package]}]"' if package in EXTRAS else package
    hint = f"python -m pip install {name}"
    return ImportError(f"{needs} {package}, which is not installed: {hint}", name=package)


# ------------------------------- other libraries' names for activations, losses and initial weights


ALIASES = by_name(
    {
        # activations; the estimators have scikit-learn's names
        "identity": "linear",
        "sigmoid": "logistic",
        "logistic": "sigmoid",
        "silu": "swish",
        # losses, all of them with or without "loss" at the end; the minimum of "rmse" is in the
        # same place
        "squared_error": "l2 mse mean_squared_error rmse",
        "absolute_error": "l1 mae mean_absolute_error",
        "huber": "smooth_l1",
        "pinball": "quantile quantile_regression",
        "quantile": "pinball",
        "log_loss": "bce bce_with_logits binary_crossentropy binary_cross_entropy hinge",
        "cross_entropy": (
            "nll negative_log_likelihood categorical_crossentropy sparse_categorical_crossentropy"
        ),
        "poisson": "poisson_nll",
        # initial weights
        "glorot_uniform": "xavier xavier_uniform",
        "glorot_normal": "xavier_normal",
        "he": "kaiming kaiming_normal he_normal",
        "normal": "random_normal",
        # reductions
        "mean": "average",
    }
)
"""{another name: the one here}. Capitals, "_", "-", blanks and a "loss" at the end do not count."""

_CPU_ONLY = "fastnn computes on the CPU only"
_LAST = "for the last layer only, by output="
ANSWERS = by_name({_LAST: "softmax exp", _CPU_ONLY: "cuda gpu mps"})
"""{a name without a counterpart in fastnn: the hint for it}, used where the name is not legal."""


# ----------------------------------------------------------- keywords that a function does not have


_BY_NORM = "clip_norm=..., the most that the length of the whole gradient may be"
_NO_NORM = (
    "there is no batch normalization: scale the inputs (the table estimators do), "
    "and networks of three hidden layers train without it"
)
_NO_MONOTONE = (
    "there are no monotone constraints: scikit-learn's HistGradientBoosting, LightGBM and XGBoost "
    "have them"
)
_NO_DROPOUT = (
    "there is no dropout: alpha=0.001 is an L2 penalty, "
    "Stop(validation=0.1, patience=10) stops early"
)
_NO_LOSS = (
    "TabularClassifier has the log loss, with label_smoothing and class_weight; "
    "TabularRegressor has others"
)

REMEDIES = by_name(
    {
        "epochs=...": "epoch n_epochs num_epochs nb_epoch max_iter max_epochs n_iter",
        "batch_size=...": "batch batchsize minibatch_size",
        "seed=...": "random_state rng random_seed",
        "sample_weight=...": "weights sample_weights class_weight class_weights",
        "alpha=...": "l2 weight_penalty l2_penalty",
        "progress=True": "verbose show_progress",
        "callbacks=[...]": "callback",
        "params=...": "init_params coefs_init",
        "optimizer=Adam(learning_rate=...)": "lr learning_rate learning_rate_init",
        "optimizer=Adam(epsilon=...)": "eps epsilon",
        "optimizer=Adam(beta_1=..., beta_2=...)": "betas beta1 beta2 beta_1 beta_2",
        "optimizer=SGD(momentum=...)": "momentum",
        "optimizer=SGD(momentum=0.9, nesterov=True)": "nesterov",
        "optimizer=AdamW(weight_decay=...)": "weight_decay",
        "train(..., optimizer=Adam())": "solver optimizer",
        "optimizer=Adam(sequential=True)": "sequential",
        "stop=Stop(validation=0.1)": "validation_split validation_fraction validation",
        "stop=Stop(validation=(X, Y))": "validation_data X_val y_val eval_set",
        "stop=Stop(patience=...)": "patience n_iter_no_change",
        "stop=Stop(patience=10, validation=0.1)": "early_stopping",
        "stop=Stop(tol=...)": "tol min_delta tolerance",
        "stop=Stop(restore_best=True)": "restore_best restore_best_weights",
        "stop=Stop(monitor=...)": "monitor metric metrics scoring",
        "stop=Stop(reduce=ReduceRate())": "reduce_lr lr_scheduler scheduler",
        "ReduceRate(least=...)": "min_lr lr_min",
        "stop=Stop(max_seconds=...)": "max_seconds max_time timeout",
        "stop=Stop(on_divergence='stop')": "on_divergence terminate_on_nan",
        "stop=Stop(on_interrupt='return')": "on_interrupt",
        "Network(..., loss=...)": "loss loss_fn criterion objective loss_function",
        "Network(..., loss=Pinball((0.05, 0.5, 0.95)))": "quantile quantiles tau",
        "Network(..., loss=Huber(delta=...))": "delta huber_delta",
        "Network(..., loss=CrossEntropy(label_smoothing=...))": "label_smoothing",
        "Network(..., activation=LeakyRelu(slope=...))": "negative_slope slope",
        "Network(..., output=...)": "output out_activation output_activation",
        "Network(..., activation=...)": "activation activations",
        "Network(sizes=(n_inputs, ..., n_outputs))": "hidden_layer_sizes layers sizes",
        "Network(..., bias=...)": "biases use_bias",
        "Network(..., init=...)": "kernel_initializer initializer",
        "clip_norm=...": "clipnorm global_clipnorm max_norm max_grad_norm gradient_clip_val",
        _BY_NORM: "clipvalue clip_value clip clip_grad",
        "rates=(0, ..., 1)": "freeze frozen trainable lr_mult param_groups",
        _NO_DROPOUT: "dropout dropout_rate",
        _NO_NORM: "batch_norm batchnorm batch_normalization normalization",
        _NO_MONOTONE: "monotone monotonic monotone_constraints monotonic_cst",
        _CPU_ONLY: "device cuda gpu",
    }
)
"""{a keyword of another library, or of another function of fastnn: the code to write, or why there
is none}.
"""

AT_ONCE = {
    "threads": (
        "threads=..., which share each step "
        "(train_many trains several networks at once: n_jobs=...)"
    ),
    "n_jobs": "n_jobs=..., the members that are trained at once, each by a thread of its own",
}
"""{the keyword of a function that says how much is done at once: what it means}"""

OF_AT_ONCE = (
    "threads",
    "n_threads",
    "num_threads",
    "n_jobs",
    "n_workers",
    "num_workers",
    "workers",
    "processes",
)
"""The names that this has in other functions and libraries."""

OF_TRIALS = ("n_iter", "n_trials", "max_trials", "n_candidates", "num_samples")
"""The names that searches of other libraries have for the number of trials."""

DEFAULTS: dict[str, object] = {"batch_size": 200, "shuffle": True, "alpha": 0.0}
"""What `train` takes where it is not given the argument, nor a state that has it."""

F = TypeVar("F", bound=Callable[..., Any])


def explains_keywords(function: F) -> F:
    """Return a function, or a class, whose error says what to write for a keyword it does not have.

    Its signature has the defaults that it shows in `help`, and a call that is right costs less than
    half a microsecond more. IPython shows no frames of fastnn between the caller and an error.
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
        # The class of the object, for a base may have the method.
        owner = f"{type(args[0]).__name__}." if args and "self" in legal else ""
        name = f"{owner}{function.__name__}".removesuffix(".__init__")
        raise unknown_keyword(name, unknown[0], legal)

    signature = _with_defaults(inspect.signature(function))
    explained.__signature__ = signature  # type: ignore[attr-defined]
    return cast(F, explained)


def _with_defaults(signature: inspect.Signature) -> inspect.Signature:
    """Return the signature of `train` or its like with what is taken where nothing is given."""
    parameters = dict(signature.parameters)
    for name, parameter in parameters.items():
        if repr(parameter.default) == "<not given>" and "resume" in parameters:
            parameters[name] = parameter.replace(default=DEFAULTS.get(name))
    return signature.replace(parameters=[*parameters.values()])


def unknown_keyword(function: str, unknown: str, legal: Collection[str]) -> TypeError:
    """Return the error of a function, by name, for a keyword that it does not have."""
    return TypeError(f"{function} has no argument {unknown!r:.200}{instead_of(unknown, legal)}")


def instead_of(unknown: str, legal: Collection[str]) -> str:
    """Return the remedy of `REMEDIES`.

    It is the inner part where that is an argument here, as in ``stop=Stop(tol=...)``.
    """
    word = unknown.lower()
    for name, meaning in AT_ONCE.items():
        if word in OF_AT_ONCE and name in legal:
            return f": say {meaning}"
    if word in OF_TRIALS and "budget" in legal:
        effect = "the epochs of all networks together, which decide how many are tried"
        return f": say budget=..., {effect}"
    remedy = REMEDIES.get(word)
    is_of_many = {"validation_rows", "n_jobs"}.issubset(legal)
    if is_of_many and remedy == REMEDIES["validation"]:
        remedy = "validation_rows=..., the same rows for all networks"
    if "preset" in legal and remedy in (REMEDIES["loss"], REMEDIES["quantiles"]):
        remedy = _NO_LOSS
    if "damping" in legal and "learning_rate" not in legal and remedy == REMEDIES["learning_rate"]:
        names = ", ".join(name for name in legal if name != "self")
        remedy = f"its steps have no rate, they go by {names}"
    is_code = remedy is None or re.match(r"\w+[=(]", remedy)  # else a sentence
    is_estimator = not {"random_state", "X_val"}.isdisjoint(legal)  # with other names for the same
    if is_estimator and is_code:
        wanted = remedy or f"{word}=..."
        known = [name for name, said in REMEDIES.items() if said == wanted]
        known.append(wanted.partition("=")[0])
        same = [name for name in known if name in legal]
        if same:
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
