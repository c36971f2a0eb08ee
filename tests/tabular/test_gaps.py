"""Gaps: estimates from all other columns, the warning where `fit` had none, intervals, wide tables,
files of 0.3."""

import itertools
import warnings
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from bits import assert_same_bits
from numpy.random import RandomState
from numpy.testing import assert_allclose
from pages import ROOT
from small_tables import FRAME, NUMBERS, fit, ignores_new_gaps, ignores_new_words, outputs

from fastnn import TablePreparation, TabularRegressor
from fastnn.tabular import imputation
from fastnn.tabular.imputation import MOST_SOURCES, RIDGE, learn_imputation


def related(n, seed=0):
    """Four columns that are related, the covariance of which the imputation takes, and the columns
    less their means."""
    X = RandomState(seed).randn(n, 4) @ RandomState(1).randn(4, 4)
    Z = X - X.mean(axis=0)
    covariance = Z.T @ Z / n
    return X, Z, covariance + np.eye(4) * (RIDGE + 4 / n) * np.trace(covariance) / 4


def test_a_gap_is_its_mean_given_the_other_columns():
    """By the normal distribution of the covariance, as by numpy.linalg; of several gaps by so many
    steps."""
    X, Z, covariance = related(300)
    learned = learn_imputation(X, X.mean(axis=0))
    for gaps, tolerance in (([2], 1e-9), ([0, 2], 0.1), ([1, 2, 3], 0.4)):
        known = [j for j in range(4) if j not in gaps]
        expected = Z[:, known] @ np.linalg.solve(
            covariance[np.ix_(known, known)], covariance[np.ix_(known, gaps)]
        )
        incomplete = Z.copy()
        incomplete[:, gaps] = np.nan
        filled = learned.fill(incomplete)
        assert (filled[:, known] == Z[:, known]).all()
        assert np.sqrt(((filled[:, gaps] - expected) ** 2).mean()) < tolerance * expected.std()


def test_estimates_learned_from_rows_with_gaps_are_nearly_as_good():
    rs = RandomState(0)
    X = rs.randn(2000, 3) @ rs.randn(3, 20) + 0.3 * rs.randn(2000, 20)
    gaps = rs.rand(*X.shape) < 0.3
    incomplete = np.where(gaps, np.nan, X)
    errors = []
    for table in (X, incomplete):
        means = np.nanmean(table, axis=0)
        estimates = learn_imputation(table, means).fill(incomplete - means) + means
        errors.append(np.sqrt(((estimates - X)[gaps] ** 2).mean()))
    assert errors[1] < 1.1 * errors[0] < 0.5 * X[gaps].std()


@ignores_new_gaps
def test_words_tell_of_numbers_and_a_gap_among_words_is_no_level():
    rs = RandomState(0)
    color = rs.choice(["blue", "green", "red"], 300)
    X = pd.DataFrame({"size": (color == "red") + 0.01 * rs.randn(300), "color": color})
    new = pd.DataFrame({"size": [None, None, None, 0.0], "color": ["blue", "red", None, None]})
    preparation = TablePreparation().fit(X)
    made = preparation.transform(new)
    full = preparation.transform(pd.DataFrame({"size": [0.0, 1.0], "color": ["blue", "red"]}))
    assert_allclose(made[:2, 0], full[:, 0], atol=0.1)
    assert_allclose(made[2, 0], preparation.means_[0], atol=1e-6)
    assert made[2:, 1:].tolist() == [[0, 0, 0]] * 2


def test_one_warning_names_the_columns_that_had_no_gap_in_fit(kind):
    complete = FRAME.ffill().bfill()
    model = fit(kind, complete.assign(size=FRAME["size"]))
    new = complete.assign(size=np.nan, age=pd.NA, color=None, new=FRAME["new"])
    where = "^X has gaps in columns that had no gap in fit, 'color', 'age'"
    text = f"{where}: numbers are estimated from the other columns"
    with pytest.warns(UserWarning, match=text) as caught:
        outputs(model, new)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outputs(model, complete.assign(size=np.nan))
    with pytest.warns(UserWarning, match="no gap in fit, 1: numbers"):
        TablePreparation().fit([[1.0, 2.0], [2.0, 3.0]]).transform([[1.0, None]])


def homes(n, seed):
    """Numbers that are related, words, and a price by all; and the table with gaps of five
    kinds."""
    rs = RandomState(seed)
    size = rs.rand(n)
    town = rs.choice(["center", "harbor", "hills"], n)
    X = pd.DataFrame(
        {"length": size + 0.1 * rs.randn(n), "width": size + 0.1 * rs.randn(n), "age": rs.rand(n)}
    )
    X["town"] = town
    price = 2 * X["length"] + X["width"] - X["age"] + (town == "hills") + 0.1 * rs.randn(n)
    numbers = {"length": np.nan, "width": np.nan}
    cases = {
        "complete": X,
        "some cells": X.mask(rs.rand(*X.shape) < 0.2),
        "a column": X.assign(length=np.nan),
        "words": X.assign(town=None),
        "two columns": X.assign(**numbers),
        "a whole row": X.mask(np.ones(X.shape, bool)),
    }
    return X, price.to_numpy(), cases


