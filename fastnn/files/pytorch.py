"""Networks from PyTorch and to it: `torch.nn.Sequential` of Linear layers and the activations that both know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastnn.checking.arguments import shown
from fastnn.checking.hints import missing_package
from fastnn.files.export import Model, formula, layers_of
from fastnn.files.taken_over import Taken, options_of, own_kind, result_of, taken_activation
from fastnn.losses import Value
from fastnn.training.results import TrainingResult

_MODULES: dict[str, tuple[str, dict[str, Any]]] = {
    "identity": ("Identity", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "relu": ("ReLU", {}),
    "leaky_relu": ("LeakyReLU", {"negative_slope": "slope"}),
    "elu": ("ELU", {"alpha": "alpha"}),
    "selu": ("SELU", {}),
    "softplus": ("Softplus", {"threshold": (40, 20), "beta": (1,)}),  # above PyTorch's 20 float64 loses half its digits
    "silu": ("SiLU", {}),
    "gelu": ("GELU", {"approximate": ("tanh",)}),
    "softmax": ("Softmax", {"dim": (1, -1)}),
    "mish": ("Mish", {}),
}
"""{our activation: class in torch.nn, and its options: the name of our parameter, or the values with which it is that,
the first of which is written}."""

_IDLE = ("Identity", "Dropout")
"""Modules that change nothing where nothing is trained."""

_PACKAGE = "torch.nn.modules."
"""The package of PyTorch's own modules; other ones have the same names, such as those of its quantized layers."""


def from_torch(module: Any, *, output: str | None = None, loss: str = "auto") -> TrainingResult:
    """Make a result of a PyTorch module: a `torch.nn.Sequential` of Linear layers with activations after them.

    Parameters
    ----------
    module : torch.nn.Sequential
        Its weights are copied, in float32 or float64. Other sequences may be in it. Identity and Dropout are left out;
        a Softplus becomes exact above its threshold.
    output : str, optional
        The output activation of a module that ends with a Linear layer, such as "softmax" for one that was trained with
        PyTorch's CrossEntropyLoss; "identity" if not given.
    loss : str
        That of the network, to train it further: see `Network`.

    Returns
    -------
    TrainingResult
        Without a state: ``train(result.network, X, Y, params=result.params, ...)`` trains it further.

    Raises
    ------
    TypeError, ValueError
        For another module or activation, which is named, where the layers do not fit, and for a module whose outputs
        are not those of its weights: by hooks, a `forward` of its own, or a weight that is computed (pruned, normed).

    Examples
    --------
    >>> import importlib.util
    >>> from fastnn import from_torch
    >>> if importlib.util.find_spec("torch"):
    ...     from torch import nn
    ...     print(from_torch(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))).network.sizes)
    ... else:
    ...     print((4, 8, 3))
    (4, 8, 3)
    """
    if own_kind(module, _PACKAGE) != "Sequential":
        raise TypeError(f"from_torch takes a torch.nn.Sequential, not {shown(module)}")
    return result_of((_taken(*part) for part in _parts(module)), "Linear", output, loss)


def _parts(module: Any) -> Iterator[tuple[str, Any]]:
    """Iterate over the modules that compute something, with the names of their classes."""
    for part in module:
        kind = own_kind(part, _PACKAGE)
        if kind == "Sequential":
            yield from _parts(part)
        elif kind not in _IDLE:
            yield kind, part


def _taken(kind: str, part: Any) -> Taken:
    if kind != "Linear":
        return Taken(part, _activation(kind, part))
    for name in "weight", "bias":
        if name not in part._parameters:  # what stands there is computed, when the module is called
            raise ValueError(
                f"the {name} of {shown(part)} is no parameter: prune.remove or remove_weight_norm makes it one"
            )
    return Taken(part, "identity", _array(part.weight).T, None if part.bias is None else _array(part.bias))


def _array(tensor: Any) -> Any:
    if str(tensor.dtype) not in ("torch.float32", "torch.float64"):
        raise TypeError(f"weights must be float32 or float64, not {tensor.dtype}")
    if getattr(tensor, "is_meta", False):
        raise ValueError("weights must be in memory: those of the device meta have no numbers")
    return tensor.detach().cpu().numpy()


def _activation(kind: str, part: Any) -> str | Value:
    """Return our activation for a module of PyTorch's, whose options must be those of ours."""
    names = {theirs: ours for ours, (theirs, _) in _MODULES.items() if theirs not in _IDLE}
    if kind not in names:
        known = ", ".join(("Linear", *names, *_IDLE))
        raise ValueError(f"no layer of fastnn's is like {shown(part)}; there are {known}")
    return taken_activation(part, names[kind], _MODULES[names[kind]][1])


def to_torch(result: TrainingResult) -> Any:
    """Return a `torch.nn.Sequential` of Linear layers and activations; see `TrainingResult.to_torch`."""
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
        (kind, options), numbers = formula(_MODULES, activation, "torch.nn")
        parts.append(linear)
        if kind not in _IDLE:
            parts.append(getattr(torch.nn, kind)(**options_of(options, numbers)))
    return torch.nn.Sequential(*parts)
