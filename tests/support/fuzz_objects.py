"""What the fuzzer's cases are made of: data, fitted estimators and results, made once and copied
for each case."""

import functools
import pickle

import numpy as np

import fastnn
from fastnn import MLPClassifier, MLPRegressor, Network, Stop, train

N = 12

X = np.random.RandomState(1).standard_normal((N, 4))
Y = np.c_[X[:, 0], np.abs(X[:, 1])]
LABELS = np.arange(N) % 3


def once(make):
    """Make an object once, and a copy of it for each call."""
    pickled = functools.cache(lambda *given: pickle.dumps(make(*given)))
    return lambda *given: pickle.loads(pickled(*given))


@once
def fitted(kind, dtype):
    """An estimator 4-5-2 or 4-5-3."""
    mlp = {"regressor": MLPRegressor, "classifier": MLPClassifier}[kind](
        hidden_layer_sizes=(5,), solver="sgd"
    )
    mlp.set_params(max_iter=2, random_state=0, batch_size=5, alpha=0.1)
    return mlp.fit(X.astype(dtype), Y if kind == "regressor" else LABELS)


def weights_of(mlp):
    """All weights of an estimator, and then all biases."""
    return np.concatenate([np.ravel(part) for part in (*mlp.coefs_, *mlp.intercepts_)])


NETWORK = Network((4, 6, 2), "relu")
OPTIONS = {"epochs": 2, "batch_size": 5, "alpha": 0.1, "optimizer": fastnn.Adam(0.01)}


@once
def result_of(dtype):
    """A training of 4-6-2."""
    return train(
        NETWORK,
        X.astype(dtype),
        Y,
        seed=0,
        stop=Stop(tol=0.0, patience=5, restore_best=True),
        **OPTIONS,
    )


def rows_of(draw):
    """Rows of the data that fit, or not."""
    rows = X[: draw.of([1, 2, N])].astype(draw.of([np.float64, np.float32]))
    return draw.like(rows) if draw.chance(0.3) else rows


def other_network(draw):
    """A network like that of the results, or not."""
    hidden = [(4, n, 2) for n in (6, 6, 9, 2, 300, 3_000_000)]
    sizes = draw.of([*hidden, (6, 4, 2), (4, 2), (3, 7, 2)])
    activation = draw.of(["relu", "tanh", "identity"])
    return Network(sizes, activation, draw.of(["identity", "softmax", "tanh"]), "squared_error")


def targets_of(network):
    """Targets (12, 2) that the outputs of a network can come to."""
    shares = np.exp(Y) / np.exp(Y).sum(axis=1, keepdims=True)
    return {"softmax": shares, "sigmoid": shares, "tanh": np.tanh(Y), "exp": np.exp(Y)}.get(
        str(network.output), Y
    )
