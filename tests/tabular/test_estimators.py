"""TabularClassifier and TabularRegressor: scikit-learn's contract, rows left out, targets, time, Ctrl-C."""

import signal

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.model_selection import KFold, TimeSeriesSplit
from sklearn.utils.estimator_checks import estimator_checks_generator
from small_tables import SHORT, both, mixed

from fastnn import InterruptWarning, Network, TablePreparation, TabularClassifier, TabularRegressor
from fastnn.files.description import without_state
from fastnn.many import block
from fastnn.tabular import members
from fastnn.tabular.members import PRESETS, Sample, initial_params, input_scales, settings_of, unscaled

FRAME, LABELS, NUMBERS = mixed()
CHECKED = [
    TablePreparation(),
    TabularClassifier("fast", epochs=8, n_jobs=1),
    TabularRegressor("fast", epochs=8, n_jobs=1),
]
DIFFERENT = {"check_sample_weight_equivalence_on_dense_data": "a row that is there twice is drawn twice: other orders"}


def contract():
    for estimator in CHECKED:
        for i, (instance, check) in enumerate(estimator_checks_generator(estimator)):  # some are there twice
            yield pytest.param(instance, check, id=f"{type(estimator).__name__}-{i}-{check.func.__name__}")


@pytest.mark.parametrize(("estimator", "check"), list(contract()))
@pytest.mark.filterwarnings("ignore")
def test_check_estimator(estimator, check):
    if check.func.__name__ in DIFFERENT:
        pytest.skip(DIFFERENT[check.func.__name__])
    check(estimator)


@pytest.fixture(params=["classifier", "regressor"])
def kind(request):
    return request.param


def fit(kind, **options):
    model, which = both(**options)[kind]
    return model.fit(FRAME, (FRAME, LABELS, NUMBERS)[which])


def outputs(model, X=FRAME):
    return model.predict_proba(X) if hasattr(model, "classes_") else model.predict(X)


def test_it_learns_words_gaps_and_products():
    """A table of 600 rows where a word says whether a number counts, with gaps: 90 % of the labels, R2 of 0.8."""
    X, labels, numbers = mixed(600)
    X_test, labels_test, numbers_test = mixed(300, seed=1)
    options = {"random_state": 0, "n_jobs": 1}
    assert TabularClassifier("fast", **options).fit(X, labels).score(X_test, labels_test) > 0.8
    assert TabularRegressor("fast", **options).fit(X, numbers).score(X_test, numbers_test) > 0.6


def test_the_same_seed_gives_the_same_bits(kind):
    one, two = fit(kind, n_jobs=1), fit(kind, n_jobs=2)
    assert outputs(one).tobytes() == outputs(two).tobytes()
    assert outputs(fit(kind, random_state=1)).tobytes() != outputs(one).tobytes()


def test_columns_that_tell_of_the_target_are_larger_inputs():
    r = np.random.default_rng(0)
    inputs = r.normal(size=(400, 5)).astype(np.float32) * np.float32([1, 1, 1, 9, 0])
    targets = np.stack([inputs[:, 1] + r.normal(size=400), inputs[:, 3]], axis=1).astype(np.float32)
    weight = r.integers(0, 3, 400).astype(float)
    network = Network((5, 32, 2), "gelu")
    scales = input_scales(network, Sample(inputs, targets, weight, None))
    known = np.repeat(np.arange(400), weight.astype(int))
    columns = inputs[known, :4].T
    squares = ((columns.T - columns.T.mean(axis=0)) ** 2).T
    explained = [
        [np.corrcoef(x, targets[known].T)[0, 1:] ** 2 for x in pair] for pair in zip(columns, squares, strict=True)
    ]
    r2 = np.append(np.max(explained, axis=(1, 2)), 0)
    chance = (weight**2).sum() / weight.sum() ** 2
    relevance = (r2 + chance) / (r2 + 20 * chance)
    assert_allclose(scales, np.sqrt(32 / 5 * relevance / relevance.mean()), rtol=1e-5)
    assert scales[3] > scales[1] > 1.5 * scales[0] > scales[4]
    params = initial_params(network, np.random.RandomState(0))
    alone = unscaled(network, params, scales)
    assert_allclose(
        alone.predict(inputs), without_state(network, params, "numba").predict(inputs * scales), rtol=1e-4, atol=1e-5
    )
    assert (input_scales(network, Sample(inputs, 0 * targets, None, None)) == np.float32(np.sqrt(32 / 5))).all()


