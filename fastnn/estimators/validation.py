"""The validation of what an estimator is given: attributes, parameters, sparse matrices;
scikit-learn's warnings.
"""

import functools
import math
from numbers import Integral, Real
from types import UnionType
from typing import Any

import numpy as np
from sklearn.exceptions import DataConversionWarning
from sklearn.neural_network import MLPClassifier
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import validate_data

from fastnn import errors
from fastnn.checking.arguments import check_integer, did_you_mean, short_errors, shown
from fastnn.checking.values import (
    Names,
    is_frame,
    real_array,
    refuse_complex,
    refuse_lazy,
    refuse_masked,
    refuse_missing,
    refuse_sparse,
    refuse_text,
)
from fastnn.losses import ACTIVATIONS, HIDDEN, Value, checked
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.sparse import checked_matrix, is_matrix

_NONE = object()


def name_hint(estimator: Any) -> str:
    """Return a hint for the first parameter whose name is not legal, or ""."""
    for name, constraints in estimator._parameter_constraints.items():
        legal = {option for c in constraints if isinstance(c, StrOptions) for option in c.options}
        value = getattr(estimator, name)
        if legal and isinstance(value, str) and value not in legal:
            return did_you_mean(value, sorted(legal))
    return ""


def attribute(mlp: Any, name: str, kind: type | UnionType, default: Any = _NONE) -> Any:
    """Return a fitted attribute; `default`, if given, where there is none.

    Raises
    ------
    TypeError
        For an attribute that is of another class than `fit` gives it.
    """
    value = getattr(mlp, name) if default is _NONE else vars(mlp).get(name, default)
    if not isinstance(value, kind):
        what = getattr(kind, "__name__", str(kind))
        raise TypeError(f"{name} must be as fit sets it, of the class {what}, not {shown(value)}")
    return value


def labels_of(mlp: Any) -> Array:
    """Return the labels (n_classes,) of a fitted classifier."""
    classes: Array = attribute(mlp, "classes_", np.ndarray)
    if classes.ndim != 1 or not classes.size:
        raise TypeError(f"classes_ must be an array of labels as fit sets it, not {shown(classes)}")
    return classes


def feature_names_of(mlp: Any, n: int) -> Names | None:
    """Return the names of the n columns of X, where it was a data frame with names."""
    names = attribute(mlp, "feature_names_in_", np.ndarray | None, None)
    if names is None:
        return None
    if names.shape != (n,) or not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"feature_names_in_ must be an array of {n} names as fit sets it, not {shown(names)}"
        )
    return tuple(names.tolist())


STOCHASTIC_SOLVERS = ("sgd", "adam", "adamw", "rmsprop", "rprop")
"""Those that learn in epochs, and know `partial_fit`."""

SECOND_ORDER_SOLVERS = ("lm", "br")
"""The regressor's own: methods for small networks, see `second_order.py`."""

HIDDEN_ACTIVATIONS = tuple("logistic" if name == "sigmoid" else name for name in HIDDEN)
"""scikit-learn's four, and the further ones of `fastnn.Network`."""

Activations = str | Value | tuple[str | Value, ...]

CLASSIFIER_LOSSES = ("log_loss", "squared_error")
REGRESSOR_LOSSES = ("squared_error", "poisson", "absolute_error", "huber", "quantile")

COUNT = Interval(Integral, 1, None, closed="left")
POSITIVE = Interval(Real, 0, None, closed="neither")
WITHIN_ONE = Interval(Real, 0, 1, closed="neither")
"""Numbers of parameters: whole ones from 1 on, those above 0, and those between 0 and 1."""

Constraints = dict[str, list[Any]]
"""{parameter: what it may be}, as scikit-learn checks it."""

