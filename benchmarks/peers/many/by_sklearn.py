"""scikit-learn: joblib over `fit`, a process for each core."""

import joblib
import numpy as np

from benchmarks.peers import by_sklearn
from benchmarks.peers.many.jobs import Job, network

VERSIONS = (*by_sklearn.VERSIONS, "joblib")


def fit(name: str, seed: int, epochs: int) -> np.ndarray:
    """Draw the weights of a member and train; its parameters."""
    trainer = by_sklearn.Trainer(network(name))
    model = trainer.model(epochs, seed, shuffle=False).fit(trainer.workload.X, trainer.target)
    return by_sklearn.flat(zip(model.coefs_, model.intercepts_, strict=True))


class Trainer:
    """A fit for each member."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.own_rules = by_sklearn.Trainer(job.workload).own_rules

    def train(self) -> np.ndarray:
        """Draw the weights and train; the parameters."""
        fits = (joblib.delayed(fit)(self.job.name, i, n) for i, n in enumerate(self.job.epochs))
        return np.array(joblib.Parallel(n_jobs=-1)(fits))

    def train_from(self, params: np.ndarray) -> np.ndarray:
        """Train from the weights that its seeds draw, which are these."""
        return self.train()
