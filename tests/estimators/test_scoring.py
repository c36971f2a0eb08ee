"""What estimators validate on, alone and in a Pipeline; `scoring`, by which they stop early; and
warm starts."""

import copy
import pickle

import numpy as np
import pytest
import sklearn
from estimator_cases import deviation
from numpy.random import RandomState
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.base import clone
from sklearn.metrics import f1_score, make_scorer, max_error
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from small_estimators import SMALL, X_DIABETES, X_IRIS, Y_DIABETES, Y_IRIS, weights_of

from fastnn import MLPClassifier, MLPRegressor


def rows(n, seed):
    """Columns around 5,000, too large to learn from before they are scaled; whether the first is
    larger; weights."""
    r = RandomState(seed)
    X = 5000 + 100 * r.standard_normal((n, 3))
    return X, (X[:, 0] > 5000).astype(int), r.uniform(0.5, 2, n)


X, Y, WEIGHT = rows(120, 0)
X_VAL, Y_VAL, WEIGHT_VAL = rows(60, 1)
SCALER = StandardScaler().fit(X)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("weight", [None, WEIGHT_VAL], ids=["", "weighted"])
def test_both_ways_to_give_them_are_the_same(kind, solver, weight):
    scaled = SCALER.transform(X_VAL)
    by_names = {"X_val": scaled, "y_val": Y_VAL, "sample_weight_val": weight}
    parameters = {**SMALL, "solver": solver, "early_stopping": solver == "adam"}
    mlp, other = (
        kind(**parameters).fit(SCALER.transform(X), Y, **given)
        for given in (by_names, {"validation_data": (scaled, Y_VAL, weight)})
    )
    assert mlp.validation_loss_curve_ == other.validation_loss_curve_
    assert len(mlp.validation_loss_curve_) == mlp.n_iter_
    assert deviation(weights_of(mlp), weights_of(other)) == 0
    if kind is MLPClassifier:
        losses = -np.log(mlp.predict_proba(scaled)[np.arange(60), Y_VAL])
    else:
        losses = (mlp.predict(scaled) - Y_VAL) ** 2 / 2
    best = np.argmax(mlp.validation_scores_) if solver == "adam" else -1
    assert mlp.validation_loss_curve_[best] == pytest.approx(
        np.average(losses, weights=weight), rel=1e-10
    )
    if solver == "adam":
        assert mlp.best_validation_score_ == mlp.score(scaled, Y_VAL, weight)


@pytest.mark.parametrize("y", [Y_DIABETES, np.c_[Y_DIABETES, -Y_DIABETES]], ids=np.shape)
def test_rows_to_validate_on_change_no_bit_of_a_fit(y):
    """Nor of a warm start; losses of all fits that had some stand in one curve."""
    X = X_DIABETES
    held_out = {"validation_data": (X_DIABETES[::3], y[::3])}
    plain, validated = (MLPRegressor(**{**SMALL, "max_iter": 3}, warm_start=True) for _ in range(2))
    for n, given in (3, held_out), (3, {}), (6, held_out):
        plain.fit(X, y)
        validated.fit(X, y, **given)
        assert validated.loss_curve_ == plain.loss_curve_
        assert len(validated.validation_loss_curve_) == n
        assert deviation(weights_of(validated), weights_of(plain)) == 0


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_targets_to_validate_on_may_be_in_fortran_order(solver, dtype, backend):
    """They went to the kernel column by column, and the validation losses were wrong."""
    X = SCALER.transform(X_VAL).astype(dtype)
    Y = np.c_[Y_VAL, WEIGHT_VAL]
    curves = []
    for order in "CF":
        mlp = MLPRegressor(**SMALL, solver=solver, backend=backend).fit(
            X, Y, X_val=X, y_val=np.array(Y, order=order)
        )
        curves.append(mlp.validation_loss_curve_)
    assert curves[0] == curves[1]
    assert np.isfinite(curves[0]).all()


