"""What scikit-learn does where training goes wrong, where input is bad, and what it prints; fastnn does the same."""

import copy
import re
import warnings

import numpy as np
import pytest
import sklearn.neural_network as theirs
from estimator_cases import deviation
from sklearn.exceptions import NotFittedError
from small_estimators import SMALL, UNCONVERGED, X_DIABETES, X_IRIS, Y_DIABETES, Y_IRIS, assert_same, both, weights_of

import fastnn
from fastnn import MLPClassifier, MLPRegressor

pytestmark = UNCONVERGED


@pytest.mark.parametrize(
    "parameters",
    [
        {"early_stopping": True, "max_iter": 60, "warm_start": True},
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.1, "n_iter_no_change": 1, "learning_rate_init": 0.1},
    ],
    ids=["early stopping", "adaptive"],
)
def test_what_is_printed(parameters, capsys):
    printed = []
    for module in (fastnn, theirs):
        module.MLPClassifier(**{**SMALL, **parameters}, verbose=True).fit(X_IRIS, Y_IRIS)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "Iteration 1, loss = " in printed[0]


def test_warm_start_with_early_stopping_that_never_improves():
    """scikit-learn then returns the last weights, which overwrote the best ones; `fix_defects` the best ones."""
    parameters = {**SMALL, "early_stopping": True, "warm_start": True, "max_iter": 3, "tol": 1.0}
    mine, reference = MLPClassifier(**parameters), theirs.MLPClassifier(**parameters)
    for estimator in (mine, reference):
        estimator.fit(X_IRIS, Y_IRIS)
        estimator.best_validation_score_ = 2.0
        estimator.fit(X_IRIS, Y_IRIS)
    assert_same(mine, reference)
    fixed = MLPClassifier(**parameters, fix_defects=True).fit(X_IRIS, Y_IRIS)
    before = copy.deepcopy(weights_of(fixed))
    fixed.best_validation_score_ = 2.0
    fixed.fit(X_IRIS, Y_IRIS)
    assert deviation(weights_of(fixed), before) == 0


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_divergence(kind, early_stopping):
    results = []
    for module in (fastnn, theirs):
        parameters = {**SMALL, "solver": "sgd", "learning_rate_init": 1e150, "early_stopping": early_stopping}
        estimator = getattr(module, kind)(**parameters, batch_size=50, activation="identity")
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                estimator.fit(X_IRIS, Y_IRIS)
                error = None
            except ValueError as raised:
                error = str(raised)
        scores = None if estimator.validation_scores_ is None else np.array(estimator.validation_scores_)
        results.append((error, estimator.n_iter_, np.isnan(estimator.loss_curve_).sum(), scores))
    assert results[0][:2] == results[1][:2]
    np.testing.assert_array_equal(results[0][3], results[1][3])
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        getattr(fastnn, kind)(**{**parameters, "early_stopping": False}, activation="identity", fix_defects=True).fit(
            X_IRIS, Y_IRIS
        )


def test_loss_that_overflows_while_the_weights_do_not():
    X = np.array([[1.0], [2.0]], np.float64)
    mine, reference = both("MLPRegressor", X, np.array([3e154, 0.0]), solver="sgd", hidden_layer_sizes=(), max_iter=5)
    assert np.isinf(mine.loss_curve_).any()
    assert_same(mine, reference)
    np.testing.assert_array_equal(np.isfinite(mine.loss_curve_), np.isfinite(reference.loss_curve_))
    assert (mine.n_iter_, mine._no_improvement_count) == (reference.n_iter_, reference._no_improvement_count)


def test_poisson_with_negative_targets():
    mine, reference = both("MLPRegressor", X_DIABETES, Y_DIABETES, loss="poisson", solver="sgd")
    assert_same(mine, reference)
    assert np.isnan(mine.loss_curve_).all()
    assert np.isnan(reference.loss_curve_).all()
    with pytest.raises(ValueError, match="not negative"):
        MLPRegressor("poisson", **SMALL, fix_defects=True).fit(X_DIABETES, Y_DIABETES)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float32_stays(dtype):
    mine, reference = both("MLPClassifier", X_IRIS.astype(dtype), Y_IRIS)
    assert mine.coefs_[0].dtype == mine.predict_proba(X_IRIS.astype(dtype)).dtype == dtype
    assert_same(mine, reference, 1e-4 if dtype == np.float32 else 1e-10)


@pytest.mark.parametrize(
    "parameters",
    [
        {"alpha": -1},
        {"hidden_layer_sizes": (3, 0)},
        {"hidden_layer_sizes": -1},
        {"tol": -1.0},
        {"batch_size": 0},
        {"momentum": 2},
        {"early_stopping": True, "validation_fraction": 0.001},
        {"early_stopping": True, "validation_fraction": 0.0},
        {"beta_1": 1.0},
    ],
    ids=str,
)
def test_bad_parameters(parameters):
    errors = []
    for module in (fastnn, theirs):
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            module.MLPClassifier(**{**SMALL, **parameters}).fit(X_IRIS, Y_IRIS)
        # word by word, since scikit-learn lists the legal names in the order of a set
        errors.append((type(caught.value), sorted(re.findall(r"\w+", str(caught.value)))))
    assert errors[0] == errors[1]


def test_a_bad_learning_rate_is_told_that_schedules_go():
    with pytest.raises(ValueError, match=r"'learning_rate' parameter .* must be a str among .* or a callable"):
        fastnn.MLPClassifier(**SMALL, learning_rate="fast").fit(X_IRIS, Y_IRIS)


def test_bad_data():
    for X, y in (
        (X_IRIS[:10], Y_IRIS),
        (X_IRIS[:, 0], Y_IRIS),
        (np.full_like(X_IRIS, np.nan), Y_IRIS),
        (X_IRIS, np.arange(150) + 0.5),
    ):
        errors = []
        for module in (fastnn, theirs):
            with pytest.raises(ValueError) as caught:  # noqa: PT011
                module.MLPClassifier(**SMALL).fit(X, y)
            errors.append(str(caught.value))
        if len(errors[1]) > 1000:  # it has all of X: fastnn leaves out what stands in between
            begin, end = errors[0].split("...")[0], errors[0].split("...")[-1]
            assert len(errors[0]) < 1000
            assert min(len(begin), len(end)) > 200
            assert errors[1].startswith(begin)
            assert errors[1].endswith(end)
        else:
            assert errors[0] == errors[1]
    fitted = MLPClassifier(**SMALL).fit(X_IRIS, Y_IRIS)
    for rows in (1, 5):
        with pytest.raises(ValueError, match="NaN"):
            fitted.predict(np.full((rows, 4), np.nan))
        with pytest.raises(ValueError, match="infinity"):
            fitted.predict(np.full((rows, 4), np.inf))
    with pytest.raises(ValueError, match="4 features"):
        fitted.predict(np.zeros((2, 3)))
    with pytest.raises(NotFittedError):
        MLPRegressor().predict(X_IRIS)
    with pytest.raises(ValueError, match="Negative"):
        MLPClassifier(**SMALL).fit(X_IRIS, Y_IRIS, sample_weight=np.full(150, -1.0))


def test_sizes_given_first_to_the_regressor():
    with pytest.raises(ValueError, match=r"did you mean hidden_layer_sizes=\(4,\)\?"):
        MLPRegressor((4,)).fit(X_DIABETES, Y_DIABETES)
