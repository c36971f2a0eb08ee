"""Weights put into fitted estimators reach a kernel as numbers that fit, or not at all."""

import warnings

import numpy as np
import pytest

from fastnn import MLPClassifier, MLPRegressor

X = np.random.RandomState(0).standard_normal((50, 4))
Y = np.c_[X[:, 0], X[:, 1] ** 2]
y = X[:, 0]


@pytest.fixture
def fitted(backend):
    """A regressor 4-5-1, for each back end."""
    return fit(MLPRegressor(hidden_layer_sizes=(5,), solver="sgd", max_iter=5, random_state=0, backend=backend), y)


def fit(mlp, targets):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mlp.fit(X, targets)


def test_weights_that_are_changed_in_place_count(fitted):
    fitted.coefs_[0] = mine = np.zeros((4, 5))
    fitted.predict(X)
    mine += 0.5
    hidden = np.maximum(X @ mine + fitted.intercepts_[0], 0)
    np.testing.assert_allclose(fitted.predict(X), (hidden @ fitted.coefs_[1] + fitted.intercepts_[1]).ravel(), 1e-12)


def test_one_number_of_outputs_is_not_taken_for_another(backend):
    labels = np.arange(50) % 3
    mlp = fit(MLPClassifier((5,), solver="lbfgs", max_iter=5, random_state=0, backend=backend), labels)
    mlp.n_outputs_ = 1
    for method in (mlp.predict, mlp.predict_proba, mlp.predict_log_proba):
        with pytest.raises(ValueError, match="n_outputs_ is 1, but coefs_"):
            method(X)


@pytest.mark.parametrize("scalar", [np.float64(0), np.zeros(1), 0])
def test_models_from_scikit_learn_may_have_scalar_intercepts(scalar, backend):
    import sklearn.neural_network

    theirs = fit(
        sklearn.neural_network.MLPRegressor(hidden_layer_sizes=(5,), solver="lbfgs", max_iter=5, random_state=0), y
    )
    theirs.intercepts_[0] = scalar
    mine = MLPRegressor.from_sklearn(theirs, backend=backend)
    for rows in (1, 2, 50):
        np.testing.assert_allclose(mine.predict(X[:rows]), theirs.predict(X[:rows]), 1e-12)
    theirs.intercepts_[0] = np.zeros((5, 5))
    with pytest.raises(ValueError, match=r"intercepts_\[0\] must have the shape \(5,\)"):
        MLPRegressor.from_sklearn(theirs, backend=backend)


def test_a_partial_fit_that_is_refused_changes_no_prediction(fitted):
    before = fitted.predict(X)
    with pytest.raises(ValueError, match="the fitted network"):
        fitted.partial_fit(X, Y)
    assert np.array_equal(fitted.predict(X), before)


def test_moments_of_another_network_are_refused(fitted):
    first, second = fitted.coefs_
    fitted.coefs_, fitted.intercepts_ = [first[:, :3], second[:3]], [fitted.intercepts_[0][:3], fitted.intercepts_[1]]
    fitted.hidden_layer_sizes = (3,)
    with pytest.raises(ValueError, match="the optimizer has moments of 31"):
        fitted.partial_fit(X, y)
    fit(fitted.set_params(warm_start=True), y)
    assert fitted.coefs_[0].shape == (4, 3)


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_targets_to_validate_on_may_be_in_fortran_order(solver, dtype, backend):
    """They went to the kernel column by column, and the validation losses were wrong."""
    curves = []
    for order in "CF":
        mlp = MLPRegressor(hidden_layer_sizes=(5,), solver=solver, max_iter=5, random_state=0, backend=backend)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mlp.fit(X.astype(dtype), Y, validation_data=(X.astype(dtype), np.array(Y, order=order)))
        curves.append(mlp.validation_loss_curve_)
    assert curves[0] == curves[1]
    assert np.isfinite(curves[0]).all()
