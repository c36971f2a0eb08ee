"""Drawn problems for the numerical tests: parameters and data of a network, away from its kinks."""

from typing import NamedTuple

import numpy as np

from fastnn.network import ACTIVATIONS, LOSSES
from fastnn.testing import away_from_kinks

HIDDEN = [name for name, line in ACTIVATIONS.items() if line.hidden]
PAIRS = [(loss, output) for loss, line in LOSSES.items() for output in line.outputs]


class Problem(NamedTuple):
    params: np.ndarray
    X: np.ndarray
    Y: np.ndarray
    sample_weight: np.ndarray


def draw_targets(network, random_state, n):
    """Targets that the loss can take; rows of probabilities sum to 1."""
    Y = random_state.uniform(0, 1, (n, network.n_outputs))
    return Y / Y.sum(axis=1, keepdims=True) if network.loss == "cross_entropy" else Y


def draw(network, n, dtype=np.float64, seed=0):
    """A problem of n rows, a third of them of weight 0; the first one counts."""
    random_state = np.random.RandomState(seed)
    for _ in range(20):  # for parameters with which most rows lie on a kink
        params = network.init_params(random_state, dtype)
        X = random_state.standard_normal((3 * n, network.n_inputs)).astype(dtype)
        Y = draw_targets(network, random_state, 3 * n).astype(dtype)
        away = np.flatnonzero(away_from_kinks(network, params, X, Y))[:n]
        if len(away) == n:
            weight = random_state.uniform(0.5, 2, n) * (random_state.uniform(size=n) < 2 / 3)
            weight[0] = 1
            return Problem(params, X[away], Y[away], weight.astype(dtype))
    raise AssertionError(f"{network}: no {n} rows away from its kinks")
