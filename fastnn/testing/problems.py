"""Random problems for checks: parameters and data away from a network's kinks, and gradients of all sizes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from fastnn.memory import Array
from fastnn.network import LOSSES, Network
from fastnn.optimizers import OPTIMIZERS
from fastnn.testing.scales import away_from_kinks
from fastnn.testing.tolerances import GRADIENT_FACTOR

PAIRS = [(loss, output) for loss, line in LOSSES.items() for output in line.outputs]
"""Each loss with each output activation that it goes with."""

_OPTIONS: dict[str, list[dict[str, Any]]] = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"momentum": 1.0}, {"sequential": True}],
    "Adam": [{}, {"beta_1": 0.0}, {"beta_1": 0.5, "beta_2": 0.7, "epsilon": 1e-3}, {"sequential": True}],
    "AdamW": [{}, {"weight_decay": 0.5}, {"weight_decay": 0.0}],
}
OPTIMIZER_CASES = [(name, options) for name in OPTIMIZERS for options in _OPTIONS.get(name, [{}])]
"""Each optimizer by its name, with each set of options that has a path of its own."""


class Problem(NamedTuple):
    """The arguments of a loss and its gradient besides the network."""

    params: Array  # (n_params,)
    X: Array  # (n, n_inputs)
    Y: Array  # (n, n_outputs)
    sample_weight: Array  # (n,)


def draw_targets(network: Network, random_state: np.random.RandomState, n: int) -> Array:
    """Draw targets (n, n_outputs) that the loss can take; rows of probabilities sum to 1."""
    Y = random_state.uniform(0, 1, (n, network.n_outputs))
    return Y / Y.sum(axis=1, keepdims=True) if _takes_probabilities(network) else Y


def _takes_probabilities(network: Network) -> bool:
    """Return whether the targets of a row are probabilities that sum to 1: those of a loss of softmax alone are."""
    return LOSSES[network.loss].outputs == ("softmax",)


def draw(network: Network, n: int, dtype: DTypeLike = np.float64, seed: int = 0) -> Problem:
    """Draw a problem of n rows, a third of them of weight 0, but not the first."""
    random_state = np.random.RandomState(seed)
    for _ in range(20):  # for parameters with which most rows lie on a kink
        params = network.init_params(random_state, dtype)
        X = random_state.standard_normal((3 * n, network.n_inputs)).astype(dtype)
        Y = draw_targets(network, random_state, 3 * n).astype(dtype)
        away = np.flatnonzero(away_from_kinks(network, params, X, Y, GRADIENT_FACTOR))[:n]
        if len(away) == n:
            weight = random_state.uniform(0.5, 2, n) * (random_state.uniform(size=n) < 2 / 3)
            weight[0] = 1
            return Problem(params, X[away], Y[away], weight.astype(dtype))
    raise AssertionError(f"{network}: no {n} rows away from its kinks")


def draw_training(network: Network, n: int, dtype: DTypeLike = np.float64, seed: int = 0) -> Problem:
    """Draw a problem to train on: X in [-1, 1], targets that depend on X, and every fourth row of weight 0."""
    random_state = np.random.RandomState(seed)
    params = network.init_params(random_state, dtype)
    X = random_state.uniform(-1, 1, (n, network.n_inputs)).astype(dtype)
    Y = draw_targets(network, random_state, n)
    if not _takes_probabilities(network):
        Y[:, 0] = (1 + np.sin(3 * X).mean(axis=1)) / 2
    weight = np.where(np.arange(n) % 4 == 1, 0, 1 + np.arange(n) % 3)
    return Problem(params, X, Y.astype(dtype), weight.astype(dtype))


def gradients_of_all_sizes(n_steps: int, n: int, dtype: DTypeLike) -> Array:
    """Draw gradients (n_steps, n) over many orders of magnitude, with zeros, repeated signs and changes of sign."""
    random_state = np.random.RandomState(1)
    size = 10.0 ** random_state.uniform(-12, 3, n)
    gradients = random_state.standard_normal((n_steps, n)) * size
    gradients[:, ::7] = abs(gradients[:, ::7])
    gradients[random_state.uniform(size=gradients.shape) < 0.1] = 0
    gradients[n_steps // 2 :, n // 2] = 0  # a unit that dies
    return gradients.astype(dtype)
