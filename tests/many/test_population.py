"""A population's members are what `train` alone gives, in whatever parts they were trained and whoever was dropped."""

import dataclasses
import functools
import gc
import tracemalloc
import weakref

import hypothesis
import numpy as np
import pytest
from bits import assert_same_result
from hypothesis import strategies as st

from fastnn import SGD, Adam, AdamW, Network, Population, ReduceRate, Stop, cosine, get_backend, train

RANDOM = np.random.RandomState(5)
X = RANDOM.rand(20, 3)
Y = RANDOM.rand(20, 1)
NETWORK = Network((3, 5, 1), "sigmoid", "sigmoid")
WIDE = Network((3, 9, 4, 1), ("tanh", "relu"))
M = 4

OPTIONS = {
    "plain": {"optimizer": SGD(0.5), "batch_size": None},
    "mini-batches": {"optimizer": Adam(0.1), "batch_size": 7},
    "in order": {"optimizer": Adam(0.1), "batch_size": 7, "shuffle": False},
    "rates": {"optimizer": Adam(), "learning_rate": [0.1, 0.01, cosine(0.1, 30), cosine(0.2, 9)], "batch_size": 9},
    "own rate": {"optimizer": SGD(lambda t: 0.1 / (1 + t)), "batch_size": 6},
    "penalties": {"optimizer": AdamW(), "alpha": [0.0, 0.1, 0.2, 0.3], "batch_size": 6},
    "networks": {"networks": [NETWORK, WIDE, NETWORK, WIDE]},
    "rows": {"rows": [np.array([0, 3, 3, 7, 19]), np.arange(10), np.arange(9), np.array([1, 1])], "batch_size": 2},
    "folds": {"validation_rows": [np.arange(k, k + 5) for k in range(0, 20, 5)]},
    "weights": {"sample_weight": RANDOM.rand(M, 20), "batch_size": 6},
    "zero weights": {"sample_weight": (RANDOM.rand(M, 20) > 0.4) * 1.0, "batch_size": 3},
    "params": {"params": RANDOM.rand(M, NETWORK.n_params), "batch_size": 6},
    "float32": {"dtype": "float32", "batch_size": 6},
    "patience": {"stop": Stop(patience=1, tol=0.01), "optimizer": SGD(0.5), "batch_size": None},
    "validation": {"stop": Stop(patience=2, validation=0.3, restore_best=True), "optimizer": Adam(0.1)},
    "monitor": {"stop": Stop(monitor="r2", reduce=ReduceRate(0.5, patience=1)), "optimizer": Adam(0.1)},
    "diverging": {"networks": WIDE, "optimizer": SGD(), "learning_rate": [0.1, 1e9, 0.1, 50.0], "batch_size": 6},
}
SHARED = {"networks": NETWORK, "X": X, "Y": Y, "seed": range(M)}


def own(options, i):
    """The arguments of `train` for member i."""
    given = {}
    for name, value in (SHARED | options).items():
        each = isinstance(value, (list, range)) or (isinstance(value, np.ndarray) and value is not X and value is not Y)
        given[name] = value[i] if each else value
    if "learning_rate" in given:
        given["optimizer"] = dataclasses.replace(given["optimizer"], learning_rate=given.pop("learning_rate"))
    given["stop"] = dataclasses.replace(given.get("stop", Stop()), on_divergence="stop")
    return given.pop("networks"), given.pop("X"), given.pop("Y"), given


@functools.lru_cache(maxsize=1000)
def alone(name, i, epochs, backend):
    """What `train` gives, which need not be trained for each example anew."""
    *data, options = own(OPTIONS[name], i)
    return train(*data, **options, epochs=epochs, backend=backend)


