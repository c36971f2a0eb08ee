"""The generator of a training: its words as NumPy has them, whoever shuffles, and whoever shares it."""

import copy
import gc
import threading

import numpy as np
import pytest
from bits import all_bits, result_bits
from chunks import chunks_of

from fastnn import Network, Stop, get_backend, train
from fastnn.fused.backend import NumbaBackend
from fastnn.training import generator
from fastnn.training.generator import GENERATORS, bookmark, make_random_state, shuffle_rows

BY_NUMPY, COMPILED = 2**60, 0
"""Values of `generator.BY_NUMPY` by which NumPy shuffles all rows, or none."""


def same(a, b):
    """Whether two generators stand at the same place, by NumPy's dictionaries of their states."""
    a, b = (r.get_state(legacy=False) for r in (a, b))
    words = [all_bits(r["state"].pop("key")) for r in (a, b)]
    return words[0] == words[1] and repr(a) == repr(b)


@pytest.mark.parametrize("seed", [0, 1, np.int64(7), 2**32 - 1])
def test_a_seed_gives_numpys_generator(seed):
    ours, numpys = make_random_state(seed), np.random.RandomState(seed)
    for _ in range(3):
        assert same(ours, numpys)
        assert all_bits(ours.standard_normal(401), ours.permutation(9)) == all_bits(
            numpys.standard_normal(401), numpys.permutation(9)
        )


def test_no_seed_gives_another_generator_each_time():
    assert len({make_random_state(None).randint(2**31) for _ in range(20)}) > 15


def test_a_generator_that_was_given_back_is_seeded_like_a_new_one():
    first = make_random_state(3)
    first.standard_normal(5)  # a sixth number is kept
    GENERATORS.put(first)
    assert same(make_random_state(4), np.random.RandomState(4))


def test_a_state_goes_from_numpy_to_ours_and_back():
    ours, numpys = make_random_state(1), np.random.RandomState(2)
    numpys.standard_normal(701)
    ours.set_state(numpys.get_state(legacy=False))
    assert same(ours, numpys)
    ours.standard_normal(33)
    before = ours.get_state(legacy=False)
    numpys.set_state(ours.get_state())  # the old form, a tuple
    assert same(ours, numpys)
    assert same(copy.deepcopy(ours), numpys)
    ours.shuffle(np.arange(1000))
    numpys.set_state(before)  # a copy: the words that went on are not seen in it
    assert not same(ours, numpys)


@pytest.mark.parametrize("make", [make_random_state, np.random.RandomState], ids=["ours", "numpy's"])
def test_a_bookmark_leads_back(make):
    random_state = make(5)
    random_state.standard_normal(3)
    put_back, twin = bookmark(random_state), np.random.RandomState()
    twin.set_state(random_state.get_state())
    for _ in range(2):
        random_state.shuffle(np.arange(2000))
        assert not same(random_state, twin)
        put_back()
        assert same(random_state, twin)


def test_a_bookmark_keeps_the_words_memory():
    put_back = bookmark(np.random.RandomState(1))
    gc.collect()
    others = [np.random.RandomState(k) for k in range(50)]  # what is freed would be theirs
    put_back()
    assert all(same(other, np.random.RandomState(k)) for k, other in enumerate(others))


class Turns(np.random.RandomState):
    """A generator that puts rows in order as it likes, and counts."""

    n = 0

    def get_state(self, legacy=True):
        return {"n": self.n}

    def set_state(self, state):
        self.n = state["n"]

    def shuffle(self, x):
        self.n += 1
        x[:] = np.roll(x, 1)


def test_a_class_of_its_own_keeps_its_shuffle_and_its_state(monkeypatch):
    monkeypatch.setattr(generator, "BY_NUMPY", COMPILED)
    random_state, orders = Turns(0), np.zeros((2, 3), np.int64)
    put_back = bookmark(random_state)
    shuffle_rows(random_state, orders, np.arange(3), get_backend("numba").shuffle_rows)
    assert orders.tolist() == [[2, 0, 1], [1, 2, 0]]
    assert random_state.n == 2
    put_back()
    assert random_state.n == 0


