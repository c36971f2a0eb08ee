"""Prediction: seconds of a fixed number of calls."""

import numpy as np

from fastnn import SGD, Network, train
from suite import BACKENDS, Timed

CALLS = {1: 1_000, 10_000: 1}  # by rows, so that a sample takes some milliseconds


class Predict(Timed):
    """`TrainingResult.predict` of a 64-64-10 classifier, one row a call or many."""

    param_names = ("rows", "backend")
    params = (tuple(CALLS), BACKENDS)

    def setup(self, rows, backend):
        """Train a little, compile."""
        network = Network((64, 64, 10), activation="relu", output="softmax", loss="cross_entropy")
        X = np.random.RandomState(0).random_sample((rows, 64)).astype(np.float32)
        one, label = X[:1], np.eye(10, dtype=np.float32)[:1]
        self.result = train(network, one, label, optimizer=SGD(), epochs=1, seed=0, backend=backend)
        self.X, self.calls = X, CALLS[rows]
        self.result.predict(X)

    def time_predict(self, rows, backend):
        for _ in range(self.calls):
            self.result.predict(self.X)
