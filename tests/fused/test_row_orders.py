"""Row orders of compiled code against NumPy's: the same orders, and the generator's words
afterwards."""

import numpy as np
import pytest
from test_guard import KINDS

from fastnn import get_backend
from fastnn.compiler.loader import IN_PYTHON
from fastnn.training.generator import shuffle_rows

LARGEST = 700 if IN_PYTHON else 2**16 + 1
"""Rows: from 2**16 + 1 on, the draws have 17 bits. (More than 32 need 2**32 rows, which NumPy
shuffles.)"""

pytestmark = pytest.mark.nojit


@pytest.fixture(autouse=True)
def _compiled(monkeypatch):
    monkeypatch.setattr("fastnn.training.generator.BY_NUMPY", 0)


def words_of(random_state):
    name, key, position, *gauss = random_state.get_state()
    return name, key.tolist(), position, gauss


def assert_shuffles_alike(random_state, n, n_orders, order=None):
    """Shuffle twice, from equal generators: by NumPy and in compiled code; the orders, if there is
    no difference."""
    order = np.arange(n) if order is None else order
    twin = np.random.RandomState()
    twin.set_state(random_state.get_state())
    by_numpy, compiled = np.full((2, n_orders, n), -1)
    shuffle_rows(random_state, by_numpy, order)
    shuffle_rows(twin, compiled, order, get_backend("numba").shuffle_rows)
    np.testing.assert_array_equal(compiled, by_numpy)
    assert words_of(random_state) == words_of(twin)
    return compiled


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 31, 32, 33, 64, 65, 623, 624, 625, LARGEST])
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_orders_and_words_are_numpys(n, seed):
    random_state = np.random.RandomState(seed)
    for n_orders in (1, 3, 0, 2):  # the generator goes on: the second call begins within its words
        assert_shuffles_alike(random_state, n, n_orders)


@pytest.mark.parametrize("position", [0, 1, 226, 227, 396, 622, 623, 624])
def test_a_shuffle_may_begin_anywhere_in_the_words(position):
    """They are renewed as NumPy renews them, ten times over, with all bits of all words seen in
    between."""
    random_state = np.random.RandomState(7)
    random_state.standard_normal(3)  # in pairs: the fourth is kept
    name, key, _, *gauss = random_state.get_state()
    random_state.set_state((name, key, position, *gauss))
    assert gauss[0] == 1
    assert_shuffles_alike(random_state, 100, 12)
    for _ in range(10):
        assert_shuffles_alike(random_state, 500, 1)


def test_rows_need_not_be_ascending_nor_all_of_them():
    rows = np.array([40, -3, 2**60, 7, 7, 0, 11])
    orders = assert_shuffles_alike(np.random.RandomState(5), rows.size, 9, rows)
    assert np.array_equal(np.sort(orders), np.broadcast_to(np.sort(rows), orders.shape))


RIGHT = {
    "words": np.ones(625, np.uint32),
    "orders": np.zeros((2, 3), np.int64),
    "order": np.arange(3),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_wrong_array_never_reaches_the_kernel(name):
    """There may be any number of orders; which of two arrays is wrong where their sizes differ,
    nobody knows."""
    for kind, (change, _) in KINDS.items():
        if (name, kind) not in (("orders", "one too many"), ("orders", "one too few")):
            with pytest.raises(
                (TypeError, ValueError), match=f"({name}|orders) must be an array of u?int"
            ):
                get_backend("numba").shuffle_rows(*(RIGHT | {name: change(RIGHT[name])}).values())


def test_right_arrays_are_shuffled_by_words_at_a_position_that_there_is():
    words, orders, order = (array.copy() for array in RIGHT.values())
    words[624] = 624
    get_backend("numba").shuffle_rows(words, orders, order)
    assert np.array_equal(np.sort(orders), [order] * 2)
    assert 0 < words[624] < 624
    with pytest.raises(
        ValueError, match="the generator is damaged: its position in 624 words is 625"
    ):
        get_backend("numba").shuffle_rows(np.full(625, 625, np.uint32), orders, order)
