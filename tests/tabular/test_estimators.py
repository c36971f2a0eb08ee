"""TabularClassifier and TabularRegressor: what they learn, rows left out, targets, time, Ctrl-C."""

import math
import signal
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from bits import assert_same_bits
from numpy.random import RandomState
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.model_selection import KFold, TimeSeriesSplit
from small_tables import (
    FRAME,
    LABELS,
    NUMBERS,
    TARGETS,
    fit,
    ignores_new_gaps,
    ignores_new_words,
    mixed,
    outputs,
    unfitted,
)

from fastnn import DivergenceError, InterruptWarning, Network, TabularClassifier, TabularRegressor
from fastnn.many import block
from fastnn.tabular import members
from fastnn.tabular.members import PRESETS, Sample, input_scales, settings_of


def test_it_learns_words_gaps_and_products():
    """A table of 600 rows where a word says whether a number counts, with gaps: 90 % of the labels,
    R2 of 0.8."""
    X, labels, numbers = mixed(600)
    X_test, labels_test, numbers_test = mixed(300, seed=1)
    options = {"random_state": 0, "n_jobs": 1}
    assert TabularClassifier("fast", **options).fit(X, labels).score(X_test, labels_test) > 0.8
    assert TabularRegressor("fast", **options).fit(X, numbers).score(X_test, numbers_test) > 0.6


def test_columns_are_as_large_inputs_as_they_tell_of_the_target():
    """By themselves or by their squares, in the rows that count."""
    r = np.random.default_rng(0)
    inputs = r.normal(size=(400, 4)) * [1, 1, 9, 0]
    noise = r.normal(size=400)
    targets = (inputs[:, 0] + inputs[:, 1] ** 2 + noise)[:, None]
    network = Network((4, 32, 1), "gelu")
    half = np.repeat([2.0, 0.0], 200)
    scales = input_scales(network, Sample(inputs, targets, half, None))
    assert_allclose(
        scales, input_scales(network, Sample(inputs[:200], targets[:200], None, None)), rtol=1e-6
    )
    assert scales[:2].min() > 2 * scales[2] > scales[3] > 0
    assert np.mean(scales**2) == pytest.approx(32 / 4)


@pytest.mark.parametrize("n_members", [1, 2])
def test_members_that_leave_out_a_single_row_are_judged_by_none(kind, n_members):
    """And not refused: with one row, which chooses the epoch, there is none that judges it."""
    model = fit(kind, FRAME[:5], TARGETS[kind][:5], n_members=n_members)
    assert np.isfinite(outputs(model, FRAME[:5])).all()
    assert np.isnan(model._out_of_bag).any()


def test_rows_of_weight_0_are_not_there(kind):
    """Whatever they hold: targets and numbers of another size, words of their own, a class of their
    own."""
    rng = RandomState(0)
    rows = rng.random_sample(len(FRAME)) < 0.8
    frame = FRAME.copy()
    frame.loc[~rows, "color"] = "black"
    frame.loc[~rows, "size"] = 1e9
    y = TARGETS[kind]
    strange = np.where(rows, y, "another" if kind == "classifier" else 1e9)
    whole = unfitted(kind).fit(frame, strange, sample_weight=2.0 * rows)
    part = unfitted(kind).fit(FRAME[rows], y[rows], sample_weight=np.full(rows.sum(), 2.0))
    assert_same_bits(outputs(whole), outputs(part))
    assert np.isnan(whole._out_of_bag[~rows]).all()
    assert_same_bits(whole._out_of_bag[rows], part._out_of_bag)
    assert whole.oob_score_ == part.oob_score_


