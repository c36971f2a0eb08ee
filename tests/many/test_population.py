"""A population's members are what `train` alone gives, in whatever parts they are trained, dropped
or interrupted."""

import copy
import dataclasses
import functools
import gc
import itertools
import os
import signal
import time
import tracemalloc

import hypothesis
import numpy as np
import pytest
from bits import assert_same_params, assert_same_result, assert_same_results, history_bits
from hypothesis import strategies as st

import fastnn
from fastnn import (
    SGD,
    Adam,
    InterruptWarning,
    MonitorError,
    Network,
    Population,
    Stop,
    cosine,
    get_backend,
    train,
)

RANDOM = np.random.RandomState(5)
X = RANDOM.rand(20, 3)
Y = RANDOM.rand(20, 1)
NETWORK = Network((3, 5, 1), "sigmoid", "sigmoid")
WIDE = Network((3, 9, 4, 1), ("tanh", "relu"))
M = 4
POSIX = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

OPTIONS = {
    "plain": {"optimizer": SGD(0.5), "batch_size": None},
    "mini-batches": {"optimizer": Adam(0.1), "batch_size": 7},
    "in order": {"optimizer": Adam(0.1), "batch_size": 7, "shuffle": False},
    "rates": {
        "optimizer": Adam(),
        "learning_rate": [0.1, 0.01, cosine(0.1, 30), cosine(0.2, 9)],
        "batch_size": 9,
    },
    "own rate": {"optimizer": SGD(lambda t: 0.1 / (1 + t)), "batch_size": 6},
    "penalties": {"optimizer": fastnn.AdamW(), "alpha": [0.0, 0.1, 0.2, 0.3], "batch_size": 6},
    "networks": {"networks": [NETWORK, WIDE, NETWORK, WIDE]},
    "rows": {
        "rows": [np.array([0, 3, 3, 7, 19]), np.arange(10), np.arange(9), np.array([1, 1])],
        "batch_size": 2,
    },
    "folds": {"validation_rows": [np.arange(k, k + 5) for k in range(0, 20, 5)]},
    "weights": {"sample_weight": RANDOM.rand(M, 20), "batch_size": 6},
    "zero weights": {"sample_weight": (RANDOM.rand(M, 20) > 0.4) * 1.0, "batch_size": 3},
    "params": {"params": RANDOM.rand(M, NETWORK.n_params), "batch_size": 6},
    "float32": {"dtype": "float32", "batch_size": 6},
    "patience": {"stop": Stop(patience=1, tol=0.01), "optimizer": SGD(0.5), "batch_size": None},
    "validation": {
        "stop": Stop(patience=2, validation=0.3, restore_best=True),
        "optimizer": Adam(0.1),
    },
    "monitor": {
        "stop": Stop(monitor="r2", reduce=fastnn.ReduceRate(0.5, patience=1)),
        "optimizer": Adam(0.1),
    },
    "diverging": {
        "networks": WIDE,
        "optimizer": SGD(),
        "learning_rate": [0.1, 1e9, 0.1, 50.0],
        "batch_size": 6,
    },
}
SHARED = {"networks": NETWORK, "X": X, "Y": Y, "seed": range(M)}
SMALL = {"optimizer": SGD(0.5), "batch_size": 7}


def small(**options):
    return Population(**SHARED | SMALL | options)


def own(options, i):
    given = {
        n: v[i] if hasattr(v, "__len__") and len(v) == M else v
        for n, v in (SHARED | options).items()
    }
    if "learning_rate" in given:
        given["optimizer"] = dataclasses.replace(
            given["optimizer"], learning_rate=given.pop("learning_rate")
        )
    given["stop"] = dataclasses.replace(given.get("stop", Stop()), on_divergence="stop")
    return given.pop("networks"), given.pop("X"), given.pop("Y"), given


def member(options, i, epochs, backend="numba"):
    *data, options = own(options, i)
    return train(*data, **options, epochs=epochs, backend=backend)


@functools.lru_cache(maxsize=1000)
def alone(name, i, epochs, backend):
    return member(OPTIONS[name], i, epochs, backend)


def epochs_of(population):
    return [result.n_epochs for result in population.values()]


numbers = st.integers(0, M - 1)
epochs = st.integers(0, 9)
changes = st.lists(
    epochs | st.dictionaries(numbers, epochs) | st.sets(numbers, max_size=2), min_size=1, max_size=6
)


