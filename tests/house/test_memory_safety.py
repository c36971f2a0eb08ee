"""Arrays and numbers put into public objects reach a kernel only if they fit; estimators have tests of their own.

In version 0.1, each of these calls ended the process or gave what happened to lie in memory.
"""

import copy
import dataclasses
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import SGD, MLPRegressor, Network, train

X = np.random.RandomState(0).standard_normal((50, 4))
Y = np.c_[X[:, 0], X[:, 1] ** 2]
y = X[:, 0]


@pytest.fixture(scope="module")
def result():
    return train(Network((4, 6, 1), "relu"), X, X[:, :1], epochs=3, seed=0)


REFUSED = {
    "a larger network": {"network": Network((4, 3_000_000, 1))},
    "another network": {"network": Network((4, 9, 1))},
    "a smaller network": {"network": Network((4, 2, 1))},
    "no network": {"network": (4, 6, 1)},
    "a number": {"params": np.float64(1e-310)},
    "no array": {"params": None},
    "text": {"params": "params"},
    "complex": {"params": np.zeros(37, complex)},
    "objects": {"params": np.array([object()] * 37)},
    "a matrix": {"params": np.zeros((1, 37))},
    "too few": {"params": np.zeros(36)},
    "too many": {"params": np.zeros(38)},
    "not finite": {"params": np.full(37, np.nan)},
}


@pytest.mark.parametrize("changes", REFUSED)
def test_results_whose_parts_do_not_fit_are_refused(result, changes, backend):
    changed = dataclasses.replace(result, **REFUSED[changes])
    for twin in (changed, copy.copy(changed), pickle.loads(pickle.dumps(changed))):
        for rows in (1, 50):
            with pytest.raises((ValueError, TypeError), match=r"params|network must be"):
                twin.predict(X[:rows], backend=backend)


SAME = {
    "a copy": lambda p: p.copy(),
    "strided": lambda p: np.repeat(p, 2)[::2],
    "other byte order": lambda p: p.astype(">f8"),
    "a list": lambda p: p.tolist(),
    "unaligned": lambda p: np.frombuffer(b"x" + p.tobytes(), p.dtype, offset=1),
    "more precise": lambda p: p.astype(np.longdouble),
    "a subclass": lambda p: p.view(np.memmap),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_results_with_the_same_numbers_in_another_array_predict_the_same(result, change, backend):
    changed = dataclasses.replace(result, params=change(result.params))
    for rows in (1, 50):
        expected = result.predict(X[:rows], backend=backend)
        for _ in range(2):
            assert np.array_equal(changed.predict(X[:rows], backend=backend), expected)


def test_params_of_integers_and_of_single_precision_are_converted_as_predict_does(result, backend):
    for dtype in (np.int8, np.float16, np.float32):
        params = (8 * result.params).astype(dtype)
        found = dataclasses.replace(result, params=params).predict(X, backend=backend)
        assert np.array_equal(found, fastnn.predict(result.network, params, X, backend=backend))


def test_what_was_found_right_is_looked_at_again_when_it_is_another(result):
    twin = copy.copy(result)
    twin.predict(X)
    object.__setattr__(twin, "params", np.zeros(3))
    with pytest.raises(ValueError, match="params has 3 numbers"):
        twin.predict(X)
    twin = copy.copy(result)
    object.__setattr__(twin, "network", Network((4, 9, 1)))
    with pytest.raises(ValueError, match="params has 37 numbers"):
        twin.predict(X)
    writable = dataclasses.replace(result, params=np.repeat(result.params, 2)[::2])
    writable.predict(X)
    writable.params[:] = 0
    assert not writable.predict(X).any()


class Evil(np.random.RandomState):
    """A generator whose shuffle leaves what it is told to."""

    value = -(10**6)

    def shuffle(self, x):
        x[:] = self.value

    def permutation(self, n):
        return np.full(n, self.value)


@pytest.mark.parametrize("value", [-(10**6), -1, 0, 50, 2**62])
def test_rows_of_a_shuffle_that_is_wrong_are_refused(value, backend):
    seed = type("Worse", (Evil,), {"value": value})(0)
    options, split = {"epochs": 3, "seed": seed, "backend": backend}, fastnn.Stop(validation=0.3)
    mlp = MLPRegressor(hidden_layer_sizes=(5,), batch_size=7, random_state=seed, backend=backend)
    for fit in (
        lambda: train(Network((4, 5, 1)), X, y, batch_size=7, **options),
        lambda: train(Network((4, 5, 1)), X, y, shuffle=False, stop=split, **options),
        lambda: mlp.fit(X, y),
    ):
        with pytest.raises(ValueError, match=r"seed: .*Worse\.shuffle must return a permutation"):
            fit()


def test_a_subclass_keeps_its_own_shuffle(backend):
    class Backwards(np.random.RandomState):
        def shuffle(self, x):
            x[:] = x[::-1].copy()

    options = {"epochs": 1, "batch_size": 7, "backend": backend, "params": np.full(31, 0.1)}
    backwards = train(Network((4, 5, 1)), X, y, seed=Backwards(0), **options)
    turned = train(Network((4, 5, 1)), X[::-1].copy(), y[::-1].copy(), seed=0, shuffle=False, **options)
    assert np.array_equal(backwards.params, turned.params)


@dataclasses.dataclass(frozen=True)
class Returns(fastnn.constant):
    """A schedule that returns what it is told to."""

    change: object = None

    def rates(self, steps):
        return self.change(np.full(steps.shape, self.learning_rate))


RATES = {
    "too few": lambda rates: rates[:-1],
    "a number": lambda rates: rates[0],
    "complex": lambda rates: rates.astype(complex),
    "objects": lambda rates: rates.astype(object),
    "text": lambda rates: rates.astype(str),
}
SAME_RATES = {name: SAME[name] for name in ("strided", "other byte order", "a list", "unaligned", "more precise")}


@pytest.mark.parametrize("change", RATES.values(), ids=RATES)
def test_a_schedule_returns_one_real_number_for_each_step(change, backend):
    options = {"epochs": 3, "batch_size": 7, "seed": 0, "backend": backend}
    with pytest.raises(ValueError, match=r"Returns.rates must return \d+ real numbers, one for each step"):
        train(Network((4, 5, 1)), X, y, optimizer=SGD(Returns(0.1, change)), **options)


@pytest.mark.parametrize("change", SAME_RATES.values(), ids=SAME_RATES)
def test_rates_in_another_array_train_the_same(change, backend):
    options = {"epochs": 3, "batch_size": 7, "seed": 0, "backend": backend}
    expected = train(Network((4, 5, 1)), X, y, optimizer=SGD(0.1), **options)
    result = train(Network((4, 5, 1)), X, y, optimizer=SGD(Returns(0.1, change)), **options)
    assert np.array_equal(result.params, expected.params)