C = "classifier"
R = "regressor"
VALIDATION = {"X_val": FRAME, "y_val": NUMBERS}
ROW_7 = np.arange(60) == 7
# a kind, its parameters and arguments of fit besides a table and its targets, words of the error
REFUSED = [
    (R, {"X_val": FRAME}, "X_val is provided, but y_val was not provided"),
    (R, {"cv": 3} | VALIDATION, "X_val and cv are two ways"),
    (R, VALIDATION | {"groups": NUMBERS}, "X_val and groups are two ways"),
    (
        R,
        VALIDATION | {"X_val": FRAME.drop(columns="size")},
        "X_val, the validation rows: X lacks the column",
    ),
    (R, {"hidden_layer_sizes": (32, 16)}, "hidden_layer_sizes must be equal widths"),
    (R, {"hidden_layer_sizes": (0, 0)}, "hidden_layer_sizes must be > 0"),
    (
        R,
        {"validation_fraction": 0.6},
        "validation_fraction=0.6: members leave out at most half of the rows, 0.5",
    ),
    (
        R,
        {"n_members": 10**9},
        r"'n_members' parameter of TabularRegressor must be an int in the range \[1, 10000\]",
    ),
    (R, {"preset": "slow"}, "'preset' parameter of TabularRegressor must be"),
    (
        R,
        {"y": pd.date_range("2020-01-01", periods=60)},
        r"y holds datetime64\[.s\], dates or spans of time",
    ),
    (
        R,
        {"y": np.where(ROW_7, np.nan, NUMBERS)},
        r"y is missing \(NaN\) in 1 row, such as row 7",
    ),
    (R, {"y": np.where(ROW_7, None, NUMBERS)}, r"y is missing \(NaN\) in 1 row, such as row 7"),
    (
        R,
        {"y": [str(i) for i in range(60)]},
        "y holds text, such as '0': a regressor learns numbers",
    ),
    (R, {"y": [Decimal("sNaN"), *range(59)]}, r"y is missing \(NaN\) in 1 row, such as row 0"),
    (
        R,
        {"y": np.ma.masked_array(NUMBERS, ROW_7)},
        "y has masked values: fill them in or leave their rows out",
    ),
    (
        C,
        {"y": np.ma.masked_array(NUMBERS > 0, ROW_7)},
        "y has masked values: fill them in or leave",
    ),
    (
        R,
        {"sample_weight": np.ma.masked_array(np.ones(60), ROW_7)},
        "sample_weight has masked values",
    ),
    (R, {"groups": np.ma.masked_array(np.arange(60), ROW_7)}, "groups has masked values"),
    (
        R,
        {"y": "size"},
        (
            r"y is the text 'size', not the targets: .* fit\(frame.drop\(columns='size'\), "
            r"frame\['size'\]"
        ),
    ),
    (R, {"y": ["size"]}, "y is the text 'size', not the targets: give the column itself"),
    (C, {"y": [1j] * 60}, "Complex data not supported: y holds complex numbers"),
    (R, {"y": NUMBERS * 1j}, "Complex data not supported: y holds complex numbers"),
    (
        C,
        {"y": pd.array([True, False, None] * 20, dtype="boolean")},
        r"y is missing \(NaN\) in 20 rows, such as row 2",
    ),
    (C, {"y": np.where(ROW_7, None, LABELS)}, r"y is missing \(NaN\) in 1 row, such as row 7"),
    (C, {"y": np.full(60, "a")}, "y has only one class, 'a'"),
    (C, {"y": []}, "y is empty: give a label for each row of X"),
    (
        C,
        {"y": np.eye(60)},
        "y has 60 columns where a row has one class: .*MultiOutputClassifier",
    ),
    (C, {"y": NUMBERS}, "Unknown label type: continuous"),
    (
        C,
        {"y": np.array(["a", 1] * 30, object)},
        "y holds labels of different kinds, int and str",
    ),
    (C, {"y": ["a", 1] * 30}, "y holds labels of different kinds, int and str"),
    (C, {"y": ["a", np.nan, "b"] * 20}, r"y is missing \(NaN\) in 20 rows, such as row 1"),
    (C, {"groups": [1] * 60}, "groups are all the same"),
    (
        R,
        {"cv": [([], range(60))]},
        "cv: a split holds out all 60 rows, and a member learns from the others",
    ),
    (
        R,
        {"cv": [(range(9), range(58, 62))]},
        "cv: a split leaves out rows that X has not, of the numbers 0 to 59",
    ),
    (
        R,
        {"cv": [(range(9), np.ones(10, bool))]},
        r"cv: a split is a mask of the shape \(10,\), and X has 60 rows",
    ),
    (
        R,
        {"cv": [(range(9), [58.0, 59.0])]},
        "cv: a split leaves out rows .*: give their numbers, integers, or a mask",
    ),
    (R, {"cv": [(range(60), [])]}, "cv: no split leaves out a row of a weight above 0"),
    (
        R,
        {"cv": [(range(60), [7])], "sample_weight": 1.0 - ROW_7},
        "cv: no split leaves out a row of a weight above 0",
    ),
    (
        C,
        {"cv": iter([])},
        "cv has no splits: a generator is empty after its first use, give a list",
    ),
    (R, {"sample_weight": np.nan}, "Input sample_weight contains NaN"),
    (R, {"groups": [None, *"ab"] * 20}, r"groups is missing \(NaN\) in 20 rows, such as row 0"),
    (
        R,
        {"groups": [*pd.date_range("2020", periods=59), pd.NaT]},
        r"groups is missing \(NaN\) in 1 row, such as row 59",
    ),
    (
        R,
        {"groups": pd.Series([pd.NaT, *pd.date_range("2020", periods=59)])},
        r"groups is missing .* such as row 0",
    ),
    (
        C,
        {"groups": "words"},
        r"groups has the shape \(\), not \(60,\): name the group of each row",
    ),
    (
        R,
        VALIDATION | {"y_val": np.where(ROW_7, np.nan, NUMBERS)},
        r"y_val, .*: y is missing \(NaN\) in 1 row",
    ),
    (
        R,
        VALIDATION | {"y_val": np.full(60, 1e140)},
        "y_val, .*: they are so far from y that float32 has no squares",
    ),
    (
        R,
        VALIDATION | {"y_val": np.ones((60, 2))},
        "y_val, the targets of validation rows: 2 columns, y has 1",
    ),
    (
        C,
        VALIDATION | {"y_val": ["new"] * 60},
        "y_val, the targets of validation rows: y contains previously",
    ),
]
OF_ANOTHER_TYPE = [
    (R, {"y": csr_array(NUMBERS[:, None])}, r"y is sparse, and has to be dense: use y.toarray"),
    (C, {"y": csr_array(NUMBERS[:, None] > 0)}, r"y is sparse, and has to be dense: use y.toarr"),
    (R, {"X": csr_array(np.eye(60))}, "X is sparse, .* or MLPClassifier or MLPRegressor, which"),
    (
        R,
        {"hidden_layer_sizes": (8.5, 8.5)},
        r"hidden_layer_sizes\[0\] must be an integer, not 8.5 of type float",
    ),
    (
        R,
        {"hidden_layer_sizes": ("8",)},
        r"hidden_layer_sizes\[0\] must be an integer, not '8' of type str",
    ),
    (
        R,
        {"hidden_layer_sizes": ((8,),)},
        r"hidden_layer_sizes\[0\] must be an integer, not \(8,\) of type tuple",
    ),
    (
        R,
        {"hidden_layer_sizes": {8: 1}},
        r"hidden_layer_sizes must be widths such as \(64, 64\), not \{8: 1\}",
    ),
    (
        C,
        {"cv": b"3"},
        "cv must be a number of splits, a splitter of scikit-learn or a list, not b'3'",
    ),
    (C, {"X": {"a": [1] * 60}}, "X is a dict: make a data frame"),
    (C, {"X": [{"a": 1}] * 60}, "X is a list of dicts: make a data frame"),
]