@pytest.mark.parametrize("name", OPTIONS)
def test_members_are_what_they_are_alone(name, backend):
    @hypothesis.settings(max_examples=15)
    @hypothesis.given(changes, st.sampled_from([1, 2]))
    def check(changes, n_jobs):
        population = Population(**SHARED | OPTIONS[name], backend=backend, n_jobs=n_jobs)
        epochs = dict.fromkeys(range(M), 0)
        for change in changes:
            if isinstance(change, set):
                population.drop(change & epochs.keys())
                epochs = {i: n for i, n in epochs.items() if i not in change}
                continue
            ended = {
                i for i, n in epochs.items() if alone(name, i, n, backend).stop_reason != "epochs"
            }
            wanted = change if isinstance(change, dict) else dict.fromkeys(range(M), change)
            wanted = {i: n for i, n in wanted.items() if i in epochs and i not in ended}
            population.advance(change if isinstance(change, int) else wanted)
            epochs |= {i: epochs[i] + n for i, n in wanted.items()}
        assert population.members == sorted(epochs)
        for i, n in epochs.items():
            assert_same_result(population[i], alone(name, i, n, backend))

    check()


def test_nothing_is_trained_twice(monkeypatch):
    counted = []
    kind = type(get_backend("numba"))
    right = kind.train

    def counting(self, tasks, which, states, steps, n_steps, *others):
        counted.extend(n_steps)
        return right(self, tasks, which, states, steps, n_steps, *others)

    monkeypatch.setattr(kind, "train", counting)
    population = small(n_jobs=1)
    for _ in range(3):
        population.advance(2)
    population.drop([0, 1])
    population.advance({2: 5})
    assert (population[2].n_epochs, sum(counted)) == (11, 3 * (4 * 3 * 2 + 5))


def test_an_ended_member_goes_on_when_asked(backend):
    """By its number; its stop rule goes on from where it stood, as in a resumed training."""
    stop = Stop(patience=2, tol=10.0)
    population = small(stop=stop, backend=backend)
    population.advance(9)
    assert epochs_of(population) == [3] * M
    population.advance(9)
    assert population.epochs_trained == 3 * M
    again = population[2].resume(X, Y, epochs=9, stop=stop)
    population.advance({2: 9})
    assert (population[2].n_epochs, population[2].stop_reason) == (3 + again.n_epochs, "tolerance")
    assert_same_params(population[2], again)


def test_seconds_are_those_of_all_parts(monkeypatch):
    """By a clock that ticks 1 ms each time that somebody looks."""
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks) / 1000)
    population = small(stop=Stop(max_seconds=0.2), n_jobs=1)
    n = 0
    while population[0].stop_reason == "epochs":
        population.advance({0: 100})
        n += 1
    assert n > 1
    assert population[0].stop_reason == "time"
    assert 0.2 <= population[0].history.seconds <= next(ticks) / 1000
    population.advance(1)
    assert epochs_of(population) == [100 * n, 1, 1, 1]


@pytest.mark.parametrize("name", ["plain", "mini-batches", "validation", "rates"])
def test_replacing_is_resuming_with_other_settings(name, backend):
    population = Population(**SHARED | OPTIONS[name], backend=backend)
    population.advance(3)
    stop = own(OPTIONS[name], 0)[3]["stop"]
    optimizer = dataclasses.replace(own(OPTIONS[name], 1)[3]["optimizer"], learning_rate=0.03)
    before = population[1]
    resumed = before.resume(X, Y, epochs=4, stop=stop, optimizer=optimizer, alpha=0.2, batch_size=3)
    population.replace(3, by=1, learning_rate=0.03, alpha=0.2, batch_size=3)
    assert_same_result(population[3], before)
    population.drop(0)
    population.advance(4)
    copied = population[3]
    assert history_bits(copied) == history_bits(before, resumed)
    assert_same_result(dataclasses.replace(copied, history=resumed.history), resumed)
    for i in (1, 2):
        assert_same_result(population[i], alone(name, i, 7, backend))


def test_members_without_a_seed_keep_the_weights_that_were_seen():
    """Looking at a member that has not begun, or copying it, draws its weights, once."""
    population = small(seed=None, n=M, batch_size=None)
    before = population[2].params
    population.replace(0, by=1, learning_rate=0.1)
    first, second, third = (population[i].params.tobytes() for i in range(3))
    assert first == second != third == before.tobytes()
    population.advance(1)
    once = train(NETWORK, X, Y, params=before, optimizer=SGD(0.5), batch_size=None, epochs=1)
    assert_same_params(population[2], once)


def test_going_on_from_states(backend):
    options = {"batch_size": 7, "epochs": 2, "backend": backend}
    begun = [train(NETWORK, X, Y, seed=i, **options) for i in range(M)]
    states = [result.state for result in begun]
    population = Population(NETWORK, X[:9], Y[:9], resume=states, new_rows=True, backend=backend)
    population.advance(1)
    population.advance(2)
    alone = [result.resume(X[:9], Y[:9], new_rows=True, epochs=3) for result in begun]
    assert_same_results(population.values(), alone)


