"""Networks from PyTorch and Keras and to them: sequences of layers with weights, and activations
that both know.
"""

import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from fastnn.checking.arguments import check_choice, cut, errors_of, shown
from fastnn.checking.hints import missing_package
from fastnn.files.description import without_state
from fastnn.files.export import Model, formula, layers_of
from fastnn.losses import ACTIVATIONS, LEAKY_SLOPE, Value, checked
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.training.results import TrainingResult

FLOATS = ("float32", "float64")

Parts = dict[str, tuple[str, dict[str, Any]]]
"""{our activation: the name of its class, and {option of that: our parameter, or the values with
which it computes our activation, the first of which is written}}"""


class Library(NamedTuple):
    """The names of another library's layers and activations."""

    package: str
    """The package of its own classes and functions; a user's may have the same names."""
    layers: tuple[str, ...]
    """The layers that are read besides activations, first the one with weights."""
    idle: tuple[str, ...]
    """Layers that change nothing where nothing is trained."""
    activations: Parts

    def parts(self, model: Any) -> Iterator[tuple[str, Any]]:
        """Iterate over the layers that compute something, with the names of their classes."""
        for tensor in getattr(model, "inputs", ()):  # a model of Keras'
            if tensor.dtype not in FLOATS:
                right = f"float32 or float64, not {tensor.dtype}: Keras rounds them"
                raise ValueError(f"the inputs of {shown(model)} must be {right}")
        for part in getattr(model, "layers", model):
            kind = self.own_kind(part)
            if kind == "Sequential":
                yield from self.parts(part)
            elif kind not in self.idle:
                yield kind, part

    def own_kind(self, part: Any) -> str:
        """Return the name of a part's class; "" for one that is not the library's own.

        Raises
        ------
        ValueError
            For a part that computes something else than its class and its weights say.
        """
        changes = {}
        # a module of PyTorch's, as Keras' layers are where they compute by it
        if hasattr(part, "_forward_hooks"):
            torch = sys.modules.get("torch.nn.modules.module")
            for hooks in "_forward_pre_hooks", "_forward_hooks":
                changes[f"a hook, in its {hooks}"] = getattr(part, hooks)
                changes[f"a hook of all modules, in torch's _global{hooks}"] = getattr(
                    torch, f"_global{hooks}", ()
                )
        for name in "forward", "call", "_call_impl":
            changes[f"a {name} of its own"] = name in getattr(part, "__dict__", ())
        if made := [what for what, is_there in changes.items() if is_there]:
            raise ValueError(
                f"{shown(part)} has {made[0]}, and so may compute something else than its weights "
                "say"
            )
        return type(part).__name__ if type(part).__module__.startswith(self.package) else ""

    def activation(self, kind: str, part: Any) -> Any:
        """Return our activation for a part whose options are the parameters of ours, or have legal
        values.

        Raises
        ------
        ValueError
            For another part, and where an option has another value.
        """
        names = {
            theirs: ours
            for ours, (theirs, _) in self.activations.items()
            if theirs not in self.idle
        }
        if kind not in names:
            known = ", ".join((*self.layers, *names, *self.idle))
            raise ValueError(f"no layer of fastnn's is like {shown(part)}; there are {known}")
        name = names[kind]
        parameters = {}
        for option, legal in self.activations[name][1].items():
            value = getattr(part, option)
            if isinstance(legal, str):
                parameters[legal] = float(value)
            elif value not in legal:
                right = " or ".join(map(repr, sorted(legal)))
                raise ValueError(f"{shown(part)}: fastnn's {name} is that of {option}={right}")
        usual = ACTIVATIONS[name].value
        with errors_of(shown(part)):
            if not usual:
                return name
            return checked(name, type(usual)(**parameters), ACTIVATIONS, ACTIVATIONS)


class ReadLayer(NamedTuple):
    """A layer as it was read: with weights and an activation, or the activation of the layer before
    it.
    """

    part: Any  # the other library's, for errors
    activation: str | Value
    W: Array | None = None  # (fan_in, fan_out)
    b: Array | None = None  # (fan_out,)


def options_of(options: dict[str, Any], numbers: dict[str, float]) -> dict[str, Any]:
    """Return the options of another library's part for our parameters, or the first of their legal
    values.
    """
    return {
        option: numbers[legal] if isinstance(legal, str) else legal[0]
        for option, legal in options.items()
    }


