"""Intervals and standard deviations of a regressor: as many numbers lie within as are promised."""

from types import SimpleNamespace

import numpy as np
import pytest
from small_tables import both, mixed

from fastnn import TabularRegressor
from fastnn.tabular.left_out import ensemble_factor

FRAME, LABELS, NUMBERS = mixed()


def noisy(n, seed):
    """A table whose noise grows from 0.1 to 1 with the last column, its numbers, and the noise of each row."""
    rs = np.random.RandomState(seed)
    X = rs.uniform(-2, 2, (n, 4))
    sigma = 0.1 + 0.9 * (X[:, 3] + 2) / 4
    return X, np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + sigma * rs.randn(n), sigma


@pytest.fixture(scope="module")
def fitted():
    X, y, _ = noisy(2000, 0)
    return TabularRegressor("fast", random_state=0, n_jobs=1).fit(X, y)


def test_as_many_numbers_are_within_wherever_the_noise_is_small_or_large(fitted):
    X, y, sigma = noisy(5000, 1)
    low, high = fitted.predict_interval(X).T
    within = (low <= y) & (y <= high)
    assert 0.87 <= within.mean() <= 0.93
    thirds = np.array_split(np.argsort(sigma), 3)
    assert all(0.85 <= within[rows].mean() <= 0.95 for rows in thirds)
    widths = [np.median((high - low)[rows]) for rows in thirds]
    assert widths[2] > 2 * widths[0]


@pytest.mark.parametrize("coverage", [0.5, 0.99])
def test_the_coverage_is_the_one_asked_for(fitted, coverage):
    X, y, _ = noisy(5000, 1)
    low, high = fitted.predict_interval(X, coverage).T
    assert abs(((low <= y) & (y <= high)).mean() - coverage) < 0.04
    assert np.allclose((low + high) / 2, fitted.predict(X))


def test_standard_deviations_are_those_of_the_residuals(fitted):
    X, y, _ = noisy(5000, 1)
    predicted, std = fitted.predict(X, return_std=True)
    assert predicted.tobytes() == fitted.predict(X).tobytes()
    assert 0.9 < np.sqrt((((y - predicted) / std) ** 2).mean()) < 1.1


@pytest.mark.parametrize(("n", "noise"), [(1000, 0.3), (300, 1.0)], ids=["members differ", "sizes are overfitted"])
def test_scores_are_those_of_new_rows_to_all_members(n, noise):
    """Residuals of one member make intervals too wide, sizes of networks that knew the rows make them too narrow."""

    def draw(n, seed):
        rs = np.random.RandomState(seed)
        X = rs.uniform(-2, 2, (n, 20))
        return X, np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + noise * rs.randn(n)

    model = TabularRegressor("good", random_state=0, n_jobs=1).fit(*draw(n, 0))
    X, y = draw(5000, 1)
    low, high = model.predict_interval(X).T
    assert 0.87 <= ((low <= y) & (y <= high)).mean() <= 0.93


@pytest.mark.parametrize("k", [1, 2, 8])
def test_all_members_are_closer_than_those_that_left_a_row_out(k):
    errors = np.random.RandomState(0).randn(8, 20_000, 2) * [1, 0.3]  # of members, in two targets
    noise = np.random.RandomState(1).randn(20_000, 2)
    members = [SimpleNamespace(predict=lambda inputs, own=own, **_: own) for own in errors]
    of_some, of_all = noise - errors[:k].mean(axis=0), noise - errors.mean(axis=0)
    factor = ensemble_factor(members, None, of_some, np.full(20_000, k))
    assert np.allclose(factor, np.sqrt((of_all**2).mean(axis=0) / (of_some**2).mean(axis=0)), atol=0.01)


@pytest.mark.parametrize("n_members", [1, 4])
def test_members_that_are_all_the_same_leave_residuals_as_they_are(n_members):
    members = [SimpleNamespace(predict=lambda inputs, **_: np.zeros((50, 1)))] * n_members
    for residuals in (np.ones((50, 1)), np.zeros((50, 1))):
        assert ensemble_factor(members, None, residuals, np.ones(50)).tolist() == [1]


def test_several_targets_have_their_own_intervals():
    X, y, _ = noisy(600, 0)
    model = TabularRegressor("fast", random_state=0, n_jobs=1).fit(X, np.column_stack([y, X[:, 0]]))
    intervals = model.predict_interval(X)
    _, std = model.predict(X, return_std=True)
    assert (intervals.shape, std.shape) == ((600, 2, 2), (600, 2))
    widths = np.median(intervals[..., 1] - intervals[..., 0], axis=0)
    assert widths[0] > 5 * widths[1] > 0


@pytest.mark.parametrize("coverage", [0, 1, 1.5, "0.9", float("nan")])
def test_a_coverage_that_is_no_probability_is_refused(fitted, coverage):
    with pytest.raises(ValueError, match=r"^coverage must be greater than 0 and less than 1, such as 0.9, not "):
        fitted.predict_interval(np.zeros((1, 4)), coverage)


def test_too_few_residuals_are_refused():
    model = both()["regressor"][0].fit(FRAME, NUMBERS)
    n = (~np.isnan(model.oob_prediction_)).sum()
    assert n == 24
    assert model.predict_interval(FRAME, 0.95).shape == (60, 2)
    with pytest.raises(
        ValueError, match=r"^there are 24 residuals .* a coverage of 0.99 takes 100: ask for less coverage"
    ):
        model.predict_interval(FRAME, 0.99)


def test_without_rows_left_out_there_are_none():
    model = both()["regressor"][0].fit(FRAME, NUMBERS, X_val=FRAME, y_val=NUMBERS)
    with pytest.raises(ValueError, match="there are 0 residuals of rows that members left out"):
        model.predict_interval(FRAME)
    with pytest.raises(ValueError, match="members left out no rows, whose residuals would say it"):
        model.predict(FRAME, return_std=True)


def test_numbers_that_are_predicted_exactly_have_narrow_intervals():
    X = np.repeat([["a"], ["b"]], 50, axis=0)
    y = np.repeat([0.0, 1.0], 50)
    model = TabularRegressor("fast", random_state=0, n_jobs=1).fit(X, y)
    assert (np.ptp(model.predict_interval(X), axis=1) < 0.3).all()


def test_they_are_the_same_after_loading(fitted, tmp_path):
    X, _, _ = noisy(100, 1)
    fitted.save(tmp_path / "table.npz")
    again = TabularRegressor.load(tmp_path / "table.npz")
    assert again.predict_interval(X, 0.8).tobytes() == fitted.predict_interval(X, 0.8).tobytes()
    assert again.predict(X, return_std=True)[1].tobytes() == fitted.predict(X, return_std=True)[1].tobytes()
