"""Trainings and predictions for the tests of threads and processes: each has a number, and comes
out as a hash."""

import numpy as np
from survival import fingerprint

from fastnn import SGD, Adam, AdamW, Network, RMSprop, predict, train

OPTIMIZERS = (SGD(0.05, momentum=0.9), Adam(0.01), RMSprop(0.001), AdamW(0.01))


def problem(k):
    """The k-th network, and rows; no two of them are alike."""
    X = (
        np.random.RandomState(k)
        .standard_normal((20 + 37 * k, 3))
        .astype((np.float64, np.float32)[k % 2])
    )
    return Network((3, 5 + 3 * k, 2), ("tanh", "relu", "gelu", "sigmoid")[k % 4]), X


def job(k):
    network, X = problem(k)
    options = {"optimizer": OPTIMIZERS[k // 2 % 4], "batch_size": 8 + k, "epochs": 20, "seed": k}
    result = train(network, X, np.sin(X[:, :2]), **options)
    return fingerprint(result.params, result.history.loss, result.predict(X))


def prediction(k):
    network, X = problem(k)
    return fingerprint(predict(network, network.init_params(k, X.dtype), X))
