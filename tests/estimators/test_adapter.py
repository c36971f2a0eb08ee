"""Sparse matrices and memory maps: what the estimators hand over to a back end."""

import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network as theirs
from sklearn.datasets import load_digits
from small_estimators import SMALL, UNCONVERGED, X_IRIS, Y_IRIS, assert_same

import fastnn
import fastnn.estimators.adapter
from fastnn import MLPClassifier, MLPRegressor

pytestmark = UNCONVERGED


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("container", [scipy.sparse.csr_matrix, scipy.sparse.csc_matrix, scipy.sparse.csr_array])
@pytest.mark.parametrize("dense_rows", [10**6, 70, 8])
def test_sparse(monkeypatch, solver, container, dense_rows):
    X, y = load_digits(return_X_y=True)
    X, y = X[:300] / 16, y[:300]
    parameters = {**SMALL, "solver": solver, "batch_size": 50, "max_iter": 4}
    dense = MLPClassifier(**parameters).fit(X, y)
    monkeypatch.setattr(fastnn.estimators.adapter, "DENSE_BYTES", dense_rows * 64 * 8)
    sparse = MLPClassifier(**parameters).fit(container(X), y)
    assert_same(sparse, dense)
    np.testing.assert_allclose(sparse.predict_proba(container(X)), dense.predict_proba(X), rtol=1e-9)
    np.testing.assert_allclose(
        getattr(sparse, "loss_curve_", sparse.loss_), getattr(dense, "loss_curve_", dense.loss_), rtol=1e-12
    )


def test_sparse_several_outputs_early_stopping(monkeypatch):
    monkeypatch.setattr(fastnn.estimators.adapter, "DENSE_BYTES", 20 * 4 * 8)
    y = np.c_[Y_IRIS, -Y_IRIS].astype(float)
    mine = MLPRegressor(**SMALL, early_stopping=True, batch_size=30).fit(scipy.sparse.csr_matrix(X_IRIS), y)
    reference = theirs.MLPRegressor(**SMALL, early_stopping=True, batch_size=30).fit(X_IRIS, y)
    assert_same(mine, reference)
    np.testing.assert_allclose(mine.loss_curve_, reference.loss_curve_, rtol=1e-12)


@pytest.mark.parametrize("dense_rows", [10**6, 20])
@pytest.mark.parametrize("outputs", [1, 2])
def test_sparse_validation_rows(monkeypatch, dense_rows, outputs):
    monkeypatch.setattr(fastnn.estimators.adapter, "DENSE_BYTES", dense_rows * 4 * 8)
    y = np.c_[Y_IRIS, -Y_IRIS].astype(float)[:, :outputs].squeeze()
    X, rows = scipy.sparse.csr_matrix(X_IRIS), slice(None, None, 3)
    sparse = MLPRegressor(**SMALL).fit(X, y, X_val=X[rows], y_val=y[rows])
    dense = MLPRegressor(**SMALL).fit(X_IRIS, y, X_val=X_IRIS[rows], y_val=y[rows])
    assert len(sparse.validation_loss_curve_) == SMALL["max_iter"]
    np.testing.assert_allclose(sparse.validation_loss_curve_, dense.validation_loss_curve_, rtol=1e-12)


def test_read_only_memory_map(tmp_path, monkeypatch):
    np.save(tmp_path / "X.npy", X_IRIS)
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    seen = []
    kind = fastnn.estimators.adapter.Adapter
    original = kind.train_steps

    def spy(self, task, *others):
        seen.append(np.shares_memory(task.data.X, X))
        return original(self, task, *others)

    monkeypatch.setattr(kind, "train_steps", spy)
    MLPClassifier(**SMALL).fit(X, Y_IRIS)
    assert seen
    assert all(seen)