def test_numbers_stay_after_drops(backend):
    population = small(backend=backend, seed=[7, 8, 9, 10])
    population.advance(3)
    population.drop(1)
    population.drop([0, 0])
    population.advance({3: 2, 2: 0})
    assert population.members == list(population) == list(population.scores()) == [2, 3]
    assert [i in population for i in (1, 2, np.int64(3), "3")] == [False, True, True, False]
    assert epochs_of(population) == [result.n_epochs for result in population.results()] == [3, 5]
    assert (len(population), population.epochs_trained) == (2, 14)
    assert repr(population) == "<Population: 2 members, 2 dropped, 14 epochs trained>"
    population.replace(3, by=2)
    assert population.results().to_dict()["seed"] == [9, 9]


def test_ranking():
    """The best first, by the sign that the monitor asks for; last who diverged, or has no score."""
    population = small(networks=WIDE, learning_rate=[0.1, 1e9, 0.05, 0.01])
    words = r"no member has trained an epoch yet, .* say advance\(epochs\) first"
    for call in (population.ranking, population.best):
        with pytest.raises(ValueError, match=words):
            call()
    assert "<svg" not in population._repr_html_()
    assert np.isnan(list(population.scores().values())).all()
    population.advance(5)
    assert population[1].stop_reason == "diverged"
    losses = {i: result.history.loss[-1] for i, result in population.items() if i != 1}
    assert population.ranking() == [*sorted(losses, key=losses.get), 1]
    assert population.best() == population.results().best() == min(losses, key=losses.get)
    assert losses.items() <= population.scores().items()
    population.drop(1)
    for words in ("<svg", f"member {population.best()}, the best"):
        assert words in population._repr_html_()


def test_a_greater_score_of_another_monitor_ranks_first():
    stop = Stop(monitor="r2", restore_best=True)
    population = small(stop=stop, learning_rate=[0.1, 9.0, 0.5, 1.0])
    population.advance(5)
    best = {i: result.history.score.max() for i, result in population.items()}
    assert population.scores() == best
    assert population.ranking() == sorted(best, key=best.get, reverse=True)


@pytest.mark.parametrize(("rate", "trains"), [(1e9, True), (1e150, False)])
def test_where_no_member_is_the_best(rate, trains):
    population = small(networks=WIDE, optimizer=SGD(rate))
    population.advance(5)
    assert (population.epochs_trained > 0, population.ranking()) == (trains, [0, 1, 2, 3])
    population.drop([0, 1])
    with pytest.raises(ValueError, match="each one diverged or has no finite score"):
        population.best()
    population.drop([2, 3])
    with pytest.raises(ValueError, match="there is none"):
        population.best()
    assert population.ranking() == []


def test_dropped_members_free_their_memory():
    """Also of members that share a block; nor does a member that stays behind hold the arrays of
    those that advance."""

    def held():
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    network = Network((3, 100, 1), "tanh")
    gc.collect()
    tracemalloc.start()
    try:
        population = small(networks=network, seed=range(100), optimizer=Adam(), n_jobs=1)
        population.advance(1)
        population.advance(dict.fromkeys(range(10, 100), 1))
        before = held()
        population.drop(range(10, 100))
        after = held()
        population.advance(1)
        del population
        nothing = held()
    finally:
        tracemalloc.stop()
    size = 100 * 3 * network.n_params * 8
    assert size < before - nothing < 1.5 * size
    assert after - nothing < 0.2 * (before - nothing)


REFUSED = [
    (lambda p: p[0], KeyError, "member 0 was dropped"),
    (lambda p: p[4], KeyError, "there is no member 4: they are 0 to 3"),
    (lambda p: p[-1], KeyError, "there is no member -1"),
    (lambda p: p.drop([True, True, True]), TypeError, "member must be an integer, not True"),
    (lambda p: p["a"], TypeError, "member must be an integer, not 'a'"),
    (lambda p: p.advance(-1), ValueError, "epochs must be at least 0"),
    (lambda p: p.advance(0.5), TypeError, "epochs must be an integer"),
    (lambda p: p.advance({1: 2, 2: -1}), ValueError, "epochs of member 2 must be at least 0"),
    (lambda p: p.advance({1: 2, 0: 1}), KeyError, "member 0 was dropped"),
    (lambda p: p.drop([1, 0]), KeyError, "member 0 was dropped"),
    (lambda p: p.replace(1, by=0), KeyError, "member 0 was dropped"),
    (lambda p: p.replace(0, by=1), KeyError, "member 0 was dropped"),
    (lambda p: p.replace(1, optimizer=Adam()), ValueError, "optimizer of its state is SGD"),
    (
        lambda p: p.replace(1, optimizer=SGD(momentum=0.5)),
        ValueError,
        "number of optimizer vectors",
    ),
    (lambda p: p.replace(1, learning_rate="fast"), TypeError, "learning_rate must be"),
    (
        lambda p: Population(NETWORK, X, Y, epochs=3),
        TypeError,
        "Population has no argument 'epochs'",
    ),
    (lambda p: p.replace(1, lr=0.1), TypeError, "replace has no argument 'lr': say learning_rate="),
]