def test_a_pipeline_transforms_them(kind):
    parameters = {**SMALL, "early_stopping": True, "learning_rate_init": 0.02}
    with sklearn.config_context(enable_metadata_routing=True):
        mlp = kind(**parameters).set_score_request(sample_weight=True)
        mlp.set_fit_request(X_val=True, y_val=True, sample_weight_val=True, sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = Pipeline([("scaler", scaler), ("mlp", mlp)], transform_input=["X_val"])
        weights = {"sample_weight": WEIGHT, "sample_weight_val": WEIGHT_VAL}
        pipeline.fit(X, Y, X_val=X_VAL, y_val=Y_VAL, **weights)
        score = pipeline.score(X_VAL, Y_VAL, sample_weight=WEIGHT_VAL)
    scaled = SCALER.transform(X_VAL)
    by_hand = kind(**parameters).fit(SCALER.transform(X), Y, X_val=scaled, y_val=Y_VAL, **weights)
    assert mlp.validation_scores_ == by_hand.validation_scores_
    assert mlp.best_validation_score_ == by_hand.score(scaled, Y_VAL, WEIGHT_VAL) == score > 0.3
    assert deviation(weights_of(mlp), weights_of(by_hand)) == 0


REFUSED = [
    ({"X_val": X_VAL}, "X_val is provided, but y_val was not provided."),
    ({"y_val": Y_VAL}, "y_val is provided, but X_val was not provided."),
    (
        {"sample_weight_val": WEIGHT_VAL},
        "sample_weight_val is provided, but X_val was not provided.",
    ),
    ({"X_val": X_VAL, "y_val": Y_VAL, "validation_data": (X_VAL, Y_VAL)}, "give one of them"),
    ({"validation_data": X_VAL}, r"must be a tuple \(X, y\) or \(X, y, sample_weight\)"),
    ({"X_val": X_VAL, "y_val": Y_VAL[:9]}, "validation data's X has 60 rows, its y has 9"),
    (
        {"X_val": X_VAL[:, :2], "y_val": Y_VAL},
        "X_val, the validation rows: X has 2 features, .* expecting",
    ),
    ({"X_val": X_VAL, "y_val": Y_VAL, "sample_weight_val": -WEIGHT_VAL}, "Negative values"),
]


@pytest.mark.parametrize(("given", "text"), REFUSED)
def test_what_does_not_fit_is_refused(kind, given, text):
    with pytest.raises(ValueError, match=text):
        kind(**SMALL).fit(X, Y, **given)


def test_an_unknown_class_is_refused():
    with pytest.raises(ValueError, match=r"validation data have classes that y has not: \[2\]"):
        MLPClassifier(**SMALL).fit(X, Y, X_val=X_VAL, y_val=2 * Y_VAL)


@pytest.mark.parametrize("again", ["fit", "partial_fit"])
def test_other_layers_are_refused_and_the_same_in_other_words_go_on(kind, again):
    mlp = kind(hidden_layer_sizes=(8,), random_state=0, warm_start=True, max_iter=1).fit(X, Y)
    before = [w.copy() for w in weights_of(mlp)]
    for asked in ((16,), 16, (4,), (8, 8), ()):
        mlp.set_params(hidden_layer_sizes=asked)
        with pytest.raises(
            ValueError,
            match=r"the fitted network has layers of \(3, 8, 1\), this fit asks for \(3, ",
        ):
            getattr(mlp, again)(X, Y)
    if kind is MLPRegressor:
        with pytest.raises(ValueError, match="the fitted network"):
            getattr(mlp.set_params(hidden_layer_sizes=(8,)), again)(X, np.c_[Y, Y])
    assert deviation(weights_of(mlp), before) == 0
    for same in (8, [8], np.array([8]), (np.int32(8),)):
        getattr(mlp.set_params(hidden_layer_sizes=same), again)(X, Y)
    assert len(mlp.loss_curve_) == 5


TARGETS = {
    "two classes": (MLPClassifier, X_IRIS, Y_IRIS == 1),
    "text": (MLPClassifier, X_IRIS, np.array(["ant", "bee", "cat"])[Y_IRIS]),
    "several labels": (
        MLPClassifier,
        X_IRIS,
        np.c_[Y_IRIS == 1, Y_IRIS > 0, X_IRIS[:, 0] > 0].astype(int),
    ),
    "a number": (MLPRegressor, X_DIABETES, Y_DIABETES),
    "several numbers": (MLPRegressor, X_DIABETES, np.c_[Y_DIABETES, Y_DIABETES**2]),
}
WEIGHTS = {"no weights": None, "weights": RandomState(0).uniform(0, 2, 500)}


def fitted(target, weight=None, **parameters):
    kind, X, y = TARGETS[target]
    mlp = kind(**{**SMALL, "early_stopping": True, "n_iter_no_change": 4, **parameters})
    return mlp.fit(X, y, sample_weight=None if weight is None else weight[: len(X)])


def of_the_estimator(estimator, X, y, sample_weight=None):
    return estimator.score(X, y, sample_weight)


SCORERS = dict.fromkeys(("two classes", "text"), ("neg_log_loss", 1))
SCORERS |= dict.fromkeys(("a number", "several numbers"), ("neg_mean_squared_error", 1 / 2))


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("target", SCORERS)
def test_the_loss_is_that_of_scikit_learns_scorer(target, weight):
    scorer, factor = SCORERS[target]
    by_loss, by_name = (
        fitted(target, weight, scoring=scoring, tol=0) for scoring in ("loss", scorer)
    )
    assert_allclose(
        by_loss.validation_scores_, factor * np.array(by_name.validation_scores_), rtol=1e-9
    )
    assert by_loss.best_validation_score_ == max(by_loss.validation_scores_) < 0


def test_a_loss_that_is_nan_is_no_improvement_whether_or_not_it_is_the_last_epoch():
    """All but the last epoch are scored within a call of the back end; the last one may be scored
    alone."""
    held_out = []
    options = {
        "early_stopping": True,
        "warm_start": True,
        "scoring": "loss",
        "max_iter": 3,
        "random_state": 0,
    }
    mlp = MLPClassifier((8,), "identity", **options).fit(X_IRIS, Y_IRIS)
    record = lambda estimator, X, y: held_out.append(X[0]) or 0.0  # noqa: E731
    # the next fit holds out these rows
    copy.deepcopy(mlp).set_params(scoring=record).fit(X_IRIS, Y_IRIS)
    are_held_out = (X_IRIS[:, None] == held_out[0]).all(axis=2).any(axis=1)[:, None]
    X = np.where(are_held_out, [1e308, -1e308, 1e308, 1e308], X_IRIS)
    for n in (1, 2, 3):
        more = copy.deepcopy(mlp).set_params(max_iter=n).fit(X, Y_IRIS)
        assert more.validation_scores_[3:] == [-np.inf] * n
        assert more._no_improvement_count == n


def test_training_ends_by_the_score_and_keeps_the_best_weights():
    numbers = iter([0.1, 0.2, 0.9, 0.3, 0.3, 0.3, 0.3, 0.3])
    seen = []

    def third(estimator, X, y):
        seen.append(estimator.coefs_)
        return next(numbers)

    mlp = fitted("text", scoring=third, n_iter_no_change=2)
    assert mlp.validation_scores_ == [0.1, 0.2, 0.9, 0.3, 0.3, 0.3]
    assert (mlp.stop_reason_, mlp.best_validation_score_) == ("validation", 0.9)
    assert deviation(mlp.coefs_, seen[2]) == 0


def test_several_labels_and_sparse_rows_reach_the_scorer_as_it_takes_them():
    kind, X, y = TARGETS["several labels"]
    found = []

    def look(estimator, X, y):
        found.append((X.shape, y.shape, estimator.predict(X).shape))
        return f1_score(y, estimator.predict(X), average="macro", zero_division=0)

    dense, thin = (
        kind(**SMALL, early_stopping=True, scoring=look).fit(X_, y)
        for X_ in (X, sparse.csr_matrix(X))
    )
    assert set(found) == {((15, 4), (15, 3), (15, 3))}
    assert dense.validation_scores_ == thin.validation_scores_
    by_name = kind(**SMALL, early_stopping=True, scoring="f1_macro").fit(X, y)
    assert by_name.validation_scores_ == dense.validation_scores_


def test_names_of_columns_are_no_concern_of_the_scorer():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X_IRIS, columns=list("abcd"))
    # no warning
    mlp = MLPClassifier(**SMALL, early_stopping=True, scoring="balanced_accuracy").fit(
        frame, Y_IRIS
    )
    assert mlp.feature_names_in_.tolist() == list("abcd")


