"""scikit-learn's MLPClassifier and MLPRegressor; many by joblib over `fit`, a process for each
core.
"""

import warnings

import joblib
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from benchmarks.peers.workloads import Job, PeerWorkload, flat, load
from fastnn import Adam

VERSIONS = ("scikit-learn", "joblib")
NEVER = 10**9  # so patient are the stop rules

warnings.simplefilter("ignore", ConvergenceWarning)


class Trainer:
    """One `fit`, which draws the initial weights itself: from seed 0 they are those of all."""

    def __init__(self, workload: PeerWorkload) -> None:
        self.workload = workload
        # it has a bias for each neuron, and updates all layers at once
        self.own_rules = workload.name == "seed"
        self.target = workload.labels if workload.classes else workload.Y
        if self.target.ndim == 2 and self.target.shape[1] == 1:
            self.target = self.target.ravel()

    def model(self, epochs: int, seed: int, shuffle: bool) -> MLPClassifier | MLPRegressor:
        w = self.workload
        hidden = self.workload.network.layers[0].activation
        options = {
            "batch_size": w.batch,
            "max_iter": epochs,
            "shuffle": shuffle,
            "random_state": seed,
        }
        options |= {
            "alpha": 0.0,
            "momentum": 0.0,
            "nesterovs_momentum": False,
            "tol": 0.0,
            "n_iter_no_change": NEVER,
        }
        return (MLPClassifier if w.classes else MLPRegressor)(
            hidden_layer_sizes=w.network.sizes[1:-1],
            activation={"sigmoid": "logistic"}.get(hidden, hidden),
            solver="adam" if isinstance(w.optimizer, Adam) else "sgd",
            learning_rate_init=w.optimizer.learning_rate,
            **options,
        )

    def train(self, epochs: int) -> np.ndarray:
        model = self.model(epochs, seed=0, shuffle=False)
        self.validation = []
        if self.workload.held_out:
            self._validated(model, epochs)
        else:
            model.fit(self.workload.X, self.target)
        self.losses = model.loss_curve_
        return flat(zip(model.coefs_, model.intercepts_, strict=True))

    def _validated(self, model: MLPClassifier | MLPRegressor, epochs: int) -> None:
        """Train epoch by epoch; `early_stopping` would split off rows of its own and take their
        accuracy.
        """
        X, Y = self.workload.held_out
        classes = {"classes": np.unique(self.target)} if self.workload.classes else {}
        for _ in range(epochs):
            model.partial_fit(self.workload.X, self.target, **classes)
            if self.workload.classes:
                self.validation.append(-np.log(model.predict_proba(X)[Y > 0]).mean())
            else:
                self.validation.append(np.sum((Y.ravel() - model.predict(X)) ** 2 / 2))

    def learn(self, epochs: int, seed: int, X_test: np.ndarray) -> np.ndarray:
        return (
            self.model(epochs, seed, shuffle=True).fit(self.workload.X, self.target).predict(X_test)
        )

    def predictor(self, X: np.ndarray):
        model = self.model(1, seed=0, shuffle=False).fit(self.workload.X, self.target)
        return lambda: model.predict_proba(X)


def fit(name: str, seed: int, epochs: int) -> np.ndarray:
    trainer = Trainer(load(name))
    model = trainer.model(epochs, seed, shuffle=False).fit(trainer.workload.X, trainer.target)
    return flat(zip(model.coefs_, model.intercepts_, strict=True))


class Members:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.own_rules = Trainer(job.workload).own_rules

    def train(self) -> np.ndarray:
        fits = (joblib.delayed(fit)(self.job.name, i, n) for i, n in enumerate(self.job.epochs))
        return np.array(joblib.Parallel(n_jobs=-1)(fits))

    def train_from(self, params: np.ndarray) -> np.ndarray:
        """Train from the weights that its seeds draw, which are these."""
        return self.train()
