"""The optional parts of a back end's interface: threads, a loss without its gradient, and the options of `supports`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, cast

from fastnn.backends import Backend
from fastnn.checking.arguments import shown
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.state import Task


def call_with_threads(method: Callable[..., Any], threads: int | None, *arguments: Any) -> Any:
    """Call a back end's method with `threads`, where a number is given and the method takes it."""
    if threads is not None and _takes_threads(getattr(method, "__func__", method)):
        return method(*arguments, threads=threads)
    return method(*arguments)


def loss_of(backend: Backend, task: Task, params: Array, gradient: Array | None = None) -> float:
    """Return the loss of all rows of a task as one batch: by a back end's own `loss`, where it has one.

    The gradient is written to `gradient` (n_params,), where one is given.
    """
    own = getattr(backend, "loss", None)
    if own is not None:
        return cast(float, own(task, params, gradient))
    loss, found = backend.loss_and_gradient(task.network, params, task.data, task.penalty)
    if gradient is not None:
        gradient[...] = found
    return loss


def is_supported(
    backend: Backend, network: Network, optimizer: Optimizer, *, alpha: float = 0.0, sample_weight: bool = False
) -> bool:
    """Return the answer of a back end's `supports`, asked about those of the options that it takes."""
    return bool(supports_with(backend, alpha=alpha, sample_weight=sample_weight)(network, optimizer))


def supports_with(backend: Backend, *, alpha: float, sample_weight: bool) -> Callable[[Network, Optimizer], bool]:
    """Return a back end's `supports` with those of the options that it takes."""
    supports = backend.supports
    taken = options_taken(getattr(supports, "__func__", supports))
    if not taken:
        return supports
    options: dict[str, Any] = {"alpha": alpha, "sample_weight": sample_weight}
    return functools.partial(supports, **{name: options[name] for name in taken})


@functools.lru_cache(maxsize=100)
def options_taken(function: Callable[..., Any]) -> frozenset[str]:
    """Return which of the options "alpha" and "sample_weight" a function takes as keywords."""
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # a function of an extension module need not have a signature
        return frozenset()
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return frozenset(name for name in ("alpha", "sample_weight") if takes_all or name in parameters)


@functools.lru_cache(maxsize=100)
def _takes_threads(function: Callable[..., Any]) -> bool:
    """Return whether a back end's method has the keyword `threads`."""
    return "threads" in inspect.signature(function).parameters


def check_supported(
    backend: Backend, network: Network, optimizer: Optimizer, *, alpha: float = 0.0, sample_weight: bool = False
) -> None:
    """Raise ValueError where a back end does not support the training.

    Raises
    ------
    ValueError
        Names the option that is not supported, where the network and the optimizer are.
    """
    if is_supported(backend, network, optimizer, alpha=alpha, sample_weight=sample_weight):
        return
    what = f"back end {shown(backend.name)} cannot train this network with {optimizer.name}"
    if is_supported(backend, network, optimizer):
        if not is_supported(backend, network, optimizer, alpha=alpha):
            raise ValueError(f"{what} and alpha={alpha:g}: give alpha=0, or take another back end")
        raise ValueError(f"{what} and sample_weight: leave the weights out, or take another back end")
    raise ValueError(what)
