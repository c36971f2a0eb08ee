"""TabularRegressor(loss=): the units of y, what is refused, and what is stored."""

import pickle

import numpy as np
import pytest
from bits import assert_same_bits, bits
from numpy.random import RandomState
from numpy.testing import assert_allclose
from sklearn.base import clone

from fastnn import CustomLoss, Huber, Pinball, TabularRegressor
from fastnn.derivatives import with_derivative
from fastnn.formulas import evaluate
from fastnn.losses import Custom
from fastnn.tabular.units import in_units, loss_of_targets


def cost(a, y):
    return np.where(y > a, 3.0 * (y - a), a - y)


def log_cosh(a, y):
    return np.log(np.cosh((a - y) / 50))


def relative(a, y):
    return ((a - y) / (abs(y) + 1)) ** 2


RANDOM = RandomState(0)
X = RANDOM.uniform(size=(400, 2))
Y = 1000 + 100 * X[:, 0] + 20 * RANDOM.standard_normal(400)
FAST = {"preset": "fast", "n_members": 3, "epochs": 12, "random_state": 0}


def fitted(loss, y=Y, **options):
    return TabularRegressor(loss=loss, **FAST, **options).fit(X, y)


@pytest.mark.parametrize(
    ("loss", "share"), [(cost, 0.75), (Pinball(0.75), 0.75), (Pinball(0.1), 0.1)]
)
def test_a_cost_by_sign_is_a_quantile(loss, share):
    model = fitted(loss)
    assert_allclose((model.predict(X) >= Y).mean(), share, atol=0.06)


def test_a_quantile_by_its_name_is_a_value():
    named = fitted("quantile", quantile=0.9)
    assert_same_bits(named.predict(X), fitted(Pinball(0.9)).predict(X))
    for options in ({"loss": "quantile"}, {"loss": "huber", "quantile": 0.5}):
        with pytest.raises(ValueError, match="go together"):
            TabularRegressor(**options).fit(X, Y)


def test_the_default_is_the_squared_error():
    by_default = TabularRegressor(**FAST).fit(X, Y)
    assert_same_bits(fitted("squared_error").predict(X), by_default.predict(X))


@pytest.mark.parametrize("function", [cost, log_cosh, relative])
def test_a_loss_of_scaled_targets_is_that_of_the_units(function):
    formula = with_derivative(CustomLoss(function).formula, "a")
    scaled = with_derivative(in_units(CustomLoss(function).formula, 20.0, 1000.0, 7.0), "a")
    a, y = RandomState(1).standard_normal((2, 50))
    expected = np.array(evaluate(formula, a=20 * a + 1000, y=20 * y + 1000))
    found = evaluate(scaled, a=a, y=y)
    units = np.array([[1 / 7], [20 / 7]])  # of the loss, and of its derivative
    assert_allclose(found, expected * units, rtol=1e-10, atol=1e-12)


def test_differences_keep_their_digits_where_targets_are_far_from_0():
    far = loss_of_targets(cost, None, np.array([[1e12], [1.0], [1e12 - 3], [1e12 + 3]]))
    near = loss_of_targets(cost, None, np.array([[0.0], [1.0], [-3.0], [3.0]]))
    assert isinstance(far, Custom)
    assert far == near


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3, 1e6, 1e12])
def test_a_loss_is_convex_or_not_whatever_the_range_of_y(scale):
    scaling = np.array([[scale], [scale], [-2 * scale], [4 * scale]])
    for convex in (cost, relative, lambda a, y: np.sqrt(1 + (a - y) ** 2)):
        assert isinstance(loss_of_targets(convex, None, scaling), Custom)
    for size in (scale / 10, scale / 1e3, scale / 1e5):

        def bounded(a, y, size=size):
            return np.tanh(((a - y) / size) ** 2)

        def bounded_above(a, y, bounded=bounded, size=size):
            return np.where(a > y, bounded(a, y), ((a - y) / size) ** 2)

        def bounded_below(a, y, bounded=bounded, size=size):
            return np.where(a < y, bounded(a, y), ((a - y) / size) ** 2)

        for loss in (bounded, bounded_above, bounded_below):
            with pytest.raises(ValueError, match="not convex"):
                loss_of_targets(loss, None, scaling)


@pytest.mark.parametrize("loss", ["huber", Huber(30.0), "absolute_error"])
def test_outliers_count_less(loss):
    y = np.where(np.arange(400) % 20 == 0, 1e5, Y)
    model = fitted(loss, y)
    usual = fitted("squared_error", y)
    errors = [abs(m.predict(X) - 1000 - 100 * X[:, 0]).mean() for m in (model, usual)]
    assert errors[0] < 0.1 * errors[1]


REFUSED = {
    "not convex": (lambda a, y: np.log1p((a - y) ** 2), Y, "not convex in the prediction"),
    "not convex near y": (lambda a, y: np.tanh((a - y) ** 2), Y, "not convex in the prediction"),
    "not finite": (lambda a, y: (a - y) ** 2 + np.sqrt(a - 1050), Y, "no finite derivative"),
    "targets": (CustomLoss(cost, low=2000), Y, r"y is from 9.*, and loss takes numbers.*2000"),
    "several": (cost, np.stack([Y, Y], axis=1), "in the units of one"),
    "several, of Huber": (Huber(2.0), np.stack([Y, Y], axis=1), "in the units of one"),
    "a name": ("poisson", Y, "'loss' parameter"),
    "another library's name": ("mae", Y, r"\(did you mean 'absolute_error'\?\)$"),
    "steep": (lambda a, y: np.exp(2 * abs(a - y)), Y, "^loss, of y less its mean and divided"),
    "an if": (lambda a, y: a - y if a > y else y - a, Y, "it runs once"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_loss_of_a_table_is_refused(name):
    loss, y, words = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=words):
        fitted(loss, y)


def test_several_targets_have_quantiles_of_their_own_scales():
    y = np.stack([Y, Y / 1000], axis=1)
    model = fitted("quantile", y, quantile=0.8)
    assert_allclose((model.predict(X) >= y).mean(axis=0), 0.8, atol=0.08)


@pytest.mark.parametrize("loss", [cost, CustomLoss(cost), Huber(30.0), "absolute_error"])
def test_a_model_with_a_loss_is_copied_and_comes_back_from_a_file(loss, tmp_path):
    model = fitted(loss)
    expected = bits(model.predict(X))
    model.save(tmp_path / "model.npz")
    loaded = TabularRegressor.load(tmp_path / "model.npz")
    assert bits(loaded.predict(X)) == expected
    assert bits(pickle.loads(pickle.dumps(model)).predict(X)) == expected
    again = clone(loaded).fit(X, Y)
    assert bits(again.predict(X)) == expected


def test_intervals_hold_what_they_say_around_a_quantile():
    model = fitted(Pinball(0.9))
    low, high = model.predict_interval(X, 0.8).T
    assert ((low <= Y) & (high >= Y)).mean() > 0.75
    assert_allclose((low + high) / 2, model.predict(X))
