"""What the estimators validate on, alone and in a Pipeline, and what a warm start may ask for."""

import numpy as np
import pytest
import sklearn
from estimator_cases import deviation
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from small_estimators import weights_of

from fastnn import MLPClassifier, MLPRegressor

KINDS = [MLPClassifier, MLPRegressor]
SMALL = {"hidden_layer_sizes": (6,), "random_state": 0, "max_iter": 30}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def rows(n, seed):
    """Columns around 5,000, too large to learn from before they are scaled; whether the first is larger; weights."""
    r = np.random.RandomState(seed)
    X = 5000 + 100 * r.standard_normal((n, 3))
    return X, (X[:, 0] > 5000).astype(int), r.uniform(0.5, 2, n)


X, Y, _ = rows(120, 0)
X_VAL, Y_VAL, WEIGHT_VAL = rows(60, 1)
SCALER = StandardScaler().fit(X)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weight", [None, WEIGHT_VAL], ids=["", "weighted"])
def test_both_ways_to_give_them_are_the_same(kind, solver, weight):
    fitted = []
    for given in (
        {"X_val": SCALER.transform(X_VAL), "y_val": Y_VAL, "sample_weight_val": weight},
        {"validation_data": (SCALER.transform(X_VAL), Y_VAL, weight)},
    ):
        mlp = kind(**SMALL, solver=solver, early_stopping=solver == "adam")
        fitted.append(mlp.fit(SCALER.transform(X), Y, **given))
    assert fitted[0].validation_loss_curve_ == fitted[1].validation_loss_curve_
    assert len(fitted[0].validation_loss_curve_) == fitted[0].n_iter_
    assert deviation(weights_of(fitted[0]), weights_of(fitted[1])) == 0
    if solver == "adam":
        assert fitted[0].best_validation_score_ == fitted[0].score(SCALER.transform(X_VAL), Y_VAL, weight)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipeline_transforms_them(kind):
    with sklearn.config_context(enable_metadata_routing=True):
        mlp = kind(**SMALL, early_stopping=True, learning_rate_init=0.02)
        mlp.set_fit_request(X_val=True, y_val=True, sample_weight_val=True)
        pipeline = Pipeline([("scaler", StandardScaler()), ("mlp", mlp)], transform_input=["X_val"])
        pipeline.fit(X, Y, X_val=X_VAL, y_val=Y_VAL, sample_weight_val=WEIGHT_VAL)
    scaled = SCALER.transform(X_VAL)
    by_hand = kind(**SMALL, early_stopping=True, learning_rate_init=0.02)
    by_hand.fit(SCALER.transform(X), Y, X_val=scaled, y_val=Y_VAL, sample_weight_val=WEIGHT_VAL)
    assert mlp.validation_scores_ == by_hand.validation_scores_
    assert mlp.best_validation_score_ == by_hand.score(scaled, Y_VAL, WEIGHT_VAL) > 0.3
    assert deviation(weights_of(mlp), weights_of(by_hand)) == 0


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"X_val": X_VAL}, "X_val is provided, but y_val was not provided."),
        ({"y_val": Y_VAL}, "y_val is provided, but X_val was not provided."),
        ({"sample_weight_val": WEIGHT_VAL}, "sample_weight_val is provided, but X_val was not provided."),
        ({"X_val": X_VAL, "y_val": Y_VAL, "validation_data": (X_VAL, Y_VAL)}, "give one of them"),
        ({"validation_data": X_VAL}, r"must be a tuple \(X, y\) or \(X, y, sample_weight\)"),
        ({"X_val": X_VAL, "y_val": Y_VAL[:9]}, "validation data's X has 60 rows, its y has 9"),
        ({"X_val": X_VAL[:, :2], "y_val": Y_VAL}, "X has 2 features, but .* is expecting 3"),
        ({"X_val": X_VAL, "y_val": Y_VAL, "sample_weight_val": -WEIGHT_VAL}, "Negative values"),
    ],
    ids=["X alone", "y alone", "weights alone", "both", "no tuple", "rows", "columns", "negative weights"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit_is_refused(kind, given, text):
    with pytest.raises(ValueError, match=text):
        kind(**SMALL).fit(X, Y, **given)


def test_an_unknown_class_is_refused():
    with pytest.raises(ValueError, match=r"validation data have classes that y has not: \[2\]"):
        MLPClassifier(**SMALL).fit(X, Y, X_val=X_VAL, y_val=2 * Y_VAL)


@pytest.mark.parametrize("asked", [(16,), 16, (4,), (8, 8), ()])
@pytest.mark.parametrize("again", ["fit", "partial_fit"])
@pytest.mark.parametrize("kind", KINDS)
def test_other_layers_than_the_fitted_ones_are_refused(kind, again, asked):
    mlp = kind(hidden_layer_sizes=(8,), random_state=0, warm_start=True, max_iter=2).fit(X, Y)
    before = [w.copy() for w in weights_of(mlp)]
    mlp.set_params(hidden_layer_sizes=asked)
    with pytest.raises(ValueError, match=r"the fitted network has layers of \(3, 8, 1\), this fit asks for \(3, "):
        getattr(mlp, again)(X, Y)
    assert deviation(weights_of(mlp), before) == 0


@pytest.mark.parametrize("same", [8, [8], np.array([8]), (np.int32(8),)], ids=["int", "list", "array", "NumPy's"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_layers_in_other_words_go_on(kind, same):
    mlp = kind(hidden_layer_sizes=(8,), random_state=0, warm_start=True, max_iter=2).fit(X, Y)
    mlp.set_params(hidden_layer_sizes=same).fit(X, Y)
    assert len(mlp.loss_curve_) == 4
