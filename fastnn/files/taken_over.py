"""A result of another library's layers, one after the other: PyTorch's, Keras'."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from fastnn.checking.arguments import check_choice, shown
from fastnn.files.description import without_state
from fastnn.memory import Array
from fastnn.network import ACTIVATIONS, Network
from fastnn.training.results import TrainingResult


class Taken(NamedTuple):
    """A layer with weights and an activation, or an activation that stands after a layer without one."""

    part: Any  # the other library's, for errors
    activation: str
    W: Array | None = None  # (fan_in, fan_out)
    b: Array | None = None  # (fan_out,)


def result_of(layers: Iterable[Taken], kind: str, output: str | None, loss: str) -> TrainingResult:
    """Make a result without a state; `kind` is what the library calls a layer with weights.

    Raises
    ------
    ValueError
        Where the layers make no network, and for weights that are not finite.
    """
    weights, biases, names = [], [], []
    for layer in layers:
        if layer.W is not None:
            weights.append(layer.W)
            biases.append(layer.b)
            names.append(layer.activation)
        elif not names or names[-1] != "identity":
            raise ValueError(f"{layer.part} must stand after a {kind} layer, one activation after each")
        else:
            names[-1] = layer.activation
    if not names:
        raise ValueError(f"there is no {kind} layer")
    if output is not None and names[-1] != "identity":
        raise ValueError(
            f"the last layer has an activation, {names[-1]}: output={shown(output)} cannot be given besides"
        )
    sizes = (len(weights[0]), *(W.shape[1] for W in weights))
    has_bias = any(b is not None for b in biases)
    last = names[-1] if output is None else check_choice("output", output, ACTIVATIONS)
    network = Network(sizes, tuple(names[:-1]), last, loss, bias="vector" if has_bias else "none")
    zeros = [np.zeros(W.shape[1] if has_bias else 0, W.dtype) for W in weights]
    params = network.pack(weights, [zero if b is None else b for zero, b in zip(zeros, biases, strict=True)])
    if not np.isfinite(params).all():
        raise ValueError("the weights must be finite")
    return without_state(network, params, "numba")