@pytest.mark.parametrize("value", [-(10**6), -1, 0, 50, 2**62])
def test_rows_of_a_shuffle_that_is_wrong_are_refused(value, backend):
    class Worse(np.random.RandomState):
        def shuffle(self, x):
            x[:] = value

        def permutation(self, n):
            return np.full(n, value)

    estimators = pytest.importorskip("fastnn.estimators", exc_type=ImportError)
    X, options = np.arange(200.0).reshape(50, 4), {"epochs": 3, "seed": Worse(0), "backend": backend}
    mlp = estimators.MLPRegressor(hidden_layer_sizes=(5,), batch_size=7, random_state=Worse(0), backend=backend)
    for fit in (
        lambda: train(Network((4, 5, 1)), X, X[:, 0], batch_size=7, **options),
        lambda: train(Network((4, 5, 1)), X, X[:, 0], shuffle=False, stop=Stop(validation=0.3), **options),
        lambda: mlp.fit(X, X[:, 0]),
    ):
        with pytest.raises(ValueError, match=r"seed: .*Worse\.shuffle must return a permutation"):
            fit()


def test_a_bit_generator_of_a_class_of_its_own_is_left_to_numpy(monkeypatch):
    class Own(np.random.MT19937):
        pass

    monkeypatch.setattr(generator, "BY_NUMPY", COMPILED)
    random_state, orders = np.random.RandomState(Own(3)), np.zeros((4, 9), np.int64)
    twin, expected = np.random.RandomState(np.random.MT19937(3)), np.zeros((4, 9), np.int64)
    shuffle_rows(random_state, orders, np.arange(9), None)
    shuffle_rows(twin, expected, np.arange(9), get_backend("numba").shuffle_rows)
    assert orders.tolist() == expected.tolist()
    assert random_state.randint(2**31) == twin.randint(2**31)


def test_few_rows_are_left_to_numpy(monkeypatch):
    """So that no small training has to compile, and none is slow for long."""
    monkeypatch.setattr(generator, "BY_NUMPY", 100)
    monkeypatch.setattr(generator, "_n_shuffled", [0])
    asked = []

    def compiled(words, orders, order):
        asked.append(len(orders))
        orders[:] = order

    for n_orders in (3, 6, 2, 1):
        shuffle_rows(np.random.RandomState(0), np.zeros((n_orders, 10), np.int64), np.arange(10), compiled)
    assert asked == [2, 1]


@pytest.mark.parametrize("chunk", [1, 3, 5, 7, 1000])
@pytest.mark.parametrize("make", [int, np.random.RandomState], ids=["seed", "random state"])
def test_compiled_shuffles_change_no_bit_of_a_training(go, monkeypatch, backend, chunk, make):
    """Cut anywhere, ended by a rule, which undoes shuffles, and resumed."""
    chunks_of(monkeypatch, chunk)
    method, calls, found = NumbaBackend.shuffle_rows, [], []
    monkeypatch.setattr(NumbaBackend, "shuffle_rows", lambda *given: calls.append(method(*given)))
    for rows in (BY_NUMPY, COMPILED):
        monkeypatch.setattr(generator, "BY_NUMPY", rows)
        calls.clear()
        stopped = go(seed=make(9), epochs=40, stop=Stop(tol=0.5, patience=2))
        assert stopped.stop_reason == "tolerance"
        found.append((result_bits(stopped), result_bits(go(resume=stopped.state, epochs=4))))
        assert bool(calls) == (rows == COMPILED and backend == "numba")
    assert found[0] == found[1]


def test_a_shared_generator_is_locked_while_compiled_code_shuffles(monkeypatch):
    """Another thread's draws come before a call's or after it, never in its midst."""
    monkeypatch.setattr(generator, "BY_NUMPY", COMPILED)
    random_state, orders = np.random.RandomState(0), np.zeros((1, 9), np.int64)
    inside, drawn = threading.Event(), []

    def compiled(words, orders, order):
        inside.set()
        thread.join(0.2)  # it waits for us
        assert not drawn
        get_backend("numba").shuffle_rows(words, orders, order)

    def draw():
        inside.wait()
        drawn.append(random_state.randint(2**31))

    thread = threading.Thread(target=draw)
    thread.start()
    shuffle_rows(random_state, orders, np.arange(9), compiled)
    thread.join()
    twin = np.random.RandomState(0)
    right = np.arange(9)
    twin.shuffle(right)
    assert orders.tolist() == [right.tolist()]
    assert drawn == [twin.randint(2**31)]


def test_words_in_another_place_are_an_error(monkeypatch):
    class Moved(np.random.MT19937):
        @property
        def state(self):
            return {"state": {"key": np.zeros(624, np.uint32), "pos": 624}}

    monkeypatch.setattr(np.random, "MT19937", Moved)
    generator._check_layout.cache_clear()
    with pytest.raises(RuntimeError, match="changed the layout of MT19937 in memory"):
        bookmark(make_random_state(0))
