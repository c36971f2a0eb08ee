"""What passes between the driver and a back end: rows to learn from, steps to do, and the state that they change."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.memory import aligned_zeros, padded_size

Array = NDArray[Any]


class Data(NamedTuple):
    """Rows to learn from: of one dtype, in C order, read-only, checked."""

    X: Array  # (n, n_inputs)
    Y: Array  # (n, n_outputs)
    sample_weight: Array  # (n,)


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
    """Counters of the stop rules, in JSON's types."""
    best_params: Array | None = None
    """(n_params,): the parameters of the best epoch so far, where the stop rules ask for them."""

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
        twin.storage = aligned_zeros(self.storage.shape, self.storage.dtype)
        twin.restore(self)
        return twin

    def restore(self, other: TrainingState) -> None:
        """Take over the content of `other`, a state of the same shape; the arrays stay this state's own."""
        self.storage[...] = other.storage
        self.beta_products = other.beta_products.copy()
        self.t, self.batch, self.optimizer = other.t, other.batch, other.optimizer
        self.random_state, self.counters = copy.deepcopy(other.random_state), copy.deepcopy(other.counters)
        for name in ("index", "validation_rows", "best_params"):
            value = getattr(other, name)
            setattr(self, name, None if value is None else value.copy())
