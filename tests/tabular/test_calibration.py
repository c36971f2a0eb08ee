"""What rows left out teach: intervals and deviations of a regressor, probabilities of a
classifier."""

from types import SimpleNamespace

import numpy as np
import pytest
from bits import assert_same_bits
from numpy.random import RandomState
from sklearn.metrics import log_loss
from small_tables import FRAME, LABELS, NUMBERS, fit, unfitted

from fastnn import TabularClassifier, TabularRegressor
from fastnn.tabular import calibration
from fastnn.tabular.calibration import (
    FEWEST_ROWS,
    LEAST,
    LEAST_GAIN,
    Unsmoothing,
    ensemble_factor,
    gain_of_sizes,
    learn_unsmoothing,
)
from fastnn.tabular.members import mean_outputs


def noisy(n, seed, n_columns=4, noise=None):
    """A table, its numbers, and the noise of each row: by default it grows from 0.1 to 1 with the
    last column."""
    rs = RandomState(seed)
    X = rs.uniform(-2, 2, (n, n_columns))
    sigma = 0.1 + 0.9 * (X[:, -1] + 2) / 4 if noise is None else noise
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
    predicted, std = fitted.predict(X, return_std=True)
    assert_same_bits(predicted, fitted.predict(X))
    assert 0.9 < np.sqrt((((y - predicted) / std) ** 2).mean()) < 1.1
    for coverage in (0.5, 0.99):
        low, high = fitted.predict_interval(X, coverage).T
        assert abs(((low <= y) & (y <= high)).mean() - coverage) < 0.04
        assert np.allclose((low + high) / 2, predicted)


@pytest.mark.parametrize(
    ("n", "noise"), [(1000, 0.3), (300, 1.0)], ids=["members differ", "sizes are overfitted"]
)
def test_scores_are_those_of_new_rows_to_all_members(n, noise):
    """Residuals of one member make intervals too wide, sizes of networks that knew the rows make
    them too narrow."""
    X, y, _ = noisy(5000, 1, 20, noise)
    coverages = []
    for seed in (0, 10, 20):
        model = TabularRegressor("good", random_state=seed, n_jobs=1).fit(
            *noisy(n, seed, 20, noise)[:2]
        )
        low, high = model.predict_interval(X).T
        coverages.append(((low <= y) & (y <= high)).mean())
    assert 0.87 <= np.mean(coverages) <= 0.93


def factor(outputs, residuals, k):
    """What is learned of members with these outputs, k of which left out each row, where they left
    these residuals."""
    members = [SimpleNamespace(predict=lambda inputs, own=own, **_: own) for own in outputs]
    return ensemble_factor(members, None, residuals, np.full(len(residuals), k))


@pytest.mark.parametrize("k", [1, 2, 8])
def test_all_members_are_closer_than_those_that_left_a_row_out(k):
    errors = RandomState(0).randn(8, 20_000, 2) * [1, 0.3]  # of members, in two targets
    noise = RandomState(1).randn(20_000, 2)
    of_some = noise - errors[:k].mean(axis=0)
    of_all = noise - errors.mean(axis=0)
    expected = np.sqrt((of_all**2).mean(axis=0) / (of_some**2).mean(axis=0))
    assert np.allclose(factor(errors, of_some, k), expected, atol=0.01)
    for n_members in (1, 4):  # all the same
        for residuals in (np.ones((50, 1)), np.zeros((50, 1))):
            assert factor(np.zeros((n_members, 50, 1)), residuals, 1).tolist() == [1]


def test_several_targets_have_their_own_intervals():
    X, y, _ = noisy(600, 0)
    model = TabularRegressor("fast", random_state=0, n_jobs=1).fit(X, np.column_stack([y, X[:, 0]]))
    intervals = model.predict_interval(X)
    mean, std = model.predict(X, return_std=True)
    assert (intervals.shape, mean.shape, std.shape) == ((600, 2, 2), (600, 2), (600, 2))
    assert abs(mean[:, 1] - X[:, 0]).max() < 0.5
    widths = np.median(intervals[..., 1] - intervals[..., 0], axis=0)
    assert widths[0] > 5 * widths[1] > 0


