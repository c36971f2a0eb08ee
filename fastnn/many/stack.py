"""The results of a block's trainings, stacked: arrays with a row for each member, from which results are made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.backends import Backend
from fastnn.checking.values import Names
from fastnn.memory import Array, aligned_zeros
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.training.generator import Seeded
from fastnn.training.history import History
from fastnn.training.options import training_counters
from fastnn.training.results import TrainingResult
from fastnn.training.state import Counters, TrainingState
from fastnn.training.stopping import StopReason

Kept = Seeded | tuple[dict[str, Any], NDArray[np.int64]]
"""A generator's state, with the order of the rows."""


@dataclass(eq=False, repr=False)
class Stack:
    """The trainings of a block, without the data that they were trained on; m members that came to their ends."""

    network: Network
    backend: Backend
    batch_size: int | None  # as it was asked for
    shuffle: bool
    optimizers: list[tuple[Optimizer, float]]
    """The optimizers that there are, with the strengths of the penalty."""
    which: NDArray[np.int64]
    """The place (m,) of each member in `optimizers`."""
    storage: Array  # (m, 1 + n_slots, padded), the parameters and the optimizer's vectors
    beta_products: NDArray[np.float64]  # (m, 2)
    n_epochs: NDArray[np.int64]  # (m,), of this call
    epochs: list[int]  # in all, those of earlier calls included
    steps: list[int]  # in all
    losses: NDArray[np.float64]  # (m, most epochs)
    rates: NDArray[np.float64]  # (m, most epochs), or (1, most epochs) where they are the same for all
    seconds: float
    """The time of a member."""
    digests: list[int | None]
    """The hash of the rows that each member was trained on; None for all rows."""
    generators: list[Kept]
    feature_names: Names | None = None

    def result(self, k: int) -> TrainingResult:
        """Return member k's result, as `train` alone would."""
        random_state, index = self._generator(k)
        asked: Counters = {"batch_size": self.batch_size, "shuffle": self.shuffle}
        if (digest := self.digests[k]) is not None:
            asked["rows"] = digest
        optimizer, alpha = self.optimizers[self.which[k]]
        counters = training_counters(self.network, optimizer, alpha, asked, self.epochs[k]) | {"best_score": None}
        storage = aligned_zeros(self.storage[k].shape, self.storage.dtype)
        storage[...] = self.storage[k]
        state = TrainingState(
            storage,
            self.network.n_params,
            self.steps[k],
            self.beta_products[k].copy(),
            optimizer=optimizer.name,
            random_state=random_state,
            index=index,
            counters=counters,
            feature_names=self.feature_names,
        )
        return TrainingResult(self.network, self.params(k), state, self.history(k), "epochs", self.backend)

    def _generator(self, k: int) -> tuple[dict[str, Any], NDArray[np.int64]]:
        """Return member k's generator state and order of rows, copies for the caller."""
        kept = self.generators[k]
        if isinstance(kept, Seeded):
            return kept.state(self.network), np.arange(kept.n_rows)
        random_state, index = kept
        inner = random_state["state"]
        return {**random_state, "state": {**inner, "key": inner["key"].copy()}}, index.copy()

    def params(self, k: int) -> Array:
        """Return member k's parameters (n_params,), read-only."""
        params = self.storage[k, 0, : self.network.n_params]
        params.flags.writeable = False
        return params

    def history(self, k: int) -> History:
        """Return member k's history."""
        numbers: dict[str, Any] = self.numbers(k)
        return History(validation_loss=np.zeros(0), seconds=self.seconds, **numbers)

    def numbers(self, k: int) -> dict[str, NDArray[np.float64]]:
        """Return member k's losses and learning rates, by their names in a history."""
        n = self.n_epochs[k]
        return {"loss": self.losses[k, :n], "learning_rate": self.rates[k if len(self.rates) > 1 else 0, :n]}

    def states(self, places: list[int]) -> Stack:
        """Return copies of some of the rows, without their histories."""
        arrays = {name: getattr(self, name)[places] for name in ("which", "storage", "beta_products")}
        lists = ("epochs", "steps", "digests", "generators")
        rows: Any = {name: [values[k] for k in places] for name, values in vars(self).items() if name in lists}
        return replace(self, **arrays, **rows).without_histories()

    def without_histories(self) -> Stack:
        """Return the same rows without their histories."""
        m, nothing = len(self.steps), np.zeros((len(self.steps), 0))
        return replace(self, n_epochs=np.zeros(m, np.int64), losses=nothing, rates=nothing)


ARRAYS = "which", "storage", "beta_products", "n_epochs", "losses", "rates"
"""The arrays of a stack, by their names."""


class Stacked(NamedTuple):
    """The result of a member of a block, as far as the block's arrays have it; `result` makes the rest."""

    stack: Stack
    place: int

    @property
    def network(self) -> Network:
        """The network."""
        return self.stack.network

    @property
    def backend(self) -> Backend:
        """The back end that it was trained with."""
        return self.stack.backend

    @property
    def params(self) -> Array:
        """The parameters (n_params,), read-only."""
        return self.stack.params(self.place)

    @property
    def history(self) -> History:
        """The losses and learning rates."""
        return self.stack.history(self.place)

    @property
    def feature_names(self) -> Names | None:
        """The names of the columns of X."""
        return self.stack.feature_names

    @property
    def n_epochs(self) -> int:
        """Epochs that ended."""
        return int(self.stack.n_epochs[self.place])

    @property
    def stop_reason(self) -> StopReason:
        """The stop reason: in a block, no member ends early."""
        return "epochs"

    def result(self) -> TrainingResult:
        """The whole result."""
        return self.stack.result(self.place)


class Start(NamedTuple):
    """The state from which a training goes on in a block."""

    vectors: Array  # (1 + n_slots, n_params)
    beta_products: NDArray[np.float64]  # (2,)
    epochs: int
    steps: int
    generator: Kept


def start_of(state: TrainingState | Stacked) -> Start:
    """Return the state from which a training goes on: a whole one, or a row of a stack."""
    if isinstance(state, Stacked):
        stack, k = state
        vectors = stack.storage[k, :, : stack.network.n_params]
        return Start(vectors, stack.beta_products[k], stack.epochs[k], stack.steps[k], stack.generators[k])
    assert state.random_state is not None
    assert state.index is not None
    kept = state.random_state, state.index
    return Start(state.vectors, state.beta_products, state.counters.get("epoch", 0), state.t, kept)
