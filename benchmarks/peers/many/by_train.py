"""A loop over `fastnn.train`."""

import numpy as np

import fastnn
from benchmarks.peers.many.jobs import Job

VERSIONS = ()


class Trainer:
    """A call for each member."""

    own_rules = False

    def __init__(self, job: Job) -> None:
        w = job.workload
        self.data = w.network, w.X, w.Y
        self.options = {"optimizer": w.optimizer, "batch_size": w.batch, "shuffle": False}
        self.options["stop"] = fastnn.Stop(validation=w.held_out)
        self.epochs = job.epochs

    def train(self) -> np.ndarray:
        """Draw the weights and train; the parameters."""
        results = [fastnn.train(*self.data, seed=i, epochs=n, **self.options) for i, n in enumerate(self.epochs)]
        return np.array([result.params for result in results])

    def train_from(self, params: np.ndarray) -> np.ndarray:
        """Train from these weights."""
        members = zip(params, self.epochs, strict=True)
        return np.array([fastnn.train(*self.data, params=own, epochs=n, **self.options).params for own, n in members])
