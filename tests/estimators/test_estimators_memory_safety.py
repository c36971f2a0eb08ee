"""Weights put into fitted estimators reach a kernel as numbers that fit, or not at all."""

import copy
import pickle
import warnings

import numpy as np
import pytest

from fastnn import MLPClassifier, MLPRegressor

X = np.random.RandomState(0).standard_normal((50, 4))
Y = np.c_[X[:, 0], X[:, 1] ** 2]
y = X[:, 0]


def forward(coefs, intercepts, X):
    """A network of relu layers, in NumPy."""
    a = X
    for i, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
        a = a @ np.asarray(W) + b
        a = np.maximum(a, 0) if i + 1 < len(coefs) else a
    return a


@pytest.fixture
def fitted(backend):
    """A regressor 4-5-1, for each back end."""
    return fit(MLPRegressor(hidden_layer_sizes=(5,), solver="sgd", max_iter=5, random_state=0, backend=backend), y)


def fit(mlp, targets):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mlp.fit(X, targets)


WRONG = {
    "a network of other widths": lambda m: ([np.zeros((4, 300)), np.zeros((1, 1))], [np.zeros(1), np.zeros(1)]),
    "inputs that are not there": lambda m: ([np.zeros((400_000, 5)), m.coefs_[1]], m.intercepts_),
    "a neuron pruned once": lambda m: ([m.coefs_[0][:, :4], m.coefs_[1]], [m.intercepts_[0][:4], m.intercepts_[1]]),
    "a feature dropped": lambda m: ([m.coefs_[0][:3], m.coefs_[1]], m.intercepts_),
    "transposed": lambda m: ([m.coefs_[0].T, m.coefs_[1]], m.intercepts_),
    "three dimensions": lambda m: ([m.coefs_[0][None], m.coefs_[1]], m.intercepts_),
    "flat": lambda m: ([m.coefs_[0].ravel(), m.coefs_[1]], m.intercepts_),
    "complex": lambda m: ([m.coefs_[0] * 1j, m.coefs_[1]], m.intercepts_),
    "text": lambda m: ([m.coefs_[0].astype(str), m.coefs_[1]], m.intercepts_),
    "no rows": lambda m: ([m.coefs_[0][:0], m.coefs_[1]], m.intercepts_),
    "no neurons": lambda m: ([m.coefs_[0][:, :0], m.coefs_[1][:0]], [np.zeros(0), m.intercepts_[1]]),
    "a number": lambda m: ([np.float64(1e-310), m.coefs_[1]], m.intercepts_),
    "no list": lambda m: (m.coefs_[0], m.intercepts_),
    "nothing": lambda m: (None, m.intercepts_),
    "no layer": lambda m: ([], []),
    "a layer less": lambda m: (m.coefs_[:1], m.intercepts_),
    "a bias too few": lambda m: (m.coefs_, [m.intercepts_[0][:4], m.intercepts_[1]]),
    "a bias too many": lambda m: (m.coefs_, [np.zeros(6), m.intercepts_[1]]),
    "biases in a row": lambda m: (m.coefs_, [m.intercepts_[0][None], m.intercepts_[1]]),
    "complex biases": lambda m: (m.coefs_, [m.intercepts_[0] + 1j, m.intercepts_[1]]),
    "weights among the biases": lambda m: (m.coefs_[:1], [m.coefs_[1], *m.intercepts_]),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("way", ["set", "put into the lists", "unpickled", "copied"])
def test_weights_that_make_no_network_are_refused(fitted, wrong, way):
    coefs, intercepts = WRONG[wrong](fitted)
    if way == "put into the lists":
        if not (isinstance(coefs, list) and isinstance(intercepts, list)):
            pytest.skip("no lists")
        fitted.coefs_[:], fitted.intercepts_[:] = coefs, intercepts
    else:
        fitted.coefs_, fitted.intercepts_ = coefs, intercepts
    if way in ("unpickled", "copied"):
        fitted = pickle.loads(pickle.dumps(fitted)) if way == "unpickled" else copy.deepcopy(fitted)
    for rows in (1, 2, 50):
        with pytest.raises((ValueError, TypeError), match=r"coefs_|intercepts_|sizes"):
            fitted.predict(X[:rows])
    for train_on in (fitted.set_params(warm_start=True).fit, fitted.partial_fit):
        with pytest.raises((ValueError, TypeError), match=r"coefs_|intercepts_|sizes|the fitted network"):
            train_on(X, y)


LEGAL = {
    "a scalar": lambda m: (m.coefs_, [np.float64(0.25), m.intercepts_[1]]),
    "one number": lambda m: (m.coefs_, [np.array([0.25]), 0]),
    "Fortran order": lambda m: ([np.asfortranarray(W) for W in m.coefs_], m.intercepts_),
    "strided": lambda m: ([np.repeat(W, 2, 0)[::2] for W in m.coefs_], [b[::-1] for b in m.intercepts_]),
    "other byte order": lambda m: ([W.astype(">f8") for W in m.coefs_], m.intercepts_),
    "integers": lambda m: ([np.round(3 * W).astype(int) for W in m.coefs_], m.intercepts_),
    "lists": lambda m: ([W.tolist() for W in m.coefs_], [b.tolist() for b in m.intercepts_]),
    "tuples": lambda m: (tuple(m.coefs_), tuple(m.intercepts_)),
    "pruned": lambda m: ([m.coefs_[0][:, :3], m.coefs_[1][:3]], [m.intercepts_[0][:3], m.intercepts_[1]]),
}


@pytest.mark.parametrize("legal", LEGAL)
def test_weights_that_make_a_network_give_its_numbers(fitted, legal):
    coefs, intercepts = LEGAL[legal](fitted)
    fitted.coefs_, fitted.intercepts_ = coefs, intercepts
    for mlp in (fitted, pickle.loads(pickle.dumps(fitted))):
        for rows in (1, 2, 50):
            np.testing.assert_allclose(mlp.predict(X[:rows]), forward(coefs, intercepts, X[:rows]).ravel(), 1e-12)


def test_weights_that_are_changed_in_place_count(fitted):
    fitted.coefs_[0] = mine = np.zeros((4, 5))
    fitted.predict(X)
    mine += 0.5
    np.testing.assert_allclose(fitted.predict(X), forward(fitted.coefs_, fitted.intercepts_, X).ravel(), 1e-12)


@pytest.mark.parametrize(("name", "value"), [("n_features_in_", 3), ("n_features_in_", 5), ("n_outputs_", 2)])
def test_widths_that_do_not_fit_the_weights_are_refused(fitted, name, value):
    setattr(fitted, name, value)
    for columns in (3, 4, 5):
        for rows in (1, 2):
            with pytest.raises(ValueError, match=r"features|n_outputs_"):
                fitted.predict(np.zeros((rows, columns)))


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("output", ["nonsense", 3, None, ["identity"]])
def test_an_output_activation_that_is_none_is_refused(fitted, output, rows):
    fitted.out_activation_ = output
    with pytest.raises((ValueError, TypeError), match=r"out|unhashable"):
        fitted.predict(X[:rows])


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
    fitted.coefs_, fitted.intercepts_ = LEGAL["pruned"](fitted)
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