def test_a_scorer_without_weights_is_told_so():
    scorer = make_scorer(max_error, greater_is_better=False)
    assert fitted("a number", scoring=scorer).validation_scores_[0] < 0
    with pytest.raises(
        TypeError, match="was called with sample_weight=, for the validation rows have weights"
    ):
        fitted("a number", WEIGHTS["weights"], scoring=scorer)


def test_a_fit_that_diverges_keeps_the_weights_of_the_best_epoch():
    diverging = {
        "solver": "sgd",
        "learning_rate_init": 0.4,
        "activation": "identity",
        "max_iter": 9,
    }
    mlp = fitted("a number", scoring="loss", **diverging)
    assert mlp.stop_reason_ == "diverged"
    assert len(mlp.validation_scores_) == mlp.n_iter_ < 9
    best = fitted(
        "a number",
        scoring="loss",
        **diverging | {"max_iter": 1 + int(np.argmax(mlp.validation_scores_))},
    )
    assert deviation(mlp.coefs_, best.coefs_) == 0


def test_a_function_is_pickled_and_not_saved(tmp_path):
    mlp = fitted("text", scoring=of_the_estimator)
    mlp.save(tmp_path / "mlp.npz")
    assert MLPClassifier.load(tmp_path / "mlp.npz").scoring is None
    assert pickle.loads(pickle.dumps(clone(mlp))).scoring is of_the_estimator