def test_rows_of_weight_0_are_not_there(kind):
    """Whatever they hold: targets and numbers of another size, words of their own, a class of their own."""
    rng = np.random.RandomState(0)
    rows = rng.random_sample(len(FRAME)) < 0.8
    frame = FRAME.copy()
    frame.loc[~rows, "color"], frame.loc[~rows, "size"] = "black", 1e9
    model, which = both()[kind]
    y = np.array((LABELS, NUMBERS)[which - 1])
    strange = np.where(rows, y, "another" if kind == "classifier" else 1e9)
    whole = clone(model).fit(frame, strange, sample_weight=2.0 * rows)
    part = clone(model).fit(FRAME[rows], y[rows], sample_weight=np.full(rows.sum(), 2.0))
    assert outputs(whole).tobytes() == outputs(part).tobytes()
    assert np.isnan(whole._out_of_bag[~rows]).all()
    assert whole._out_of_bag[rows].tobytes() == part._out_of_bag.tobytes()
    assert whole.oob_score_ == part.oob_score_


@pytest.mark.parametrize("kind", [bool, int])
def test_labels_of_python_are_labels(kind):
    y = np.array([kind(label == "yes") for label in np.where(NUMBERS.mean() < NUMBERS, "yes", "no")], object)
    model = fit_classifier(y)
    assert model.classes_.tolist() == [kind(0), kind(1)]
    assert outputs(model).tobytes() == outputs(fit_classifier(y.astype(kind))).tobytes()


