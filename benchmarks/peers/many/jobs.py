"""What is trained many times: networks, one with validated epochs, and how many epochs each member has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.peers.workloads import VALIDATION, Array, PeerWorkload, load
from fastnn import Adam, Network, Stop, train

VALIDATED = f"seed{VALIDATION}"
NETWORKS = ("seed", VALIDATED, "2-8-1", "iris", "10-64-32-1")
KINDS = ("equal", "mixed")
MIXED = (0.1, 1.9)
"""The fewest and most epochs of a member where they are mixed, as parts of the mean."""


@cache
def network(name: str) -> PeerWorkload:
    """One of `NETWORKS` with its data."""
    if name in ("seed", VALIDATED, "iris"):
        return load(name)
    random_state = np.random.RandomState(0)
    sizes, rows, batch, rate = {
        "2-8-1": ((2, 8, 1), 16, 16, 0.01),
        "10-64-32-1": ((10, 64, 32, 1), 256, 32, 0.001),
    }[name]
    X = random_state.standard_normal((rows, sizes[0])).astype(np.float32)
    Y = np.sin(X.sum(axis=1, keepdims=True)).astype(np.float32)
    activation = "tanh" if batch == rows else "relu"
    return PeerWorkload(name, Network(sizes, activation=activation), Adam(rate), X, Y, batch, 10**6)


@dataclass(frozen=True)
class Job:
    """The trainings of some members of a network, from the seeds 0, 1, ..."""

    name: str
    """Of `NETWORKS`."""
    members: int
    iterations: int
    """Steps of a member; of mixed ones the mean."""
    mixed: bool

    @property
    def workload(self) -> PeerWorkload:
        """Network, optimizer and data."""
        return network(self.name)

    @property
    def epochs(self) -> list[int]:
        """Of each member."""
        mean = self.iterations / self.workload.batches
        shares = np.linspace(*MIXED, self.members) if self.mixed and self.members > 1 else np.ones(self.members)
        order = np.random.RandomState(0).permutation(self.members)
        return [max(1, round(mean * share)) for share in shares[order]]

    @property
    def params(self) -> Array:
        """(members, n_params): the weights that the seeds draw."""
        w = self.workload
        return np.array([w.network.init_params(np.random.RandomState(i), w.X.dtype) for i in range(self.members)])

    def expected(self) -> Array:
        """(members, n_params): what the reference back end trains."""
        w = self.workload
        options = {"optimizer": w.optimizer, "batch_size": w.batch, "shuffle": False, "backend": "numpy"}
        options["stop"] = Stop(validation=w.held_out)
        results = [train(w.network, w.X, w.Y, seed=i, epochs=n, **options) for i, n in enumerate(self.epochs)]
        return np.array([result.params for result in results])
