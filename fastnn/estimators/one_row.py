"""Prediction of one row by a small network in NumPy, which takes less time than a call of the kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.memory import Array

MOST_PARAMETERS = 50_000
"""A larger network is quicker in the kernel."""


def softmax(z: Array) -> Array:
    """Return the probabilities (1, n_outputs) of one row."""
    z -= z.item(z.argmax())  # `z.max` is a function in Python and takes twice as long
    np.exp(z, out=z)
    z /= z.sum()
    return z


_HIDDEN: dict[str, Callable[[Array], Array]] = {
    "identity": lambda z: z,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0, out=z),
}
_LAST: dict[str, Callable[[Array], Array]] = {**_HIDDEN, "exp": np.exp, "softmax": softmax}


def one_row(X: Array, coefs: list[Array], intercepts: list[Array], activation: Any, output: str) -> Array | None:
    """Return the outputs (1, n_outputs) for X (1, n_inputs); None where the back end has to compute them."""
    hidden = _HIDDEN.get(activation) if type(activation) is str else None
    last = _LAST.get(output) if type(output) is str else None
    if hidden is None or last is None:
        return None
    a, n = X, len(coefs) - 1
    for W, b in zip(coefs, intercepts, strict=True):
        if W.size > MOST_PARAMETERS:
            return None
        z = a.dot(W)
        z += b
        a = hidden(z) if n else last(z)
        n -= 1
    return a
