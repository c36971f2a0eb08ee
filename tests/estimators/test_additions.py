"""What fastnn's estimators have and scikit-learn's have not."""

import copy

import numpy as np
import pytest
import sklearn.base
import sklearn.neural_network as theirs
from estimator_cases import deviation
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler
from small_estimators import SMALL, X_DIABETES, X_IRIS, Y_DIABETES, Y_IRIS, assert_same, weights_of
from small_training import Recorder

from fastnn import Elu, LeakyRelu, MLPClassifier, MLPRegressor, cores


def test_a_back_end_of_ones_own_learns_several_outputs():
    Y = np.column_stack([Y_DIABETES, -Y_DIABETES, Y_DIABETES**2])
    reference = theirs.MLPRegressor(**SMALL, alpha=0.1).fit(X_DIABETES, Y)
    mine = MLPRegressor(**SMALL, alpha=0.1, backend=Recorder()).fit(X_DIABETES, Y)
    assert_same(mine, reference)
    np.testing.assert_allclose(mine.loss_curve_, reference.loss_curve_, rtol=1e-12)


LEARNING = [{"activation": name} for name in ("leaky_relu", "elu", "selu", "softplus", "silu", "gelu")]
LEARNING += [{"activation": ("tanh", "gelu"), "hidden_layer_sizes": (8, 8)}]
LEARNING += [
    {"solver": "rprop", "max_iter": 100, "learning_rate_init": 0.001},
    {"loss": "squared_error", "max_iter": 200},
]


@pytest.mark.parametrize("parameters", LEARNING, ids=str)
def test_further_activations_solvers_and_losses_learn(parameters, backend):
    given = {"hidden_layer_sizes": (8,), "random_state": 0, "max_iter": 150, "learning_rate_init": 0.01} | parameters
    mlp = MLPClassifier(**given, backend=backend).fit(X_IRIS, Y_IRIS)
    assert mlp.score(X_IRIS, Y_IRIS) > 0.95
    assert mlp.predict(X_IRIS[:1]) == mlp.predict(X_IRIS)[0]


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_activations_with_parameters(kind, backend):
    """As `Network` takes them; the defaults are what their names say."""
    given = {"hidden_layer_sizes": (5, 4), "random_state": 0, "max_iter": 10, "backend": backend}
    other, by_name, default, in_all, each = (
        sklearn.base.clone(kind(activation=activation, **given)).fit(X_IRIS, Y_IRIS)
        for activation in (Elu(0.5), "elu", Elu(), LeakyRelu(0.2), [LeakyRelu(0.2)] * 2)
    )
    assert deviation(weights_of(default), weights_of(by_name)) == deviation(weights_of(in_all), weights_of(each)) == 0
    assert deviation(weights_of(other), weights_of(by_name)) > 0
    assert repr(other).startswith(f"{kind.__name__}(activation=Elu(alpha=0.5), ")
    assert other.to_result().network.activation == Elu(0.5)


@pytest.mark.parametrize("loss", ["absolute_error", "huber"])
def test_robust_losses_pass_over_outliers(loss):
    y, inliers = Y_DIABETES.copy(), np.arange(len(Y_DIABETES)) % 20 != 0
    y[~inliers] += 30
    parameters = {"hidden_layer_sizes": (8,), "random_state": 0, "max_iter": 100, "learning_rate_init": 0.01}
    robust, squared = (MLPRegressor(name, **parameters).fit(X_DIABETES, y) for name in (loss, "squared_error"))
    errors = [abs(mlp.predict(X_DIABETES) - y)[inliers].mean() for mlp in (robust, squared)]
    assert errors[0] < errors[1]


def test_class_weight():
    rare = np.r_[np.arange(60), np.arange(100, 110)]
    X, y = X_IRIS[rare], (rare >= 100).astype(int)
    by_class = MLPClassifier(**SMALL, class_weight="balanced").fit(X, y)
    by_row = MLPClassifier(**SMALL).fit(X, y, sample_weight=np.where(y, 70 / 20, 70 / 120))
    assert_same(by_class, by_row)
    by_dict = MLPClassifier(**SMALL, class_weight={0: 70 / 120, 1: 70 / 20}).fit(X, y)
    assert_same(by_class, by_dict)
    with pytest.raises(ValueError, match="balanced"):
        MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1])


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_max_time(solver):
    X, y = load_breast_cancer(return_X_y=True)
    mlp = MLPClassifier((50,), solver=solver, max_iter=10**6, tol=0, n_iter_no_change=np.inf, max_time=0.2)
    mlp.fit(StandardScaler().fit_transform(X), y)
    assert mlp.stop_reason_ in ({"time"} if solver == "adam" else {"time", "converged"})
    assert 0 < mlp.n_iter_ < 10**6