DIVERGED = "the members diverged in their first epoch: take a smaller"
TOO_LARGE = {"n_members": 10_000, "hidden_layer_sizes": (20_000, 20_000)}
ERRORS = [
    *((ValueError, *row) for row in REFUSED),
    *((TypeError, *row) for row in OF_ANOTHER_TYPE),
    (DivergenceError, R, {"learning_rate": 1e10}, DIVERGED),
    (MemoryError, R, TOO_LARGE, "30000 vectors of them"),
]


@pytest.mark.parametrize(("error", "kind", "arguments", "message"), ERRORS)
def test_errors_speak_of_tables(error, kind, arguments, message):
    model = unfitted(kind)
    parameters = arguments.keys() & model.get_params()
    model.set_params(**{name: arguments[name] for name in parameters})
    of_fit = {name: arguments[name] for name in arguments.keys() - parameters}
    with pytest.raises(error, match=message):
        model.fit(**{"X": FRAME, "y": TARGETS[kind]} | of_fit)


def test_columns_and_targets_are_refused_together(kind):
    y = np.where(ROW_7, None, TARGETS[kind])
    frame = FRAME.assign(day=pd.Timestamp("2020-01-01"), far=np.inf)
    with pytest.raises(ValueError, match=r"^y is missing \(NaN\) in 1 row") as caught:
        unfitted(kind).fit(frame, y)
    assert [line[:12] for line in str(caught.value).splitlines()[1:]] == [
        "column 'day'",
        "column 'far'",
    ]


