"""Ramps: their values, the columns and bins that have them, and the members that take them."""

import numpy as np
import pytest
from numpy.random import RandomState
from numpy.testing import assert_allclose, assert_array_equal
from small_tables import fit

from fastnn import TabularRegressor
from fastnn.tabular import ramps
from fastnn.tabular.ramps import FEWEST_BINS, MOST_RAMPS, MOST_ROWS, ROWS_OF_A_BIN, learn_ramps

ROWS = RandomState(0).randn(1200, 3).astype(np.float32)
STEPS = np.sign(ROWS[:, 0]) + (ROWS[:, 1] > 0.7)


def test_bins_hold_equally_many_rows_or_lie_between_values():
    few = RandomState(1).randint(0, 4, len(ROWS))
    numbers = np.column_stack([ROWS[:, 0], few, few > 1]).astype(np.float32)
    learned = learn_ramps(numbers, 8, 0.7)
    of_first, of_few = (learned.columns == j for j in (0, 1))
    assert (of_first.sum(), of_few.sum(), len(learned.columns)) == (8, 3, 11)  # none of two values
    edges = np.append(learned.lows[of_first], ROWS[:, 0].max())
    assert_allclose(np.histogram(ROWS[:, 0], edges)[0], len(ROWS) / 8, atol=1)
    assert_array_equal(learned.lows[of_few], [0, 1, 2])
    assert_array_equal(learned.widths[of_few], 1)
    for of_column in (of_first, of_few):  # one more bin does not make a column count for more
        assert (learned.heights[of_column] ** 2).sum() == pytest.approx(3 * 0.7**2)


@pytest.mark.parametrize(
    ("n_rows", "n_columns", "n_bins"),
    [
        (FEWEST_BINS * ROWS_OF_A_BIN, 1, FEWEST_BINS),
        (FEWEST_BINS * ROWS_OF_A_BIN - 1, 1, 0),
        (1200, 1, 12),
        (5000, 1, 16),
        (5000, MOST_RAMPS // FEWEST_BINS, FEWEST_BINS),
        (5000, MOST_RAMPS // FEWEST_BINS + 1, 0),
        (MOST_ROWS, 1, 16),
        (MOST_ROWS + 1, 1, 0),
    ],
)
def test_few_rows_and_many_columns_have_fewer_ramps(n_rows, n_columns, n_bins):
    numbers = RandomState(0).randn(n_rows, n_columns).astype(np.float32)
    learned = learn_ramps(numbers, 16, 1.0)
    assert_array_equal(np.bincount(learned.columns, minlength=n_columns), n_bins)


def test_ramps_do_not_depend_on_chunks(monkeypatch):
    learned = learn_ramps(ROWS, 16, 1.0)
    whole = learned.beside(ROWS)
    monkeypatch.setattr(ramps, "CHUNK", 7)
    assert_array_equal(learned.beside(ROWS), whole)


@pytest.mark.parametrize(("n_members", "n_ramped"), [(1, 0), (2, 1), (5, 2)])
def test_half_of_the_members_take_ramps(n_members, n_ramped):
    model = fit("regressor", ROWS, STEPS, n_members=n_members)
    of_ramps = [
        member.network.weights(member.params)[0][ROWS.shape[1] :] for member in model.estimators_
    ]
    takes = [bool(weights.any()) for weights in of_ramps]
    assert takes == [False] * (n_members - n_ramped) + [True] * n_ramped
    residuals = [member.network.weights(member.params)[0] for member in model._residuals.members]
    assert not any(weights[ROWS.shape[1] :].any() for weights in residuals)


@pytest.mark.parametrize("preset", ["good", "best"])
def test_other_presets_have_no_ramps(preset):
    sizes = {"hidden_layer_sizes": 8, "n_members": 2}
    model = fit("regressor", ROWS, STEPS, preset=preset, epochs=1, **sizes)
    assert model.preparation_.transform(ROWS).shape == ROWS.shape


def test_ramps_lessen_the_error_of_what_changes_often(monkeypatch):
    X = RandomState(1).uniform(-1, 1, (1500, 3))
    y = np.sin(12 * X[:, 0]) + np.sign(X[:, 1] - 0.5)
    score = fit("regressor", X[:1000], y[:1000], epochs=None).score(X[1000:], y[1000:])
    monkeypatch.setattr(TabularRegressor, "_bins", None)
    plain = fit("regressor", X[:1000], y[:1000], epochs=None).score(X[1000:], y[1000:])
    assert 1 - score < 0.9 * (1 - plain)
