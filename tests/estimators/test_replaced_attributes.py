"""What somebody put into a fitted estimator: an error says what is wrong; weights reach a kernel if they fit."""

import numpy as np
import pytest
import sklearn.neural_network

from fastnn import MLPClassifier, MLPRegressor

X = np.random.RandomState(0).standard_normal((30, 4))
LABELS = np.arange(30) % 3
KINDS = {"classifier": MLPClassifier, "regressor": MLPRegressor}


def fitted(kind, backend="numba"):
    mlp = KINDS[kind](hidden_layer_sizes=(5,), max_iter=2, random_state=0, warm_start=True, backend=backend)
    return mlp.fit(X, LABELS).partial_fit(X, LABELS)


CALLS = {
    "predict": lambda mlp, folder: mlp.predict(X),
    "predict_proba": lambda mlp, folder: mlp.predict_proba(X),
    "predict_log_proba": lambda mlp, folder: mlp.predict_log_proba(X),
    "partial_fit": lambda mlp, folder: mlp.partial_fit(X, LABELS),
    "save": lambda mlp, folder: mlp.save(folder / "mlp.npz"),
    "export": lambda mlp, folder: mlp.export(folder / "mlp.py"),
    "to_result": lambda mlp, folder: mlp.to_result(),
}
SAID = [
    ("classifier", "_label_binarizer", 3, "predict"),
    ("classifier", "_label_binarizer", "x", "partial_fit"),
    ("classifier", "classes_", 1.0, "predict"),
    ("classifier", "classes_", 1.0, "save"),
    ("classifier", "classes_", 1.0, "export"),
    ("classifier", "classes_", np.array([1, 2]), "save"),
    ("classifier", "out_activation_", [], "predict"),
    ("regressor", "activation", 3, "predict"),
    ("regressor", "n_outputs_", np.zeros(3), "predict"),
    *(("classifier", "n_outputs_", 1, call) for call in ("predict", "predict_proba", "predict_log_proba")),
    ("regressor", "_optimizer", 3, "partial_fit"),
    ("regressor", "loss_curve_", "x", "partial_fit"),
    ("regressor", "loss_curve_", 3, "to_result"),
    ("regressor", "feature_names_in_", 3, "to_result"),
    ("regressor", "feature_names_in_", np.array(["a", "b"], object), "to_result"),
    ("classifier", "feature_names_in_", np.zeros((2, 2)), "save"),
    ("regressor", "_no_improvement_count", "x", "partial_fit"),
    ("regressor", "best_loss_", [], "partial_fit"),
    ("regressor", "alpha", "x", "partial_fit"),
    ("regressor", "batch_size", [], "partial_fit"),
    ("classifier", "batch_size", False, "partial_fit"),
    *(("classifier", "n_threads", threads, "partial_fit") for threads in (0, "two", [1, 2], np.ones(2))),
]


@pytest.mark.parametrize(("kind", "name", "value", "call"), SAID)
def test_an_error_names_the_attribute(kind, name, value, call, backend, tmp_path):
    mlp = fitted(kind, backend)
    setattr(mlp, name, value)
    with pytest.raises((TypeError, ValueError), match=f"^(The ')?{name}"):
        CALLS[call](mlp, tmp_path)


def test_weights_that_are_none_of_ours_are_made_anew():
    mlp = fitted("regressor")
    right = mlp.predict(X)
    mlp._flat = 3
    assert np.array_equal(mlp.predict(X), right)
    mlp._seeded = "x"
    mlp.fit(X, LABELS)


@pytest.mark.parametrize("sizes", [np.broadcast_to(np.zeros(1), (2**12, 4)), np.zeros(10**5), [0] * 10**5])
def test_an_error_shows_no_whole_array(sizes):
    mlp = fitted("classifier")
    mlp.hidden_layer_sizes = sizes
    for fit in mlp.partial_fit, mlp.fit:
        with pytest.raises(ValueError, match="hidden_layer_sizes must be > 0, got ") as caught:
            fit(X, LABELS)
        assert len(str(caught.value)) < 500


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
