"""Checks, the problems that they draw, and the cases that they run on."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from fastnn.backends import Backend, Data
from fastnn.losses import ACTIVATIONS, HIDDEN, LOSSES, Custom, CustomActivation, CustomLoss
from fastnn.memory import Array
from fastnn.network import BIAS_GRADIENTS, BIASES, REDUCTIONS, Network
from fastnn.optimizers import OPTIMIZERS, Optimizer
from fastnn.testing.tolerances import away_from_kinks

DTYPES = ("float32", "float64")

Fields = dict[str, Any]
"""Fields of `Network`, "alpha" and "weighted", or options of an optimizer."""


@dataclass(frozen=True)
class Check:
    """One check of a back end, and the activation, loss or optimizer that it is about.

    Attributes
    ----------
    kind : {"property", "gradient", "update", "training"}
        The kind of the check.
    what : str
        The subject of the check, for people.
    dtype : {"float32", "float64"}
        The dtype of its data.
    activation, loss, output, optimizer : str
        The names that it is about; "" for those that do not matter.
    run : callable
        Takes a back end, returns its worst difference as a part of what is allowed; raises
        AssertionError if it is more, and `Declined` if the back end does not support this.

    Examples
    --------
    >>> from fastnn import get_backend, testing
    >>> check = next(testing.conformance_checks())
    >>> check.kind, 0 <= check.run(get_backend("numpy")) <= 1
    ('property', True)
    """

    kind: str
    what: str
    dtype: str
    activation: str = ""
    loss: str = ""
    output: str = ""
    optimizer: str = ""
    run: Callable[[Backend], float] = field(kw_only=True, repr=False)

    def __repr__(self) -> str:
        return f"<Check: {self.name}>"

    @property
    def name(self) -> str:
        """Name of the check for people, and the id of its test."""
        return f"{self.kind}: {self.what}, {self.dtype}"


class Declined(Exception):
    """The back end does not support what a check is about, so that the check is skipped.

    Examples
    --------
    >>> from fastnn import get_backend, testing
    >>> class OnlySGD(type(get_backend("numpy"))):
    ...     def supports(self, network, optimizer, alpha=0.0, sample_weight=False):
    ...         return optimizer.name == "SGD"
    >>> check = next(check for check in testing.conformance_checks() if check.optimizer == "RPROP")
    >>> try:
    ...     check.run(OnlySGD())
    ... except testing.Declined:
    ...     print("skipped")
    skipped
    """


# ---------------------------------------------------------------------------------- names

PAIRS = [(loss, output) for loss, line in LOSSES.items() for output in line.outputs]
"""Each loss with each output activation that it goes with."""

_VALUES = [line.value for table in (ACTIVATIONS, LOSSES) for line in table.values() if line.value]
VARIANTS = [
    dataclasses.replace(value, **{name: 0.7 * number + 0.1 for name, number in vars(value).items()})
    for value in _VALUES
]
"""The activations and losses that have parameters, with others than the default ones."""

CUSTOM = [
    CustomActivation(lambda z: z * np.tanh(np.log1p(np.exp(z)))),
    CustomLoss(lambda a, y: np.where(y > a, 3.0 * (y - a), a - y)),
]
"""An activation and a loss by functions, as users write them."""

_OPTIONS: dict[str, list[Fields]] = {
    "SGD": [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 1.0},
        {"sequential": True},
    ],
    "Adam": [
        {},
        {"beta_1": 0.0},
        {"beta_1": 0.5, "beta_2": 0.7, "epsilon": 1e-3},
        {"sequential": True},
    ],
    "AdamW": [{}, {"weight_decay": 0.5}, {"weight_decay": 0.0}],
}
OPTIMIZER_CASES = [(name, options) for name in OPTIMIZERS for options in _OPTIONS.get(name, [{}])]
"""Each optimizer by its name, with each set of options that has a path of its own."""

RATE = 0.01
"""A learning rate that suits a small network."""


def optimizer_of(name: str, **options: Any) -> Optimizer:
    """Return an optimizer by its name, with a learning rate that suits a small network."""
    return OPTIMIZERS[name](RATE, **options)


EVERY = [optimizer_of(name, **options) for name, options in OPTIMIZER_CASES]
"""Each optimizer with each set of its options."""
MINIBATCH = [optimizer_of(name) for name, kind in OPTIMIZERS.items() if not kind.full_batch]
"""Each optimizer that takes batches, with its default options."""


# ------------------------------------------------------------------------------- problems


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
    """Return whether the targets of a row are probabilities that sum to 1: those of a loss of
    softmax alone are.
    """
    return network.loss_line.outputs == ("softmax",)


def draw(network: Network, n: int, dtype: DTypeLike = np.float64, seed: int = 0) -> Problem:
    """Draw a problem of n rows, a third of them of weight 0, but not the first."""
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


def draw_training(
    network: Network, n: int, dtype: DTypeLike = np.float64, seed: int = 0
) -> Problem:
    """Draw a problem to train on: X in [-1, 1], targets that depend on X, and every fourth row of
    weight 0.
    """
    random_state = np.random.RandomState(seed)
    params = network.init_params(random_state, dtype)
    X = random_state.uniform(-1, 1, (n, network.n_inputs)).astype(dtype)
    Y = draw_targets(network, random_state, n)
    if not _takes_probabilities(network):
        Y[:, 0] = (1 + np.sin(3 * X).mean(axis=1)) / 2
    weight = np.where(np.arange(n) % 4 == 1, 0, 1 + np.arange(n) % 3)
    return Problem(params, X, Y.astype(dtype), weight.astype(dtype))


def gradients_of_all_sizes(n_steps: int, n: int, dtype: DTypeLike) -> Array:
    """Draw gradients (n_steps, n) over many orders of magnitude, with zeros, repeated signs and
    changes of sign.
    """
    random_state = np.random.RandomState(1)
    size = 10.0 ** random_state.uniform(-12, 3, n)
    gradients = random_state.standard_normal((n_steps, n)) * size
    gradients[:, ::7] = abs(gradients[:, ::7])
    gradients[random_state.uniform(size=gradients.shape) < 0.1] = 0
    gradients[n_steps // 2 :, n // 2] = 0  # a unit that dies
    return gradients.astype(dtype)


def read_only(*arrays: Array) -> Data:
    """Return these arrays as the read-only data that a back end gets."""
    for array in arrays:
        array.flags.writeable = False
    return Data(*arrays)


# ---------------------------------------------------------------------------------- cases


class Case(NamedTuple):
    """A network and how it is trained."""

    network: Network
    optimizer: Optimizer
    alpha: float = 0.0
    weighted: bool = False
    """Whether rows have weights other than 1."""

    def options(self, sample_weight: Array) -> dict[str, Any]:
        """Return the penalty and, if rows have weights, `sample_weight` as keyword arguments."""
        return {"alpha": self.alpha, "sample_weight": sample_weight if self.weighted else None}

    def is_supported(self, backend: Backend) -> bool:
        """Return whether the back end supports this case."""
        options: Fields = {"alpha": self.alpha, "sample_weight": self.weighted}
        is_supported = backend.supports(self.network, self.optimizer, **options)
        return is_supported and _can_run(backend, self.network)


def _can_run(backend: Backend, network: Network) -> bool:
    """Return whether a back end has what it needs for a network's functions of the user: the kernel
    has Numba compile them.
    """
    if not any(isinstance(value, Custom) for value in (*network.activations, network.loss)):
        return True
    try:
        backend.predict(network, np.zeros(network.n_params), np.zeros((1, network.sizes[0])))
    except ImportError:
        return False
    return True


def choose(
    backend: Backend,
    *abouts: Fields,
    wanted: Fields | None = None,
    optimizers: Sequence[Optimizer] = EVERY,
) -> Case:
    """Return the first case that a back end supports: its `plain_network` with some fields changed.

    Parameters
    ----------
    backend : Backend
    *abouts : dict
        The fields that the check is about: fields of `Network`, "alpha" and "weighted". The case
        has those of one of the dictionaries; the earlier, the better.
    wanted : dict
        More fields: the case has them all, or the penalty and weights of them, or none.
    optimizers : sequence of Optimizer
        The case has one of these; the earlier, the better.

    Raises
    ------
    Declined
        If the back end supports no such case.
    """
    network = plain_network(backend)
    wanted = wanted or {}
    options = {name: value for name, value in wanted.items() if name in ("alpha", "weighted")}
    extras: list[Fields] = [wanted, options, {}]
    for about, more in product(abouts or ({},), extras):
        fields = {"alpha": 0.0, "weighted": False, **more, **about}
        alpha = fields.pop("alpha")
        weighted = fields.pop("weighted")
        changed = _changed(network, fields)
        if "activation" in about and changed.n_layers == 1:
            continue  # an activation that no layer has
        for optimizer in optimizers:
            case = Case(changed, optimizer, alpha, weighted)
            if case.is_supported(backend):
                return case
    names = " or ".join(dict.fromkeys(optimizer.name for optimizer in optimizers))
    raise Declined(f"{backend.name} does not support {list(abouts)} by {names}")


def _changed(network: Network, fields: Fields) -> Network:
    """Return the network with some fields changed, and with two outputs if one is too few."""
    if fields.get("output") == "softmax" and network.n_outputs == 1:
        fields = {"sizes": (*network.sizes[:-1], 2), **fields}
    return dataclasses.replace(network, **fields)


_SIZES = [(4, *hidden, n_outputs) for hidden in ((6,), (), (7, 3)) for n_outputs in (3, 1)]
_SMOOTH_FIRST = list(dict.fromkeys(("tanh", "sigmoid", *HIDDEN)))
_last: dict[str, Any] = {"backend": None, "network": None}


def plain_network(backend: Backend) -> Network:
    """Return the first small network that the back end supports, without penalty and weights.

    Raises
    ------
    Declined
        If it supports none.
    """
    if _last["backend"] is not backend:  # the checks of a suite ask for one back end in turn
        _last.update(backend=backend, network=_first_network(backend))
    if _last["network"] is None:
        raise Declined(f"{backend.name} supports no network with any optimizer")
    network: Network = _last["network"]
    return network


def _first_network(backend: Backend) -> Network | None:
    choices = product(BIAS_GRADIENTS, _SIZES, BIASES, REDUCTIONS, PAIRS, _SMOOTH_FIRST)
    for bias_gradient, sizes, bias, reduction, (loss, output), activation in choices:
        if output == "softmax" and sizes[-1] == 1:
            continue
        network = Network(
            sizes,
            activation,
            output,
            loss,
            bias=bias,
            bias_gradient=bias_gradient,
            reduction=reduction,
        )
        if any(Case(network, optimizer).is_supported(backend) for optimizer in EVERY):
            return network
    return None
