"""`scoring`, by which early stopping goes: scikit-learn's score, the loss, a scorer's name or a function."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.metrics import f1_score, get_scorer, make_scorer, max_error, roc_auc_score
from small_estimators import SMALL, UNCONVERGED, X_DIABETES, X_IRIS, Y_DIABETES, Y_IRIS

from fastnn import MLPClassifier, MLPRegressor

pytestmark = UNCONVERGED

TARGETS = {
    "two classes": (MLPClassifier, X_IRIS, Y_IRIS == 1),
    "text": (MLPClassifier, X_IRIS, np.array(["ant", "bee", "cat"])[Y_IRIS]),
    "several labels": (MLPClassifier, X_IRIS, np.c_[Y_IRIS == 1, Y_IRIS > 0, X_IRIS[:, 0] > 0].astype(int)),
    "a number": (MLPRegressor, X_DIABETES, Y_DIABETES),
    "several numbers": (MLPRegressor, X_DIABETES, np.c_[Y_DIABETES, Y_DIABETES**2]),
}
WEIGHTS = {"no weights": None, "weights": np.random.RandomState(0).uniform(0, 2, 500)}


def fitted(target, weight=None, **parameters):
    kind, X, y = TARGETS[target]
    mlp = kind(**{**SMALL, "early_stopping": True, "n_iter_no_change": 4, **parameters})
    return mlp.fit(X, y, sample_weight=None if weight is None else weight[: len(X)])


def of_the_estimator(estimator, X, y, sample_weight=None):
    return estimator.score(X, y, sample_weight)


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("target", TARGETS)
def test_scikit_learns_scores_by_name_and_by_function_are_the_default_ones(target, weight):
    expected = fitted(target, weight)
    name = "accuracy" if TARGETS[target][0] is MLPClassifier else "r2"
    for scoring in (name, of_the_estimator):
        found = fitted(target, weight, scoring=scoring)
        np.testing.assert_allclose(found.validation_scores_, expected.validation_scores_, rtol=1e-12)
        assert found.n_iter_ == expected.n_iter_
        assert all(np.array_equal(a, b) for a, b in zip(found.coefs_, expected.coefs_, strict=True))


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize(
    ("target", "scorer", "factor"),
    [
        ("two classes", "neg_log_loss", 1),
        ("text", "neg_log_loss", 1),
        ("a number", "neg_mean_squared_error", 1 / 2),
        ("several numbers", "neg_mean_squared_error", 1 / 2),
    ],
)
def test_the_loss_is_that_of_scikit_learns_scorer(target, scorer, factor, weight):
    by_loss = fitted(target, weight, scoring="loss", tol=0)
    by_name = fitted(target, weight, scoring=scorer, tol=0)
    np.testing.assert_allclose(by_loss.validation_scores_, factor * np.array(by_name.validation_scores_), rtol=1e-9)
    assert by_loss.best_validation_score_ == max(by_loss.validation_scores_) < 0


@pytest.mark.parametrize("target", TARGETS)
def test_the_loss_of_rows_that_were_given_is_their_validation_loss(target):
    kind, X, y = TARGETS[target]
    mlp = kind(**SMALL, early_stopping=True, scoring="loss")
    mlp.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2], sample_weight_val=WEIGHTS["weights"][: len(X[1::2])])
    assert mlp.validation_scores_ == [-loss for loss in mlp.validation_loss_curve_]
    assert len(mlp.validation_scores_) == mlp.n_iter_


def test_a_loss_that_is_nan_is_no_improvement_whether_or_not_it_is_the_last_epoch():
    """All but the last epoch are scored within a call of the back end; the last one may be scored alone."""
    held_out = []

    def record(estimator, X, y):
        held_out.append(X[0])
        return 0.0

    mlp = MLPClassifier(
        (8,), "identity", early_stopping=True, warm_start=True, scoring="loss", max_iter=3, random_state=0
    )
    mlp.fit(X_IRIS, Y_IRIS)
    copy.deepcopy(mlp).set_params(scoring=record).fit(X_IRIS, Y_IRIS)  # the next fit holds out these rows
    X = np.where(
        (X_IRIS[:, None] == held_out[0]).all(axis=2).any(axis=1)[:, None], [1e308, -1e308, 1e308, 1e308], X_IRIS
    )
    for n in (1, 2, 3):
        more = copy.deepcopy(mlp).set_params(max_iter=n).fit(X, Y_IRIS)
        assert more.validation_scores_[3:] == [-np.inf] * n
        assert more._no_improvement_count == n


def test_training_ends_by_the_score_and_keeps_the_best_weights():
    """The score says which epoch is the best: here the third."""
    numbers = iter([0.1, 0.2, 0.9, 0.3, 0.3, 0.3, 0.3, 0.3])
    seen = []

    def third(estimator, X, y):
        seen.append(estimator.coefs_)
        return next(numbers)

    mlp = fitted("text", scoring=third, n_iter_no_change=2)
    assert mlp.validation_scores_ == [0.1, 0.2, 0.9, 0.3, 0.3, 0.3]
    assert (mlp.stop_reason_, mlp.best_validation_score_) == ("validation", 0.9)
    assert all(np.array_equal(a, b) for a, b in zip(mlp.coefs_, seen[2], strict=True))


def test_a_rare_class_is_learned_by_loss_where_accuracy_stops_before():
    random = np.random.RandomState(0)
    X = random.standard_normal((4000, 10))
    y = X[:, :3].sum(axis=1) + 2 * random.standard_normal(4000) > 5.5
    assert 0.01 < y.mean() < 0.03
    areas = {}
    for scoring in (None, "loss"):
        mlp = MLPClassifier((16,), early_stopping=True, scoring=scoring, random_state=0).fit(X[:3000], y[:3000])
        areas[scoring] = roc_auc_score(y[3000:], mlp.predict_proba(X[3000:])[:, 1])
    assert areas["loss"] > areas[None] + 0.1


def test_several_labels_and_sparse_rows_reach_the_scorer_as_it_takes_them():
    kind, X, y = TARGETS["several labels"]
    found = []

    def look(estimator, X, y):
        found.append((X.shape, y.shape, estimator.predict(X).shape))
        return f1_score(y, estimator.predict(X), average="macro", zero_division=0)

    dense, thin = (kind(**SMALL, early_stopping=True, scoring=look).fit(X_, y) for X_ in (X, sparse.csr_matrix(X)))
    assert set(found) == {((15, 4), (15, 3), (15, 3))}
    assert dense.validation_scores_ == thin.validation_scores_
    by_name = kind(**SMALL, early_stopping=True, scoring="f1_macro").fit(X, y)
    assert by_name.validation_scores_ == dense.validation_scores_


def test_names_of_columns_are_no_concern_of_the_scorer():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X_IRIS, columns=list("abcd"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn.neural_network")
        mlp = MLPClassifier(**SMALL, early_stopping=True, scoring="balanced_accuracy").fit(frame, Y_IRIS)
    assert mlp.feature_names_in_.tolist() == list("abcd")


@pytest.mark.parametrize(
    ("scoring", "text"),
    [
        ("auc", r"scorer's name, .* Got 'auc' instead. \(did you mean 'roc_auc'\?\)"),
        ("Loss", r"Got 'Loss' instead"),
        (3, "The 'scoring' parameter of MLPClassifier must be an instance of 'str', a callable or None. Got 3 instead"),
        (f1_score, "metric function"),
    ],
)
def test_what_is_no_scoring_is_refused(scoring, text):
    with pytest.raises(ValueError, match=text) as caught:
        fitted("text", scoring=scoring)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        ("high", TypeError, "must return a number, not 'high'"),
        (True, TypeError, "must return a number, not True"),
        (np.nan, ValueError, "returned NaN for the 15 validation rows"),
    ],
)
def test_what_is_no_score_is_refused(value, error, text):
    with pytest.raises(error, match=text):
        fitted("text", scoring=lambda estimator, X, y: value)


def test_a_scorer_without_weights_is_told_so():
    scorer = make_scorer(max_error, greater_is_better=False)
    assert fitted("a number", scoring=scorer).validation_scores_[0] < 0
    with pytest.raises(TypeError, match="was called with sample_weight=, for the validation rows have weights"):
        fitted("a number", WEIGHTS["weights"], scoring=scorer)


def test_a_diverged_epoch_is_the_worst():
    with np.errstate(all="ignore"):
        mlp = fitted(
            "a number", scoring="loss", solver="sgd", learning_rate_init=1e6, activation="identity", max_iter=9
        )
    assert np.isneginf(mlp.validation_scores_[-1])
    assert all(np.isfinite(W).all() for W in mlp.coefs_)  # the best ones


def test_it_is_a_parameter_like_all_others(tmp_path):
    mlp = fitted("text", scoring="loss")
    assert clone(mlp).get_params()["scoring"] == "loss"
    assert mlp.set_params(scoring=None).scoring is None
    mlp.set_params(scoring="loss").save(tmp_path / "mlp.npz")
    assert MLPClassifier.load(tmp_path / "mlp.npz").scoring == "loss"
    mlp.set_params(scoring=of_the_estimator).save(tmp_path / "mlp.npz")
    assert MLPClassifier.load(tmp_path / "mlp.npz").scoring is None
    assert pickle.loads(pickle.dumps(mlp)).scoring is of_the_estimator


def test_a_warm_start_compares_scores_of_one_kind():
    mlp = fitted("text", scoring=None, warm_start=True)
    before = len(mlp.validation_scores_)
    _, X, y = TARGETS["text"]
    assert len(mlp.fit(X, y).validation_scores_) > before
    mlp.set_params(scoring="loss").fit(X, y)
    assert len(mlp.validation_scores_) == mlp.n_iter_
    assert mlp.best_validation_score_ < 0


def test_an_estimator_of_version_0_2_which_had_no_scoring_is_fitted_again():
    older = fitted("text")
    del older.scoring, older._scored_by
    older = copy.deepcopy(older)
    assert older.get_params()["scoring"] is None
    assert older.fit(*TARGETS["text"][1:]).validation_scores_ == fitted("text").validation_scores_


def test_it_is_not_asked_without_early_stopping():
    scorer = get_scorer("accuracy")
    assert MLPClassifier(**SMALL, scoring=scorer).fit(X_IRIS, Y_IRIS).validation_scores_ is None
    assert MLPClassifier(**{**SMALL, "solver": "lbfgs"}, early_stopping=True, scoring="loss").fit(X_IRIS, Y_IRIS)