@pytest.mark.parametrize("coverage", [0, 1, 1.5, "0.9", float("nan")])
def test_a_coverage_that_is_no_probability_is_refused(fitted, coverage):
    with pytest.raises(
        ValueError, match=r"^coverage must be greater than 0 and less than 1, such as 0.9, not "
    ):
        fitted.predict_interval(np.zeros((1, 4)), coverage)


def test_too_few_residuals_are_refused():
    model = fit("regressor")
    assert (~np.isnan(model.oob_prediction_)).sum() == 24
    assert model.predict_interval(FRAME, 0.95).shape == (60, 2)
    words = "^there are 24 residuals .* a coverage of 0.99 takes 100: ask for less coverage"
    with pytest.raises(ValueError, match=words):
        model.predict_interval(FRAME, 0.99)
    model = unfitted("regressor").fit(FRAME, NUMBERS, X_val=FRAME, y_val=NUMBERS)
    with pytest.raises(ValueError, match="there are 0 residuals of rows that members left out"):
        model.predict_interval(FRAME)
    with pytest.raises(ValueError, match="members left out no rows to learn deviations from"):
        model.predict(FRAME, return_std=True)


def few(n, seed):
    """Rows of which two columns tell of the target, with the same noise everywhere."""
    random = RandomState(seed)
    X = random.randn(n, 5)
    return X, 2 * X[:, 0] + np.sin(2 * X[:, 1]) + random.randn(n)


@pytest.mark.parametrize("preset", ["fast", "good"])
def test_intervals_of_few_rows_cover_as_many(preset):
    """Means over tables of 40 rows, of which .74 of new rows were covered where these rows had
    chosen epochs."""
    X_test, y_test = few(1000, 100)
    coverages = []
    widths = []
    for seed in range(10):
        model = TabularRegressor(preset, random_state=seed).fit(*few(40, seed))
        low, high = model.predict_interval(X_test).T
        coverages.append(((low <= y_test) & (y_test <= high)).mean())
        widths.append(np.ptp(high - low))
    assert 0.8 <= np.mean(coverages) <= 0.97
    assert np.median(widths) < 1e-9  # the networks of sizes would learn chance


def test_less_than_40_rows_make_no_intervals():
    model = TabularRegressor("good", random_state=0).fit(*few(39, 0))
    words = "^fit had 39 rows, too few to say how far predictions are off: fit 40 rows or more"
    with pytest.raises(ValueError, match=words):
        model.predict_interval(np.zeros((1, 5)))
    with pytest.raises(ValueError, match=words):
        model.predict(np.zeros((1, 5)), return_std=True)


def test_sizes_are_learned_where_they_are_better_than_their_mean():
    even = np.full((100, 1), 1.0)
    uneven = np.repeat([[0.2], [1.8]], 50, axis=0)
    assert gain_of_sizes(uneven, uneven, None) > LEAST_GAIN
    assert gain_of_sizes(uneven, even, None) == 0
    assert gain_of_sizes(uneven, uneven[::-1], None) < 0
    assert gain_of_sizes(uneven, uneven, np.repeat([1.0, 0.0], 50)) == pytest.approx(
        100 * (0.2 * np.log(0.2) + 0.8)
    )


def test_numbers_that_are_predicted_exactly_have_narrow_intervals():
    X = np.repeat([["a"], ["b"]], 50, axis=0)
    y = np.repeat([0.0, 1.0], 50)
    model = TabularRegressor("fast", random_state=0, n_jobs=1).fit(X, y)
    assert (np.ptp(model.predict_interval(X), axis=1) < 0.3).all()


def drawn(n, seed, noise):
    """Two numbers, and a label of them that is wrong in a part of the rows."""
    rs = RandomState(seed)
    X = rs.uniform(-1, 1, (n, 2))
    return X, (X[:, 0] * X[:, 1] > 0) ^ (rs.rand(n) < noise)


