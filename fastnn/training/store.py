"""The results of trainings of one shape: arrays with a row for each, and a TrainingResult on request."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.backends import Backend
from fastnn.checking.values import Names
from fastnn.memory import Array, aligned_zeros
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.state import GroupState
from fastnn.training.generator import Place, Seeded
from fastnn.training.history import History
from fastnn.training.results import TrainingResult
from fastnn.training.state import Counters, TrainingState, training_counters
from fastnn.training.stopping import StopReason

NO_NUMBERS = np.zeros(0)


class Decided(NamedTuple):
    """The additional part of a result, for trainings with stop rules, scores or a begun epoch."""

    stop_reason: StopReason = "epochs"
    params: Array | None = None
    """The parameters (n_params,) of the best epoch, if the result has these."""
    validation_loss: NDArray[np.float64] = NO_NUMBERS
    measured: NDArray[np.float64] = NO_NUMBERS
    monitor: str = "loss"
    counters: Counters = {"best_score": None}  # noqa: RUF012
    best_params: Array | None = None
    validation_rows: NDArray[np.int64] | None = None
    batch: int = 0
    partial: tuple[float, float] = (0.0, 0.0)
    threads: int = 1


PLAIN = Decided()


@dataclass(eq=False, repr=False)
class Results:
    """The results of m trainings of one shape, without their data."""

    network: Network
    backend: Backend
    batch_size: int | None  # as it was asked for
    shuffle: bool
    feature_names: Names | None
    optimizers: list[tuple[Optimizer | dict[str, Any], float]]
    """The different optimizers, or their `Optimizer.to_dict`, each with the strength of the penalty."""
    which: NDArray[np.int64]
    """The index (m,) of each member in `optimizers`."""
    storage: Array  # (m, 1 + n_slots, padded), the parameters and the optimizer's vectors
    beta_products: NDArray[np.float64]  # (m, 2)
    n_epochs: Sequence[int]  # of this call
    epochs: Sequence[int]  # in all, those of earlier calls included
    steps: Sequence[int]  # in all
    losses: NDArray[np.float64]  # (m, most epochs)
    rates: NDArray[np.float64]  # (m, most epochs), or (1, most epochs) where they are the same for all
    seconds: float
    """The seconds of a member."""
    digests: Sequence[int | None]
    """The hash of the training rows of each member; None for all rows."""
    places: Sequence[Place]
    decided: dict[int, Decided] = field(default_factory=dict)
    """{member: its additional part}."""

    def result(self, k: int) -> TrainingResult:
        """Return member k's result, with state and history made on request."""
        own = self.decided.get(k, PLAIN)
        parts: dict[str, Any] = {
            "state": functools.partial(self.state, k),
            "history": functools.partial(self.history, k),
        }
        return TrainingResult._in_parts(parts, self.network, self.params(k), own.stop_reason, self.backend, own.threads)

    def state(self, k: int) -> TrainingState:
        """Return member k's state, a copy."""
        own, optimizer = self.decided.get(k, PLAIN), self.optimizer(k)
        asked: Counters = {"batch_size": self.batch_size, "shuffle": self.shuffle}
        if (digest := self.digests[k]) is not None:
            asked["rows"] = digest
        counters = training_counters(
            self.network, optimizer, self.optimizers[self.which[k]][1], asked, self.epochs[k], own.partial
        )
        place = self.places[k]
        if isinstance(place, Seeded):
            random_state, index = place.state(self.network), np.arange(place.n_rows)
        else:
            random_state, index = place
            inner = random_state["state"]
            random_state = {**random_state, "state": {**inner, "key": inner["key"].copy()}}
        storage = aligned_zeros(self.storage[k].shape, self.storage.dtype)
        storage[...] = self.storage[k]
        return TrainingState(
            storage,
            self.network.n_params,
            self.steps[k],
            self.beta_products[k].copy(),
            optimizer=optimizer["name"],
            random_state=random_state,
            index=index.copy(),
            validation_rows=own.validation_rows,
            batch=own.batch,
            counters=counters | own.counters,
            best_params=own.best_params,
            feature_names=self.feature_names,
        )

    def optimizer(self, k: int) -> dict[str, Any]:
        """Describe member k's optimizer in types of JSON."""
        optimizer, _ = self.optimizers[self.which[k]]
        return optimizer.to_dict() if isinstance(optimizer, Optimizer) else optimizer

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "optimizers": [(_without_function(o), alpha) for o, alpha in self.optimizers]}

    def params(self, k: int) -> Array:
        """Return member k's parameters (n_params,), read-only."""
        own = self.decided.get(k, PLAIN).params
        params = self.storage[k, 0, : self.network.n_params] if own is None else own.view()
        params.flags.writeable = False
        return params

    def history(self, k: int) -> History:
        """Return member k's history."""
        n, own = self.n_epochs[k], self.decided.get(k, PLAIN)
        rates = self.rates[k if len(self.rates) > 1 else 0, :n]
        return History(self.losses[k, :n], own.validation_loss, self.seconds, rates, own.measured, own.monitor)

    def rows(self, places: list[int]) -> Results:
        """Return copies of some members' results, without their histories."""
        arrays = {name: getattr(self, name)[places] for name in ("which", "storage", "beta_products")}
        lists = ("epochs", "steps", "digests", "places")
        rows: Any = {name: [getattr(self, name)[k] for k in places] for name in lists}
        decided = {new: self.decided[k] for new, k in enumerate(places) if k in self.decided}
        return replace(self, **arrays, **rows, decided=decided).without_histories()

    def without_histories(self) -> Results:
        """Return the same results without their histories."""
        m = len(self.steps)
        nothing, none = np.zeros((m, 0)), NO_NUMBERS
        decided = {k: own._replace(validation_loss=none, measured=none) for k, own in self.decided.items()}
        return replace(self, n_epochs=[0] * m, losses=nothing, rates=nothing, decided=decided)


