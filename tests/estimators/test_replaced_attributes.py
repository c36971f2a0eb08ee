"""What somebody put into a fitted estimator: an error says what is wrong; weights reach a kernel if they fit."""

import numpy as np
import pytest
import sklearn.neural_network

from fastnn import MLPClassifier, MLPRegressor

X = np.random.RandomState(0).standard_normal((30, 4))
LABELS = np.arange(30) % 3
KINDS = {"classifier": MLPClassifier, "regressor": MLPRegressor}


CALLS = {"predict": [X], "partial_fit": [X, LABELS], "save": ["mlp.npz"], "to_result": []}
SAID = [
    ("classifier", "_label_binarizer", 3, "predict"),
    ("classifier", "_label_binarizer", "x", "partial_fit"),
    ("classifier", "classes_", 1.0, "predict"),
    ("classifier", "classes_", 1.0, "save"),
    ("classifier", "classes_", np.array([1, 2]), "save"),
    ("classifier", "out_activation_", [], "predict"),
    ("regressor", "activation", 3, "predict"),
    ("classifier", "n_outputs_", 1, "predict"),
    ("regressor", "_optimizer", 3, "partial_fit"),
    ("regressor", "loss_curve_", 3, "to_result"),
    ("regressor", "feature_names_in_", 3, "to_result"),
    ("regressor", "feature_names_in_", np.array(["a", "b"], object), "to_result"),
    ("regressor", "_no_improvement_count", "x", "partial_fit"),
    ("regressor", "best_loss_", [], "partial_fit"),
    ("regressor", "alpha", "x", "partial_fit"),
    ("regressor", "batch_size", [], "partial_fit"),
    *(("classifier", "n_threads", threads, "partial_fit") for threads in (0, np.ones(2))),
]


@pytest.mark.parametrize(("kind", "name", "value", "call"), SAID)
def test_an_error_names_the_attribute(kind, name, value, call):
    options = {"hidden_layer_sizes": (5,), "max_iter": 2, "random_state": 0, "warm_start": True}
    mlp = KINDS[kind](**options).fit(X, LABELS)
    setattr(mlp, name, value)
    with pytest.raises((TypeError, ValueError), match=f"^(The ')?{name}"):
        getattr(mlp, call)(*CALLS[call])


Y = np.c_[X[:, 0], X[:, 1] ** 2]
y = X[:, 0]


@pytest.fixture
def mlp(backend):
    return MLPRegressor(hidden_layer_sizes=(5,), solver="sgd", max_iter=5, random_state=0, backend=backend).fit(X, y)


def test_weights_that_are_changed_in_place_count(mlp):
    mlp.coefs_[0] = mine = np.zeros((4, 5))
    mlp.predict(X)
    mine += 0.5
    hidden = np.maximum(X @ mine + mlp.intercepts_[0], 0)
    np.testing.assert_allclose(mlp.predict(X), (hidden @ mlp.coefs_[1] + mlp.intercepts_[1]).ravel(), 1e-12)


@pytest.mark.parametrize("scalar", [np.float64(0), np.zeros(1), 0])
def test_models_from_scikit_learn_may_have_scalar_intercepts(scalar, backend):
    theirs = sklearn.neural_network.MLPRegressor(hidden_layer_sizes=(5,), solver="lbfgs", max_iter=5, random_state=0)
    theirs.fit(X, y)
    theirs.intercepts_[0] = scalar
    mine = MLPRegressor.from_sklearn(theirs, backend=backend)
    for rows in (1, 2, 30):
        np.testing.assert_allclose(mine.predict(X[:rows]), theirs.predict(X[:rows]), 1e-12)
    theirs.intercepts_[0] = np.zeros((5, 5))
    with pytest.raises(ValueError, match=r"intercepts_\[0\] must have the shape \(5,\)"):
        MLPRegressor.from_sklearn(theirs, backend=backend)


def test_moments_of_another_network_are_refused(mlp):
    first, second = mlp.coefs_
    mlp.coefs_, mlp.intercepts_ = [first[:, :3], second[:3]], [mlp.intercepts_[0][:3], mlp.intercepts_[1]]
    mlp.hidden_layer_sizes = (3,)
    with pytest.raises(ValueError, match="the optimizer has moments of 31"):
        mlp.partial_fit(X, y)
    mlp.set_params(warm_start=True).fit(X, y)
    assert mlp.coefs_[0].shape == (4, 3)


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_targets_to_validate_on_may_be_in_fortran_order(solver, dtype, backend):
    """They went to the kernel column by column, and the validation losses were wrong."""
    curves = []
    for order in "CF":
        mlp = MLPRegressor(hidden_layer_sizes=(5,), solver=solver, max_iter=5, random_state=0, backend=backend)
        mlp.fit(X.astype(dtype), Y, validation_data=(X.astype(dtype), np.array(Y, order=order)))
        curves.append(mlp.validation_loss_curve_)
    assert curves[0] == curves[1]
    assert np.isfinite(curves[0]).all()
