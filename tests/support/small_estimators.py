"""Estimators of both libraries, fitted to small data, whether they are the same, and one of each
kind to be saved."""

import numpy as np
import sklearn.base
import sklearn.neural_network as theirs
from estimator_cases import deviation, weights_of
from exported import rows
from sklearn.datasets import load_diabetes, load_iris

import fastnn
from fastnn import Elu, LeakyRelu, MLPClassifier, MLPRegressor, cosine

X_IRIS, Y_IRIS = load_iris(return_X_y=True)
X_IRIS = (X_IRIS - X_IRIS.mean(axis=0)) / X_IRIS.std(axis=0)
X_DIABETES, Y_DIABETES = load_diabetes(return_X_y=True)
Y_DIABETES = (Y_DIABETES - Y_DIABETES.mean()) / Y_DIABETES.std()
SMALL = {"hidden_layer_sizes": (6,), "random_state": 0, "max_iter": 20}


def both(kind, X, y, *, sample_weight=None, **parameters):
    """Both libraries' estimators, fitted."""
    parameters = {**SMALL, **parameters}
    return [
        getattr(m, kind)(**parameters).fit(X, y, sample_weight=sample_weight)
        for m in (fastnn, theirs)
    ]


def assert_same(a, b, tolerance=1e-10):
    assert deviation(weights_of(a), weights_of(b)) < tolerance


ROWS = rows(n=60)
CLASSES = np.arange(60) % 3
TEXTS = np.array(["b", 'a"\n', "longer ünï"])
KINDS = {
    "regressor": (MLPRegressor(), ROWS[:, 0]),
    "two outputs": (MLPRegressor("huber", [6, 5], ("tanh", "gelu")), ROWS[:, :2]),
    "poisson": (MLPRegressor("poisson", 7, LeakyRelu(0.25)), abs(ROWS[:, 0])),
    "values": (MLPRegressor("huber", [6, 5], ("tanh", Elu(0.5))), ROWS[:, 0]),
    "lbfgs": (MLPRegressor(solver="lbfgs", max_iter=20), ROWS[:, 0]),
    "lm": (
        MLPRegressor(solver="lm", activation="tanh", n_restarts=2, hidden_layer_sizes=(3,)),
        ROWS[:, 0],
    ),
    "br": (
        MLPRegressor(solver="br", activation="tanh", n_restarts=2, hidden_layer_sizes=(3,)),
        ROWS[:, 0],
    ),
    "quantile": (MLPRegressor("quantile", quantile=0.9), ROWS[:, 0]),
    "no hidden layer": (MLPClassifier(()), CLASSES * 10 - 5),
    "an array": (
        MLPClassifier(np.array([4, 3]), n_iter_no_change=np.inf, backend="numpy"),
        CLASSES,
    ),
    "early stopping": (
        MLPClassifier(6, early_stopping=True, scoring="loss", class_weight={2: np.float64(2)}),
        CLASSES,
    ),
    "two classes": (MLPClassifier((6,), solver="rprop", alpha=np.float32(0.5)), CLASSES == 1),
    "one class": (MLPClassifier((6,)), np.full(60, 7)),
    "text": (MLPClassifier((6,), class_weight={"b": 2.0}), TEXTS[CLASSES]),
    "objects": (MLPClassifier((6,)), TEXTS.astype(object)[CLASSES]),
    "unsigned": (MLPClassifier((6,), learning_rate=cosine(0.1, 30)), CLASSES.astype(np.uint8)),
    "floats": (MLPClassifier((6,), loss="squared_error"), CLASSES.astype(np.float32)),
    "several labels": (
        MLPClassifier((6,), class_weight=[{0: 1, 1: 2}, {0: 1, 1: 3}]),
        ROWS[:, :2] > 0,
    ),
    "a generator": (MLPClassifier((6,), random_state=np.random.RandomState(3)), CLASSES),
}


def unfitted(kind):
    """An estimator whose fit is short, and targets of `ROWS`."""
    mlp, y = KINDS[kind]
    if mlp.random_state is not None or "lbfgs" in kind:
        more = {}
    else:
        more = {"random_state": 0, "max_iter": 5}
    return sklearn.base.clone(mlp).set_params(**more), y


def fitted(kind, dtype=np.float64):
    mlp, y = unfitted(kind)
    return mlp.fit(ROWS.astype(dtype), y)
