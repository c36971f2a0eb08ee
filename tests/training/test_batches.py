"""What is drawn from the seed, in which order rows go into batches, and the generator, as NumPy's,
that says so."""

import gc
import threading

import numpy as np
import pytest
from bits import bits, result_bits
from chunks import chunks_of
from small_training import NETWORK, N, Recorder
from watched import watch

from fastnn import SGD, Network, Stop, exponential, get_backend, kit, train
from fastnn.fused.backend import NumbaBackend
from fastnn.training import generator
from fastnn.training.generator import (
    GENERATORS,
    bookmark,
    make_random_state,
    shuffle_rows,
    words_of,
)


def test_same_seed_gives_the_same_bits_and_another_seed_does_not(go):
    assert result_bits(go()) == result_bits(go()) == result_bits(go(seed=np.int64(3)))
    assert bits(go().params) != bits(go(seed=4).params)
    assert bits(go(seed=None).params) != bits(go(seed=None).params)
    random_state = np.random.RandomState(3)  # it is used as it is
    result = go(seed=random_state)
    assert result_bits(result) == result_bits(go())
    assert random_state.get_state()[2] == result.state.random_state["state"]["pos"]
    assert bits(go(seed=random_state).params) != bits(result.params)  # it has gone on


@pytest.mark.parametrize(
    "options", [*({"batch_size": n} for n in (None, N, N + 1, 10**9)), {"shuffle": False}], ids=str
)
def test_full_batches_are_not_shuffled_nor_those_that_need_not_be(data, options):
    recorder = Recorder()
    size = options.get("batch_size", 10) or N
    result = train(
        NETWORK, *data, **{"batch_size": 10, "epochs": 3, "seed": 8} | options, backend=recorder
    )
    expected = [list(range(i, min(i + size, N))) for i in range(0, N, size)] * 3
    assert [rows.tolist() for rows in recorder.rows] == expected
    random_state = np.random.RandomState(8)
    NETWORK.init_params(random_state)
    assert result.state.random_state["state"]["pos"] == random_state.get_state()[2]


def test_steps_of_a_training_that_is_over_serve_others_of_their_own_bits(
    data, backend, monkeypatch
):
    """Other rows, numbers of rows, rates and lengths; also where one training begins within another
    one."""
    X, Y = data
    kinds = [
        {"batch_size": None},
        {"batch_size": None, "optimizer": SGD(exponential(0.3, 0.9))},
        {"batch_size": None, "rows": [3, 1, 1]},
        {"batch_size": 5},
        {"batch_size": 5, "seed": 1},
        {"batch_size": 5, "shuffle": False},
        {"batch_size": 5, "shuffle": False, "epochs": 3},
        {"batch_size": 5, "callbacks": [lambda progress: go(kinds[0])]},
    ]

    def go(options):
        result = train(
            NETWORK,
            X,
            Y,
            **{"optimizer": SGD(0.3), "epochs": 2, "seed": 0, "backend": backend} | options,
        )
        return result_bits(result)

    with kit.off():
        alone = [go(options) for options in kinds]
    order = np.random.RandomState(0).randint(len(kinds), size=100)
    assert [go(kinds[k]) for k in order] == [alone[k] for k in order]


@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("draws_params", [True, False])
@pytest.mark.parametrize(
    "network",
    [NETWORK, Network((3, 5, 2), init="normal"), Network((3, 400, 2), init="he")],
    ids=lambda network: str(network.init),
)
def test_the_generator_of_a_result_stands_where_its_draws_have_left_it(
    data, network, draws_params, batch_size
):
    """Also when it is looked at after other trainings; numbers of a normal distribution are drawn
    in pairs."""
    params = None if draws_params else np.zeros(network.n_params)
    result = train(network, *data, params=params, epochs=2, batch_size=batch_size, seed=3)
    train(network, *data, epochs=1, seed=4)
    random_state = np.random.RandomState(3)
    if draws_params:
        network.init_params(random_state)
    if batch_size:
        for _ in range(2):
            random_state.shuffle(np.arange(N))
    found = np.random.RandomState()
    found.set_state(result.state.random_state)
    assert same(found, random_state)


BY_NUMPY = 2**60
COMPILED = 0
"""Values of `generator.BY_NUMPY` by which NumPy shuffles all rows, or none."""


def same(a, b):
    """Whether two generators stand at the same place, by NumPy's tuples of their states."""
    (_, words, *rest), (_, other_words, *other_rest) = (r.get_state() for r in (a, b))
    return np.array_equal(words, other_words) and rest == other_rest


@pytest.mark.parametrize("seed", [0, 1, np.int64(7), 2**32 - 1])
def test_a_seed_gives_numpys_generator(seed):
    ours = make_random_state(seed)
    numpys = np.random.RandomState(seed)
    for _ in range(3):
        assert same(ours, numpys)
        assert bits(ours.standard_normal(401)) == bits(numpys.standard_normal(401))
        assert bits(ours.permutation(9)) == bits(numpys.permutation(9))
    GENERATORS.put((ours, words_of(ours)))  # it holds one more normal number
    assert same(make_random_state(4), np.random.RandomState(4))


