"""Row orders of compiled code against NumPy's: the same orders, and the generator's words afterwards."""

import numpy as np
import pytest

from fastnn import get_backend
from fastnn.compiler.loader import IN_PYTHON
from fastnn.training.generator import shuffle_rows

LARGEST = 700 if IN_PYTHON else 2**16 + 1
"""Rows: from 2**16 + 1 on, the draws have 17 bits. (More than 32 need 2**32 rows, which NumPy shuffles.)"""

pytestmark = pytest.mark.nojit


@pytest.fixture(autouse=True)
def _compiled(monkeypatch):
    monkeypatch.setattr("fastnn.training.generator.BY_NUMPY", 0)


def words_of(random_state):
    name, key, position, *gauss = random_state.get_state()
    return name, key.tolist(), position, gauss


def both(random_state, n, n_orders, order=None):
    """Shuffle twice, from equal generators: by NumPy and in compiled code; the orders and the generators."""
    order = np.arange(n) if order is None else order
    twin = np.random.RandomState()
    twin.set_state(random_state.get_state())
    by_numpy, compiled = np.full((2, n_orders, n), -1)
    shuffle_rows(random_state, by_numpy, order)
    shuffle_rows(twin, compiled, order, get_backend("numba").shuffle_rows)
    return by_numpy, compiled, words_of(random_state), words_of(twin)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 31, 32, 33, 64, 65, 623, 624, 625, LARGEST])
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_orders_and_words_are_numpys(n, seed):
    random_state = np.random.RandomState(seed)
    for n_orders in (1, 3, 0, 2):  # the generator goes on: the second call begins within its words
        by_numpy, compiled, *words = both(random_state, n, n_orders)
        np.testing.assert_array_equal(compiled, by_numpy)
        assert words[0] == words[1]


@pytest.mark.parametrize("position", [0, 1, 226, 227, 396, 622, 623, 624])
def test_a_shuffle_may_begin_anywhere_in_the_words(position):
    random_state = np.random.RandomState(7)
    name, key, _, has_gauss, gauss = random_state.get_state()
    random_state.set_state((name, key, position, has_gauss, gauss))
    by_numpy, compiled, *words = both(random_state, 100, 12)
    np.testing.assert_array_equal(compiled, by_numpy)
    assert words[0] == words[1]


def test_the_words_are_renewed_as_numpy_renews_them():
    """Ten times over, with all bits of all words seen in between."""
    random_state = np.random.RandomState(3)
    for _ in range(10):
        by_numpy, compiled, *words = both(random_state, 500, 1)
        np.testing.assert_array_equal(compiled, by_numpy)
        assert words[0] == words[1]


def test_rows_need_not_be_ascending_nor_all_of_them():
    rows = np.array([40, -3, 2**60, 7, 7, 0, 11])
    by_numpy, compiled, *words = both(np.random.RandomState(5), rows.size, 9, rows)
    np.testing.assert_array_equal(compiled, by_numpy)
    assert np.array_equal(np.sort(compiled), np.broadcast_to(np.sort(rows), compiled.shape))
    assert words[0] == words[1]


def test_a_normal_number_that_the_generator_holds_is_kept():
    random_state = np.random.RandomState(1)
    random_state.standard_normal(3)  # in pairs: the fourth is kept
    *_, words, twins = both(random_state, 50, 4)
    assert words == twins
    assert words[-1][0] == 1


def arguments(**changes):
    given = {
        "words": np.array([1] * 624 + [624], np.uint32),
        "orders": np.zeros((2, 3), np.int64),
        "order": np.arange(3),
        **changes,
    }
    return list(given.values())


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"words": np.ones(624, np.uint32)}, ValueError, r"words must be an array of uint32 with shape \(625,\)"),
        ({"words": np.ones(625, np.int64)}, ValueError, "words must be an array of uint32"),
        ({"words": [1] * 625}, TypeError, "words must be an array of uint32"),
        ({"words": np.full(625, 625, np.uint32)}, ValueError, "damaged: its position in 624 words is 625"),
        ({"orders": np.zeros((2, 4), np.int64)}, ValueError, r"orders must be an array of int64 with shape \(2, 3\)"),
        ({"orders": np.zeros((2, 3))}, ValueError, "orders must be an array of int64"),
        ({"orders": np.zeros((3, 2), np.int64).T}, ValueError, "in C order"),
        ({"orders": None}, TypeError, "orders must be an array"),
        ({"order": np.arange(3.0)}, ValueError, "order must be an array of int64"),
        ({"order": np.arange(6)[::2]}, ValueError, "in C order"),
        ({"order": np.zeros((3, 1), np.int64)}, ValueError, r"order must be an array of int64 with shape \(3,\)"),
    ],
)
def test_a_wrong_array_never_reaches_the_kernel(changes, error, text):
    with pytest.raises(error, match=text):
        get_backend("numba").shuffle_rows(*arguments(**changes))


def test_right_arrays_are_shuffled():
    words, orders, order = arguments()
    get_backend("numba").shuffle_rows(words, orders, order)
    assert np.array_equal(np.sort(orders), [order] * 2)
    assert 0 < words[624] < 624
