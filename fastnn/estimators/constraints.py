"""The estimators' parameters: legal names and ranges, and the network that they describe."""

from __future__ import annotations

import functools
import math
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions

from fastnn.checking.arguments import check_integer
from fastnn.network import HIDDEN, Network

STOCHASTIC_SOLVERS = ("sgd", "adam", "rprop")
"""Those that learn in epochs, and know `partial_fit`."""

HIDDEN_ACTIVATIONS = tuple("logistic" if name == "sigmoid" else name for name in HIDDEN)
"""scikit-learn's four, and the further ones of `fastnn.Network`."""

CLASSIFIER_LOSSES = ("log_loss", "squared_error")
REGRESSOR_LOSSES = ("squared_error", "poisson", "absolute_error", "huber")

CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(set(HIDDEN_ACTIVATIONS)), list, tuple],
    "solver": [StrOptions({"lbfgs", *STOCHASTIC_SOLVERS})],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    # fastnn's own
    "backend": [str, HasMethods(["predict", "loss_and_gradient", "train_steps"])],
    "max_time": [Interval(Real, 0, None, closed="neither"), None],
    "coefs_init": ["array-like", None],
    "intercepts_init": ["array-like", None],
    "fix_defects": ["boolean"],
    "n_threads": [Interval(Integral, 1, None, closed="left"), None],
    "scoring": [str, callable, None],
}


def threads_of(mlp: Any) -> int | None:
    """Return an estimator's number of threads, checked: `partial_fit` of a fitted one checks no parameters."""
    threads = getattr(mlp, "n_threads", None)  # an estimator pickled by version 0.1 has none
    return None if threads is None else check_integer("n_threads", threads, low=1)


@functools.lru_cache(maxsize=512)
def network_of(sizes: tuple[int, ...], activation: str | tuple[str, ...], output: str, loss: str) -> Network:
    """Make fastnn's network from scikit-learn's names.

    Parameters
    ----------
    sizes : tuple of int
        Inputs, hidden layers, outputs.
    activation : str or tuple of str
        Activation of the hidden layers: one name, or one each.
    output : {"identity", "exp", "logistic", "softmax"}
    loss : str
        "log_loss" is the cross entropy where the output is softmax.
    """
    if loss == "log_loss" and output == "softmax":
        loss = "cross_entropy"
    hidden = core_name(activation) if isinstance(activation, str) else tuple(core_name(name) for name in activation)
    return Network(sizes, hidden, core_name(output), loss)


def core_name(activation: str) -> str:
    """Return fastnn's name of an activation."""
    return "sigmoid" if activation == "logistic" else activation


def draw_params(network: Network, activation: str | tuple[str, ...], random_state: np.random.RandomState) -> Any:
    """Draw initial parameters (n_params,) in float64 as scikit-learn does.

    Uniform within ``sqrt(6 / (fan_in + fan_out))``, biases too; 2 in place of 6 where the activation is the logistic
    function. Unlike in `Network.init_params`, the range of the output layer depends on the activation of the hidden
    layers, not on its own.
    """
    if isinstance(activation, str):
        names: tuple[str, ...] = (activation,) * network.n_layers
    else:
        names = (*activation, *activation[-1:]) or ("identity",)
    params = np.empty(network.n_params)
    for layer, name in zip(network.layers, names, strict=True):
        bound = math.sqrt((2 if name == "logistic" else 6) / (layer.fan_in + layer.fan_out))
        params[layer.all] = random_state.uniform(-bound, bound, layer.fan_in * layer.fan_out + layer.n_bias)
    return params
