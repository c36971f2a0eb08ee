"""What the conformance suite is made of: a check, and the networks that a back end supports."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from numpy.typing import NDArray

from fastnn.backends import Backend, Data
from fastnn.network import Network
from fastnn.optimizers import OPTIMIZERS, Optimizer
from fastnn.testing.problems import HIDDEN, PAIRS

DTYPES = ("float32", "float64")

_SMOOTH_FIRST = dict.fromkeys(("tanh", "sigmoid", *HIDDEN))  # where a back end leaves the choice


class Declined(Exception):
    """The back end's `supports` declines what a check is about: it is skipped."""


@dataclass(frozen=True)
class Check:
    """One check of a back end, by the names of the tables that it is about."""

    kind: str
    """"rule", "gradient", "derivative", "update" or "training"."""
    what: str
    """What is checked, for people."""
    dtype: str
    activation: str = ""
    loss: str = ""
    output: str = ""
    optimizer: str = ""
    run: Callable[[Backend], float] = field(kw_only=True, repr=False)
    """Takes a back end, returns its worst difference as a part of what is allowed; AssertionError where it is more,
    `Declined` where the back end does not support this."""

    @property
    def name(self) -> str:
        """For people, and as the id of a test."""
        return f"{self.kind}: {self.what}, {self.dtype}"


Rule = Callable[[str, Backend], float]
"""The body of a check, for a dtype and a back end."""


class Rules(dict[str, Rule]):
    """Rules by what they say."""

    def rule(self, what: str) -> Callable[[Rule], Rule]:
        """Decorate a function that checks a rule."""

        def keep(function: Rule) -> Rule:
            self[what] = function
            return function

        return keep

    def checks(self, dtype: str) -> Iterator[Check]:
        """One check of each rule."""
        for what, function in self.items():
            yield Check("rule", what, dtype, run=partial(function, dtype))


def optimizer_of(name: str, **options: Any) -> Optimizer:
    """An optimiser of the table with a learning rate that suits a small network."""
    return OPTIMIZERS[name](0.01, **options)


PLAIN = [optimizer_of(name) for name, kind in OPTIMIZERS.items() if not kind.full_batch]
"""One optimiser of each kind, but for those that take full batches only."""


def read_only(*arrays: NDArray[Any]) -> Data:
    """The data of these arrays, as a back end is given them."""
    for array in arrays:
        array.flags.writeable = False
    return Data(*arrays)


def require(backend: Backend, network: Network, *optimizers: Optimizer) -> Optimizer:
    """The first of the optimisers (by default of all kinds) that the back end supports on this network.

    Without hidden layers, it does not matter which activation the network names for them.

    Raises
    ------
    Declined
        If it supports none.
    """
    names = [network.activation] if network.n_layers > 1 else HIDDEN
    for optimizer in optimizers or map(optimizer_of, OPTIMIZERS):
        if any(backend.supports(dataclasses.replace(network, activation=name), optimizer) for name in names):
            return optimizer
    raise Declined(
        f"{backend.name} does not support {network.loss} of {network.output} with hidden {network.activation}, bias "
        f"{network.bias}, by {_any_of(optimizers)}"
    )


def supported(
    backend: Backend, *optimizers: Optimizer, sizes: tuple[int, ...] = (4, 6, 3), **options: Any
) -> tuple[Network, Optimizer]:
    """The first network of the tables with these options that the back end supports, and an optimiser for it.

    Raises
    ------
    Declined
        If it supports none.
    """
    for loss, output in PAIRS:
        for activation in _SMOOTH_FIRST:
            network = Network(sizes, activation, output, loss, **options)
            try:
                return network, require(backend, network, *optimizers)
            except Declined:
                continue
    given = ", ".join(f"{name}={value!r}" for name, value in options.items())
    raise Declined(f"{backend.name} supports no network{given and ' with '}{given} by {_any_of(optimizers)}")


def _any_of(optimizers: Sequence[Optimizer]) -> str:
    return " or ".join(f"{'sequential ' * o.sequential}{o.name}" for o in optimizers) or "any optimiser"
