"""`fastnn.train_many`, on as many threads as PEER_THREADS says, or on all cores."""

import os

import numpy as np

import fastnn
from benchmarks.peers.many.jobs import Job

VERSIONS = ("numba", "llvmlite")

N_JOBS = int(os.environ["PEER_THREADS"]) if "PEER_THREADS" in os.environ else None


class Trainer:
    """One call."""

    own_rules = False

    def __init__(self, job: Job) -> None:
        w = job.workload
        self.data = w.network, w.X, w.Y
        epochs = job.epochs if job.mixed else job.epochs[0]
        self.options = {"optimizer": w.optimizer, "batch_size": w.batch, "shuffle": False, "epochs": epochs}
        self.options["stop"] = fastnn.Stop(validation=w.held_out)
        self.seeds = range(job.members)

    def train(self) -> np.ndarray:
        """Draw the weights and train; the parameters."""
        return fastnn.train_many(*self.data, seed=self.seeds, n_jobs=N_JOBS, **self.options).params

    def train_from(self, params: np.ndarray) -> np.ndarray:
        """Train from these weights."""
        return fastnn.train_many(*self.data, params=params, n_jobs=N_JOBS, **self.options).params