def test_an_array_for_a_frame_is_warned_of(kind):
    """As by scikit-learn: a frame's columns are taken by name, those of an array in their order."""
    frame = FRAME[["size", "count"]].fillna(0.0)
    reversed_frame = frame[["count", "size"]]
    model = fit(kind, frame)
    name = type(model).__name__
    with pytest.warns(
        UserWarning,
        match=f"^X does not have valid feature names, but {name} was fitted with feature",
    ):
        model.predict(reversed_frame.to_numpy())
    model = fit(kind, frame.to_numpy())
    with pytest.warns(
        UserWarning, match=f"^X has feature names, but {name} was fitted without feature names$"
    ):
        model.predict(reversed_frame)


BOOLEANS = np.arange(60) % 3 > 0
LABELS_READ = {
    "boolean": (pd.array(BOOLEANS, dtype="boolean"), [False, True]),
    "categories of booleans": (pd.Categorical(BOOLEANS), [False, True]),
    "Int64": (pd.array(BOOLEANS + 1, dtype="Int64"), [1, 2]),
    "categories of integers": (pd.Categorical(BOOLEANS + 1), [1, 2]),
    "Float64": (pd.array(BOOLEANS + 1.0, dtype="Float64"), [1.0, 2.0]),
    "string": (pd.array(np.where(BOOLEANS, "b", "a"), dtype="string"), ["a", "b"]),
    "integers": (np.arange(60) % 3, [0, 1, 2]),
    "objects": (np.where(BOOLEANS, "b", "a").astype(object), ["a", "b"]),
    "objects that are booleans": (BOOLEANS.astype(object), [False, True]),
    "objects that are integers": ((BOOLEANS + 1).astype(object), [1, 2]),
}


@pytest.mark.parametrize("case", LABELS_READ)
def test_labels_are_what_the_caller_said(case, tmp_path):
    """Also those of the model's file."""
    y, classes = LABELS_READ[case]
    y = y if isinstance(y, np.ndarray) else pd.Series(y)
    model = fit("classifier", y=y, class_weight=dict.fromkeys(classes, 2.0))
    assert model.classes_.tolist() == classes
    labels = [*model.classes_.tolist(), *model.predict(FRAME).tolist()]
    assert set(map(type, labels)) == {type(classes[0])}
    model.save(tmp_path / "model.npz")
    again = TabularClassifier.load(tmp_path / "model.npz")
    assert_array_equal(again.predict(FRAME), model.predict(FRAME), strict=True)
    assert again.class_weight == model.class_weight


