"""A result of another library's layers, one after the other: PyTorch's, Keras'."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from fastnn.checking.arguments import check_choice, shown
from fastnn.files.description import without_state
from fastnn.losses import ACTIVATIONS, Value, checked
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.training.results import TrainingResult


class Taken(NamedTuple):
    """A layer with weights and an activation, or an activation that stands after a layer without one."""

    part: Any  # the other library's, for errors
    activation: str | Value
    W: Array | None = None  # (fan_in, fan_out)
    b: Array | None = None  # (fan_out,)


def own_kind(part: Any, package: str) -> str:
    """Return the name of a part's class; "" for a class that is not of this package, the library's own.

    Raises
    ------
    ValueError
        For a part that computes something else than its class and its weights say.
    """
    said = {}
    if hasattr(part, "_forward_hooks"):  # a module of PyTorch's, as Keras' layers are where they compute by it
        torch = sys.modules.get("torch.nn.modules.module")
        for hooks in "_forward_pre_hooks", "_forward_hooks":
            said[f"a hook, in its {hooks}"] = getattr(part, hooks)
            said[f"a hook of all modules, in torch's _global{hooks}"] = getattr(torch, f"_global{hooks}", ())
    for name in "forward", "call", "_call_impl":
        said[f"a {name} of its own"] = name in getattr(part, "__dict__", ())
    if found := [what for what, is_there in said.items() if is_there]:
        raise ValueError(f"{shown(part)} has {found[0]}, and so may compute something else than its weights say")
    return type(part).__name__ if type(part).__module__.startswith(package) else ""


def taken_activation(part: Any, name: str, options: dict[str, Any]) -> Any:
    """Return our activation for a part whose options are the parameters of ours, named there, or have legal values.

    Raises
    ------
    ValueError
        Where an option has another value.
    """
    parameters = {}
    for option, legal in options.items():
        given = getattr(part, option)
        if isinstance(legal, str):
            parameters[legal] = float(given)
        elif given not in legal:
            raise ValueError(
                f"{shown(part)}: fastnn's {name} is that of {option}={' or '.join(map(repr, sorted(legal)))}"
            )
    value = ACTIVATIONS[name].value
    try:
        return checked(name, type(value)(**parameters), ACTIVATIONS, ACTIVATIONS) if value else name
    except ValueError as error:
        raise ValueError(f"{shown(part)}: {error}") from None


def options_of(options: dict[str, Any], numbers: dict[str, float]) -> dict[str, Any]:
    """Return the options of another library's part for our parameters, or the first of their legal values."""
    return {option: numbers[legal] if isinstance(legal, str) else legal[0] for option, legal in options.items()}


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
            raise ValueError(f"{shown(layer.part)} must stand after a {kind} layer, one activation after each")
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