def test_stop_reason():
    assert MLPClassifier(**SMALL).fit(X_IRIS, Y_IRIS).stop_reason_ == "epochs"
    assert MLPClassifier(**SMALL, tol=10, n_iter_no_change=2).fit(X_IRIS, Y_IRIS).stop_reason_ == "tolerance"
    stopped = MLPClassifier(**SMALL, tol=10, n_iter_no_change=2, early_stopping=True).fit(X_IRIS, Y_IRIS)
    assert stopped.stop_reason_ == "validation"


def test_initial_weights():
    first = MLPClassifier(**{**SMALL, "max_iter": 1}).fit(X_IRIS, Y_IRIS)
    drawn = {"coefs_init": first.coefs_, "intercepts_init": first.intercepts_}
    mlp = MLPClassifier(**{**SMALL, "max_iter": 1, "learning_rate_init": 1e-30}, **drawn).fit(X_IRIS, Y_IRIS)
    assert_same(mlp, first, 1e-15)


@pytest.mark.parametrize("y", [Y_IRIS, Y_IRIS == 1], ids=["multiclass", "binary"])
def test_decision_function(y):
    mlp = MLPClassifier(**SMALL, expose_decision_function=True).fit(X_IRIS, y)
    z = mlp.decision_function(X_IRIS)
    if z.ndim == 1:
        np.testing.assert_allclose(1 / (1 + np.exp(-z)), mlp.predict_proba(X_IRIS)[:, 1])
    else:
        np.testing.assert_array_equal(mlp.classes_[z.argmax(axis=1)], mlp.predict(X_IRIS))
    assert not hasattr(MLPClassifier().fit(X_IRIS, y), "decision_function")


def test_from_and_to_scikit_learn():
    reference = theirs.MLPClassifier(**SMALL).fit(X_IRIS, Y_IRIS)
    mine = MLPClassifier.from_sklearn(reference, backend="numpy")
    np.testing.assert_allclose(mine.predict_proba(X_IRIS), reference.predict_proba(X_IRIS), rtol=1e-12)
    assert mine.backend == "numpy"
    back = mine.to_sklearn()
    assert type(back) is theirs.MLPClassifier
    np.testing.assert_array_equal(back.predict_proba(X_IRIS), reference.predict_proba(X_IRIS))
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
    np.testing.assert_allclose(np.array(fixed.loss_curve_), 2 * np.array(plain.loss_curve_), rtol=1e-12)


@pytest.mark.parametrize("fix", [False, True])
def test_fix_defects_stratifies_many_classes(fix):
    scored = []
    scoring = lambda estimator, X, y: scored.append(np.bincount(y).tolist()) or 0.0  # noqa: E731
    MLPClassifier(**SMALL, fix_defects=fix, early_stopping=True, scoring=scoring).fit(X_IRIS, Y_IRIS)
    assert (scored[0] == [5, 5, 5]) == fix


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_threads_show_in_no_bit_of_a_fit(solver):
    X, y = np.tile(X_IRIS, (3, 1)), np.tile(Y_IRIS, 3)
    options = {"hidden_layer_sizes": (40,), "solver": solver, "random_state": 0, "max_iter": 5, "batch_size": 128}
    one, *others = (MLPClassifier(**options, n_threads=n).fit(X, y) for n in (1, np.int64(2), 3, None))
    for other in others:
        assert other.loss_curve_ == one.loss_curve_
        assert deviation(weights_of(other), weights_of(one)) == 0, other.n_threads


def test_threads_share_validation_rows_and_predictions(monkeypatch, shared):
    X, y = np.tile(X_IRIS, (4, 1)), np.tile(Y_IRIS, 4)
    options = {"hidden_layer_sizes": (40,), "random_state": 0, "max_iter": 3, "batch_size": 1}
    helpers, borrow, found = [], cores.borrow, []
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
    of_0_1, of_0_2 = copy.deepcopy(mlp), copy.deepcopy(mlp)
    del of_0_1.n_threads, of_0_2.scoring, of_0_2._scored_by
    of_0_2 = copy.deepcopy(of_0_2)
    assert of_0_2.get_params()["scoring"] is None
    losses = [one.partial_fit(X_IRIS, Y_IRIS).loss_curve_ for one in (mlp, of_0_1, of_0_2)]
    assert losses == [losses[0]] * 3
    older, newer = (one.set_params(early_stopping=True).fit(X_IRIS, Y_IRIS) for one in (of_0_2, mlp))
    assert older.validation_scores_ == newer.validation_scores_
