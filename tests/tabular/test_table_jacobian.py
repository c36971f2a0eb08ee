"""`input_jacobian` of tables: beside differences in float64, gaps, clipped outputs, cut rows,
words.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_tables import ignores_new_gaps

from fastnn import TabularClassifier, TabularRegressor, get_backend

pytestmark = ignores_new_gaps

STEP = 1e-6
"""Of a difference, times the unit of a column."""

UNITS = 10.0 ** np.array([0, -7, 5, 0, 12, 2])
"""Of the columns; the fourth is constant, and the second and last have gaps."""

SEEDS = range(6)


def drawn(seed, kind):
    """Return a fitted model, and rows of its table: some with gaps, some out of range."""
    r = np.random.default_rng(seed)
    X = r.normal(size=(440, len(UNITS)))
    X[:, 3] = 1.0
    signal = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + (X[:, 4] > 0.5) + X[:, 5]
    rows = X[:40].copy()
    rows[20:] *= 4
    X[:, [1, 5]] = np.where(r.random((len(X), 2)) < 0.1, np.nan, X[:, [1, 5]])
    rows[::2] = np.where(r.random((20, len(UNITS))) < 0.3, np.nan, rows[::2])
    rows[:, 3] = 1.0
    options = {"n_members": 2, "epochs": 4, "random_state": seed}
    if kind == "classifier":
        y = np.digitize(signal, [-1, 1]) if seed % 2 else signal > 0
        return TabularClassifier("fast", **options).fit(X * UNITS, y), rows * UNITS
    y = np.column_stack([1e4 * signal, X[:, 0]]) if seed % 2 else 1e4 * signal
    return TabularRegressor("fast", **options).fit(X * UNITS, y), rows * UNITS


def predictions(model, X):
    """Return what a model predicts, of weights and inputs that are not rounded to float32."""
    p = model.preparation_
    numbers = X[:, p.number_columns_]
    scaled = p._completed(p._scaled(numbers))
    ramps = p.ramps_
    places = (scaled[:, ramps.columns] - ramps.lows) / ramps.widths
    of_ramps = ramps.heights * (np.clip(places, 0, 1) - 0.5)
    inputs = np.hstack([scaled, np.isnan(numbers)[:, p.has_gaps_], of_ramps])
    predict = get_backend("numpy").predict
    members = [predict(m.network, m.params.astype(float), inputs) for m in model.estimators_]
    outputs = np.mean(members, axis=0)
    if isinstance(model, TabularRegressor):
        mean, deviation, low, high = model._scaling
        return np.clip(outputs * deviation + mean, low, high)
    rest = np.maximum(outputs - model._unsmoothing.offset, model._unsmoothing.least)
    return rest / rest.sum(axis=1, keepdims=True)


def differences(model, X):
    """Return central differences (n, n_outputs, n_features) of these predictions."""
    quotients = []
    for j, unit in enumerate(UNITS):
        step = np.zeros(len(UNITS))
        step[j] = STEP * unit
        change = predictions(model, X + step) - predictions(model, X - step)
        quotients.append(change / (2 * STEP * unit))
    return np.stack(quotients, axis=-1)


def by_outputs(jacobian):
    """Return a Jacobian (n, n_outputs, n_features), also of the only target."""
    return jacobian[:, None] if jacobian.ndim == 2 else jacobian


@pytest.mark.parametrize("seed", SEEDS)
def test_it_is_the_limit_of_differences(kind, seed):
    model, X = drawn(seed, kind)
    assert len(model.preparation_.ramps_.columns) > 0
    assert model.preparation_.has_gaps_.any()
    actual = by_outputs(model.input_jacobian(X)) * UNITS
    expected = differences(model, X) * UNITS
    known = ~np.broadcast_to(np.isnan(X)[:, None], actual.shape)
    scale = abs(expected[known]).max()
    assert scale > 0.1
    assert_allclose(actual[known], expected[known], rtol=1e-4, atol=2e-5 * scale)


def test_a_missing_number_has_no_derivative(kind):
    model, X = drawn(0, kind)
    jacobian = by_outputs(model.input_jacobian(X))
    are_missing = np.broadcast_to(np.isnan(X)[:, None], jacobian.shape)
    assert are_missing.any()
    assert_array_equal(np.isnan(jacobian), are_missing)


def test_the_derivative_of_a_clipped_prediction_and_by_a_constant_column_is_0():
    model, X = drawn(1, "regressor")
    low, high = model._scaling[2:]
    predicted = model.predict(X)
    is_clipped = (predicted == low) | (predicted == high)
    assert is_clipped.any()
    jacobian = np.nan_to_num(model.input_jacobian(X))
    assert_array_equal(is_clipped, (jacobian == 0).all(axis=-1))
    assert_array_equal(jacobian[:, :, 3], 0)


def test_the_derivatives_of_probabilities_add_up_to_0():
    model, X = drawn(1, "classifier")
    jacobian = np.nan_to_num(model.input_jacobian(X)) * UNITS
    assert jacobian.shape == (40, 3, len(UNITS))
    assert_allclose(jacobian.sum(axis=1), 0, atol=1e-12)


def test_bits_do_not_depend_on_the_rows_beside(kind):
    model, X = drawn(2, kind)
    whole = model.input_jacobian(X)
    alone = np.concatenate([model.input_jacobian(row[None]) for row in X])
    repeated = model.input_jacobian(np.tile(X, (20, 1)))
    assert_array_equal(alone, whole, strict=True)
    assert_array_equal(repeated, np.tile(whole, (20,) + (1,) * (whole.ndim - 1)))


def test_columns_of_a_frame_are_those_of_fit():
    pd = pytest.importorskip("pandas", reason="needs pandas")
    X = pd.DataFrame(np.random.RandomState(0).randn(60, 3), columns=list("abc"))
    model = TabularRegressor("fast", epochs=4, random_state=0).fit(X, X["a"] - X["b"])
    jacobian = model.input_jacobian(X[["c", "a", "b"]])
    assert jacobian.shape == (60, 3)
    assert_array_equal(jacobian, model.input_jacobian(X))
    assert (jacobian.mean(axis=0) * [1, -1, 0]).min() >= 0


def test_columns_of_words_are_named():
    X = [[1.0, "a", True], [2.0, "b", False]] * 20
    model = TabularRegressor("fast", epochs=1, random_state=0).fit(X, [0.0, 1.0] * 20)
    with pytest.raises(ValueError, match=r"^columns 1, 2 hold words, .* make numbers of them$"):
        model.input_jacobian(X)
