"""Inside scikit-learn's other parts: pipelines, searches, joblib, metadata, callbacks."""

import numpy as np
import pytest
import sklearn.neural_network as theirs
from estimator_cases import deviation
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_estimators import SMALL, UNCONVERGED, X_IRIS, Y_IRIS, weights_of

import fastnn
from fastnn import MLPClassifier

pytestmark = UNCONVERGED


def test_in_other_estimators():
    parameters = {**SMALL, "max_iter": 15}
    results = []
    for module in (fastnn, theirs):
        mlp = module.MLPClassifier(**parameters)
        pipe = make_pipeline(StandardScaler(), mlp)
        grid = GridSearchCV(pipe, {"mlpclassifier__alpha": [1e-4, 1.0]}, cv=3, n_jobs=2).fit(X_IRIS, Y_IRIS)
        results.append(
            np.concatenate(
                [
                    grid.cv_results_["mean_test_score"],
                    cross_val_score(pipe, X_IRIS, Y_IRIS, cv=3),
                    BaggingClassifier(mlp, 3, random_state=0).fit(X_IRIS, Y_IRIS).predict_proba(X_IRIS).ravel(),
                    CalibratedClassifierCV(mlp, cv=3).fit(X_IRIS, Y_IRIS).predict_proba(X_IRIS).ravel(),
                    permutation_importance(
                        clone(mlp).fit(X_IRIS, Y_IRIS), X_IRIS, Y_IRIS, n_repeats=2, random_state=0
                    ).importances.ravel(),
                ]
            )
        )
    np.testing.assert_allclose(results[0], results[1], rtol=1e-8, atol=1e-10)


def test_metadata_routing():
    import sklearn

    with sklearn.config_context(enable_metadata_routing=True):
        mlp = MLPClassifier(**SMALL).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipe = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), mlp)
        weight = np.linspace(0.5, 2, 150)
        pipe.fit(X_IRIS, Y_IRIS, sample_weight=weight)
        weighted = pipe[-1].coefs_[0]
    plain = make_pipeline(StandardScaler(), MLPClassifier(**SMALL)).fit(X_IRIS, Y_IRIS)[-1].coefs_[0]
    assert not np.array_equal(weighted, plain)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_of_scikit_learn(solver):
    callback = pytest.importorskip("sklearn.callback", reason="needs scikit-learn 1.9")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    mlp = MLPClassifier(**{**SMALL, "solver": solver, "max_iter": 6}).set_callbacks(monitor)
    mlp.fit(X_IRIS, Y_IRIS)
    log = monitor.get_logs()
    scores = [entry["accuracy"] for entry in log.data if "accuracy" in entry] if hasattr(log, "data") else log
    assert len(scores) >= 6
    plain = MLPClassifier(**{**SMALL, "solver": solver, "max_iter": 6}).fit(X_IRIS, Y_IRIS)
    assert deviation(weights_of(mlp), weights_of(plain)) == 0


def test_progress_bar_of_scikit_learn(capsys):
    callback = pytest.importorskip("sklearn.callback", reason="needs scikit-learn 1.9")
    pytest.importorskip("rich", reason="scikit-learn's progress bar is rich's")
    mlp = MLPClassifier(**{**SMALL, "max_iter": 6}).set_callbacks(callback.ProgressBar()).fit(X_IRIS, Y_IRIS)
    assert "100%" in capsys.readouterr().out
    plain = MLPClassifier(**{**SMALL, "max_iter": 6}).fit(X_IRIS, Y_IRIS)
    assert deviation(weights_of(mlp), weights_of(plain)) == 0