CONSTRAINTS: Constraints = {
    **MLPClassifier._parameter_constraints,
    "activation": [StrOptions(set(HIDDEN_ACTIVATIONS)), Value, callable, list, tuple],
    "solver": [StrOptions({"lbfgs", *STOCHASTIC_SOLVERS})],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), callable],
    # fastnn's own
    "backend": [str, HasMethods(["predict", "loss_and_gradient", "train_steps"])],
    "max_time": [POSITIVE, None],
    "coefs_init": ["array-like", None],
    "intercepts_init": ["array-like", None],
    "fix_defects": ["boolean"],
    "n_threads": [COUNT, None],
    "scoring": [str, callable, None],
    "clip_norm": [POSITIVE, None],
}


def threads_of(mlp: Any) -> int | None:
    """Return an estimator's number of threads, checked: `partial_fit` of a fitted one checks no
    parameters.
    """
    threads = getattr(mlp, "n_threads", None)  # an estimator pickled by version 0.1 has none
    return None if threads is None else check_integer("n_threads", threads, low=1)


@functools.lru_cache(maxsize=512)
def network_of(
    sizes: tuple[int, ...], activation: Activations, output: str, loss: str | Value
) -> Network:
    """Make fastnn's network from scikit-learn's names.

    Parameters
    ----------
    sizes : tuple of int
        Inputs, hidden layers, outputs.
    activation : str, Value, or a tuple of them
        Activation of the hidden layers: one, or one each.
    output : {"identity", "exp", "logistic", "softmax"}
    loss : str or Value
        "log_loss" is the cross entropy where the output is softmax.
    """
    if loss == "log_loss" and output == "softmax":
        loss = "cross_entropy"
    hidden = (
        tuple(map(core_name, activation))
        if isinstance(activation, tuple)
        else core_name(activation)
    )
    return Network(sizes, hidden, core_name(output), loss, init="glorot_uniform")


def check_activation(name: str, activation: Any) -> Any:
    """Return the activation of hidden layers, a name or a value; raise ValueError or TypeError for
    anything else.
    """
    return checked(name, activation, ACTIVATIONS, HIDDEN_ACTIVATIONS)


def core_name(activation: str | Value) -> str | Value:
    """Return fastnn's name of an activation."""
    return "sigmoid" if activation == "logistic" else activation


def draw_params(
    network: Network, activation: Activations, random_state: np.random.RandomState
) -> Any:
    """Draw initial parameters (n_params,) in float64 as scikit-learn does.

    Uniform within ``sqrt(6 / (fan_in + fan_out))``, biases too; 2 in place of 6 where the
    activation is the logistic function. Unlike in `Network.init_params`, the range of the output
    layer depends on the activation of the hidden layers, not on its own.
    """
    if isinstance(activation, tuple):
        names = (*activation, *activation[-1:]) or ("identity",)
    else:
        names = (activation,) * network.n_layers
    params = np.empty(network.n_params)
    for layer, name in zip(network.layers, names, strict=True):
        bound = math.sqrt((2 if name == "logistic" else 6) / (layer.fan_in + layer.fan_out))
        params[layer.all] = random_state.uniform(
            -bound, bound, layer.fan_in * layer.fan_out + layer.n_bias
        )
    return params


NO_Y = "no_validation"
"""scikit-learn's word for y where there is none."""

_REMEDY = "in a Pipeline, OneHotEncoder encodes words and SimpleImputer fills gaps"


