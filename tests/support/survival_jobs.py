"""Trainings for the tests of threads and processes: each has a number, and comes out as a hash of its bits."""

import numpy as np
from survival import fingerprint

from fastnn import SGD, Adam, AdamW, Network, RMSprop, predict, train

ACTIVATIONS = ("tanh", "relu", "gelu", "sigmoid")
OPTIMIZERS = (SGD(0.05, momentum=0.9), Adam(0.01), RMSprop(0.001), AdamW(0.01))


def job(k):
    """Train the k-th network, and predict with it; no two of them are alike."""
    dtype = (np.float64, np.float32)[k % 2]
    X = np.random.RandomState(k).standard_normal((20 + 37 * k, 3)).astype(dtype)
    network = Network((3, 5 + 3 * k, 2), ACTIVATIONS[k % 4])
    options = {"optimizer": OPTIMIZERS[k // 2 % 4], "batch_size": 8 + k, "epochs": 20, "seed": k}
    result = train(network, X, np.sin(X[:, :2]), **options)
    return fingerprint(result.params, result.history.loss, result.predict(X))


def prediction(k):
    """Predict with the k-th network, untrained."""
    dtype = (np.float64, np.float32)[k % 2]
    random_state = np.random.RandomState(k)
    network = Network((3, 5 + 3 * k, 2), ACTIVATIONS[k % 4])
    X = random_state.standard_normal((20 + 37 * k, 3)).astype(dtype)
    return fingerprint(predict(network, network.init_params(random_state, dtype), X))


def jobs(n):
    """The first n of them, one after another."""
    return [job(k) for k in range(n)]