def fit_classifier(y, X=FRAME, **options):
    return both()["classifier"][0].fit(X, y, **options)


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("y holds labels of different kinds, int and str", {"y": np.array(["a", 1] * 30, object)}),
        ("groups are all the same", {"y": LABELS, "groups": [1] * 60}),
        ("X is a dict: make a data frame", {"y": LABELS, "X": {"a": [1] * 60}}),
        ("X is a list of dicts: make a data frame", {"y": LABELS, "X": [{"a": 1}] * 60}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_errors_speak_of_tables(message, arguments):
    with pytest.raises((ValueError, TypeError), match=message):
        fit_classifier(**arguments)


@pytest.mark.parametrize("cv", [KFold(3), [(range(0), range(20)), (range(0), range(20, 40))]], ids=["KFold", "rows"])
def test_splits_are_those_of_all_rows(cv):
    """A row of weight 0 moves no other row into another split."""
    weight = np.ones(60)
    weight[:10] = 0
    model = both(cv=cv)["regressor"][0].fit(FRAME, NUMBERS, sample_weight=weight)
    left_out = np.concatenate([np.asarray(test) for _, test in (cv.split(FRAME) if hasattr(cv, "split") else cv)])
    assert np.flatnonzero(~np.isnan(model.oob_prediction_)).tolist() == [row for row in left_out if weight[row]]


def test_a_few_columns_are_seen_among_many():
    """Of 60 columns of four levels two decide: 0.9675 of the rows are right, 0.92 where all columns count alike."""
    r = np.random.default_rng(0)
    X = r.integers(0, 4, (1200, 60)).astype(str)
    y = (X[:, 7] == "1") ^ (X[:, 30] == "2") ^ (r.random(1200) < 0.03)
    model = TabularClassifier("fast", random_state=0).fit(X[:800], y[:800])
    assert model.score(X[800:], y[800:]) > 0.95


def test_the_prediction_is_the_members_mean(kind):
    model = fit(kind)
    inputs = model.preparation_.transform(FRAME)
    mean = np.mean([member.predict(inputs) for member in model.estimators_], axis=0, dtype=np.float64)
    if kind == "classifier":
        rest = np.maximum(mean - model._unsmoothing.offset, 0.0005)
        assert_allclose(model.predict_proba(FRAME), rest / rest.sum(axis=1, keepdims=True), rtol=1e-14)
        assert (model.predict(FRAME) == model.classes_[mean.argmax(axis=1)]).all()
    else:
        y = mean[:, 0] * NUMBERS.std() + NUMBERS.mean()
        assert_allclose(model.predict(FRAME), np.clip(y, NUMBERS.min(), NUMBERS.max()), rtol=1e-6, atol=1e-6)


def test_one_row_has_the_bits_it_has_among_others(kind):
    model = fit(kind)
    whole = outputs(model)
    assert all(outputs(model, FRAME[i : i + 1]).tobytes() == whole[i : i + 1].tobytes() for i in range(0, 60, 7))


def test_members_leave_out_disjoint_parts_of_equal_sizes_with_the_labels_shares():
    labels = np.repeat([0, 1], [70, 33])
    dealt = members.parts(103, 8, 0.125, labels, np.random.RandomState(0))
    assert [len(part) for part in dealt] == [12] * 8
    assert len(set(np.concatenate(dealt))) == 96
    assert all(3 <= labels[part].sum() <= 5 for part in dealt)
    again = members.parts(103, 10, 0.25, None, np.random.RandomState(0))
    assert len(set(np.concatenate(again[:4]))) == 100
    assert set(again[4]) != set(again[0])


@pytest.mark.parametrize("n", [2, 3, 10])
def test_few_rows_leave_out_one_at_least(n):
    dealt = members.parts(n, 4, 0.1, None, np.random.RandomState(0))
    assert [len(part) for part in dealt] == [1] * 4


def test_rows_left_out_are_predicted_by_the_others(kind):
    model = fit(kind, n_members=10, validation_fraction=0.1)
    values = model.oob_decision_function_ if kind == "classifier" else model.oob_prediction_
    assert np.isfinite(values).all()  # 10 parts of 6 of 60 rows
    assert len(values) == len(FRAME)
    few = fit(kind, n_members=2, validation_fraction=0.1)
    values = few.oob_decision_function_ if kind == "classifier" else few.oob_prediction_
    known = ~np.isnan(values.reshape(60, -1)[:, 0])
    assert known.sum() == 12
    if kind == "classifier":
        right = few.classes_[values[known].argmax(axis=1)] == LABELS[known]
        assert few.oob_score_ == right.mean()


def test_no_member_sees_a_copy_of_a_row_that_it_leaves_out(monkeypatch):
    """With gaps there are copies of rows: those of rows left out are in no member's rows."""
    calls = []
    train_many = members.train_many
    monkeypatch.setattr(
        members, "train_many", lambda *a, **options: (calls.append(options), train_many(*a, **options))[1]
    )
    TabularRegressor("fast", **SHORT).fit(FRAME, NUMBERS)
    options, _ = calls  # the other one: of the residuals
    for rows, left_out in zip(options["rows"], options["validation_rows"], strict=True):
        assert len(rows) == 4 * (60 - len(left_out))
        assert not set(rows % 60) & set(left_out)
        assert (left_out < 60).all()  # judged by rows as they are


def test_groups_are_left_out_whole(kind, monkeypatch):
    groups = np.repeat(np.arange(20), 3)
    left_out = members.splits(None, NUMBERS[:, None], None, groups, 0.25, np.random.RandomState(0))
    assert len(left_out) == 4
    assert all(len(rows) == 3 * len(set(groups[rows])) for rows in left_out)
    model, which = both()[kind]
    model.fit(FRAME, (FRAME, LABELS, NUMBERS)[which], groups=groups)
    assert len(model.estimators_) == 10  # as many as splits: one for each tenth of the rows


@pytest.mark.parametrize("cv", [3, KFold(3), TimeSeriesSplit(3), [(np.arange(40), np.arange(40, 60))]])
def test_cv_says_what_members_leave_out(kind, cv):
    model = fit(kind, cv=cv)
    n_splits = 1 if isinstance(cv, list) else 3
    assert len(model.estimators_) == {1: 4, 3: 6}[n_splits]
    values = model.oob_decision_function_[:, 0] if kind == "classifier" else model.oob_prediction_
    left_out = {"int": 60, "KFold": 60, "TimeSeriesSplit": 45, "list": 20}[type(cv).__name__]
    assert np.isfinite(values).sum() == left_out
    with pytest.raises(
        TypeError, match=r"cv must be a number of splits, a splitter of scikit-learn or a list, not b'3'"
    ):
        fit(kind, cv=b"3")


def test_rows_of_ones_own_to_validate_on(kind):
    model, which = both()[kind]
    y = (FRAME, LABELS, NUMBERS)[which]
    model.fit(FRAME[:40], y[:40], X_val=FRAME[40:], y_val=y[40:])
    values = model.oob_decision_function_ if kind == "classifier" else model.oob_prediction_
    assert np.isnan(values).all()
    assert np.isnan(model.oob_score_)
    assert model.best_validation_score_ == -np.nanmin(model.history_.validation_loss, axis=1).mean()
    weighted, _ = both()[kind]
    weighted.fit(FRAME[:40], y[:40], X_val=FRAME[40:], y_val=y[40:], sample_weight_val=np.arange(20))
    assert weighted.best_validation_score_ != model.best_validation_score_


@pytest.mark.parametrize(
    ("options", "given", "message"),
    [
        ({}, {"X_val": FRAME}, "X_val is provided, but y_val was not provided"),
        ({}, {"y_val": NUMBERS}, "y_val is provided, but X_val was not provided"),
        ({}, {"sample_weight_val": NUMBERS}, "sample_weight_val is provided, but X_val was not provided"),
        ({"cv": 3}, {"X_val": FRAME, "y_val": NUMBERS}, "X_val and cv are two ways"),
        ({}, {"X_val": FRAME, "y_val": NUMBERS, "groups": NUMBERS}, "X_val and groups are two ways"),
        ({}, {"X_val": FRAME.drop(columns="size"), "y_val": NUMBERS}, "X_val, the validation rows: X lacks the column"),
        ({"hidden_layer_sizes": (32, 16)}, {}, "hidden_layer_sizes must be equal widths"),
        ({"preset": "slow"}, {}, "'preset' parameter of TabularRegressor must be"),
    ],
)
def test_two_ways_to_say_a_thing_and_half_of_one_are_errors(options, given, message):
    with pytest.raises(ValueError, match=message):
        TabularRegressor(**{"preset": "fast", **SHORT, **options}).fit(FRAME, NUMBERS, **given)


def test_epochs_that_are_asked_for_are_those_of_a_training_with_gaps_too():
    """A preset's are fewer then, for an epoch takes copies of the rows with more of them."""
    X, asked = np.random.RandomState(0).rand(60, 3), {**SHORT, "epochs": 5}
    X[::7, 0] = np.nan
    assert TabularRegressor("fast", **asked).fit(X, X[:, 1]).history_.validation_loss.shape[1] == 5
    few, fewer = (settings_of(TabularRegressor(), 60, classes=False, n_splits=0, n_copies=n).epochs for n in (1, 4))
    assert fewer * 2 == few


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (pd.date_range("2020-01-01", periods=60), r"y holds datetime64\[.s\], dates or spans of time"),
        (np.where(np.arange(60) == 7, np.nan, NUMBERS), r"y is missing \(NaN\) in 1 row, such as row 7"),
        ([str(i) for i in range(60)], "y holds text, such as '0': a regressor learns numbers"),
    ],
)
def test_targets_that_are_no_numbers_are_errors(y, message):
    with pytest.raises(ValueError, match=message):
        TabularRegressor("fast", **SHORT).fit(FRAME, y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.where(np.arange(60) == 7, None, LABELS), r"y is missing \(NaN\) in 1 row, such as row 7"),
        (np.full(60, "a"), "y has only one class, 'a'"),
        ([], "y is empty: give a label for each row of X"),
        (np.eye(60), "y has 60 columns where a row has one class: .*MultiOutputClassifier"),
        (NUMBERS, "Unknown label type: continuous"),
    ],
)
def test_targets_that_are_no_classes_are_errors(y, message):
    with pytest.raises(ValueError, match=message):
        TabularClassifier("fast", **SHORT).fit(FRAME, y)


