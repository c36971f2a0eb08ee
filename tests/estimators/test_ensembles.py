"""The ensembles: their members are fits of their own, their predictions means or votes; scikit-learn's rules."""

from __future__ import annotations

import os
import signal
import threading
import time

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.preprocessing import scale
from sklearn.utils.estimator_checks import check_estimator

from fastnn import MLPClassifier, MLPEnsembleClassifier, MLPEnsembleRegressor, MLPRegressor
from fastnn.estimators.ensembles import SAMPLINGS

IRIS = load_iris(return_X_y=True)
DIABETES = tuple(map(scale, load_diabetes(return_X_y=True)))
CLASSIFIER = MLPClassifier((6,), max_iter=40, tol=0.0, early_stopping=True, n_iter_no_change=50)
REGRESSOR = MLPRegressor(hidden_layer_sizes=(6,), max_iter=30, tol=0.0, n_iter_no_change=50)


def classifier(**options):
    return MLPEnsembleClassifier(CLASSIFIER, 4, **{"random_state": 0} | options)


def regressor(**options):
    return MLPEnsembleRegressor(REGRESSOR, 4, **{"random_state": 0} | options)


CASES = [(classifier, *IRIS), (regressor, *DIABETES)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "ensemble",
    [
        MLPEnsembleClassifier(MLPClassifier((8,), max_iter=400), 2, n_jobs=1),
        MLPEnsembleRegressor(MLPRegressor(hidden_layer_sizes=(8,)), 2, n_jobs=1),
    ],
    ids=["classifier", "regressor"],
)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks(ensemble):
    """None fails; one, of arrays of other libraries, is skipped by scikit-learn itself."""
    checks = check_estimator(ensemble, on_fail=None)
    assert [check["check_name"] for check in checks if check["status"] not in ("passed", "skipped")] == []
    assert len(checks) > 50


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize(("make", "X", "y"), CASES, ids=["classifier", "regressor"])
def test_members_are_fits_of_their_own(make, X, y, sampling):
    """Each on its rows with its seed, whatever the threads and the engine."""
    weight = np.random.RandomState(0).rand(len(y))
    ensemble = make(sampling=sampling).fit(X, y, weight)
    for member, rows in zip(ensemble.estimators_, ensemble.rows_, strict=True):
        alone = clone(member).fit(X[rows], y[rows], weight[rows])
        for W, own in zip(member.coefs_, alone.coefs_, strict=True):
            assert W.tobytes() == own.tobytes()
    there = make(sampling=sampling, n_jobs=3).fit(X, y, weight)
    with joblib.parallel_config("loky", n_jobs=2):
        far = make(sampling=sampling).fit(X, y, weight)
    assert len({member.random_state for member in ensemble.estimators_}) == len(ensemble.estimators_)
    for other in (there, far):
        assert ensemble.predict(X).tobytes() == other.predict(X).tobytes()


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_rows_of_members():
    """All of them; as many, drawn with replacement; all but a fold."""
    X, y = IRIS
    seeds, bootstrap, folds = (classifier(sampling=sampling).fit(X, y).rows_ for sampling in SAMPLINGS)
    assert all(np.array_equal(rows, np.arange(len(y))) for rows in seeds)
    assert all(len(rows) == len(y) > len(np.unique(rows)) for rows in bootstrap)
    held_out = np.concatenate([np.setdiff1d(np.arange(len(y)), rows) for rows in folds])
    assert sorted(held_out) == list(range(len(y)))
    assert all((np.bincount(y[np.setdiff1d(np.arange(len(y)), rows)]) >= 12).all() for rows in folds)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_probabilities_are_means_or_votes():
    """And labels those of the greatest."""
    X, y = IRIS
    soft, hard = (classifier(voting=voting).fit(X, y) for voting in ("soft", "hard"))
    mean = np.mean([member.predict_proba(X) for member in soft.estimators_], axis=0)
    np.testing.assert_allclose(soft.predict_proba(X), mean, rtol=1e-12)
    votes = np.mean([member.predict(X)[:, None] == soft.classes_ for member in soft.estimators_], axis=0)
    np.testing.assert_allclose(hard.predict_proba(X), votes, rtol=1e-12)
    for ensemble in (soft, hard):
        assert np.array_equal(ensemble.predict(X), ensemble.classes_[ensemble.predict_proba(X).argmax(axis=1)])


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("columns", [1, 2])
def test_mean_and_deviation(columns):
    """NumPy's, over the members."""
    X, y = DIABETES
    Y = y if columns == 1 else np.stack([y, -y], axis=1)
    ensemble = regressor().fit(X, Y)
    outputs = [member.predict(X) for member in ensemble.estimators_]
    mean, deviation = ensemble.predict(X, return_std=True)
    assert mean.shape == deviation.shape == Y.shape
    np.testing.assert_allclose(mean, np.mean(outputs, axis=0), rtol=1e-10)
    np.testing.assert_allclose(deviation, np.std(outputs, axis=0), rtol=1e-8)
    assert np.array_equal(ensemble.predict(X), mean)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("sampling", ["bootstrap", "folds"])
