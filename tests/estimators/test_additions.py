"""What fastnn's estimators have and scikit-learn's have not; what somebody put into fitted ones is
used or refused."""

import copy

import numpy as np
import pytest
import sklearn.neural_network as theirs
from numpy.testing import assert_allclose, assert_array_equal
from small_estimators import SMALL, X_DIABETES, X_IRIS, Y_DIABETES, Y_IRIS, assert_same
from small_training import Recorder

from fastnn import Elu, MLPClassifier, MLPRegressor, cores


def test_a_back_end_of_ones_own_learns_several_outputs():
    Y = np.column_stack([Y_DIABETES, -Y_DIABETES, Y_DIABETES**2])
    reference = theirs.MLPRegressor(**SMALL, alpha=0.1).fit(X_DIABETES, Y)
    mine = MLPRegressor(**SMALL, alpha=0.1, backend=Recorder()).fit(X_DIABETES, Y)
    assert_same(mine, reference)
    assert_allclose(mine.loss_curve_, reference.loss_curve_, rtol=1e-12)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_class_weight(early_stopping):
    rare = np.r_[np.arange(60), np.arange(100, 110)]
    X = X_IRIS[rare]
    y = (rare >= 100).astype(int)
    options = {**SMALL, "early_stopping": early_stopping}
    by_row = MLPClassifier(**options).fit(X, y, sample_weight=np.where(y, 70 / 20, 70 / 120))
    for weight in ("balanced", {0: 70 / 120, 1: 70 / 20}):
        mlp = MLPClassifier(**options, class_weight=weight).fit(X, y)
        assert_same(mlp, by_row)
        assert (mlp.loss_curve_, mlp.validation_scores_) == (
            by_row.loss_curve_,
            by_row.validation_scores_,
        )
    with pytest.raises(ValueError, match="balanced"):
        MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1])


def test_a_training_that_does_not_improve_says_so():
    mlp = MLPClassifier(**SMALL, tol=10, n_iter_no_change=2).fit(X_IRIS, Y_IRIS)
    assert mlp.stop_reason_ == "tolerance"


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_max_time(solver):
    endless = {"max_iter": 10**6, "tol": 0, "n_iter_no_change": np.inf}
    mlp = MLPClassifier((50,), solver=solver, **endless, max_time=0.2).fit(X_IRIS, Y_IRIS)
    assert mlp.stop_reason_ in ({"time"} if solver == "adam" else {"time", "converged"})
    assert 0 < mlp.n_iter_ < 10**6


def test_decision_function():
    mlp = MLPClassifier(**SMALL, expose_decision_function=True).fit(X_IRIS, Y_IRIS == 1)
    assert_allclose(
        1 / (1 + np.exp(-mlp.decision_function(X_IRIS))), mlp.predict_proba(X_IRIS)[:, 1]
    )
    assert not hasattr(mlp.set_params(expose_decision_function=False), "decision_function")


def test_from_and_to_scikit_learn():
    reference = theirs.MLPClassifier(**SMALL).fit(X_IRIS, Y_IRIS)
    mine = MLPClassifier.from_sklearn(reference, backend="numpy")
    assert_allclose(mine.predict_proba(X_IRIS), reference.predict_proba(X_IRIS), rtol=1e-12)
    assert mine.backend == "numpy"
    back = mine.to_sklearn()
    assert type(back) is theirs.MLPClassifier
    assert_array_equal(back.predict_proba(X_IRIS), reference.predict_proba(X_IRIS))
    assert not hasattr(MLPRegressor.from_sklearn(theirs.MLPRegressor()), "coefs_")
    with pytest.raises(ValueError, match="gelu"):
        MLPClassifier(activation="gelu").to_sklearn()
    with pytest.raises(ValueError, match=r"has no activation=Elu\(alpha=0.5\)"):
        MLPClassifier(activation=Elu(0.5)).to_sklearn()
    with pytest.raises(TypeError, match="MLPRegressor"):
        MLPRegressor.from_sklearn(reference)


def test_fix_defects():
    y = np.c_[Y_DIABETES, Y_DIABETES]
    fixed = MLPRegressor(**SMALL, fix_defects=True, alpha=0).fit(X_DIABETES, y)
    plain = MLPRegressor(**SMALL, alpha=0).fit(X_DIABETES, y)
    assert_allclose(np.array(fixed.loss_curve_), 2 * np.array(plain.loss_curve_), rtol=1e-12)


@pytest.mark.parametrize("fix_defects", [False, True])
def test_fix_defects_stratifies_many_classes(fix_defects):
    scored = []

    def scoring(estimator, X, y):
        scored.append(np.bincount(y).tolist())
        return 0.0

    options = {"early_stopping": True, "scoring": scoring, "fix_defects": fix_defects}
    MLPClassifier(**SMALL, **options).fit(X_IRIS, Y_IRIS)
    assert (scored[0] == [5, 5, 5]) == fix_defects


def test_threads_share_validation_rows_and_predictions(monkeypatch, shared):
    X = np.tile(X_IRIS, (4, 1))
    y = np.tile(Y_IRIS, 4)
    options = {"hidden_layer_sizes": (40,), "random_state": 0, "max_iter": 3, "batch_size": 1}
    helpers = []
    borrow = cores.borrow
    found = []
    monkeypatch.setattr(cores, "borrow", lambda n: helpers.append(n) or borrow(n))
    for n in (1, 2, 3):
        fit = MLPClassifier(**options, n_threads=n).fit(X, y, X_val=X, y_val=y)
        del helpers[:]
        found.append([fit.validation_loss_curve_, fit.predict_proba(X).tolist()])
        assert helpers == [n - 1] * (n > 1)
    assert found == [found[0]] * 3
    assert shared == [2] * 3 + [3] * 3