@pytest.mark.parametrize(("noise", "most"), [(0.0, 0.05), (0.2, 0.53)])
def test_log_loss_is_that_of_the_noise(noise, most):
    """Smoothed outputs have a log loss of 0.05 at least, whatever is learned; noise of 0.2 has 0.5.
    Means of tables."""
    X_test, y_test = drawn(4000, 1, noise)
    unsmoothed = []
    smoothed = []
    for seed in (0, 10, 20):
        model = TabularClassifier("fast", random_state=seed, n_jobs=1).fit(
            *drawn(1000, seed, noise)
        )
        p = model.predict_proba(X_test)
        outputs = mean_outputs(model.estimators_, model._inputs(X_test))
        unsmoothed.append(log_loss(y_test, p))
        smoothed.append(log_loss(y_test, outputs / outputs.sum(axis=1, keepdims=True)))
        assert np.allclose(p.sum(axis=1), 1)
        assert (p.argmax(axis=1) == outputs.argmax(axis=1)).all()
    assert np.mean(unsmoothed) < most
    assert np.mean(unsmoothed) < (
        np.mean(smoothed) / 2 if noise == 0 else np.mean(smoothed) + 0.005
    )


def test_the_offset_is_the_one_of_the_least_log_loss_of_rows_that_count():
    """Outputs that are right but for the smoothing have it taken off, within a step of the
    multiples."""
    rs = RandomState(0)
    p = rs.dirichlet([0.5, 0.5, 0.5], 20_000)
    labels = (rs.rand(len(p), 1) > p.cumsum(axis=1)).sum(axis=1).clip(max=2)
    counts = rs.rand(len(p)) < 0.5
    # of the other rows, the least probable ones
    labels = np.where(counts, labels, p.argmin(axis=1))
    offsets = [
        learn_unsmoothing(0.7 * p + 0.1, labels, weight, 0.3).offset
        for weight in (1.0 * counts, None)
    ]
    assert abs(offsets[0] - 0.1) <= 0.1 * 0.1
    assert offsets[1] == 0
    assert np.allclose(Unsmoothing(0.1, 1e-12).probabilities(0.7 * p + 0.1), p)


def test_few_rows_left_out_take_nothing_off():
    """Rows that are right by chance would make all probabilities 0 and 1."""
    outputs = np.full((FEWEST_ROWS, 2), (0.9, 0.1))
    labels = np.zeros(FEWEST_ROWS, int)
    assert learn_unsmoothing(outputs, labels, None, 0.1).offset > 0.05
    assert learn_unsmoothing(outputs[1:], labels[1:], None, 0.1).offset == 0


def test_of_many_classes_fewer_rows_choose(monkeypatch):
    """5,000 rows of 5,000 classes: 61 times 25 million outputs took 10 s."""
    sizes = []
    probabilities = Unsmoothing.probabilities

    def watched(self, outputs):
        sizes.append(outputs.size)
        return probabilities(self, outputs)

    monkeypatch.setattr(Unsmoothing, "probabilities", watched)
    monkeypatch.setattr(calibration, "MOST_OUTPUTS", 20_000)
    outputs = RandomState(0).dirichlet(np.ones(400), 1000)
    learn_unsmoothing(outputs, outputs.argmax(axis=1), None, 0.1)
    assert max(sizes) == 50 * 400


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_without_rows_left_out_the_smoothing_itself_is_taken_off(smoothing):
    model = unfitted("classifier", label_smoothing=smoothing).fit(
        FRAME, LABELS, X_val=FRAME, y_val=LABELS
    )
    assert model._unsmoothing == (min(smoothing, 0.9) / 2, LEAST / 2)
    p = model.predict_proba(FRAME)
    outputs = mean_outputs(model.estimators_, model._inputs(FRAME))
    assert (p.argmax(axis=1) == outputs.argmax(axis=1)).all()