@pytest.mark.parametrize(
    "make", [make_random_state, np.random.RandomState], ids=["ours", "numpy's"]
)
def test_a_bookmark_keeps_its_generator(make):
    """That it leads back: tests/training/test_rules.py, where trainings end within a chunk."""
    put_back = bookmark(make(1))
    gc.collect()
    others = [np.random.RandomState(k) for k in range(50)]  # what is freed would be theirs
    put_back()
    assert all(same(other, np.random.RandomState(k)) for k, other in enumerate(others))


def test_a_class_of_its_own_keeps_its_shuffle_and_its_state(monkeypatch):
    class Turns(np.random.RandomState):
        n = 0

        def get_state(self, legacy=True):
            return self.n

        def set_state(self, state):
            self.n = state

        def shuffle(self, x):
            self.n += 1
            x[:] = np.roll(x, 1)

    monkeypatch.setattr(generator, "BY_NUMPY", COMPILED)
    random_state = Turns(0)
    orders = np.zeros((2, 3), np.int64)
    put_back = bookmark(random_state)
    shuffle_rows(random_state, orders, np.arange(3), get_backend("numba").shuffle_rows)
    assert (orders.tolist(), random_state.n) == ([[2, 0, 1], [1, 2, 0]], 2)
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
    X = np.arange(200.0).reshape(50, 4)
    options = {"epochs": 3, "backend": backend}
    mlp = estimators.MLPRegressor(
        hidden_layer_sizes=(5,), batch_size=7, random_state=Worse(0), backend=backend
    )
    refused = pytest.raises(ValueError, match=r"seed: .*Worse\.shuffle must return a permutation")
    for given in ({"batch_size": 7}, {"shuffle": False, "stop": Stop(validation=0.3)}):
        with refused:
            train(Network((4, 1)), X, X[:, 0], seed=Worse(0), **options, **given)
    with refused:
        mlp.fit(X, X[:, 0])


def test_a_bit_generator_of_a_class_of_its_own_is_left_to_numpy(monkeypatch):
    class Own(np.random.MT19937):
        pass

    def shuffled(kind, shuffle):
        random_state = np.random.RandomState(kind(3))
        orders = np.zeros((4, 9), np.int64)
        shuffle_rows(random_state, orders, np.arange(9), shuffle)
        return orders.tolist(), random_state.randint(2**31)

    monkeypatch.setattr(generator, "BY_NUMPY", COMPILED)
    compiled = get_backend("numba").shuffle_rows
    assert shuffled(Own, None) == shuffled(np.random.MT19937, compiled)


def test_few_rows_are_left_to_numpy(monkeypatch):
    monkeypatch.setattr(generator, "BY_NUMPY", 100)
    monkeypatch.setattr(generator, "_n_shuffled", [0])
    asked = []

    def compiled(words, orders, order):
        asked.append(len(orders))
        orders[:] = order

    for n_orders in (3, 6, 2, 1):
        shuffle_rows(
            np.random.RandomState(0), np.zeros((n_orders, 10), np.int64), np.arange(10), compiled
        )
    assert asked == [2, 1]


@pytest.mark.parametrize("chunk", [1, 3, 5, 7, 1000])
@pytest.mark.parametrize("make", [int, np.random.RandomState], ids=["seed", "random state"])
def test_compiled_shuffles_change_no_bit_of_a_training(go, monkeypatch, backend, chunk, make):
    chunks_of(monkeypatch, chunk)
    calls = watch(monkeypatch, NumbaBackend, "shuffle_rows")

    def trained(by_numpy):
        monkeypatch.setattr(generator, "BY_NUMPY", by_numpy)
        stopped = go(seed=make(9), epochs=40, stop=Stop(tol=0.5, patience=2))
        assert stopped.stop_reason == "tolerance"
        return result_bits(stopped), result_bits(go(resume=stopped.state, epochs=4))

    right = trained(BY_NUMPY)
    assert not calls
    assert trained(COMPILED) == right
    assert bool(calls) == (backend == "numba")


def test_a_shared_generator_is_locked_while_compiled_code_shuffles(monkeypatch):
    """Another thread's draws come before a call's or after it, never in its midst."""
    monkeypatch.setattr(generator, "BY_NUMPY", COMPILED)
    random_state = np.random.RandomState(0)
    orders = np.zeros((1, 9), np.int64)
    inside = threading.Event()
    drawn = []
    thread = threading.Thread(
        target=lambda: inside.wait() and drawn.append(random_state.randint(2**31))
    )
    thread.start()

    def compiled(words, orders, order):
        inside.set()
        thread.join(0.2)  # it waits for us
        assert not drawn
        get_backend("numba").shuffle_rows(words, orders, order)

    shuffle_rows(random_state, orders, np.arange(9), compiled)
    thread.join()
    twin = np.random.RandomState(0)
    assert orders[0].tolist() == twin.permutation(9).tolist()
    assert drawn == [twin.randint(2**31)]


def test_words_in_another_place_are_an_error(monkeypatch):
    class Moved(np.random.MT19937):
        @property
        def state(self):
            return {"state": {"key": np.zeros(624, np.uint32), "pos": 624}}

    monkeypatch.setattr(np.random, "MT19937", Moved)
    generator._check_layout.cache_clear()
    kit.clear()  # which has generators of the right class
    with pytest.raises(RuntimeError, match="changed the layout of MT19937 in memory"):
        bookmark(make_random_state(0))
