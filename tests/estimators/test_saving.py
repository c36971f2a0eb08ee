"""Estimators in files: exported, they predict what they do here."""

import runpy

import numpy as np
import pytest
from exported import assert_same, rows
from sklearn.exceptions import NotFittedError

from fastnn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def run(tmp_path):
    """A function that exports an estimator and returns the names of the module."""

    def run(model):
        model.export(tmp_path / "net.py")
        return runpy.run_path(tmp_path / "net.py")

    return run


LABELS = {
    "text": np.array(["no", 'ye"s', "per\nhaps"]),
    "two": np.array([-1, 7]),
    "one": np.array([4]),
    "booleans": np.array([False, True]),
    "floats": np.array([0.0, 1.0, 3.0]),
}


@pytest.mark.parametrize("case", LABELS)
def test_a_classifier_predicts_labels(run, case, dtype):
    X, labels = rows(dtype), LABELS[case]
    y = labels[np.arange(len(X)) % len(labels)]
    mlp = MLPClassifier((8,), max_iter=3, random_state=0, tol=0).fit(X, y)
    module = run(mlp)
    assert_same(module["predict_proba"](X), mlp.predict_proba(X), case)
    assert module["predict"](X).tolist() == mlp.predict(X).tolist()


def test_a_classifier_of_several_labels_predicts_zeros_and_ones(run):
    X = rows()
    mlp = MLPClassifier((8,), max_iter=3, random_state=0).fit(X, X[:, :3] > 0)
    module = run(mlp)
    assert_same(module["predict_proba"](X), mlp.predict_proba(X), "probabilities")
    assert np.array_equal(module["predict"](X), mlp.predict(X))


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_a_regressor_predicts_numbers(run, n_outputs):
    X = rows()
    mlp = MLPRegressor(hidden_layer_sizes=(8,), max_iter=3, random_state=0).fit(X, X[:, :n_outputs].squeeze())
    assert_same(run(mlp)["predict"](X), mlp.predict(X), "outputs")


def test_unfitted_and_damaged_estimators_are_refused(tmp_path):
    with pytest.raises(NotFittedError, match="MLPRegressor instance is not fitted yet"):
        MLPRegressor().export(tmp_path / "net.py")
    mlp = MLPRegressor(hidden_layer_sizes=(8,), max_iter=3, tol=0).fit(rows(), rows()[:, 0])
    mlp.coefs_[0][0, 0] = np.nan
    with pytest.raises(ValueError, match="coefs_ and intercepts_ must be finite"):
        mlp.export(tmp_path / "net.py")
