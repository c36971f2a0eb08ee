"""One row gets the bits that it gets among many rows, by every function of the estimators that predicts numbers."""

import numpy as np
import pytest
import scipy.sparse

from fastnn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

_R = np.random.RandomState(0)
X = _R.standard_normal((60, 10))
Z = np.tanh(X @ _R.standard_normal((10, 3))) + 0.3 * _R.standard_normal((60, 3))
FEW = {"max_iter": 5, "random_state": 0}
ACTIVATIONS = ("relu", "tanh", "logistic", "identity", ("selu", "gelu"))
TARGETS = {"binary": Z[:, 0] > 0, "multiclass": Z.argmax(axis=1), "multilabel": Z > 0, "number": Z[:, 0], "numbers": Z}


def assert_rows_alike(predict, X):
    """Assert that each of some rows gets the same bits alone, dense or sparse, as among the others."""
    X = X[:13]
    expected = predict(X)
    for rows in (X, scipy.sparse.csr_matrix(X)):
        alone = np.concatenate([predict(rows[i : i + 1]) for i in range(X.shape[0])])
        np.testing.assert_array_equal(alone, expected, strict=True)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("target", TARGETS)
def test_one_row_has_the_bits_of_many_rows(target, activation, dtype):
    own, y = X.astype(dtype), TARGETS[target]
    options = {"hidden_layer_sizes": (16, 5), "activation": activation, **FEW}
    if target in ("number", "numbers"):
        assert_rows_alike(MLPRegressor(**options).fit(own, y).predict, own)
    else:
        mlp = MLPClassifier(**options, expose_decision_function=True).fit(own, y)
        assert_rows_alike(mlp.predict_proba, own)
        assert_rows_alike(mlp.decision_function, own)


def test_one_row_of_another_dtype_has_the_bits_of_many_rows(dtype):
    mlp = MLPRegressor(hidden_layer_sizes=(16,), loss="poisson", **FEW).fit(X.astype(dtype), Z[:, 0] ** 2)
    assert_rows_alike(mlp.predict, X.astype("float32" if dtype == "float64" else "float64"))