def validated(estimator: Any, X: Any, y: Any = NO_Y, **options: Any) -> Any:
    """Return X, or X and y, as scikit-learn's `validate_data` does; it takes the options. A sparse
    X is CSR or CSC.

    Raises
    ------
    ValueError, TypeError
        For what scikit-learn refuses, in its words but for values of a data frame that are no
        numbers or missing, and for words; for dates; and for sparse matrices with indices that are
        not theirs.
    """
    if not options.get("reset", True):
        attribute(estimator, "n_features_in_", Integral)
    with short_errors():
        refuse_lazy("X", X)
        refuse_complex("X", X)
        refuse_masked("X", X)
        X = checked_sparse("X", X)
        y = checked_sparse("y", y)
        if options.get("y_numeric"):
            refuse_sparse("y", y)
            refuse_text(y)
        try:
            dtypes = X.dtypes if is_frame(X) else [getattr(X, "dtype", None)]
            if any(getattr(dtype, "kind", None) in ("m", "M") for dtype in dtypes):
                real_array("X", X)  # raises TypeError, where scikit-learn may take nanoseconds
            checked = validate_data(estimator, X, y, accept_sparse=["csr", "csc"], **options)
            # of categories, in predict
            is_object = isinstance(checked, np.ndarray) and checked.dtype.kind == "O"
            return checked.astype(np.float64) if is_object else checked
        except (TypeError, ValueError) as error:
            told = "" if "feature names" in str(error) else _told(X, error)
            if not told:
                raise
            kind = ValueError if isinstance(error, ValueError) else TypeError
            raise kind(told) from None


def checked_sparse(name: str, X: Any) -> Any:
    """Return a sparse matrix as CSR or CSC, with indices within its shape; else X itself."""
    return checked_matrix(name, X) if is_matrix(X) else X


def checked_targets(name: str, y: Any) -> Any:
    """Return y, as `checked_sparse` does; ValueError where objects are missing, as scikit-learn
    says it of floats.
    """
    refuse_masked(name, y)
    if (values := np.asarray(y)).dtype.kind == "O":
        refuse_missing(values, name)
    return checked_sparse(name, y)


def refuse_unused(mlp: Any) -> None:
    """Raise ValueError for an option that "lbfgs", "lm" or "br" would pass over, but those that
    scikit-learn's do.
    """
    defaults: dict[str, Any] = {"clip_norm": None}
    if callable(mlp.learning_rate):
        defaults["learning_rate"] = "constant"
    if mlp.solver != "lbfgs":
        defaults["batch_size"] = "auto"
    for name, default in defaults.items():
        if (given := getattr(mlp, name)) != default:
            way = "leave it out, or take 'adam' or 'sgd'"
            raise ValueError(f"solver={mlp.solver!r} does not use {name}={shown(given)}: {way}")


def _told(X: Any, error: Exception) -> str:
    """Say which value of X is none that a network takes; "" where it is another thing that was
    wrong.
    """
    if not is_frame(X) and not (
        isinstance(X, (np.ndarray, list)) and isinstance(error, ValueError)
    ):
        return ""
    try:
        array = real_array("X", X, np.float64)
    except (TypeError, ValueError) as said:
        # scikit-learn's words say as much
        is_kept = "complex" in str(said) or "table of numbers" in str(said)
        return "" if is_kept else f"{said}; {_REMEDY}"
    wrong = ~np.isfinite(array)
    if not is_frame(X) or not wrong.any():
        return ""
    row, column = np.argwhere(wrong)[0].tolist()
    what = "NaN" if np.isnan(array[row, column]) else "infinity"
    where = f"the first at X[{row}, {column}], in its column {list(X.columns)[column]!r}"
    return (
        f"Input X contains {what}, {where}: fill such values in or leave their rows out; {_REMEDY}"
    )


# ------------------------------------------------------------- warnings, as scikit-learn gives them


_MODULE = "sklearn.neural_network._multilayer_perceptron"
INTERRUPTED = "Training interrupted by user."


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn like scikit-learn's module, at the user's line: not at one of a Pipeline, of a search or
    of joblib.
    """
    errors.warn(category(text), _MODULE)


def raveled(y: Array) -> Array:
    """Return a column (n, 1) as a vector (n,), with scikit-learn's warning; anything else as it
    is.
    """
    if y.ndim != 2 or y.shape[1] != 1:
        return y
    refuse_sparse("y", y)
    text = (
        "A column-vector y was passed when a 1d array was expected. Please change the shape of "
        "y to (n_samples, ), "
    )
    warn(f"{text}for example using ravel().", DataConversionWarning)
    return y.ravel()
