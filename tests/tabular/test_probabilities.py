"""A classifier's probabilities: label smoothing is taken off again, as far as rows left out say."""

import numpy as np
import pytest
from sklearn.metrics import log_loss
from small_tables import both, mixed

from fastnn import TabularClassifier
from fastnn.tabular.left_out import LEAST, Unsmoothing, learn_unsmoothing
from fastnn.tabular.members import mean_outputs

FRAME, LABELS, _ = mixed()


def drawn(n, seed, noise):
    """Two numbers, and a label of them that is wrong in a part of the rows."""
    rs = np.random.RandomState(seed)
    X = rs.uniform(-1, 1, (n, 2))
    return X, (X[:, 0] * X[:, 1] > 0) ^ (rs.rand(n) < noise)


@pytest.mark.parametrize(("noise", "most"), [(0.0, 0.05), (0.2, 0.53)])
def test_log_loss_is_that_of_the_noise(noise, most):
    """Smoothed outputs have a log loss of 0.05 at least, whatever is learned; noise of 0.2 has 0.5."""
    X, y = drawn(1000, 0, noise)
    X_test, y_test = drawn(4000, 1, noise)
    model = TabularClassifier("fast", random_state=0, n_jobs=1).fit(X, y)
    p = model.predict_proba(X_test)
    outputs = mean_outputs(model.estimators_, model._inputs(X_test))
    assert log_loss(y_test, p) < most
    smoothed = log_loss(y_test, outputs / outputs.sum(axis=1, keepdims=True))
    assert log_loss(y_test, p) < (smoothed / 2 if noise == 0 else smoothed + 0.005)
    assert np.allclose(p.sum(axis=1), 1)
    assert (p.argmax(axis=1) == outputs.argmax(axis=1)).all()


def test_the_offset_is_the_one_of_the_least_log_loss():
    """Outputs that are right but for the smoothing have it taken off, within a step of the multiples."""
    rs = np.random.RandomState(0)
    p = rs.dirichlet([0.5, 0.5, 0.5], 20_000)
    labels = (rs.rand(len(p), 1) > p.cumsum(axis=1)).sum(axis=1).clip(max=2)
    found = learn_unsmoothing(0.7 * p + 0.1, labels, None, 0.3)
    assert abs(found.offset - 0.1) <= 0.1 * 0.1
    right = Unsmoothing(0.1, 1e-12).probabilities(0.7 * p + 0.1)
    assert np.allclose(right, p)


def test_weights_count():
    rs = np.random.RandomState(0)
    labels = rs.randint(0, 2, 1000)
    outputs = np.where(labels[:, None] == [0, 1], 0.95, 0.05)
    wrong = np.where(np.arange(1000) % 2, labels, 1 - labels)
    half = (np.arange(1000) % 2).astype(float)
    assert learn_unsmoothing(outputs, wrong, half, 0.1) == learn_unsmoothing(outputs, labels, None, 0.1)
    assert learn_unsmoothing(outputs, wrong, None, 0.1).offset == 0


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_without_rows_left_out_the_smoothing_itself_is_taken_off(smoothing):
    model = both()["classifier"][0].set_params(label_smoothing=smoothing)
    model.fit(FRAME, LABELS, X_val=FRAME, y_val=LABELS)
    assert model._unsmoothing == (min(smoothing, 0.9) / 2, LEAST / 2)
    p, outputs = model.predict_proba(FRAME), mean_outputs(model.estimators_, model._inputs(FRAME))
    assert (p.argmax(axis=1) == outputs.argmax(axis=1)).all()


def test_rows_left_out_have_such_probabilities_too():
    model = both()["classifier"][0].fit(FRAME, LABELS)
    known = ~np.isnan(model.oob_decision_function_[:, 0])
    assert known.sum() == 24
    expected = model._unsmoothing.probabilities(model._out_of_bag[known])
    assert np.array_equal(model.oob_decision_function_[known], expected)
