"""What passes between the driver and a back end: the task, the steps to do, and the state that they change."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import shown
from fastnn.memory import aligned_zeros, padded_size
from fastnn.network import Network
from fastnn.optimizers import Optimizer

Array = NDArray[Any]


class Data(NamedTuple):
    """Rows to learn from: of one dtype, in C order, read-only, checked."""

    X: Array  # (n, n_inputs)
    Y: Array  # (n, n_outputs)
    sample_weight: Array  # (n,)


@dataclass(frozen=True, eq=False)
class Task:
    """What is trained, by what rule and on which rows; made once a training."""

    network: Network
    optimizer: Optimizer
    data: Data
    alpha: float = 0.0
    """Strength of the L2 penalty in the gradient, and in the value of the loss unless `value_alpha` is given."""
    value_alpha: float | None = None
    """Strength of the L2 penalty in the *value* of the loss alone; see `penalty`."""

    @property
    def penalty(self) -> float:
        """Strength of the L2 penalty in the value of the loss.

        It is `alpha`, except in scikit-learn's squared error of several outputs, whose value is a mean over the outputs
        and whose gradient is that of the sum: the estimators ask for a penalty n_outputs times as large and divide.
        """
        return self.alpha if self.value_alpha is None else self.value_alpha


class Steps(NamedTuple):
    """The steps of one chunk: step s trains on the data's rows ``rows[start[s]:stop[s]]`` and writes ``loss[s]``.

    Consecutive steps with equal start and stop see the same rows: a back end may keep what it gathered for the first.
    """

    rows: NDArray[np.int64]  # (any,)
    start: NDArray[np.int64]  # (n_steps,)
    stop: NDArray[np.int64]  # (n_steps,)
    learning_rate: NDArray[np.float64]  # (n_steps,)
    loss: NDArray[np.float64]  # (n_steps,), written: the batch's loss before the step; 0 for a skipped one


@dataclass
class TrainingState:
    """All that training goes on from. A back end changes vectors, t and beta_products; the rest is the driver's."""

    storage: Array
    """(1 + n_slots, padded): what `vectors` is a view of; begins at a multiple of 64 bytes."""
    n_params: int
    t: int = 0
    """Steps done, skipped ones included."""
    beta_products: NDArray[np.float64] = dataclasses.field(default_factory=lambda: np.ones(2))
    """(2,): ``beta_1 ** k`` and ``beta_2 ** k`` as running products over the k steps that were not skipped."""
    optimizer: str = ""
    """Name of the optimiser's class, to refuse another one on resuming."""
    random_state: dict[str, Any] | None = None
    """``RandomState.get_state(legacy=False)`` after the last draw."""
    index: NDArray[np.int64] | None = None
    """(n_train,): the order of the rows in this epoch, all shuffles composed."""
    validation_rows: NDArray[np.int64] | None = None
    """Rows that were split off for validation."""
    batch: int = 0
    """Steps done in the epoch that has begun."""
    counters: dict[str, Any] = dataclasses.field(default_factory=dict)
    """In JSON's types: counters of the epoch and of the stop rules, and the options that go on unless others are given
    (optimizer, batch_size, shuffle, alpha; what the network computes, which may not change)."""
    best_params: Array | None = None
    """(n_params,): the parameters of the best epoch so far, where the stop rules ask for them."""

    def __repr__(self) -> str:
        facts = {"optimizer": self.optimizer, "parameters": f"{self.n_params:,} {self.storage.dtype}", "steps": self.t}
        return shown.line(self, {**facts, "of which in a new epoch": self.batch} if self.batch else facts)

    @classmethod
    def create(cls, params: Array, n_slots: int) -> TrainingState:
        """A state that begins at `params` (n_params,), with the optimiser's state zero."""
        n = params.size
        state = cls(aligned_zeros((1 + n_slots, padded_size(n, params.dtype)), params.dtype), n)
        state.vectors[0] = params
        return state

    @property
    def vectors(self) -> Array:
        """(1 + n_slots, n_params): row 0 the parameters, then the optimiser's state; a view."""
        return self.storage[:, : self.n_params]

    @property
    def params(self) -> Array:
        """(n_params,): the parameters, a view."""
        return self.storage[0, : self.n_params]

    def copy(self) -> TrainingState:
        """An independent copy."""
        twin = copy.copy(self)
        width = padded_size(self.n_params, self.storage.dtype)
        twin.storage = aligned_zeros((len(self.storage), width), self.storage.dtype)
        twin.vectors[...] = self.vectors
        twin._take_the_rest(self)
        return twin

    def restore(self, other: TrainingState) -> None:
        """Take over the content of `other`, a state of the same shape; the arrays stay this state's own."""
        self.storage[...] = other.storage
        self._take_the_rest(other)

    def _take_the_rest(self, other: TrainingState) -> None:
        self.beta_products = other.beta_products.copy()
        self.t, self.batch, self.optimizer = other.t, other.batch, other.optimizer
        self.random_state, self.counters = copy.deepcopy(other.random_state), copy.deepcopy(other.counters)
        for name in ("index", "validation_rows", "best_params"):
            value = getattr(other, name)
            setattr(self, name, None if value is None else value.copy())

    def check(self) -> None:
        """Look for what no training leaves behind, and a back end or the generator would take on trust.

        Raises
        ------
        ValueError
            That names the first field which does not hold what it should.
        """
        for name, fits in _FIELDS.items():
            if not fits(self, getattr(self, name)):
                raise ValueError(f"the state is damaged: no training leaves this {name}: {getattr(self, name)!r:.200}")


