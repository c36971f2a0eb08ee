"""scikit-learn's contract: its checks, signatures, attributes, copies; in its pipelines, searches,
callbacks."""

import copy
import inspect
import pickle
from unittest import mock

import numpy as np
import pytest
import sklearn.neural_network as theirs
from estimator_cases import deviation
from numpy.testing import assert_allclose
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator
from small_estimators import SMALL, X_IRIS, Y_IRIS, both, weights_of

import fastnn
from fastnn import (
    MLPClassifier,
    MLPRegressor,
    TablePreparation,
    TabularClassifier,
    TabularRegressor,
)

SECOND_ORDER = {
    "hidden_layer_sizes": (3,),
    "activation": "tanh",
    "random_state": 0,
    "max_iter": 30,
    "n_restarts": 2,
}
CHECKED = {
    "classifier": MLPClassifier(max_iter=100),
    "regressor": MLPRegressor(max_iter=100),
    "decisions": MLPClassifier(max_iter=100, expose_decision_function=True),
    "lbfgs": MLPClassifier(max_iter=20, solver="lbfgs"),
    "lm": MLPRegressor(solver="lm", **SECOND_ORDER),
    "br": MLPRegressor(solver="br", **SECOND_ORDER),
    "by loss": MLPClassifier(
        max_iter=50, early_stopping=True, scoring="loss", validation_fraction=0.3
    ),
    "table": TablePreparation(),
    "table classifier": TabularClassifier("fast", epochs=8, n_jobs=1),
    "table regressor": TabularRegressor("fast", epochs=8, n_jobs=1),
}
TWICE = "check_sample_weight_equivalence_on_dense_data"
NOT = {
    "by loss": (  # no MLP passes these with early stopping, scikit-learn's neither
        "check_fit_score_takes_y",  # these three call partial_fit, which has no early stopping
        "check_n_features_in_after_fitting",
        "check_estimators_partial_fit_n_features",
        TWICE,  # of other rows, other ones are drawn to be scored
        "check_sample_weight_equivalence_on_sparse_data",
    ),
    "table classifier": (TWICE,),  # a row that is there twice is drawn twice: other orders
    "table regressor": (TWICE,),
}


def contract():
    """Each check of scikit-learn with an estimator; numbered, since scikit-learn 1.8 has one
    twice."""
    for name, estimator in CHECKED.items():
        for i, (instance, check) in enumerate(estimator_checks_generator(estimator)):
            if check.func.__name__ not in NOT.get(name, ()):
                yield pytest.param(instance, check, id=f"{name}-{i}-{check.func.__name__}")


@pytest.mark.parametrize(("estimator", "check"), list(contract()))
@pytest.mark.filterwarnings("ignore")
def test_check_estimator(estimator, check):
    check(estimator)


def test_signature_begins_as_scikit_learns(kind):
    kinds = kind, getattr(theirs, kind.__name__)
    mine, reference = (inspect.signature(one).parameters for one in kinds)
    for a, b in zip(mine.values(), reference.values(), strict=False):
        assert (a.name, a.default, a.kind) == (b.name, b.default, b.kind)
    extras = list(mine.values())[len(reference) :]
    assert all(p.kind == p.KEYWORD_ONLY for p in extras)


SLOTS = [
    ({"batch_size": 32}, ["ms", "vs"]),
    ({"solver": "sgd", "learning_rate": "invscaling"}, ["velocities"]),
    ({"solver": "lbfgs"}, []),
]


@pytest.mark.parametrize(("parameters", "slots"), SLOTS)
def test_attributes(parameters, slots):
    mine, reference = both("MLPClassifier", X_IRIS, Y_IRIS, **parameters)
    # the last two: early stopping
    absent = {"_coef_indptr", "_intercept_indptr", "_best_coefs", "_best_intercepts"}
    assert set(vars(reference)) - set(vars(mine)) <= absent
    for name in ("loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"):
        assert hasattr(mine, name) == hasattr(reference, name)
    assert (mine.t_, mine.n_iter_, mine.n_layers_) == (
        reference.t_,
        reference.n_iter_,
        reference.n_layers_,
    )
    for name in slots:
        optimizers = [mine._optimizer, reference._optimizer]
        assert deviation(*(getattr(one, name) for one in optimizers)) < 1e-10
        rtol = 1e-15 if name == "velocities" else 1e-12
        assert_allclose(*(one.learning_rate for one in optimizers), rtol=rtol)
    assert "ms" not in slots or mine._optimizer.t == reference._optimizer.t


