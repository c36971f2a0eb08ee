"""The solver L-BFGS: its objective, its way, and its end are scikit-learn's."""

import numpy as np
import pytest
import sklearn.neural_network as theirs
from estimator_cases import deviation
from sklearn.exceptions import ConvergenceWarning
from small_estimators import SMALL, UNCONVERGED, X_DIABETES, X_IRIS, Y_DIABETES, Y_IRIS, assert_same, both, weights_of

import fastnn
from fastnn import MLPClassifier, MLPRegressor
from fastnn.estimators.labels import targets_of

pytestmark = UNCONVERGED


@pytest.mark.parametrize(
    ("kind", "y", "parameters"),
    [
        ("MLPClassifier", Y_IRIS, {}),
        ("MLPClassifier", Y_IRIS == 1, {"activation": "tanh", "hidden_layer_sizes": (5, 4)}),
        ("MLPRegressor", np.c_[Y_IRIS, -X_IRIS[:, 0]], {"activation": "logistic"}),
        ("MLPRegressor", Y_IRIS.astype(float), {"loss": "poisson"}),
    ],
)
class TestLBFGS:
    def test_objective(self, kind, y, parameters):
        from sklearn.neural_network._multilayer_perceptron import _pack

        mine, reference = both(kind, X_IRIS, y, solver="lbfgs", max_iter=1, **parameters)
        Y = np.asarray(y, float).reshape(len(y), -1)
        if kind == "MLPClassifier":
            Y = targets_of(y, mine._label_binarizer)
        inputs = mine._fit_inputs(X_IRIS, Y, None, None, mine._hidden_sizes(), False, False)
        sizes = mine._weights_now().sizes
        rng = np.random.RandomState(0)
        grads = [[np.empty_like(p) for p in parts] for parts in (reference.coefs_, reference.intercepts_)]
        for _ in range(100):
            params = rng.standard_normal(sum(p.size for p in weights_of(mine)))
            W, b = inputs.network.weights(params), inputs.network.biases(params)
            loss, gradient = inputs.backend.loss_and_gradient(inputs.network, params, inputs.data, mine.alpha)
            activations, deltas = [X_IRIS] + [None] * (len(sizes) - 1), [None] * (len(sizes) - 1)
            their_loss, their_gradient = reference._loss_grad_lbfgs(
                _pack(W, b), X_IRIS, Y, None, activations, deltas, *grads
            )
            np.testing.assert_allclose(loss, their_loss, rtol=1e-12)
            packed = _pack(inputs.network.weights(gradient), inputs.network.biases(gradient))
            assert deviation([packed], [their_gradient]) < 1e-12

    @pytest.mark.parametrize("n_iterations", [1, 2, 3, 4, 5])
    def test_first_iterates(self, kind, y, parameters, n_iterations):
        mine, reference = both(kind, X_IRIS, y, solver="lbfgs", **parameters | {"max_iter": n_iterations})
        assert_same(mine, reference, 1e-8)
        assert mine.n_iter_ == reference.n_iter_
        np.testing.assert_allclose(mine.loss_, reference.loss_, rtol=1e-10)

    def test_final_loss(self, kind, y, parameters):
        """On X moved by an ULP, half of five runs end not above the worst of five of scikit-learn's.

        L-BFGS amplifies rounding, so neither reproduces itself: of six runs that differ by chance alone, any given one
        is the worst one time in six, on one BLAS or another. Hence the median.
        """
        parameters = {**SMALL, **parameters, "solver": "lbfgs", "max_iter": 100}
        losses = {}
        for module in (fastnn, theirs):
            losses[module] = []
            for seed in range(5):
                moved = np.nextafter(X_IRIS, np.random.RandomState(seed).choice([-np.inf, np.inf], X_IRIS.shape))
                losses[module].append(getattr(module, kind)(**parameters).fit(moved, y).loss_)
        assert np.median(losses[fastnn]) <= max(losses[theirs]) * (1 + 1e-6)


def test_lbfgs_float32():
    X = X_IRIS.astype(np.float32)
    mine, reference = both("MLPClassifier", X, Y_IRIS, solver="lbfgs", max_iter=5)
    assert_same(mine, reference, 1e-5)
    assert mine.coefs_[0].dtype == reference.coefs_[0].dtype == np.float64
    fixed = MLPClassifier(**{**SMALL, "solver": "lbfgs"}, fix_defects=True).fit(X, Y_IRIS)
    assert fixed.coefs_[0].dtype == np.float32
    assert fixed.predict_proba(X).dtype == np.float32


def test_lbfgs_warns_in_the_same_words():
    texts = []
    for module in (fastnn, theirs):
        with pytest.warns(ConvergenceWarning) as caught:
            module.MLPClassifier(**{**SMALL, "solver": "lbfgs", "max_iter": 3}).fit(X_IRIS, Y_IRIS)
        texts.append([str(w.message) for w in caught])
    assert texts[0] == texts[1]


def test_partial_fit_of_a_regressor_with_lbfgs():
    mine, reference = (m.MLPRegressor(**{**SMALL, "solver": "lbfgs", "max_iter": 3}) for m in (fastnn, theirs))
    for estimator in (mine, reference):
        estimator.partial_fit(X_DIABETES, Y_DIABETES)
    assert_same(mine, reference, 1e-8)
    assert not hasattr(MLPRegressor(solver="lbfgs", fix_defects=True), "partial_fit")
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")
