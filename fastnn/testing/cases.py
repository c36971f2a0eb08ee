"""Checks, the problems that they draw, and their cases: the nearest to the wanted one that a back end supports.

A back end may support one hidden layer only, or one optimizer, or no penalty. So a check names the `Setting` that it
wants, and the fields that it is about. `nearest` finds a supported `Case` with these fields as wanted, and the others
where the back end supports them.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from fastnn.backends import Backend, Data
from fastnn.losses import ACTIVATIONS, HIDDEN, LOSSES, Value
from fastnn.memory import Array
from fastnn.network import BIAS_GRADIENTS, BIASES, REDUCTIONS, Network
from fastnn.optimizers import OPTIMIZERS, Optimizer
from fastnn.testing.tolerances import away_from_kinks

DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Check:
    """One check of a back end, and the activation, loss or optimizer that it is about.

    Attributes
    ----------
    kind : {"property", "gradient", "derivative", "update", "training"}
        The kind of the check.
    what : str
        The subject of the check, for people.
    dtype : {"float32", "float64"}
        The dtype of its data.
    activation, loss, output, optimizer : str
        The names that it is about; "" for those that do not matter.
    run : callable
        Takes a back end, returns its worst difference as a part of what is allowed.

    Examples
    --------
    >>> from fastnn import get_backend, testing
    >>> check = next(testing.conformance_checks())
    >>> check.kind, 0 <= check.run(get_backend("numpy")) <= 1
    ('property', True)
    """

    kind: str
    """"property", "gradient", "derivative", "update" or "training"."""
    what: str
    """The subject of the check, for people."""
    dtype: str
    activation: str = ""
    loss: str = ""
    output: str = ""
    optimizer: str = ""
    run: Callable[[Backend], float] = field(kw_only=True, repr=False)
    """Takes a back end, returns its worst difference as a part of what is allowed; AssertionError where it is more,
    `Declined` where the back end does not support this."""

    def __repr__(self) -> str:
        return f"<Check: {self.name}>"

    @property
    def name(self) -> str:
        """Name of the check for people, and the id of its test."""
        return f"{self.kind}: {self.what}, {self.dtype}"


def read_only(*arrays: Array) -> Data:
    """Return these arrays as the read-only data that a back end gets."""
    for array in arrays:
        array.flags.writeable = False
    return Data(*arrays)


# -------------------------------------------------------------------------------------------- problems, away from kinks


PAIRS = [(loss, output) for loss, line in LOSSES.items() for output in line.outputs]
"""Each loss with each output activation that it goes with."""


_LINES: list[Any] = [*ACTIVATIONS.values(), *LOSSES.values()]
_OWN = [line.value for line in _LINES if line.value]
VARIANTS = [dataclasses.replace(own, **{name: 0.7 * n + 0.1 for name, n in vars(own).items()}) for own in _OWN]
"""The activations and losses that have parameters, with others than the default ones, all of which are numbers."""

_OPTIONS: dict[str, list[dict[str, Any]]] = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"momentum": 1.0}, {"sequential": True}],
    "Adam": [{}, {"beta_1": 0.0}, {"beta_1": 0.5, "beta_2": 0.7, "epsilon": 1e-3}, {"sequential": True}],
    "AdamW": [{}, {"weight_decay": 0.5}, {"weight_decay": 0.0}],
}
OPTIMIZER_CASES = [(name, options) for name in OPTIMIZERS for options in _OPTIONS.get(name, [{}])]
"""Each optimizer by its name, with each set of options that has a path of its own."""


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
    """Return whether the targets of a row are probabilities that sum to 1: those of a loss of softmax alone are."""
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


def draw_training(network: Network, n: int, dtype: DTypeLike = np.float64, seed: int = 0) -> Problem:
    """Draw a problem to train on: X in [-1, 1], targets that depend on X, and every fourth row of weight 0."""
    random_state = np.random.RandomState(seed)
    params = network.init_params(random_state, dtype)
    X = random_state.uniform(-1, 1, (n, network.n_inputs)).astype(dtype)
    Y = draw_targets(network, random_state, n)
    if not _takes_probabilities(network):
        Y[:, 0] = (1 + np.sin(3 * X).mean(axis=1)) / 2
    weight = np.where(np.arange(n) % 4 == 1, 0, 1 + np.arange(n) % 3)
    return Problem(params, X, Y.astype(dtype), weight.astype(dtype))


def gradients_of_all_sizes(n_steps: int, n: int, dtype: DTypeLike) -> Array:
    """Draw gradients (n_steps, n) over many orders of magnitude, with zeros, repeated signs and changes of sign."""
    random_state = np.random.RandomState(1)
    size = 10.0 ** random_state.uniform(-12, 3, n)
    gradients = random_state.standard_normal((n_steps, n)) * size
    gradients[:, ::7] = abs(gradients[:, ::7])
    gradients[random_state.uniform(size=gradients.shape) < 0.1] = 0
    gradients[n_steps // 2 :, n // 2] = 0  # a unit that dies
    return gradients.astype(dtype)


# ---------------------------------------------------------------------------------------------------------------- cases


RATE = 0.01
"""A learning rate that suits a small network."""


def optimizer_of(name: str, **options: Any) -> Optimizer:
    """Return an optimizer by its name, with a learning rate that suits a small network."""
    return OPTIMIZERS[name](RATE, **options)


PLAIN = [optimizer_of(name) for name, kind in OPTIMIZERS.items() if not kind.full_batch]
"""One optimizer of each kind, but for those that take full batches only."""
EVERY = [optimizer_of(name, **options) for name, options in OPTIMIZER_CASES]
"""Each optimizer with each set of its options."""
HIDDEN_SMOOTH_FIRST = list(dict.fromkeys(("tanh", "sigmoid", *HIDDEN)))
"""The activations of hidden layers, in the order in which they are chosen where any will do."""


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


class Setting(NamedTuple):
    """A choice of network and options, with a field for each property that a back end may or may not support."""

    activation: str | Value = "tanh"
    pair: tuple[str | Value, str] = PAIRS[0]
    """Loss and output activation, which go together."""
    inputs: int = 4
    hidden: tuple[int, ...] = (6,)
    outputs: int = 3
    bias: str = "vector"
    bias_gradient: str = "exact"
    reduction: str = "mean"
    alpha: float = 0.0
    weighted: bool = False

    def network(self) -> Network:
        """Return the network of this setting."""
        return _network(self._replace(alpha=0.0, weighted=False))

    def case(self, optimizer: Optimizer) -> Case:
        """Return the case of this setting with an optimizer."""
        return Case(self.network(), optimizer, self.alpha, self.weighted)

    def __str__(self) -> str:
        options = [f"bias {self.bias}", *(["bias gradient times the bias"] if self.bias_gradient != "exact" else [])]
        options += [f"reduction {self.reduction}", *([f"alpha {self.alpha:g}"] if self.alpha else [])]
        sizes = "-".join(map(str, (self.inputs, *self.hidden, self.outputs)))
        return (
            f"{self.pair[0]} of {self.pair[1]} with hidden {self.activation}, sizes {sizes}, {', '.join(options)}"
            f"{', row weights' * self.weighted}"
        )


@functools.lru_cache(maxsize=2**14)  # a search for supported cases asks for the same ones again and again
def _network(s: Setting) -> Network:
    sizes = s.inputs, *s.hidden, max(2, s.outputs) if s.pair[1] == "softmax" else s.outputs  # a single one is always 1
    return Network(
        sizes, s.activation, *reversed(s.pair), bias=s.bias, bias_gradient=s.bias_gradient, reduction=s.reduction
    )


def accepted(backend: Backend, setting: Setting, optimizers: Iterable[Optimizer]) -> Case | None:
    """Return the case of a setting with the first optimizer that the back end supports; None if there is none.

    Without hidden layers, it does not matter which activation the network names for them.
    """
    settings = [setting] if setting.hidden else [setting._replace(activation=name) for name in HIDDEN]
    networks = [setting.network() for setting in settings]
    for optimizer, network in itertools.product(optimizers, networks):
        if backend.supports(network, optimizer, alpha=setting.alpha, sample_weight=setting.weighted):
            return Case(network, optimizer, setting.alpha, setting.weighted)
    return None


def nearest(
    backend: Backend,
    wanted: Setting,
    about: Sequence[str] = (),
    optimizers: Sequence[Optimizer] = EVERY,
    order: Sequence[str] = Setting._fields,
) -> Case:
    """Find the case nearest to the wanted setting that the back end supports.

    Parameters
    ----------
    backend : Backend
    wanted : Setting
    about : sequence of str
        The fields that the check is about, which stay as wanted.
    optimizers : sequence of Optimizer
        One of these; the earlier, the better.
    order : sequence of str
        The other fields become as wanted one after another, in this order, where the back end supports it.

    Raises
    ------
    Declined
        Where the back end supports no such case.
    """
    if case := accepted(backend, wanted, optimizers) or approached(backend, wanted, about, optimizers, order):
        return case
    names = " or ".join(f"{'sequential ' * o.sequential}{o.name}" for o in optimizers)
    by = names if len(optimizers) < len(EVERY) else "any optimizer"
    raise Declined(f"{backend.name} does not support {wanted}, by {by}, nor what is near to it")


def approached(
    backend: Backend,
    wanted: Setting,
    about: Sequence[str],
    optimizers: Sequence[Optimizer],
    order: Sequence[str] = Setting._fields,
) -> Case | None:
    """Return the result of `nearest` for a wanted setting that is not supported; None if there is none."""
    for setting in _starts(backend, wanted, about):
        if case := accepted(backend, setting, optimizers):
            break
    else:
        return None
    for name in order:
        moved = setting._replace(**{name: getattr(wanted, name)})
        if moved != setting and (found := accepted(backend, moved, optimizers)):
            setting, case = moved, found
    return case


def drawn(backend: Backend, seed: int, about: Sequence[str] = ()) -> Case:
    """Draw a case that the back end supports, from all values of each field; those in `about` keep their default.

    Raises
    ------
    Declined
        Where the back end supports nothing.
    """
    random_state = np.random.RandomState(seed)
    default = Setting()
    drawn_fields = {name: values[random_state.randint(len(values))] for name, values in _VALUES.items()}
    wanted = Setting(**drawn_fields | {name: getattr(default, name) for name in about})
    optimizer = EVERY[random_state.randint(len(EVERY))]
    order = [Setting._fields[i] for i in random_state.permutation(len(Setting._fields))]
    return nearest(backend, wanted, about, [optimizer, *EVERY], order)


_VALUES: dict[str, Sequence[Any]] = {
    "activation": HIDDEN,
    "pair": PAIRS,
    "inputs": (1, 3, 5, 9),
    "hidden": ((5,), (), (7, 3), (17,), (3, 9, 4)),
    "outputs": (1, 2, 3, 6),
    "bias": BIASES,
    "bias_gradient": BIAS_GRADIENTS,
    "reduction": REDUCTIONS,
    "alpha": (0.0, 0.1, 0.5),
    "weighted": (False, True),
}
"""The values that `drawn` draws from."""


def supported(backend: Backend, *optimizers: Optimizer, **about: Any) -> Case:
    """Find a small case that the back end supports with these fields of `Setting` and one of the optimizers (any).

    Raises
    ------
    Declined
        Where the back end supports none.
    """
    return nearest(backend, Setting(**about), list(about), optimizers or EVERY)


def supports_anything(backend: Backend) -> bool:
    """Return whether the back end supports any network."""
    return _base(backend) is not None


def _starts(backend: Backend, wanted: Setting, about: Sequence[str]) -> Iterator[Setting]:
    """Yield settings to begin from: the supported one with the fields of `about` as wanted, then other names."""
    base = _base(backend)
    if base is None:
        return
    base = base._replace(**{name: getattr(wanted, name) for name in about})
    if "activation" in about and not base.hidden:  # a network without hidden layers would say nothing about it
        base = base._replace(hidden=wanted.hidden)
    yield base
    yield from (setting for setting in _all_names(base, about) if setting != base)


def _all_names(setting: Setting, about: Sequence[str] = ()) -> Iterator[Setting]:
    pairs = [setting.pair] if "pair" in about else PAIRS
    names = [setting.activation] if "activation" in about or not setting.hidden else HIDDEN_SMOOTH_FIRST
    for pair, name in itertools.product(pairs, names):
        yield setting._replace(pair=pair, activation=name)


def _base(backend: Backend) -> Setting | None:
    """Find the first setting that the back end supports, without penalty and weights; the result is kept."""
    known = _bases.get(id(backend))
    if known is None or known[0] is not backend:
        if len(_bases) > _KEPT:
            _bases.clear()
        known = _bases[id(backend)] = backend, _find_base(backend)
    return known[1]


_KEPT = 8
_bases: dict[int, tuple[Backend, Setting | None]] = {}  # by id, for a back end need not be hashable


def _find_base(backend: Backend) -> Setting | None:
    choices = ((6,), (), (7, 3)), (3, 1), BIASES, BIAS_GRADIENTS, REDUCTIONS
    for hidden, outputs, bias, bias_gradient, reduction in itertools.product(*choices):
        frame = Setting(hidden=hidden, outputs=outputs, bias=bias, bias_gradient=bias_gradient, reduction=reduction)
        for setting in _all_names(frame):
            if accepted(backend, setting, EVERY):
                return setting
    return None