def test_several_targets():
    y = np.column_stack([NUMBERS, -2 * NUMBERS + 1])
    model = TabularRegressor("fast", **SHORT).fit(FRAME, y)
    assert model.predict(FRAME).shape == model.oob_prediction_.shape == (60, 2)
    assert_allclose(model.predict(FRAME).mean(axis=0), y.mean(axis=0), atol=0.5 * y.std())
    assert TabularRegressor("fast", **SHORT).fit(FRAME, y[:, :1]).predict(FRAME).shape == (60,)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_few_rows(kind, n):
    model, which = both()[kind]
    y = (FRAME, np.where(np.arange(60) == 0, "a", "b"), NUMBERS)[which]  # a class of one row
    assert np.isfinite(outputs(model.fit(FRAME[:n], y[:n]))).all()


def test_one_column_and_none_that_differs(kind):
    model, which = both()[kind]
    y = (FRAME, LABELS, NUMBERS)[which]
    assert np.isfinite(outputs(model.fit(FRAME[["size"]], y), FRAME[["size"]])).all()
    constant = FRAME[["always"]]
    assert np.ptp(outputs(model.fit(constant, y), constant), axis=0).max() == 0


def test_a_target_that_does_not_differ():
    assert (TabularRegressor("fast", **SHORT).fit(FRAME, np.full(60, 7.0)).predict(FRAME) == 7).all()


