"""What every peer trains: the same rows in the same order, from the same initial weights, by the same optimizer."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import SGD, Adam, Network, Stop, TrainingResult, train, workloads

Array = NDArray[Any]

GRID = re.compile(r"(\d+) wide, batch (\d+)")
"""Names of the crossover chart's workloads."""

VALIDATION = ", validation"
"""Ends the name of a workload whose held-out rows are validated after every epoch."""

_GRID_EPOCHS = 1000
_GRID_WORK = 4e8  # multiplications of one product in an epoch of those, which has 2 to 16 steps


@dataclass(frozen=True, eq=False)
class PeerWorkload:
    """A training that every peer can be given. Rows stay in order, and all batches are full."""

    name: str
    network: Network
    optimizer: SGD | Adam
    X: Array
    Y: Array
    batch: int
    most_epochs: int
    """In a longer training gradients vanish, which would be another workload."""
    held_out: tuple[Array, Array] | None = None
    """X and Y whose loss is taken after every epoch, if it is."""

    @property
    def params(self) -> Array:
        """The initial weights, which are those that scikit-learn draws from seed 0 too."""
        return self.network.init_params(np.random.RandomState(0), self.X.dtype)

    @property
    def layers(self) -> list[tuple[Array, Array]]:
        """Each layer's initial W (fan_in, fan_out) and b, as copies."""
        params, network = self.params, self.network
        return [(W.copy(), b.copy()) for W, b in zip(network.weights(params), network.biases(params), strict=True)]

    @property
    def batches(self) -> int:
        """Steps an epoch."""
        return len(self.X) // self.batch

    @property
    def classes(self) -> bool:
        """Whether it is a classification: softmax and cross-entropy; else squared error."""
        return self.network.loss == "cross_entropy"

    @property
    def labels(self) -> Array:
        """The targets as integers."""
        return self.Y.argmax(axis=1)

    def expected(self, epochs: int) -> TrainingResult:
        """So many epochs of the reference back end."""
        options = {"optimizer": self.optimizer, "batch_size": self.batch, "shuffle": False, "params": self.params}
        stop = Stop(validation=self.held_out)
        return train(self.network, self.X, self.Y, epochs=epochs, stop=stop, backend="numpy", **options)


@cache
def load(name: str) -> PeerWorkload:
    """One of fastnn's workloads, cut to full batches, with or without validation; or a point of the crossover chart."""
    if point := GRID.fullmatch(name):
        width, batch = map(int, point.groups())
        return _grid(name, width, batch)
    if name.endswith(VALIDATION):
        plain = name.removesuffix(VALIDATION)
        workload = workloads.load(plain)
        return replace(load(plain), held_out=(workload.X_test, workload.Y_test))
    workload = workloads.load(name)
    batch = workload.batch_size or len(workload.X)
    rows = len(workload.X) // batch * batch
    return PeerWorkload(
        name=name,
        network=workload.network,
        optimizer=workload.optimizer,
        X=workload.X[:rows],
        Y=workload.Y[:rows],
        batch=batch,
        most_epochs=workload.epochs if workload.batch_size else 10**7,
    )


def _grid(name: str, width: int, batch: int) -> PeerWorkload:
    random_state = np.random.RandomState(0)
    rows = batch * max(2, min(16, int(_GRID_WORK / (width * width * batch))))
    return PeerWorkload(
        name=name,
        network=Network((width, width, 10), activation="relu", output="identity", loss="squared_error"),
        optimizer=Adam(learning_rate=0.001),
        X=random_state.standard_normal((rows, width)).astype(np.float32),
        Y=random_state.random_sample((rows, 10)).astype(np.float32),
        batch=batch,
        most_epochs=_GRID_EPOCHS,
    )


def flat(layers: Any) -> NDArray[np.float64]:
    """Weights and biases, layer by layer, as fastnn lays them out."""
    return np.concatenate([np.asarray(part, np.float64).ravel() for layer in layers for part in layer])
