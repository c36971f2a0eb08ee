"""As scikit-learn: settings drawn at random, labels, bad input, trainings that go wrong, and what
is printed."""

import copy
import re

import hypothesis
import numpy as np
import pytest
import sklearn.neural_network as theirs
from estimator_cases import cases, compare, deviation
from numpy.testing import assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from small_estimators import (
    SMALL,
    X_DIABETES,
    X_IRIS,
    Y_DIABETES,
    Y_IRIS,
    assert_same,
    both,
    weights_of,
)

import fastnn
from fastnn import MLPClassifier, MLPRegressor

DRAWN = [(75, {}), (25, {"backend": "numpy"}), pytest.param(2000, {}, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("n", "more"), DRAWN, ids=str)
def test_same_seed_same_result(n, more):
    @hypothesis.settings(max_examples=n)
    @hypothesis.given(cases())
    def compare_both(case):
        compare(case, **more)

    compare_both()


def ends(call):
    """What a call with either library ends with: what it returns, or the error's type and text."""
    found = []
    for module in (fastnn, theirs):
        try:
            found.append(call(module))
        except (ValueError, TypeError) as error:
            found.append((type(error), str(error)))
    return found


def assert_end_the_same(call):
    mine, reference = ends(call)
    if isinstance(reference, tuple):
        assert mine == reference
    else:
        assert_same(mine, reference)


SGD = {
    "solver": "sgd",
    "learning_rate": "adaptive",
    "tol": 0.1,
    "n_iter_no_change": 1,
    "learning_rate_init": 0.1,
}


@pytest.mark.parametrize(
    "parameters", [{"early_stopping": True, "max_iter": 60, "warm_start": True}, SGD]
)
def test_what_is_printed(parameters, capsys):
    printed = []
    for module in (fastnn, theirs):
        module.MLPClassifier(**SMALL | parameters, verbose=True).fit(X_IRIS, Y_IRIS)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "Iteration 1, loss = " in printed[0]


def test_warm_start_with_early_stopping_that_never_improves():
    """scikit-learn then returns the last weights, which overwrote the best ones; `fix_defects` the
    best ones."""
    parameters = {**SMALL, "early_stopping": True, "warm_start": True, "max_iter": 3, "tol": 1.0}
    mine = MLPClassifier(**parameters)
    reference = theirs.MLPClassifier(**parameters)
    fixed = MLPClassifier(**parameters, fix_defects=True).fit(X_IRIS, Y_IRIS)
    before = copy.deepcopy(weights_of(fixed))
    for estimator in (mine.fit(X_IRIS, Y_IRIS), reference.fit(X_IRIS, Y_IRIS), fixed):
        estimator.best_validation_score_ = 2.0
        estimator.fit(X_IRIS, Y_IRIS)
    assert_same(mine, reference)
    assert deviation(weights_of(fixed), before) == 0


DIVERGING = SMALL | {"solver": "sgd", "batch_size": 50, "activation": "identity"}


@pytest.mark.parametrize("fix_defects", [False, True])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_fit_that_diverges_ends_with_its_last_finite_weights(kind, early_stopping, fix_defects):
    """And says so; scikit-learn's goes on to the last epoch, on NaN, and raises unless it stops
    early."""
    rules = {"early_stopping": early_stopping, "fix_defects": fix_defects}
    mlp = kind(**DIVERGING, **rules, learning_rate_init=1e6)
    with pytest.warns(
        ConvergenceWarning,
        match=r"diverged in iteration \d+, and ends with the last finite weights",
    ):
        mlp.fit(X_IRIS, Y_IRIS)
    assert mlp.stop_reason_ == "diverged"
    assert 1 <= mlp.n_iter_ == len(mlp.loss_curve_) < mlp.max_iter
    assert np.isfinite(mlp.loss_curve_).all()
    assert all(np.isfinite(a).all() for a in weights_of(mlp))
    assert np.isfinite(mlp.predict(X_IRIS).astype(float)).all()


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_fit_that_diverges_in_its_first_epoch_raises_as_scikit_learns(kind, method):
    more = {"classes": [0, 1, 2]} if (kind, method) == (MLPClassifier, "partial_fit") else {}

    def call(module):
        mlp = getattr(module, kind.__name__)(**DIVERGING, learning_rate_init=1e150)
        return getattr(mlp, method)(X_IRIS, Y_IRIS, **more)

    with np.errstate(all="ignore"):
        fits = ends(call)
    assert fits[0] == fits[1]
    assert "non-finite parameter weights" in fits[0][1]


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_further_call_that_diverges_goes_back_to_the_moments_of_the_last(solver):
    batches = {"batch_size": 50, "shuffle": False, "solver": solver}
    fits = [MLPRegressor(**SMALL | batches).partial_fit(X_IRIS, Y_IRIS) for _ in range(2)]
    fits[0].partial_fit(X_IRIS[:100], Y_IRIS[:100])
    huge = np.append(Y_IRIS[:100], np.full(50, 1e300))
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        fits[1].partial_fit(X_IRIS, huge)
    assert deviation(*map(weights_of, fits)) == 0


def test_a_loss_that_overflows_is_a_divergence_though_the_weights_stay_finite():
    X = np.array([[1.0], [2.0]])
    y = np.array([3e154, 0.0])
    mlp = MLPRegressor(**SMALL | {"solver": "sgd", "hidden_layer_sizes": (), "max_iter": 5})
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        mlp.fit(X, y)
    assert mlp.stop_reason_ == "diverged"


def test_poisson_with_negative_targets():
    mine, reference = both("MLPRegressor", X_DIABETES, Y_DIABETES, loss="poisson", solver="sgd")
    assert_same(mine, reference)
    assert np.isnan(mine.loss_curve_ + reference.loss_curve_).all()
    with pytest.raises(ValueError, match="not negative"):
        MLPRegressor("poisson", **SMALL, fix_defects=True).fit(X_DIABETES, Y_DIABETES)


def test_float32_stays(dtype):
    mine, reference = both("MLPClassifier", X_IRIS.astype(dtype), Y_IRIS)
    assert mine.coefs_[0].dtype == mine.predict_proba(X_IRIS.astype(dtype)).dtype == dtype
    assert_same(mine, reference, 1e-4 if dtype == np.float32 else 1e-10)


BAD = [
    {"alpha": -1},
    {"hidden_layer_sizes": (3, 0)},
    {"hidden_layer_sizes": -1},
    {"tol": -1.0},
    {"batch_size": 0},
    {"momentum": 2},
    {"beta_1": 1.0},
    {"early_stopping": True, "validation_fraction": 0.001},
    {"early_stopping": True, "validation_fraction": 0.0},
]


@pytest.mark.parametrize("parameters", BAD, ids=str)
def test_bad_parameters(parameters):
    mine, reference = ends(
        lambda module: module.MLPClassifier(**SMALL | parameters).fit(X_IRIS, Y_IRIS)
    )
    assert mine[0] is reference[0]
    assert issubclass(mine[0], ValueError)
    # word by word, since scikit-learn lists the legal names in the order of a set
    assert sorted(re.findall(r"\w+", mine[1])) == sorted(re.findall(r"\w+", reference[1]))


BAD_ROWS = [(X, Y_IRIS) for X in (X_IRIS[:10], X_IRIS[:, 0], np.full_like(X_IRIS, np.nan))]


@pytest.mark.parametrize(("X", "y"), [*BAD_ROWS, (X_IRIS, np.arange(150) + 0.5)])
def test_bad_data(X, y):
    mine, reference = ends(lambda module: module.MLPClassifier(**SMALL).fit(X, y))
    assert mine[0] is reference[0] is ValueError
    begin = mine[1].split("...")[0]
    end = mine[1].split("...")[-1]
    if len(reference[1]) > 1000:  # it has all of X: fastnn leaves out what stands in between
        assert min(len(begin), len(end)) > 200
        assert reference[1].startswith(begin)
        assert reference[1].endswith(end)
    else:
        assert mine[1] == reference[1]
    assert len(mine[1]) < 1000


def test_bad_rows_and_weights():
    fitted = MLPClassifier(**SMALL).fit(X_IRIS, Y_IRIS)
    # of one row, which scikit-learn's checks do not try
    for wrong, text in ((np.nan, "NaN"), (np.inf, "infinity")):
        with pytest.raises(ValueError, match=text):
            fitted.predict(np.full((1, 4), wrong))
    with pytest.raises(ValueError, match="Negative"):
        fitted.fit(X_IRIS, Y_IRIS, sample_weight=np.full(150, -1.0))


FLOWERS = np.array(["setosa", "versicolor", "virginica"])[Y_IRIS]
VECTORS = {
    **{name: Y_IRIS.astype(name) for name in ("i8", "i1", "u2", "f8", "f4", ">i4")},
    "yes or no": Y_IRIS > 0,
    "one": np.full(150, -3),
    "gaps": np.where(Y_IRIS == 1, 70, -5),
    "text": FLOWERS,
    "long text": FLOWERS.astype("<U30"),
    "text in objects": FLOWERS.astype(object),
}


@pytest.mark.parametrize("name", VECTORS)
def test_labels_of_a_fit(name):
    mine, reference = both("MLPClassifier", X_IRIS, VECTORS[name])
    assert_same(mine, reference)
    ours, others = (vars(mlp._label_binarizer) for mlp in (mine, reference))
    assert ours.keys() == others.keys()
    for name in ("y_type_", "sparse_input_"):
        assert ours[name] == others[name]
    assert_array_equal(mine.classes_, reference.classes_, strict=True)
    assert_array_equal(mine.predict(X_IRIS), reference.predict(X_IRIS), strict=True)


LATER = {
    "unknown": np.where(Y_IRIS == 2, 9, Y_IRIS),
    "below": Y_IRIS - 1,
    "fewer": Y_IRIS % 2,
    "fractions": Y_IRIS + 0.5,
    "whole floats": Y_IRIS * 1.0,
    "text": FLOWERS,
    "objects": Y_IRIS.astype(object),
    "text in objects": FLOWERS.astype(object),
    "column": Y_IRIS[:, None],
    "several": np.eye(3, dtype=int)[Y_IRIS],
    "NaN": np.full(150, np.nan),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@pytest.mark.parametrize("name", LATER)
@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("first", [Y_IRIS, FLOWERS], ids=["numbers", "text"])
def test_labels_of_a_later_call(name, warm_start, first):
    mlps = {
        m: m.MLPClassifier(**SMALL, warm_start=warm_start).fit(X_IRIS, first)
        for m in (fastnn, theirs)
    }
    assert_end_the_same(lambda module: mlps[module].partial_fit(X_IRIS, LATER[name]))


@pytest.mark.parametrize(
    "classes",
    [[0, 1, 2], (2, 1, 0), [0.0, 1.0, 2.0], [0, 1], [0, 1, 2, 3], ["0", "1", "2"], [0, "1"]],
    ids=str,
)
def test_classes_of_a_later_call(classes):
    mlps = {
        m: m.MLPClassifier(**SMALL).partial_fit(X_IRIS, Y_IRIS, classes=[0, 1, 2])
        for m in (fastnn, theirs)
    }
    assert_end_the_same(lambda module: mlps[module].partial_fit(X_IRIS, Y_IRIS, classes=classes))


@pytest.mark.parametrize("n_yes", [1, 2, 149])
def test_a_class_of_one_row_cannot_be_split(n_yes):
    y = np.arange(150) < n_yes
    assert_end_the_same(
        lambda module: module.MLPClassifier(**SMALL, early_stopping=True).fit(X_IRIS, y)
    )