def _is_array(value: Any, types: tuple[Any, ...], ndim: int) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.type in types and value.dtype.isnative and value.ndim == ndim


def _is_count(value: Any, low: int = 0) -> bool:
    return type(value) is int and value >= low  # NumPy's integers would overflow


def _is_finite(value: Any) -> bool:
    return isinstance(value, (float, np.floating)) and math.isfinite(value)


def _are_products(betas: Array) -> bool:
    return betas.shape == (2,) and bool(((betas >= 0) & (betas <= 1)).all())


def _is_generator(state: Any) -> bool:
    """Whether this is a state of MT19937; NumPy takes a place outside its key on trust."""
    inner = state.get("state") if isinstance(state, dict) and state.get("bit_generator") == "MT19937" else None
    if not isinstance(inner, dict) or not _is_array(inner.get("key"), (np.uint32,), 1):
        return False
    place = _is_count(inner.get("pos")) and inner["pos"] <= 624 and inner["key"].size == 624
    return place and state.get("has_gauss") in (0, 1) and isinstance(state.get("gauss"), (float, np.floating))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_optimizer(values: Any) -> bool:
    """Whether it is of the kind that `Optimizer.to_dict` makes; the values are checked when an optimiser is made."""
    return isinstance(values, dict) and _is_text(values.get("name")) and "learning_rate" in values


def _are_counters(counters: dict[str, Any]) -> bool:
    kinds: dict[str, Callable[[Any], bool]] = {
        "epoch": _is_count,
        "loss_sum": lambda value: isinstance(value, (float, np.floating)),  # infinite on the way to divergence
        "row_sum": lambda value: _is_finite(value) and value >= 0,
        "best_score": lambda value: value is None or _is_finite(value),
        "sizes": lambda value: isinstance(value, list) and all(_is_count(n, 1) for n in value),
        "activation": lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
        **dict.fromkeys(("output", "loss", "bias", "bias_gradient", "reduction"), _is_text),
        "optimizer": _is_optimizer,
        "batch_size": lambda value: value is None or _is_count(value, 1),
        "shuffle": lambda value: isinstance(value, bool),
        "alpha": lambda value: _is_finite(value) and value >= 0,
        "rule_on": lambda value: isinstance(value, str) and {"rule_best", "rule_stale"} <= counters.keys(),
        "rule_best": lambda value: value is None or _is_finite(value),
        "rule_stale": _is_count,
    }
    return all(fits(counters[name]) for name, fits in kinds.items() if name in counters)


_FIELDS: dict[str, Callable[[TrainingState, Any], bool]] = {
    "storage": lambda state, a: _is_array(a, (np.float32, np.float64), 2) and len(a) > 0,
    "n_params": lambda state, n: _is_count(n, 1) and n <= state.storage.shape[1],
    "t": lambda state, t: _is_count(t) and t < 2**62,
    "beta_products": lambda state, a: _is_array(a, (np.float64,), 1) and _are_products(a),
    "optimizer": lambda state, name: isinstance(name, str),
    "random_state": lambda state, value: value is None or _is_generator(value),
    "index": lambda state, a: a is None or _is_array(a, (np.int64,), 1),
    "validation_rows": lambda state, a: a is None or _is_array(a, (np.int64,), 1),
    "batch": lambda state, n: _is_count(n),
    "counters": lambda state, value: isinstance(value, dict) and _are_counters(value),
    "best_params": lambda state, a: (
        a is None or (_is_array(a, (state.storage.dtype.type,), 1) and a.size == state.n_params)
    ),
}
"""What each field holds; a later one may look at those before it."""