changes = st.lists(
    st.one_of(
        st.integers(0, 9),
        st.dictionaries(st.integers(0, M - 1), st.integers(0, 9)),
        st.sets(st.integers(0, M - 1), max_size=2),
    ),
    min_size=1,
    max_size=6,
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
            ended = {i for i, n in epochs.items() if alone(name, i, n, backend).stop_reason != "epochs"}
            wanted = change if isinstance(change, dict) else dict.fromkeys(range(M), change)
            wanted = {i: n for i, n in wanted.items() if i in epochs and i not in ended}
            population.advance(change if isinstance(change, int) else wanted)
            epochs |= {i: epochs[i] + n for i, n in wanted.items()}
        assert population.members == sorted(epochs)
        for i, n in epochs.items():
            assert_same_result(population[i], alone(name, i, n, backend))

    check()


def small(**options):
    """A population of four plain networks."""
    return Population(**SHARED | {"optimizer": SGD(0.5), "batch_size": 7} | options)


def test_nothing_is_trained_twice(monkeypatch):
    """The steps that the back end does are those of the epochs that were asked for."""
    counted = []
    backend = get_backend("numba")
    kind = type(backend)
    train_group, train_steps = kind.train_group, kind.train_steps

    def of_a_group(self, tasks, which, state, steps, n_steps, *rest):
        counted.extend(n_steps.tolist())
        return train_group(self, tasks, which, state, steps, n_steps, *rest)

    def of_one(self, task, state, steps):
        counted.append(len(steps.loss))
        return train_steps(self, task, state, steps)

    monkeypatch.setattr(kind, "train_group", of_a_group)
    monkeypatch.setattr(kind, "train_steps", of_one)
    population = small(n_jobs=1)
    for _ in range(3):
        population.advance(2)
    population.drop([0, 1])
    population.advance({2: 5})
    assert population[2].n_epochs == 11
    assert sum(counted) == 3 * (4 * 3 * 2 + 5)


def test_an_ended_member_goes_on_when_asked(backend):
    """By its number; its stop rule goes on from where it stood, as in a resumed training."""
    stop = Stop(patience=2, tol=10.0)
    population = small(stop=stop, backend=backend)
    population.advance(9)
    assert [result.n_epochs for result in population.values()] == [3] * M
    population.advance(9)
    assert population.epochs_trained == 3 * M
    *data, options = own({"optimizer": SGD(0.5), "batch_size": 7, "stop": stop}, 2)
    once = train(*data, **options, epochs=9, backend=backend)
    again = once.resume(X, Y, epochs=9, stop=stop)
    population.advance({2: 9})
    assert population[2].stop_reason == again.stop_reason == "tolerance"
    assert population[2].n_epochs == once.n_epochs + again.n_epochs
    assert population[2].params.tobytes() == again.params.tobytes()


def test_seconds_are_those_of_all_parts():
    population = small(stop=Stop(max_seconds=0.2), n_jobs=1)
    n = 0
    while population[0].stop_reason == "epochs":
        population.advance({0: 100})
        n += 1
    assert n > 1
    assert 0.2 <= population[0].history.seconds < 0.5
    assert population[0].stop_reason == "time"
    population.advance(1)
    assert population[0].n_epochs == 100 * n
    assert population[1].n_epochs == 1


@pytest.mark.parametrize("name", ["plain", "mini-batches", "validation", "rates"])
def test_replacing_is_resuming_with_other_settings(name, backend):
    """The copy goes on from the other's state, which goes on too, untouched by it."""
    population = Population(**SHARED | OPTIONS[name], backend=backend)
    population.advance(3)
    stop = own(OPTIONS[name], 0)[3]["stop"]
    optimizer = dataclasses.replace(own(OPTIONS[name], 1)[3]["optimizer"], learning_rate=0.03)
    before = population[1]
    resumed = before.resume(X, Y, epochs=4, stop=stop, optimizer=optimizer, alpha=0.2)
    population.replace(3, by=1, learning_rate=0.03, alpha=0.2)
    assert_same_result(population[3], before)
    population.drop(0)
    population.advance(4)
    copy = population[3]
    assert copy.history.loss.tobytes() == np.concatenate([before.history.loss, resumed.history.loss]).tobytes()
    assert_same_result(dataclasses.replace(copy, history=resumed.history), resumed)
    assert_same_result(population[1], alone(name, 1, 7, backend))
    assert_same_result(population[2], alone(name, 2, 7, backend))


def test_replacing_settings_alone(backend):
    population = small(backend=backend)
    population.replace(1, optimizer=Adam(0.2), batch_size=None)
    population.advance(2)
    population.replace(1, batch_size=3)
    population.advance(2)
    first = train(NETWORK, X, Y, seed=1, optimizer=Adam(0.2), batch_size=None, epochs=2, backend=backend)
    second = first.resume(X, Y, epochs=2, batch_size=3)
    assert_same_result(dataclasses.replace(population[1], history=second.history), second)
    assert population.members == [0, 1, 2, 3]


def test_a_copy_of_one_that_has_not_begun():
    population = small(seed=None, n=M)
    population.replace(0, by=1, learning_rate=0.1)
    assert population[0].params.tobytes() == population[1].params.tobytes()
    assert population[0].params.tobytes() != population[2].params.tobytes()


def test_members_without_a_seed_keep_the_weights_that_were_seen():
    """Looking at a member that has not begun draws its weights, once."""
    population = small(seed=None, n=M, batch_size=None)
    before = population[2].params
    assert population[2].params.tobytes() == before.tobytes()
    population.advance(1)
    once = train(NETWORK, X, Y, params=before, optimizer=SGD(0.5), batch_size=None, epochs=1)
    assert population[2].params.tobytes() == once.params.tobytes()


def test_going_on_from_states(backend):
    """A population resumes trainings, on other rows too; only its first part meets the new rows."""
    begun = [train(NETWORK, X, Y, seed=i, batch_size=7, epochs=2, backend=backend) for i in range(M)]
    states = [result.state for result in begun]
    population = Population(NETWORK, X[:9], Y[:9], resume=states, new_rows=True, backend=backend)
    population.advance(1)
    population.advance(2)
    for i, result in population.items():
        other = begun[i].resume(X[:9], Y[:9], new_rows=True, epochs=3)
        assert_same_result(result, other)


def test_a_state_that_was_seen_is_no_way_in():
    population = small(stop=Stop(patience=50))
    population.advance(2)
    population[1].state.vectors[...] = np.nan
    population[1].state.index[...] = 10**6
    population.advance(2)
    *data, options = own({"optimizer": SGD(0.5), "batch_size": 7, "stop": Stop(patience=50)}, 1)
    assert_same_result(population[1], train(*data, **options, epochs=4))


def test_numbers_stay_after_drops(backend):
    """Members are asked for, advanced and ranked by the numbers that they had from the first."""
    population = small(backend=backend)
    population.advance(3)
    population.drop(1)
    population.drop([0, 0])
    population.advance({3: 2, 2: 0})
    assert population.members == list(population) == [2, 3]
    assert [member in population for member in (1, 2, np.int64(3), "3")] == [False, True, True, False]
    assert len(population) == 2
    assert [result.n_epochs for result in population.values()] == [3, 5]
    assert list(population.scores()) == [2, 3]
    assert population.epochs_trained == 14
    assert [result.n_epochs for result in population.results()] == [3, 5]
    assert repr(population) == "<Population: 2 members, 2 dropped, 14 epochs trained>"


def test_ranking():
    """The best first, by the sign that the monitor asks for; last who diverged, or has no score."""
    population = small(networks=WIDE, learning_rate=[0.1, 1e9, 0.05, 0.01])
    for call in population.ranking, population.best:
        with pytest.raises(ValueError, match=r"no member has trained an epoch yet, .* say advance\(epochs\) first"):
            call()
    assert "<svg" not in population._repr_html_()
    assert np.isnan(list(population.scores().values())).all()
    population.advance(5)
    assert population[1].stop_reason == "diverged"
    losses = {i: result.history.loss[-1] for i, result in population.items() if i != 1}
    assert population.ranking() == [*sorted(losses, key=losses.get), 1]
    assert population.best() == population.results().best() == min(losses, key=losses.get)
    assert losses.items() <= population.scores().items()
    population = small(stop=Stop(monitor="r2", restore_best=True), learning_rate=[0.1, 9.0, 0.5, 1.0])
    population.advance(5)
    best = {i: result.history.score.max() for i, result in population.items()}
    assert population.scores() == best
    assert population.ranking() == sorted(best, key=best.get, reverse=True)
    population.drop(population.best())
    assert population.best() == sorted(best, key=best.get)[-2]
    mixed = small(stop=[Stop(), Stop(monitor="r2"), Stop(), Stop(validation=0.5)])
    mixed.advance(1)
    for call in mixed.ranking, mixed.best:
        with pytest.raises(ValueError, match="2 members by training loss, 1 member by validation loss"):
            call()


def test_what_a_notebook_shows():
    population = small(networks=WIDE, learning_rate=[0.1, 0.2, 0.05, 0.01])
    population.advance(5)
    population.drop(1)
    card = population._repr_html_()
    assert "<svg" in card
    assert f"member {population.ranking()[0]}, the best" in card


def test_results_know_their_seeds():
    population = small(seed=[7, 8, 9, 10])
    population.advance(1)
    population.replace(0, by=2)
    population.drop(1)
    assert population.results().to_dict()["seed"] == [9, 9, 10]


def test_dropped_members_free_their_memory():
    """Parameters, the optimizer's state, row orders and histories: also of members that share a block."""
    network = Network((3, 100, 1), "tanh")
    gc.collect()
    tracemalloc.start()
    try:
        population = Population(network, X, Y, seed=range(100), optimizer=Adam(), n_jobs=1)
        population.advance(1)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        population.drop(range(10, 100))
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        population.advance(1)
        del population
        gc.collect()
        nothing, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    states = 100 * 3 * network.n_params * 8
    assert before - nothing > states
    assert after - nothing < 0.2 * (before - nothing)


def test_dropped_members_free_their_data():
    arrays = [RANDOM.rand(20, 3) for _ in range(M)]
    population = Population(Network((3, 5, 1)), arrays, Y, seed=0, batch_size=7)
    population.advance(1)
    gone = weakref.ref(arrays[2])
    population.drop(2)
    del arrays
    gc.collect()
    assert gone() is None
    population.advance(1)


def test_members_that_stay_behind_keep_no_others():
    """A member that does not advance does not hold the arrays of those that do."""
    population = Population(Network((3, 5, 1)), X, Y, seed=range(M), n_jobs=1)
    population.advance(1)
    population.advance({1: 1, 2: 1, 3: 1})
    assert {len(training.last.store.steps) for training in population._trainings.values()} == {1, 3}