@pytest.mark.parametrize(("call", "error", "text"), REFUSED, ids=map(str, range(len(REFUSED))))
def test_refused(call, error, text):
    population = small()
    population.advance(2)
    population.drop(0)
    before = dict(population)
    with pytest.raises(error, match=text):
        call(population)
    assert (population.members, population.epochs_trained) == ([1, 2, 3], 8)
    assert_same_results(population.values(), before.values())


def pressing(nth, what):
    """A monitor that presses Ctrl-C, or raises an error, when it is called for the nth time."""
    calls = itertools.count(1)

    def monitor(targets, outputs):
        if next(calls) == nth:
            what()
        return 0.5

    return monitor


def ctrl_c():
    interrupt = signal.getsignal(signal.SIGINT).__self__
    signal.raise_signal(signal.SIGINT)
    while not interrupt.requested:  # in a thread: the calling one handles it
        time.sleep(0.001)


@POSIX
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_keeps_what_was_trained(n_jobs, backend):
    """Members under way stop, those that had not begun stay as they were, and the next call goes on
    exactly."""
    handler = signal.getsignal(signal.SIGINT)
    stop = Stop(monitor=pressing(6 * M + 7, ctrl_c))
    population = small(stop=stop, n_jobs=n_jobs, backend=backend)
    population.advance(6)
    words = r"interrupted when \d of 4 members were through, .* population keeps"
    with pytest.warns(InterruptWarning, match=words) as told:
        population.advance(8)
    assert signal.getsignal(signal.SIGINT) is handler
    assert "interrupted" in [result.stop_reason for result in population.values()]
    assert 4 * 6 < sum(epochs_of(population)) == population.epochs_trained <= 4 * 14
    assert_same_results(told[0].message.result, population.values())
    # two more than they had to do: one may have been interrupted after its last
    population.advance({i: 16 - result.n_epochs for i, result in population.items()})
    for i in range(M):
        assert_same_result(population[i], member(SMALL | {"stop": stop}, i, 16, backend))


@POSIX
def test_ctrl_c_raises_where_a_member_says_so():
    population = small(stop=Stop(monitor=pressing(9, ctrl_c), on_interrupt="raise"), n_jobs=1)
    population.drop(0)
    with pytest.raises(fastnn.TrainingInterrupted) as caught:
        population.advance(8)
    assert [result.n_epochs for result in caught.value.result] == epochs_of(population) == [8, 1, 0]


@POSIX
@pytest.mark.parametrize(
    ("what", "error", "n_jobs"),
    [
        (lambda: [ctrl_c(), ctrl_c()], KeyboardInterrupt, 1),
        ({}.popitem, MonitorError, 1),
        ({}.popitem, MonitorError, 2),
    ],
)
def test_errors_leave_all_members_as_they_were(what, error, n_jobs, backend):
    population = small(stop=Stop(monitor=pressing(2 * M + 7, what)), n_jobs=n_jobs, backend=backend)
    population.advance(2)
    before = dict(population)
    with pytest.raises(error):
        population.advance(5)
    assert_same_results(population.values(), before.values())
    assert population.epochs_trained == 2 * M


def test_a_callback_ends_an_advance():
    """By returning True; the members that had not begun have the reason, and go on with the next
    call."""
    seen = []
    calls = [lambda progress: seen.append(progress.ended) or True]
    population = small(stop=Stop(monitor="r2"), callbacks=calls, n_jobs=1)
    population.advance(2)
    assert (seen, epochs_of(population)) == ([[0]], [2, 0, 0, 0])
    assert population.results().stop_reason.tolist() == ["epochs"] + ["callback"] * 3
    population.drop(0)
    population.advance(3)
    assert (seen, epochs_of(population)) == ([[0], [1]], [3, 0, 0])


@pytest.mark.parametrize(("name", "given"), [("advance", [1]), ("drop", [3]), ("replace", [3, 0])])
def test_a_callback_may_not_change_what_is_advanced(name, given):
    seen = []

    def callback(progress):
        seen.append((population.members, copy.deepcopy(population)))
        getattr(population, name)(*given)

    population = small(callbacks=[callback], n_jobs=1)
    words = "the population is being advanced: a callback, or another thread, may not"
    with pytest.raises(RuntimeError, match=words):
        population.advance(2)
    members, twin = seen[0]
    assert population.members == members == [0, 1, 2, 3]
    assert population.epochs_trained == 0
    for each in twin, population:
        each._caller.callbacks.clear()
        each.advance(1)
        getattr(each, name)(*given)
        assert each.epochs_trained > 0
