"""Gaps: estimates from all other columns, the warning where `fit` had none, intervals, wide tables,
files of 0.3."""

import itertools
import json
import warnings

import numpy as np
import pandas as pd
import pytest
from model_files import packed
from numpy.testing import assert_allclose
from small_tables import FRAME, NUMBERS, fit, outputs

from fastnn import TablePreparation, TabularRegressor
from fastnn.tabular import imputation
from fastnn.tabular.imputation import MOST_SOURCES, RIDGE, learn_imputation

ignores_new_gaps = pytest.mark.filterwarnings("ignore:X has gaps in columns that had no gap in fit")


def related(n, seed=0):
    """Four columns that are related, the covariance of which the imputation takes, and the columns
    less their means."""
    X = np.random.RandomState(seed).randn(n, 4) @ np.random.RandomState(1).randn(4, 4)
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
    rs = np.random.RandomState(0)
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
    rs = np.random.RandomState(0)
    color = rs.choice(["blue", "green", "red"], 300)
    X = pd.DataFrame({"size": (color == "red") + 0.01 * rs.randn(300), "color": color})
    new = pd.DataFrame({"size": [None, None, None, 0.0], "color": ["blue", "red", None, None]})
    means = TablePreparation().fit(X).means_
    made = TablePreparation().fit(X).transform(new)
    full = (
        TablePreparation()
        .fit(X)
        .transform(pd.DataFrame({"size": [0.0, 1.0], "color": ["blue", "red"]}))
    )
    assert_allclose(made[:2, 0], full[:, 0], atol=0.1)
    assert_allclose(made[2, 0], means[0], atol=1e-6)
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
    rs = np.random.RandomState(seed)
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
    X = X.mask(np.random.RandomState(2).rand(*X.shape) < gaps)
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


@pytest.mark.filterwarnings("ignore:X has words that fit did not see")
@ignores_new_gaps
def test_gaps_of_other_rows_do_not_change_intervals_and_unknown_words_widen_them():
    X, y, cases = homes(300, 0)
    model = fit("regressor", X, y)
    incomplete = model.predict_interval(cases["some cells"])
    alone = [model.predict_interval(cases["some cells"][i : i + 1])[0] for i in range(20)]
    assert np.array(alone).tobytes() == incomplete[:20].tobytes()
    complete = (~cases["some cells"].isna()).all(axis=1)
    assert incomplete[complete].tobytes() == model.predict_interval(X)[complete].tobytes()
    widths = [
        np.ptp(model.predict_interval(X.assign(town=town)), axis=1)
        for town in ("hills", "unknown", None)
    ]
    assert widths[1].mean() > 1.5 * widths[0].mean()
    assert (widths[1] == widths[2]).all()


def test_a_pattern_that_fit_taught_is_left_to_the_sizes_of_residuals():
    """Where a gap says something of the target, its rows in fit have told how large their residuals
    are."""
    X = np.random.RandomState(0).rand(60, 3)
    X[::3, 1] = np.nan
    model = fit("regressor", X, NUMBERS)
    assert model.preparation_.gap_patterns_.tolist() == [[False, True, False]]
    low, high = model.predict_interval(X, 0.8).T
    residuals = model._residuals
    half = residuals.quantile(0.8) * residuals.sizes(model._inputs(X))[:, 0]
    predicted = model.predict(X)
    assert (low.tobytes(), high.tobytes()) == (
        (predicted - half).tobytes(),
        (predicted + half).tobytes(),
    )


def test_a_gap_in_a_wide_table_takes_few_columns_and_rows(monkeypatch):
    rs = np.random.RandomState(0)
    X = rs.randn(1000, 500)
    X[:, 250:] = X[:, :250] + 0.1 * rs.randn(1000, 250)  # each column is there twice
    X[0, 0] = np.nan
    shapes = []
    products = []
    learn = imputation.learn_imputation
    multiply = imputation._product
    monkeypatch.setattr(
        "fastnn.tabular.preparation.learn_imputation",
        lambda Z, m: shapes.append(Z.shape) or learn(Z, m),
    )
    monkeypatch.setattr(
        imputation, "_product", lambda A, B: products.append(A.shape + B.shape) or multiply(A, B)
    )
    preparation = TablePreparation().fit(X)
    ((n_rows, n_columns),) = shapes
    assert n_rows * n_columns <= imputation.MOST_CELLS
    assert max(shape[0] for shape in products) == MOST_SOURCES
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


def estimates_of_0_3(Z, matrix):
    """What version 0.3 estimated of centered columns, NaN for gaps."""
    gaps = np.isnan(Z)
    filled = first = np.where(gaps, 0.0, Z)
    for _ in range(3):
        means = sum(
            first_column[:, None] * row for first_column, row in zip(filled.T, matrix, strict=True)
        )
        filled = np.where(gaps, means, first)
    return filled


def test_files_of_0_3_predict_as_they_did_and_warn(tmp_path):
    X = np.random.RandomState(0).randn(60, 3)
    X[:9, 1] = np.nan
    model = fit("regressor", X, NUMBERS)
    model.save(tmp_path / "new.npz")
    arrays = dict(np.load(tmp_path / "new.npz"))
    header, columns = (json.loads(arrays[name].tobytes()) for name in ("header", "columns"))
    header |= {"format_version": 1}
    for name in ("word_gaps", "sources", "ramps"):
        del columns[name]
    for name in ("imputation_steps", "gap_patterns", "donors", "ramps"):
        del arrays[name]
        header["arrays"].remove(name)
    matrix = np.array([[0.0, 0.3, -0.2], [0.0, 0.0, 0.0], [0.0, 0.5, 0.0]])
    arrays |= {"imputation": matrix, "header": packed(header), "columns": packed(columns)}
    np.savez(tmp_path / "old.npz", **arrays)
    old = TabularRegressor.load(tmp_path / "old.npz")
    new = np.where(np.random.RandomState(1).rand(60, 3) < 0.4, np.nan, X)
    p = old.preparation_
    scaled = p._scaled(new)
    gaps = np.isnan(scaled)
    filled = np.where(gaps, estimates_of_0_3(scaled - p.means_, matrix) + p.means_, scaled)
    with pytest.warns(
        UserWarning,
        match="no gap in fit, 0, 2: a model of fastnn 0.3 puts one number in place of each",
    ):
        made = p.transform(new)
    assert made.tobytes() == np.column_stack([filled, gaps[:, 1]]).astype(np.float32).tobytes()
    with pytest.warns(UserWarning, match="its intervals do not hold: fit it again"):
        widths = np.ptp(old.predict_interval(new, 0.8), axis=1)
    sizes = old._residuals.sizes(made)[:, 0]
    assert_allclose(widths, 2 * sizes * old._residuals.quantile(0.8))
    old.save(tmp_path / "again.npz")
    with pytest.warns(UserWarning, match="a model of fastnn 0.3"):
        assert (
            TabularRegressor.load(tmp_path / "again.npz").preparation_.transform(new).tobytes()
            == made.tobytes()
        )