@pytest.mark.parametrize("exponent", [130, 60, -60, -1070])
def test_a_power_of_two_of_all_weights_changes_nothing(kind, exponent):
    """Also where float32 has no such weights: the same bits, as of ordinary ones."""
    weight = RandomState(0).randint(1, 16, 60).astype(float)
    one = unfitted(kind).fit(FRAME, TARGETS[kind], sample_weight=weight)
    other = unfitted(kind).fit(FRAME, TARGETS[kind], sample_weight=np.ldexp(weight, exponent))
    assert_same_bits(outputs(one), outputs(other))
    assert one.oob_score_ == other.oob_score_


def test_a_power_of_two_of_all_targets_changes_nothing():
    """Also where their squares are too small for float64."""
    one = fit("regressor", y=NUMBERS)
    for exponent in (-560, 400):
        other = fit("regressor", y=np.ldexp(NUMBERS, exponent))
        assert np.array_equal(np.ldexp(outputs(other), -exponent), outputs(one))
        assert other.oob_score_ == one.oob_score_


def test_a_few_columns_are_seen_among_many():
    """Of 60 columns of four levels two decide: 0.9675 of the rows are right, 0.92 where all columns
    count alike."""
    r = np.random.default_rng(0)
    X = r.integers(0, 4, (1200, 60)).astype(str)
    y = (X[:, 7] == "1") ^ (X[:, 30] == "2") ^ (r.random(1200) < 0.03)
    model = TabularClassifier("fast", random_state=0).fit(X[:800], y[:800])
    assert model.score(X[800:], y[800:]) > 0.95


def test_one_row_has_the_bits_it_has_among_others(kind):
    model = fit(kind)
    alone = [outputs(model, FRAME[i : i + 1]) for i in range(0, 60, 7)]
    assert_same_bits(np.concatenate(alone), outputs(model)[::7])


def test_members_leave_out_disjoint_parts_of_equal_sizes():
    dealt = members.parts(103, 8, 0.125, RandomState(0))
    assert [len(part) for part in dealt] == [12] * 8
    assert len(set(np.concatenate(dealt))) == 96
    again = members.parts(103, 10, 0.25, RandomState(0))
    assert set(again[4]) != set(again[0])


def test_shares_of_labels_are_not_the_same_in_all_parts():
    """Else who always says the more frequent label of these rows would be right more often than by
    chance."""
    shares = []
    for seed in range(400):
        random = RandomState(seed)
        labels = random.rand(20) < 0.5
        part = members.parts(20, 1, 0.1, random)[0]
        others = np.delete(labels, part)
        shares.append((labels[part] == (others.mean() > 0.5)).mean())
    assert abs(np.mean(shares) - 0.5) < 0.03


def left_out(model):
    if hasattr(model, "classes_"):
        return model.oob_decision_function_
    return model.oob_prediction_[:, None]


def test_rows_left_out_are_predicted_by_the_others(kind):
    values = left_out(fit(kind, n_members=10, validation_fraction=0.1))
    assert np.isfinite(values).all()  # 10 parts of 6 of 60 rows
    assert len(values) == len(FRAME)
    few = fit(kind, n_members=2, validation_fraction=0.1)
    known = ~np.isnan(left_out(few)[:, 0])
    assert known.sum() == 12
    if kind == "classifier":
        assert np.array_equal(
            left_out(few)[known], few._unsmoothing.probabilities(few._out_of_bag[known])
        )
        assert (
            few.oob_score_
            == (few.classes_[left_out(few)[known].argmax(axis=1)] == LABELS[known]).mean()
        )