def test_out_of_bag(sampling):
    """Each row is scored by the members that have not seen it; NaN where all have."""
    X, y = IRIS
    ensemble = classifier(sampling=sampling, oob_score=True).fit(X, y)
    expected = np.full((len(y), 3), np.nan)
    for row in range(len(y)):
        unseen = [m for m, rows in zip(ensemble.estimators_, ensemble.rows_, strict=True) if row not in rows]
        if unseen:
            expected[row] = np.mean([member.predict_proba(X[row : row + 1])[0] for member in unseen], axis=0)
    np.testing.assert_allclose(ensemble.oob_decision_function_, expected, rtol=1e-12)
    scored = ~np.isnan(expected[:, 0])
    assert scored.all() == (sampling == "folds")
    assert ensemble.oob_score_ == np.mean(expected[scored].argmax(axis=1) == y[scored])
    X, y = DIABETES
    ensemble = regressor(sampling=sampling, oob_score=True).fit(X, y)
    scored = ~np.isnan(ensemble.oob_prediction_)
    residuals, spread = y[scored] - ensemble.oob_prediction_[scored], y[scored] - y[scored].mean()
    np.testing.assert_allclose(ensemble.oob_score_, 1 - residuals @ residuals / (spread @ spread), rtol=1e-9)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_member_may_lack_a_class():
    """Its probability is 0 there."""
    X, y = IRIS[0][:60], IRIS[1][:60].copy()
    y[-1] = 2  # which most bootstrap samples of few rows do not have
    labels = np.array(["a", "b", "c"])[y]
    ensemble = MLPEnsembleClassifier(MLPClassifier((4,), max_iter=5), 8, sampling="bootstrap", random_state=0)
    p = ensemble.fit(X, labels).predict_proba(X)
    assert {len(member.classes_) for member in ensemble.estimators_} == {2, 3}
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    assert set(ensemble.predict(X)) <= set(labels)


BAD = [
    ({"estimator": MLPRegressor()}, TypeError, "estimator must be an MLPClassifier of fastnn, such as MLPClassifier"),
    ({"estimator": 5}, TypeError, "not 5; what comes before it, such as a scaler"),
    ({"n_members": 0}, ValueError, "'n_members' parameter"),
    ({"sampling": "boot"}, ValueError, "'sampling' parameter"),
    ({"voting": "loud"}, ValueError, "'voting' parameter"),
    ({"n_jobs": 0}, ValueError, "'n_jobs' parameter"),
    ({"oob_score": True}, ValueError, "no out-of-bag score"),
    ({"sampling": "folds", "n_members": 200}, ValueError, "from 2 to n_samples = 150 members, not 200"),
]


@pytest.mark.parametrize(("options", "kind", "text"), BAD)
def test_bad_input(options, kind, text):
    """A clear error before anything is fitted."""
    ensemble = classifier().set_params(**options)
    with pytest.raises(kind, match=text):
        ensemble.fit(*IRIS)
    assert not hasattr(ensemble, "estimators_")


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.filterwarnings("ignore:Training interrupted")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_leaves_the_ensemble_as_it_was(n_jobs):
    """It raises KeyboardInterrupt, whatever a single fit does."""
    X, y = IRIS
    ensemble = classifier(n_jobs=n_jobs).fit(X, y)
    before = ensemble.estimators_
    ensemble.estimator = MLPClassifier((6,), max_iter=10**7, tol=0.0, n_iter_no_change=10**7)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    began = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        ensemble.fit(X, y)
    assert ensemble.estimators_ is before
    timer.join()
    used = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - used < 0.25  # no thread goes on
    assert time.perf_counter() - began < 60


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_minus_one_is_all_cores():
    """As None is, for people who come from scikit-learn."""
    alone, everywhere = (regressor(n_jobs=n_jobs).fit(*DIABETES).predict(DIABETES[0]) for n_jobs in (1, -1))
    assert alone.tobytes() == everywhere.tobytes()
