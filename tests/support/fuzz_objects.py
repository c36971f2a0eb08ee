"""What the fuzzer's cases are made of: data, fitted estimators and results, made once and copied for each case."""

import pickle

import numpy as np

import fastnn
from fastnn import MLPClassifier, MLPRegressor, Network, Stop, train

N = 12

X = np.random.RandomState(1).standard_normal((N, 4))
Y = np.c_[X[:, 0], np.abs(X[:, 1])]
LABELS = np.arange(N) % 3
FITTED = {}


def fitted(kind, dtype):
    """A copy of an estimator 4-5-2 or 4-5-3, fitted once."""
    if (kind, dtype) not in FITTED:
        mlp = {"regressor": MLPRegressor, "classifier": MLPClassifier}[kind](hidden_layer_sizes=(5,), solver="sgd")
        mlp.set_params(max_iter=2, random_state=0, batch_size=5, alpha=0.1)
        FITTED[kind, dtype] = pickle.dumps(mlp.fit(X.astype(dtype), Y if kind == "regressor" else LABELS))
    return pickle.loads(FITTED[kind, dtype])


def weights_of(mlp):
    """All weights of an estimator, and then all biases."""
    return np.concatenate([np.ravel(part) for part in (*mlp.coefs_, *mlp.intercepts_)])


NETWORK = Network((4, 6, 2), "relu")
OPTIONS = {"epochs": 2, "batch_size": 5, "alpha": 0.1, "optimizer": fastnn.Adam(0.01)}
RESULTS = {}


def result_of(dtype, seed=0):
    """A training of 4-6-2, done once, in a copy of its own."""
    if dtype not in RESULTS:
        stop = Stop(tol=0.0, patience=5, restore_best=True)
        RESULTS[dtype] = pickle.dumps(train(NETWORK, X.astype(dtype), Y, seed=0, stop=stop, **OPTIONS))
    return pickle.loads(RESULTS[dtype])


def other_network(draw):
    """A network like that of the results, or not."""
    hidden = [(4, n, 2) for n in (6, 6, 9, 2, 300, 3_000_000)]
    sizes = draw.of([*hidden, (6, 4, 2), (4, 2), (3, 7, 2)])
    activation = draw.of(["relu", "tanh", "identity"])
    return Network(sizes, activation, draw.of(["identity", "softmax", "tanh"]), "squared_error")