@ignores_new_gaps
@pytest.mark.parametrize("gaps", [0, 0.2], ids=["none in fit", "gaps in fit"])
def test_intervals_hold_where_there_are_gaps(gaps):
    X, y, _ = homes(2000, 0)
    X = X.mask(RandomState(2).rand(*X.shape) < gaps)
    model = TabularRegressor("fast", random_state=0, n_jobs=1).fit(X, y)
    _, y, cases = homes(2000, 1)
    errors = []
    widths = []
    for name, table in cases.items():
        low, high = model.predict_interval(table).T
        assert 0.83 <= ((low <= y) & (y <= high)).mean() <= 0.97, name
        predicted, std = model.predict(table, return_std=True)
        assert 0.8 < np.sqrt((((y - predicted) / std) ** 2).mean()) < 1.25, name
        errors.append(np.sqrt(((y - predicted) ** 2).mean()))
        widths.append((high - low).mean())
    order = np.argsort(errors)
    assert all(
        widths[i] < widths[j] for i, j in itertools.pairwise(order) if errors[j] > 1.3 * errors[i]
    )
    assert widths[0] == min(widths)


@ignores_new_words
@ignores_new_gaps
def test_gaps_of_other_rows_do_not_change_intervals_and_unknown_words_widen_them():
    X, y, cases = homes(300, 0)
    model = fit("regressor", X, y)
    incomplete = model.predict_interval(cases["some cells"])
    alone = [model.predict_interval(cases["some cells"][i : i + 1])[0] for i in range(20)]
    assert_same_bits(np.array(alone), incomplete[:20])
    complete = (~cases["some cells"].isna()).all(axis=1)
    assert_same_bits(incomplete[complete], model.predict_interval(X)[complete])
    widths = [
        np.ptp(model.predict_interval(X.assign(town=town)), axis=1)
        for town in ("hills", "unknown", None)
    ]
    assert widths[1].mean() > 1.5 * widths[0].mean()
    assert (widths[1] == widths[2]).all()


def test_a_pattern_that_fit_taught_is_left_to_the_sizes_of_residuals():
    """Where a gap says something of the target, its rows in fit have told how large their residuals
    are."""
    X = RandomState(0).rand(60, 3)
    X[::3, 1] = np.nan
    model = fit("regressor", X, NUMBERS)
    assert model.preparation_.gap_patterns_.tolist() == [[False, True, False]]
    residuals = model._residuals
    half = residuals.quantile(0.8) * residuals.sizes(model._inputs(X))[:, 0]
    predicted = model.predict(X)
    expected = np.stack([predicted - half, predicted + half], axis=1)
    assert_same_bits(model.predict_interval(X, 0.8), expected)


def test_a_gap_in_a_wide_table_takes_few_columns_and_rows(monkeypatch):
    rs = RandomState(0)
    X = rs.randn(1000, 500)
    X[:, 250:] = X[:, :250] + 0.1 * rs.randn(1000, 250)  # each column is there twice
    X[0, 0] = np.nan
    learn = mock.Mock(side_effect=imputation.learn_imputation)
    multiply = mock.Mock(side_effect=imputation._product)
    monkeypatch.setattr("fastnn.tabular.preparation.learn_imputation", learn)
    monkeypatch.setattr(imputation, "_product", multiply)
    preparation = TablePreparation().fit(X)
    assert learn.call_args.args[0].size <= imputation.MOST_CELLS
    assert max(len(call.args[0]) for call in multiply.call_args_list) == MOST_SOURCES
    learned = preparation.imputation_
    assert (len(learned.sources), learned.matrix.shape) == (MOST_SOURCES, (MOST_SOURCES, 500))
    # none of them is there for what another one tells
    assert len(set(learned.sources % 250)) == MOST_SOURCES
    j = int(learned.sources[0])
    twin = (j + 250) % 500
    new = np.where(np.arange(500) == twin, np.nan, X[1:200])
    with pytest.warns(UserWarning, match="had no gap in fit"):
        made = preparation.transform(new)[:, twin]
    assert np.corrcoef(made, X[1:200, twin])[0, 1] > 0.9


VERSION_0_3 = ROOT / "tests/support/data/version_0_3"
"""A model that version 0.3.0 wrote, and what it made of new rows."""


def test_files_of_0_3_predict_as_they_did_and_warn(tmp_path):
    with np.load(VERSION_0_3 / "made.npz") as made:
        X, inputs, predicted, interval = (
            made[name] for name in ("X", "inputs", "predicted", "interval")
        )
    old = TabularRegressor.load(VERSION_0_3 / "table.npz")
    old.save(tmp_path / "again.npz")
    for model in (old, TabularRegressor.load(tmp_path / "again.npz")):
        with pytest.warns(UserWarning, match="no gap in fit, 0, 2: a model of fastnn 0.3 puts one"):
            assert_same_bits(model.preparation_.transform(X), inputs)
        with pytest.warns(UserWarning, match="number in place of each"):
            assert_allclose(model.predict(X), predicted, rtol=1e-6)
        with pytest.warns(UserWarning, match="its intervals do not hold: fit it again"):
            assert_allclose(model.predict_interval(X, 0.8), interval, rtol=1e-6)