def test_weights_count_rows(kind):
    model, which = both()[kind]
    y = (FRAME, LABELS, NUMBERS)[which]
    plain = outputs(model.fit(FRAME, y))
    assert (outputs(clone(model).fit(FRAME, y, np.ones(60))) == plain).all()
    assert (outputs(clone(model).fit(FRAME, y, np.arange(60))) != plain).any()


def test_class_weights_multiply_the_rows():
    y = np.where(np.arange(60) < 6, "rare", "often")
    plain = TabularClassifier("fast", **SHORT).fit(FRAME, y)
    balanced = TabularClassifier("fast", **SHORT, class_weight="balanced").fit(FRAME, y)
    weight = np.where(y == "rare", 60 / 12, 60 / 108)
    rare = list(plain.classes_).index("rare")
    assert balanced.predict_proba(FRAME)[:, rare].mean() > plain.predict_proba(FRAME)[:, rare].mean()
    by_rows = TabularClassifier("fast", **SHORT).fit(FRAME, y, weight)
    assert balanced.predict_proba(FRAME).tobytes() == by_rows.predict_proba(FRAME).tobytes()


def test_the_callers_own_parameters_take_the_place_of_the_presets():
    model = TabularRegressor("good", hidden_layer_sizes=16, n_members=3, epochs=5, batch_size=7, learning_rate=0.01)
    settings = settings_of(model, 100, classes=False, n_splits=0)
    assert settings == ((16,), 3, 5, 7, 0.01)
    fitted = model.set_params(random_state=0, n_jobs=1).fit(FRAME, NUMBERS)
    assert [member.network.sizes[1:-1] for member in fitted.estimators_] == [(16,)] * 3


@pytest.mark.parametrize("preset", PRESETS)
def test_more_rows_take_fewer_epochs_and_larger_batches(preset):
    model = TabularRegressor(preset)
    few, many, most = (settings_of(model, n, classes=False, n_splits=0) for n in (1000, 10**5, 10**8))
    assert few.epochs == PRESETS[preset].epochs
    assert few.epochs > many.epochs > most.epochs >= 4
    assert few.batch_size == 32 < many.batch_size < most.batch_size == 256


def test_max_time_leaves_members_out_that_would_be_too_late(kind):
    model = fit(kind, max_time=1e6)
    assert len(model.estimators_) == 4
    model = fit(kind, max_time=1e-9, epochs=10**5)  # the first member ends at once, after an epoch or before
    assert len(model.estimators_) == 1


class Deadline:
    def __init__(self, n_ended, seconds):
        self.n_ended, self.seconds = n_ended, seconds


@pytest.mark.parametrize(
    ("n_ended", "seconds", "ends"), [(1, 4.0, False), (1, 6.0, True), (4, 7.0, False), (4, 9.0, True)]
)
def test_no_member_begins_that_would_end_after_max_time(n_ended, seconds, ends):
    assert members.Deadline(10.0)(Deadline(n_ended, seconds)) is ends


def test_ctrl_c_leaves_a_fitted_estimator(kind, monkeypatch):
    """A signal after the second member, and one after the second network of residuals: it predicts by two members."""
    train_many = members.train_many

    def interrupted(*arguments, **options):
        def raise_signal(progress):
            if progress.n_ended == 2:
                signal.raise_signal(signal.SIGINT)

        return train_many(*arguments, **options | {"callbacks": [raise_signal]})

    monkeypatch.setattr(members, "train_many", interrupted)
    monkeypatch.setattr(block, "MOST_WORK", 0)  # one call after another, not all members in one
    with pytest.warns(InterruptWarning) as warned:
        model = fit(kind)
    assert "the estimator has 2 of 4 members" in str(warned[0].message)
    if kind == "regressor":
        assert "predicts, but no intervals" in str(warned[1].message)
        with pytest.raises(ValueError, match="there are 0 residuals"):
            model.predict_interval(FRAME)
    assert len(model.estimators_) == 2
    assert np.isfinite(outputs(model)).all()


def test_a_failed_fit_leaves_the_estimator_as_it_was(kind):
    model = fit(kind)
    before = outputs(model).tobytes()
    with pytest.raises(ValueError, match="holds dates"):
        model.fit(pd.DataFrame({"when": pd.to_datetime(["2020-01-01"] * 60)}), NUMBERS)
    with pytest.raises(ValueError, match="n_splits"):
        model.set_params(cv=100).fit(FRAME, np.arange(60) % 3)
    assert outputs(model).tobytes() == before
