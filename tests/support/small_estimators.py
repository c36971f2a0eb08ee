"""Estimators of both libraries, fitted to small data, and whether they are the same."""

import pytest
import sklearn.neural_network as theirs
from estimator_cases import deviation
from sklearn.datasets import load_diabetes, load_iris

import fastnn

X_IRIS, Y_IRIS = load_iris(return_X_y=True)
X_IRIS = (X_IRIS - X_IRIS.mean(axis=0)) / X_IRIS.std(axis=0)
X_DIABETES, Y_DIABETES = load_diabetes(return_X_y=True)
Y_DIABETES = (Y_DIABETES - Y_DIABETES.mean()) / Y_DIABETES.std()
SMALL = {"hidden_layer_sizes": (6,), "random_state": 0, "max_iter": 20}


UNCONVERGED = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore:overflow:RuntimeWarning"
)
"""A mark of tests whose fits are short, or diverge."""


def both(kind, X, y, *, sample_weight=None, **parameters):
    """Both libraries' estimators, fitted."""
    parameters = {**SMALL, **parameters}
    return [getattr(m, kind)(**parameters).fit(X, y, sample_weight=sample_weight) for m in (fastnn, theirs)]


def weights_of(estimator):
    return estimator.coefs_ + estimator.intercepts_


def assert_same(a, b, tolerance=1e-10):
    assert deviation(weights_of(a), weights_of(b)) < tolerance