def test_no_member_sees_a_copy_of_a_row_that_it_leaves_out(monkeypatch):
    """With gaps there are copies of rows: those of rows left out are in no member's rows."""
    calls = []
    train_many = members.train_many
    monkeypatch.setattr(
        members, "train_many", lambda *a, **more: calls.append(more) or train_many(*a, **more)
    )
    fit("regressor")
    options = calls[0]  # the others: of members that are trained again, and of the residuals
    for rows, judged in zip(options["rows"], options["validation_rows"], strict=True):
        assert len(rows) == 4 * (60 - len(judged))
        assert not set(rows % 60) & set(judged)
        assert (judged < 60).all()  # rows as they are


def test_a_members_epoch_is_that_of_the_other_members_losses():
    """Of noise: it is not the last one, and the member has the parameters of that epoch."""
    random = RandomState(0)
    sample = Sample(
        random.randn(40, 5).astype(np.float32), random.randn(40, 1).astype(np.float32), None, None
    )
    network = Network((5, 16, 1), "gelu")
    left_out = members.parts(40, 4, 0.1, random)
    settings = members.Settings((16,), 4, 30, 8, 0.05)
    trainer = members.Trainer(network, sample, left_out, settings, RandomState(1), 1)
    many = trainer.train()
    networks, epochs = trainer.finish(many, [0, 1, 2, 3])
    losses = many.history.validation_loss
    others = [np.delete(losses, i, axis=0).mean(axis=0) for i in range(4)]
    assert epochs.tolist() == [curve.argmin() + 1 for curve in others]
    assert epochs.tolist() != (losses.argmin(axis=1) + 1).tolist()
    for i, (one, rows) in enumerate(zip(networks, left_out, strict=True)):
        predicted = one.predict(sample.inputs[rows], assume_finite=True)
        loss = ((predicted - sample.targets[rows]) ** 2).mean() / 2
        assert loss == pytest.approx(losses[i, epochs[i] - 1], rel=1e-4)


FALLING = [4.0, 3.0, 2.0, 1.99]
OVERFITTED = [4.0, 1.0, 2.0, 3.0]
CURVES = {  # losses of members, rows that judge each, and the epochs that are chosen
    "of another one that harms": ([FALLING, OVERFITTED], [9, 9], [2, 4]),
    "better before by less than 3 %": ([FALLING, [4.0, 1.95, 2.0, 1.99]], [9, 9], [4, 4]),
    "few rows judge": ([FALLING, OVERFITTED], [5, 9], [4, 4]),
    "diverged": ([FALLING, [np.nan] * 4], [9, 9], [4, 4]),
    "by weights": ([FALLING, [2.0, 1.0, 3.0, 3.0], [1.0, 3.0, 3.0, 3.0]], [10, 2, 10], [2, 4, 2]),
}


@pytest.mark.parametrize("case", CURVES)
def test_the_epoch_is_the_last_one_unless_the_others_say_that_it_harms(case):
    losses, n_rows, expected = CURVES[case]
    weights = (1.0 - np.eye(len(losses))) * [1, 9, 1][: len(losses)]  # of those that judge
    chosen = members.choose_epochs(np.array(losses), weights, np.array(n_rows))
    assert chosen.tolist() == expected


