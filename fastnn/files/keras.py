"""Networks from Keras and to it: `keras.Sequential` of Dense layers and the activations that both know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastnn.checking.arguments import cut, shown
from fastnn.checking.hints import missing_package
from fastnn.files.export import Model, formula, layers_of
from fastnn.files.taken_over import Taken, options_of, own_kind, result_of, taken_activation
from fastnn.losses import LEAKY_SLOPE, Value
from fastnn.training.results import TrainingResult

_NAMES = {
    **{name: name for name in ("sigmoid", "tanh", "relu", "elu", "selu", "softplus", "silu", "softmax", "mish")},
    "identity": "linear",
    "exp": "exponential",
}
"""{our activation: Keras' function}; its gelu has another formula, and its leaky_relu another slope."""

_LAYERS: dict[str, tuple[str, dict[str, Any]]] = {
    "leaky_relu": ("LeakyReLU", {"negative_slope": "slope"}),
    "elu": ("ELU", {"alpha": "alpha"}),
    "relu": ("ReLU", {"max_value": (None,), "negative_slope": (0,), "threshold": (0,)}),
    "softmax": ("Softmax", {"axis": (-1,)}),
}
"""{our activation: class in keras.layers, and its options: the name of our parameter, or the values with which it is
that}."""

_IDLE = ("Dropout", "Identity")
"""Layers that change nothing where nothing is trained."""

_PACKAGE = "keras."
"""The package of Keras' own layers and functions."""

_FLOATS = ("float32", "float64")


def from_keras(model: Any, *, output: str | None = None, loss: str = "auto") -> TrainingResult:
    """Make a result of a Keras model: a `keras.Sequential` of Dense layers, with their activations or layers of these.

    Parameters
    ----------
    model : keras.Sequential
        Built, so that it has weights; they are copied, in float32 or float64. Other sequences may be in it. Dropout is
        left out.
    output : str, optional
        The output activation of a model that ends with none, such as "softmax" for one that was trained with
        ``from_logits=True``; "identity" if not given.
    loss : str
        That of the network, to train it further: see `Network`.

    Returns
    -------
    TrainingResult
        Without a state: ``train(result.network, X, Y, params=result.params, ...)`` trains it further.

    Raises
    ------
    TypeError, ValueError
        For another model, layer or activation, which is named, where the layers do not fit, for inputs that Keras
        rounds (``Input(..., dtype="int32")``), and for a layer with a hook or a `call` of its own.

    Examples
    --------
    >>> import importlib.util, os
    >>> from fastnn import from_keras
    >>> if all(map(importlib.util.find_spec, ("keras", "torch"))):
    ...     os.environ["KERAS_BACKEND"] = "torch"
    ...     from keras import Input, Sequential
    ...     from keras.layers import Dense
    ...     print(from_keras(Sequential([Input((4,)), Dense(8, "tanh"), Dense(3)])).network.sizes)
    ... else:
    ...     print((4, 8, 3))
    (4, 8, 3)
    """
    if own_kind(model, _PACKAGE) != "Sequential":
        raise TypeError(f"from_keras takes a keras.Sequential, not {shown(model)}")
    return result_of((_taken(*part) for part in _parts(model)), "Dense", output, loss)


def _parts(model: Any) -> Iterator[tuple[str, Any]]:
    """Iterate over the layers that compute something, with the names of their classes."""
    for tensor in getattr(model, "inputs", ()):
        if tensor.dtype not in _FLOATS:
            raise ValueError(
                f"the inputs of {shown(model)} must be float32 or float64, not {tensor.dtype}: Keras rounds them"
            )
    for part in model.layers:
        kind = own_kind(part, _PACKAGE)
        if kind == "Sequential":
            yield from _parts(part)
        elif kind not in ("InputLayer", *_IDLE):
            yield kind, part


def _taken(kind: str, part: Any) -> Taken:
    if kind == "Activation":
        return Taken(part, _function(part))
    names = {theirs: ours for ours, (theirs, _) in _LAYERS.items()}
    if kind in names:
        return Taken(part, taken_activation(part, names[kind], _LAYERS[names[kind]][1]))
    if kind != "Dense":
        known = ", ".join(("Dense", "Activation", *names, *_IDLE))
        raise ValueError(f"no layer of fastnn's is like {shown(part)}; there are {known}")
    arrays = part.get_weights()
    if len(arrays) != 1 + part.use_bias:
        raise ValueError(
            f"{shown(part)} must have weights, {1 + part.use_bias} arrays, not {len(arrays)}: is the model built?"
        )
    if any(dtype not in _FLOATS for dtype in (part.compute_dtype, *map(str, {a.dtype for a in arrays}))):
        raise TypeError(f"{shown(part)} must compute in float32 or float64, not {part.compute_dtype}")
    return Taken(part, _function(part), *arrays)


def _function(part: Any) -> str:
    """Return our activation for the function of a layer of Keras'."""
    function, known = part.activation, {theirs: ours for ours, theirs in _NAMES.items()}
    name = getattr(function, "__name__", shown(function))
    if name not in known or not getattr(function, "__module__", "").startswith(_PACKAGE):
        beside = {"gelu": " (ours is that of approximate=True)", "leaky_relu": f" (our slope is {LEAKY_SLOPE})"}
        has = ", ".join(known)
        raise ValueError(f"no activation of fastnn's is Keras' {cut(name)}{beside.get(name, '')}; it has {has}")
    return known[name]


def to_keras(result: TrainingResult) -> Any:
    """Return a `keras.Sequential` of Dense layers; see `TrainingResult.to_keras`."""
    try:
        import keras
    except ImportError as error:
        if error.name != "keras":  # the library on which it computes, which Keras' own error names
            raise
        raise missing_package("keras", "to_keras needs") from error
    dtype = result.params.dtype.name
    model = keras.Sequential([keras.Input((result.network.n_inputs,), dtype=dtype)])
    for W, b, activation in layers_of(Model(result.network, result.params)):
        as_layer = isinstance(activation, Value) or activation == "leaky_relu"
        theirs, _ = formula(_NAMES, "identity" if as_layer else activation, "keras")
        model.add(keras.layers.Dense(W.shape[1], theirs, use_bias=b is not None, dtype=dtype))
        model.layers[-1].set_weights([W] if b is None else [W, b])
        if as_layer:
            (kind, options), numbers = formula(_LAYERS, activation, "keras")
            model.add(getattr(keras.layers, kind)(**options_of(options, numbers), dtype=dtype))
    return model