def result_from_layers(
    library: Library, layers: Iterable[ReadLayer], output: str | None, loss: str
) -> TrainingResult:
    """Make a result without a state of layers in their order.

    Raises
    ------
    ValueError
        Where the layers make no network, and for weights that are not finite.
    """
    weights = []
    biases = []
    names = []
    for layer in layers:
        if layer.W is not None:
            weights.append(layer.W)
            biases.append(layer.b)
            names.append(layer.activation)
        elif not names or names[-1] != "identity":
            place = f"after a {library.layers[0]} layer, one activation after each"
            raise ValueError(f"{shown(layer.part)} must stand {place}")
        else:
            names[-1] = layer.activation
    if not names:
        raise ValueError(f"there is no {library.layers[0]} layer")
    if output is not None and names[-1] != "identity":
        also = f"output={shown(output)} cannot be given besides"
        raise ValueError(f"the last layer has an activation, {names[-1]}: {also}")
    sizes = (len(weights[0]), *(W.shape[1] for W in weights))
    has_bias = any(b is not None for b in biases)
    last = names[-1] if output is None else check_choice("output", output, ACTIVATIONS)
    network = Network(sizes, tuple(names[:-1]), last, loss, bias="vector" if has_bias else "none")
    zeros = [np.zeros(W.shape[1] if has_bias else 0, W.dtype) for W in weights]
    params = network.pack(
        weights, [zero if b is None else b for zero, b in zip(zeros, biases, strict=True)]
    )
    if not np.isfinite(params).all():
        raise ValueError("the weights must be finite")
    return without_state(network, params, "numba")


# ------------------------------------------------------------------------------------------ PyTorch