def test_estimators_of_versions_which_had_no_threads_or_no_scoring_go_on():
    mlp = MLPClassifier(**SMALL).fit(X_IRIS, Y_IRIS)
    of_0_1 = copy.deepcopy(mlp)
    of_0_2 = copy.deepcopy(mlp)
    del of_0_1.n_threads, of_0_2.scoring, of_0_2._scored_by
    of_0_2 = copy.deepcopy(of_0_2)
    assert of_0_2.get_params()["scoring"] is None
    losses = [one.partial_fit(X_IRIS, Y_IRIS).loss_curve_ for one in (mlp, of_0_1, of_0_2)]
    assert losses == [losses[0]] * 3
    older, newer = (
        one.set_params(early_stopping=True).fit(X_IRIS, Y_IRIS) for one in (of_0_2, mlp)
    )
    assert older.validation_scores_ == newer.validation_scores_


CALLS = {"predict": [X_IRIS], "partial_fit": [X_IRIS, Y_IRIS], "save": ["mlp.npz"], "to_result": []}
SAID = [
    (MLPClassifier, "_label_binarizer", 3, "predict"),
    (MLPClassifier, "_label_binarizer", "x", "partial_fit"),
    (MLPClassifier, "classes_", 1.0, "predict"),
    (MLPClassifier, "classes_", 1.0, "save"),
    (MLPClassifier, "classes_", np.array([1, 2]), "save"),
    (MLPClassifier, "out_activation_", [], "predict"),
    (MLPRegressor, "activation", 3, "predict"),
    (MLPClassifier, "n_outputs_", 1, "predict"),
    (MLPRegressor, "_optimizer", 3, "partial_fit"),
    (MLPRegressor, "loss_curve_", 3, "to_result"),
    (MLPRegressor, "feature_names_in_", 3, "to_result"),
    (MLPRegressor, "feature_names_in_", np.array(["a", "b"], object), "to_result"),
    (MLPRegressor, "_no_improvement_count", "x", "partial_fit"),
    (MLPRegressor, "best_loss_", [], "partial_fit"),
    (MLPRegressor, "alpha", "x", "partial_fit"),
    (MLPRegressor, "batch_size", [], "partial_fit"),
    (MLPClassifier, "n_threads", 0, "partial_fit"),
    (MLPClassifier, "n_threads", np.ones(2), "partial_fit"),
]


@pytest.mark.parametrize(("kind", "name", "value", "call"), SAID)
def test_an_error_names_the_attribute(kind, name, value, call):
    options = {"hidden_layer_sizes": (5,), "max_iter": 2, "random_state": 0, "warm_start": True}
    mlp = kind(**options).fit(X_IRIS, Y_IRIS)
    setattr(mlp, name, value)
    with pytest.raises((TypeError, ValueError), match=f"^(The ')?{name}"):
        getattr(mlp, call)(*CALLS[call])


@pytest.fixture
def mlp(backend):
    options = {**SMALL, "hidden_layer_sizes": (5,), "solver": "sgd"}
    return MLPRegressor(**options, backend=backend).fit(X_IRIS, X_IRIS[:, 0])


def test_weights_that_are_changed_in_place_count(mlp):
    mlp.coefs_[0] = mine = np.zeros((4, 5))
    mlp.predict(X_IRIS)
    mine += 0.5
    hidden = np.maximum(X_IRIS @ mine + mlp.intercepts_[0], 0)
    assert_allclose(
        mlp.predict(X_IRIS), (hidden @ mlp.coefs_[1] + mlp.intercepts_[1]).ravel(), 1e-12
    )


@pytest.mark.parametrize("scalar", [np.float64(0), np.zeros(1), 0])
def test_models_from_scikit_learn_may_have_scalar_intercepts(scalar, backend):
    other = theirs.MLPRegressor(**{**SMALL, "hidden_layer_sizes": (5,), "max_iter": 5}).fit(
        X_IRIS, X_IRIS[:, 0]
    )
    other.intercepts_[0] = scalar
    mine = MLPRegressor.from_sklearn(other, backend=backend)
    for rows in (1, 2, 30):
        assert_allclose(mine.predict(X_IRIS[:rows]), other.predict(X_IRIS[:rows]), 1e-12)
    other.intercepts_[0] = np.zeros((5, 5))
    with pytest.raises(ValueError, match=r"intercepts_\[0\] must have the shape \(5,\)"):
        MLPRegressor.from_sklearn(other, backend=backend)


def test_moments_of_another_network_are_refused(mlp):
    first, second = mlp.coefs_
    mlp.coefs_ = [first[:, :3], second[:3]]
    mlp.intercepts_[0] = mlp.intercepts_[0][:3]
    mlp.hidden_layer_sizes = (3,)
    with pytest.raises(ValueError, match="the optimizer has moments of 31"):
        mlp.partial_fit(X_IRIS, X_IRIS[:, 0])
    mlp.set_params(warm_start=True).fit(X_IRIS, X_IRIS[:, 0])
    assert mlp.coefs_[0].shape == (4, 3)