ARRAYS = "which", "storage", "beta_products", "losses", "rates"
"""The arrays of results, by their names."""


class Row(NamedTuple):
    """A row of results: the result of one member."""

    results: Results
    place: int

    @property
    def network(self) -> Network:
        """The network."""
        return self.results.network

    @property
    def backend(self) -> Backend:
        """The back end that it was trained with."""
        return self.results.backend

    @property
    def params(self) -> Array:
        """The parameters (n_params,), read-only."""
        return self.results.params(self.place)

    @property
    def history(self) -> History:
        """The losses and learning rates."""
        return self.results.history(self.place)

    @property
    def feature_names(self) -> Names | None:
        """The names of the columns of X."""
        return self.results.feature_names

    @property
    def n_epochs(self) -> int:
        """Epochs that ended."""
        return self.results.n_epochs[self.place]

    @property
    def stop_reason(self) -> StopReason:
        """The reason why the training ended."""
        return self.results.decided.get(self.place, PLAIN).stop_reason

    def result(self) -> TrainingResult:
        """The whole result."""
        return self.results.result(self.place)

    def state(self) -> TrainingState:
        """The state, a copy."""
        return self.results.state(self.place)


def _without_function(optimizer: Optimizer | dict[str, Any]) -> Optimizer | dict[str, Any]:
    """Describe an optimizer without its learning rate, a function that may be the caller's."""
    if isinstance(optimizer, Optimizer) and callable(optimizer.learning_rate):
        return optimizer.to_dict()
    return optimizer


def take_over(state: TrainingState | Row, into: GroupState, k: int) -> tuple[int, Place]:
    """Copy the state that member k resumes, between two epochs; return the epochs before, and its generator."""
    if isinstance(state, Row):
        results, row = state
        into.storage[k], into.beta_products[k] = results.storage[row], results.beta_products[row]
        into.t[k] = results.steps[row]
        return results.epochs[row], results.places[row]
    into.storage[k, :, : into.n_params], into.beta_products[k], into.t[k] = state.vectors, state.beta_products, state.t
    assert state.random_state is not None
    assert state.index is not None
    return state.counters.get("epoch", 0), (state.random_state, state.index)