MODULES: Parts = {
    "identity": ("Identity", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "relu": ("ReLU", {}),
    "leaky_relu": ("LeakyReLU", {"negative_slope": "slope"}),
    "elu": ("ELU", {"alpha": "alpha"}),
    "selu": ("SELU", {}),
    # above PyTorch's threshold of 20 float64 loses half its digits
    "softplus": ("Softplus", {"threshold": (40, 20), "beta": (1,)}),
    "silu": ("SiLU", {}),
    "gelu": ("GELU", {"approximate": ("tanh",)}),
    "softmax": ("Softmax", {"dim": (1, -1)}),
    "mish": ("Mish", {}),
}

TORCH = Library("torch.nn.modules.", ("Linear",), ("Identity", "Dropout"), MODULES)


def from_torch(module: Any, *, output: str | None = None, loss: str = "auto") -> TrainingResult:
    """Make a result of a PyTorch module: a `torch.nn.Sequential` of Linear layers with activations
    after them.

    Parameters
    ----------
    module : torch.nn.Sequential
        Its weights are copied, in float32 or float64. Other sequences may be in it. Identity and
        Dropout are left out; a Softplus becomes exact above its threshold.
    output : str, optional
        The output activation of a module that ends with a Linear layer, such as "softmax" for one
        that was trained with PyTorch's CrossEntropyLoss; "identity" if not given.
    loss : str
        That of the network, to train it further: see `Network`.

    Returns
    -------
    TrainingResult
        Without a state: ``train(result.network, X, Y, params=result.params, ...)`` trains it
        further.

    Raises
    ------
    TypeError, ValueError
        For another module or activation, which is named, where the layers do not fit, and for a
        module whose outputs are not those of its weights: by hooks, a `forward` of its own, or a
        weight that is computed (pruned, normed).

    Examples
    --------
    >>> import importlib.util
    >>> from fastnn import from_torch
    >>> if importlib.util.find_spec("torch"):
    ...     from torch import nn
    ...
    ...     print(
    ...         from_torch(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))).network.sizes
    ...     )
    ... else:
    ...     print((4, 8, 3))
    (4, 8, 3)
    """
    if TORCH.own_kind(module) != "Sequential":
        raise TypeError(f"from_torch takes a torch.nn.Sequential, not {shown(module)}")
    return result_from_layers(
        TORCH, (_read_torch(*part) for part in TORCH.parts(module)), output, loss
    )


def _read_torch(kind: str, part: Any) -> ReadLayer:
    if kind != "Linear":
        return ReadLayer(part, TORCH.activation(kind, part))
    for name in "weight", "bias":
        if name not in part._parameters:  # what stands there is computed, when the module is called
            way = "prune.remove or remove_weight_norm makes it one"
            raise ValueError(f"the {name} of {shown(part)} is no parameter: {way}")
    return ReadLayer(
        part, "identity", _array(part.weight).T, None if part.bias is None else _array(part.bias)
    )


def _array(tensor: Any) -> Any:
    if str(tensor.dtype) not in ("torch.float32", "torch.float64"):
        raise TypeError(f"weights must be float32 or float64, not {tensor.dtype}")
    if getattr(tensor, "is_meta", False):
        raise ValueError("weights must be in memory: those of the device meta have no numbers")
    return tensor.detach().cpu().numpy()


def to_torch(result: TrainingResult) -> Any:
    """Return a `torch.nn.Sequential` of Linear layers and activations; see
    `TrainingResult.to_torch`.
    """
    try:
        import torch
    except ImportError as error:
        raise missing_package("torch", "to_torch needs") from error
    parts = []
    for W, b, activation in layers_of(Model(result.network, result.params)):
        tensor = torch.from_numpy(W.T.copy())
        linear = torch.nn.Linear(W.shape[0], W.shape[1], bias=b is not None, dtype=tensor.dtype)
        with torch.no_grad():
            linear.weight.copy_(tensor)
            if b is not None:
                linear.bias.copy_(torch.from_numpy(b.copy()))
        (kind, options), numbers = formula(TORCH.activations, activation, "torch.nn")
        parts.append(linear)
        if kind not in TORCH.idle:
            parts.append(getattr(torch.nn, kind)(**options_of(options, numbers)))
    return torch.nn.Sequential(*parts)


# -------------------------------------------------------------------------------------------- Keras


_SAME = ("sigmoid", "tanh", "relu", "elu", "selu", "softplus", "silu", "softmax", "mish")
_NAMES = {**{name: name for name in _SAME}, "identity": "linear", "exp": "exponential"}
"""{our activation: Keras' function}; its gelu has another formula, and its leaky_relu another
slope."""

LAYERS: Parts = {
    "leaky_relu": ("LeakyReLU", {"negative_slope": "slope"}),
    "elu": ("ELU", {"alpha": "alpha"}),
    "relu": ("ReLU", {"max_value": (None,), "negative_slope": (0,), "threshold": (0,)}),
    "softmax": ("Softmax", {"axis": (-1,)}),
}

KERAS = Library("keras.", ("Dense", "Activation"), ("Dropout", "Identity", "InputLayer"), LAYERS)


def from_keras(model: Any, *, output: str | None = None, loss: str = "auto") -> TrainingResult:
    """Make a result of a Keras model: a `keras.Sequential` of Dense layers, with their activations
    or layers of these.

    Parameters
    ----------
    model : keras.Sequential
        Built, so that it has weights; they are copied, in float32 or float64. Other sequences may
        be in it. Dropout is left out.
    output : str, optional
        The output activation of a model that ends with none, such as "softmax" for one that was
        trained with ``from_logits=True``; "identity" if not given.
    loss : str
        That of the network, to train it further: see `Network`.

    Returns
    -------
    TrainingResult
        Without a state: ``train(result.network, X, Y, params=result.params, ...)`` trains it
        further.

    Raises
    ------
    TypeError, ValueError
        For another model, layer or activation, which is named, where the layers do not fit, for
        inputs that Keras rounds (``Input(..., dtype="int32")``), and for a layer with a hook or a
        `call` of its own.

    Examples
    --------
    >>> import importlib.util, os
    >>> from fastnn import from_keras
    >>> if all(map(importlib.util.find_spec, ("keras", "torch"))):
    ...     os.environ["KERAS_BACKEND"] = "torch"
    ...     from keras import Input, Sequential
    ...     from keras.layers import Dense
    ...
    ...     print(from_keras(Sequential([Input((4,)), Dense(8, "tanh"), Dense(3)])).network.sizes)
    ... else:
    ...     print((4, 8, 3))
    (4, 8, 3)
    """
    if KERAS.own_kind(model) != "Sequential":
        raise TypeError(f"from_keras takes a keras.Sequential, not {shown(model)}")
    return result_from_layers(
        KERAS, (_read_keras(*part) for part in KERAS.parts(model)), output, loss
    )


def _read_keras(kind: str, part: Any) -> ReadLayer:
    if kind == "Activation":
        return ReadLayer(part, _function(part))
    if kind != "Dense":
        return ReadLayer(part, KERAS.activation(kind, part))
    arrays = part.get_weights()
    if len(arrays) != 1 + part.use_bias:
        right = f"{1 + part.use_bias} arrays, not {len(arrays)}"
        raise ValueError(f"{shown(part)} must have weights, {right}: is the model built?")
    if any(
        dtype not in FLOATS for dtype in (part.compute_dtype, *map(str, {a.dtype for a in arrays}))
    ):
        raise TypeError(
            f"{shown(part)} must compute in float32 or float64, not {part.compute_dtype}"
        )
    return ReadLayer(part, _function(part), *arrays)


def _function(part: Any) -> str:
    """Return our activation for the function of a layer of Keras'."""
    function = part.activation
    known = {theirs: ours for ours, theirs in _NAMES.items()}
    name = getattr(function, "__name__", shown(function))
    if name not in known or not getattr(function, "__module__", "").startswith(KERAS.package):
        beside = {
            "gelu": " (ours is that of approximate=True)",
            "leaky_relu": f" (our slope is {LEAKY_SLOPE})",
        }
        has = ", ".join(known)
        raise ValueError(
            f"no activation of fastnn's is Keras' {cut(name)}{beside.get(name, '')}; it has {has}"
        )
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
            (kind, options), numbers = formula(KERAS.activations, activation, "keras")
            model.add(getattr(keras.layers, kind)(**options_of(options, numbers), dtype=dtype))
    return model