def test_who_leaves_out_a_row_of_a_members_own_does_not_choose_for_it():
    rows = [np.arange(0, 4), np.arange(4, 8), np.arange(0, 4), np.arange(3, 5)]
    expected = [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    assert members.choosers(rows, 8).astype(int).tolist() == expected


def test_noise_is_not_skill(kind):
    """Of noise, rows left out score as chance does; rows that had chosen their epochs would say .69
    and .25."""
    scores = []
    for seed in range(30):
        random = RandomState(seed)
        X = random.randn(40, 5)
        y = random.randn(40)
        estimator = {C: TabularClassifier, R: TabularRegressor}[kind]
        scores.append(
            estimator("fast", random_state=seed).fit(X, y > 0 if kind == C else y).oob_score_
        )
    assert np.mean(scores) < {C: 0.58, R: -0.1}[kind]


def test_r2_of_a_few_rows_left_out_is_a_part_of_the_variance_of_all():
    model = fit("regressor", n_members=2)
    known = ~np.isnan(model.oob_prediction_)
    residual = ((NUMBERS - model.oob_prediction_)[known] ** 2).mean()
    assert model.oob_score_ == pytest.approx(1 - residual / NUMBERS.var(), abs=1e-5)


def test_groups_are_left_out_whole(kind):
    groups = np.repeat(np.arange(20), 3)
    splits = members.splits(None, NUMBERS[:, None], None, groups, 0.25, RandomState(0))
    assert len(splits) == 4
    assert all(len(rows) == 3 * len(set(groups[rows])) for rows in splits)
    model = unfitted(kind).fit(FRAME, TARGETS[kind], groups=groups)
    assert len(model.estimators_) == 10  # as many as splits: one for each tenth of the rows


CVS = [
    (3, 6, 60),
    (KFold(3), 6, 60),
    (TimeSeriesSplit(3), 6, 45),
    ([(np.arange(40), np.arange(40, 60))], 4, 10),
    ([(np.arange(60) < 40, np.arange(60) >= 40)], 4, 10),
]


@pytest.mark.parametrize(("cv", "n_members", "n_left_out"), CVS)
def test_cv_says_what_members_leave_out(kind, cv, n_members, n_left_out):
    """A row of weight 0 moves no other row into another split. Of one split half of the rows
    choose, half judge."""
    weight = (np.arange(60) >= 10) * 1.0
    whole, part = (
        unfitted(kind, cv=cv).fit(FRAME, TARGETS[kind], given) for given in (None, weight)
    )
    known, weighted = (np.isfinite(left_out(model)[:, 0]) for model in (whole, part))
    assert (len(whole.estimators_), known.sum()) == (n_members, n_left_out)
    assert (weighted == known & (weight > 0)).all()


def test_rows_of_ones_own_to_validate_on(kind):
    y = TARGETS[kind]
    given = {"X": FRAME[:40], "y": y[:40], "X_val": FRAME[40:], "y_val": y[40:]}
    model = unfitted(kind).fit(**given)
    assert np.isnan(left_out(model)).all()
    assert np.isnan(model.oob_score_)
    assert model.best_validation_score_ == -np.nanmin(model.history_.validation_loss, axis=1).mean()
    weighted = unfitted(kind).fit(**given, sample_weight_val=np.arange(20))
    assert weighted.best_validation_score_ != model.best_validation_score_


def test_epochs_that_are_asked_for_are_those_of_a_training_with_gaps_too():
    """A preset's are fewer then, for an epoch takes copies of the rows with more of them."""
    X = RandomState(0).rand(60, 3)
    X[::7, 0] = np.nan
    assert fit("regressor", X, X[:, 1], epochs=5).history_.validation_loss.shape[1] == 5
    few, fewer = (
        settings_of(TabularRegressor(), 60, classes=False, n_splits=0, n_copies=n).epochs
        for n in (1, 4)
    )
    assert fewer * 2 == few


@pytest.mark.parametrize("n", [2, 3, 10])
@ignores_new_gaps
@ignores_new_words
def test_few_rows(kind, n):
    # a class of one row
    y = {"classifier": np.where(np.arange(60) == 0, "a", "b"), "regressor": NUMBERS}[kind]
    assert np.isfinite(outputs(fit(kind, FRAME[:n], y[:n]))).all()


def test_one_column_and_none_that_differs(kind):
    assert np.isfinite(outputs(fit(kind, FRAME[["size"]]), FRAME[["size"]])).all()
    constant = FRAME[["always"]]
    assert np.ptp(outputs(fit(kind, constant), constant), axis=0).max() == 0
    assert fit("regressor", y=np.full((60, 1), 7.0)).predict(FRAME).tolist() == [7.0] * 60


def test_weights_count_rows(kind):
    plain = outputs(fit(kind))
    ones, others = (
        unfitted(kind).fit(FRAME, TARGETS[kind], weight) for weight in (np.ones(60), np.arange(60))
    )
    assert (outputs(ones) == plain).all()
    assert (outputs(others) != plain).any()


def test_class_weights_multiply_the_rows():
    y = np.where(np.arange(60) < 6, "rare", "often")
    plain, balanced = (
        outputs(fit("classifier", y=y, class_weight=weight)) for weight in (None, "balanced")
    )
    assert balanced[:, 1].mean() > plain[:, 1].mean()
    by_rows = unfitted("classifier").fit(FRAME, y, np.where(y == "rare", 60 / 12, 60 / 108))
    assert_same_bits(balanced, outputs(by_rows))


def test_the_callers_own_parameters_take_the_place_of_the_presets():
    model = TabularRegressor(
        "good", hidden_layer_sizes=16, n_members=3, epochs=5, batch_size=7, learning_rate=0.01
    )
    settings = settings_of(model, 100, classes=False, n_splits=0)
    assert settings == ((16,), 3, 5, 7, 0.01)
    fitted = model.set_params(random_state=0, n_jobs=1, verbose=0).fit(FRAME, NUMBERS)
    assert [member.network.sizes[1:-1] for member in fitted.estimators_] == [(16,)] * 3


@pytest.mark.parametrize("preset", PRESETS)
def test_more_rows_take_fewer_epochs_and_larger_batches(preset):
    model = TabularRegressor(preset)
    few, many, most = (
        settings_of(model, n, classes=False, n_splits=0) for n in (1000, 10**5, 10**8)
    )
    assert few.epochs == PRESETS[preset].epochs
    assert few.epochs > many.epochs > most.epochs == 4
    assert few.batch_size == 32 < many.batch_size == most.batch_size == 256


@pytest.mark.parametrize("preset", PRESETS)
def test_the_schedule_of_large_tables_begins_above_40_000_rows(preset):
    model = TabularRegressor(preset)
    at, above = (settings_of(model, n, classes=False, n_splits=0) for n in (40_000, 40_001))
    assert at.epochs == math.ceil(PRESETS[preset].epochs / 2)
    assert above.epochs == math.ceil(0.9 * PRESETS[preset].epochs / 2)
    assert (at.batch_size, above.batch_size) == (64, 256)
    assert above.learning_rate == pytest.approx(1.4 * at.learning_rate)


def test_max_time_leaves_members_out_that_would_be_too_late(kind):
    model = fit(kind, max_time=1e6)
    assert len(model.estimators_) == 4
    with pytest.warns(
        UserWarning, match=r"max_time=1e-09 seconds ended all members early, after \d+ epochs"
    ):
        model = fit(kind, max_time=1e-9, epochs=10**5)
    assert len(model.estimators_) == 1
    for n_ended, seconds, ends in (
        (1, 4.0, False),
        (1, 6.0, True),
        (4, 7.0, False),
        (4, 9.0, True),
    ):
        assert members.Deadline(10.0)(SimpleNamespace(n_ended=n_ended, seconds=seconds)) is ends


def test_ctrl_c_leaves_a_fitted_estimator(kind, monkeypatch):
    """A signal after half of the members, and one after half of the networks of residuals: two
    members predict."""
    train_many = members.train_many

    def raise_signal(progress):
        if progress.n_ended == progress.n_members // 2:
            signal.raise_signal(signal.SIGINT)

    own = {"callbacks": [raise_signal]}
    monkeypatch.setattr(
        members, "train_many", lambda *arguments, **options: train_many(*arguments, **options | own)
    )
    monkeypatch.setattr(block, "MOST_WORK", 0)  # one call after another, not all members in one
    with pytest.warns(InterruptWarning) as warned:
        model = fit(kind)
    messages = [str(warning.message) for warning in warned]
    assert "the estimator has 2 of 4 members" in messages[0]
    if kind == "regressor":
        assert "predicts, but no intervals" in messages[-1]
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