def test_a_seed_is_no_concern_of_the_users_generator():
    """An estimator seeds the generator that it made for an earlier seed, and no other."""
    own = np.random.RandomState(7)
    mlp = MLPClassifier(**{**SMALL, "random_state": own}).fit(X_IRIS, Y_IRIS)
    before = pickle.dumps(own)
    for seed in (3, np.int64(3), 3):
        mlp.set_params(random_state=seed).fit(X_IRIS, Y_IRIS)
        expected = MLPClassifier(**{**SMALL, "random_state": 3}).fit(X_IRIS, Y_IRIS)
        assert deviation(mlp.coefs_, expected.coefs_) == 0
        assert mlp._random_state.randint(1000) == expected._random_state.randint(1000)
    assert pickle.dumps(own) == before
    assert copy.deepcopy(mlp)._random_state is not mlp._random_state


def test_a_subclass_has_parameters_of_its_own():
    class Small(MLPClassifier):
        def __init__(self, width=3):
            super().__init__((width,))

        width = property(lambda self: self.hidden_layer_sizes[0])

    assert Small(5).get_params() == {"width": 5}
    assert len(MLPClassifier().get_params()) > 20


def test_in_other_estimators():
    results = []
    for module in (fastnn, theirs):
        mlp = module.MLPClassifier(**{**SMALL, "max_iter": 15})
        pipe = make_pipeline(StandardScaler(), mlp)
        grid = GridSearchCV(pipe, {"mlpclassifier__alpha": [1e-4, 1.0]}, cv=3, n_jobs=2).fit(
            X_IRIS, Y_IRIS
        )
        others = BaggingClassifier(mlp, 3, random_state=0), CalibratedClassifierCV(mlp, cv=3)
        found = [other.fit(X_IRIS, Y_IRIS).predict_proba(X_IRIS).ravel() for other in others]
        results.append(np.concatenate([grid.cv_results_["mean_test_score"], *found]))
    assert_allclose(*results, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("max_time", [None, 1e6])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_callback_that_ends_a_fit_is_its_reason(solver, max_time):
    pytest.importorskip("sklearn.callback", reason="needs scikit-learn 1.9")
    last = mock.Mock()
    last.on_fit_task_end = lambda estimator, context, **others: True
    mlp = MLPClassifier(**{**SMALL, "solver": solver}, max_time=max_time).set_callbacks(last)
    mlp.fit(X_IRIS, Y_IRIS)
    assert mlp.stop_reason_ == "callback"


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"solver": "lbfgs"}], ids=str)
def test_callbacks_of_scikit_learn(options, capsys):
    callback = pytest.importorskip("sklearn.callback", reason="needs scikit-learn 1.9")
    pytest.importorskip("rich", reason="scikit-learn's progress bar is rich's")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    parameters = {**SMALL, **options, "max_iter": 6}
    seen = []
    look = mock.Mock()
    look.on_fit_task_end = lambda estimator, context, **others: seen.append(
        getattr(estimator, "loss_", None)
    )
    mlp = MLPClassifier(**parameters)
    mlp.set_callbacks(monitor, callback.ProgressBar(), look).fit(X_IRIS, Y_IRIS)
    log = monitor.get_logs()
    assert sum("accuracy" in entry for entry in getattr(log, "data", log)) >= 6
    assert "100%" in capsys.readouterr().out
    assert options.get("solver") or seen == [*mlp.loss_curve_, mlp.loss_]
    without = MLPClassifier(**parameters).fit(X_IRIS, Y_IRIS)
    assert deviation(weights_of(mlp), weights_of(without)) == 0
