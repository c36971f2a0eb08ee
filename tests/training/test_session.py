"""Sessions of one member or several, in one call or in parts: bits of trainings alone, and what is
taken of them."""

import pickle

import numpy as np
import pytest
from bits import assert_same_results, result_bits, state_bits

from fastnn import SGD, Adam, Network, Population, Stop, train
from fastnn.compiler.loader import IN_PYTHON
from fastnn.training import session as session_module
from fastnn.training.generator import GENERATORS
from fastnn.training.options import check_options
from fastnn.training.results import Row
from fastnn.training.session import Session

R = np.random.RandomState(0)
X = R.rand(23, 3)
Y = R.rand(23, 2)
NETWORK = Network((3, 5, 2), "tanh")
KINDS = {
    "full batches": {"batch_size": None},
    "shuffled": {"batch_size": 5},
    "patience": {
        "batch_size": 5,
        "stop": Stop(validation=(X[:7], Y[:7]), patience=2, restore_best=True),
    },
    "a split": {"batch_size": None, "stop": Stop(validation=0.3, patience=3, restore_best=True)},
    "divergence": {"batch_size": 5, "optimizer": SGD(1e6), "stop": Stop(on_divergence="stop")},
    "a late divergence": {
        "batch_size": 5,
        "optimizer": Adam(lambda step: 0.01 * (step + 1) if step < 33 else 1e308),
        "stop": Stop(on_divergence="stop"),
    },
}


def session_of(seeds, kind, epochs=9, **more):
    given = {"optimizer": Adam(0.1), "epochs": epochs} | KINDS[kind] | more
    options = check_options(NETWORK, X, Y, **given, threads=1)
    return Session([options] * len(seeds), seeds)


def trained(session, most_epochs=None):
    with session:
        while session.is_running():
            session.advance(most_epochs)
        results = session.results()
    return [results.result(k) for k in range(len(session.members))]


@pytest.mark.skipif(IN_PYTHON, reason="in Python, several members are not decided in a call")
@pytest.mark.parametrize("most_epochs", [None, 1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_members_have_the_bits_of_trainings_alone_in_whatever_parts_they_advance(kind, most_epochs):
    options = {"optimizer": Adam(0.1), "epochs": 9} | KINDS[kind]
    alone = [train(NETWORK, X, Y, seed=seed, **options) for seed in range(6)]
    assert_same_results(trained(session_of(range(6), kind), most_epochs), alone)
    assert_same_results(trained(session_of([0], kind), most_epochs), alone[:1])


@pytest.mark.parametrize("most_repeated", [1, 12, 512])
@pytest.mark.parametrize("begun", ["with a seed", "with parameters", "with a state"])
def test_a_divergence_goes_back_to_what_was_saved_last(begun, most_repeated, monkeypatch):
    """Several calls ago, perhaps: then the steps of all of them are repeated."""
    monkeypatch.setattr(session_module, "MOST_REPEATED", most_repeated)
    options = KINDS["a late divergence"]
    way = {"seed": 4}
    if begun == "with parameters":
        way["params"] = NETWORK.init_params(5)
    if begun == "with a state":
        way = {"resume": train(NETWORK, X, Y, epochs=3, seed=4, **options).state}
    alone = train(NETWORK, X, Y, epochs=9, **way, **options)
    in_parts = session_of([way.get("resume", 4)], "a late divergence", params=way.get("params"))
    assert_same_results(trained(in_parts, most_epochs=1), [alone])
    assert alone.stop_reason == "diverged"
    assert alone.state.t == 34
    assert np.isfinite(alone.state.vectors).all()


@pytest.mark.parametrize("written", ["parameters", "rows"])
def test_a_divergence_reads_nothing_that_a_callback_has_written_over(written):
    network = Network((3, 200, 2), "tanh")  # whose state is more numbers than the rows of 34 steps
    options = KINDS["a late divergence"] | {"batch_size": None, "seed": 4}
    params = network.init_params(5)
    rows = X.copy()

    def write_over(progress):
        if progress.epoch == 30:
            (params if written == "parameters" else rows)[:] = 7.0

    result = train(network, rows, Y, epochs=60, params=params, callbacks=[write_over], **options)
    first = train(network, X, Y, epochs=30, params=network.init_params(5), **options)
    second = train(network, rows, Y, epochs=30, **options | {"seed": None, "resume": first.state})
    assert result.stop_reason == second.stop_reason == "diverged"
    assert state_bits(result.state) == state_bits(second.state)


@pytest.mark.parametrize("kind", KINDS)
def test_a_back_end_trains_members_one_by_one_by_default(kind):
    """Also those that are judged in Python, after each epoch."""
    alone = [
        train(NETWORK, X, Y, **{"optimizer": Adam(0.1), "epochs": 9} | KINDS[kind] | own)
        for own in ({"seed": seed, "backend": "numpy"} for seed in range(3))
    ]
    assert_same_results(trained(session_of(range(3), kind, backend="numpy")), alone)


def test_a_session_ends_when_a_callback_raises():
    """What plays the generators goes back, for the next training."""
    GENERATORS.clear()
    with pytest.raises(ZeroDivisionError):
        train(NETWORK, X, Y, epochs=9, callbacks=[lambda progress: 1 / 0])
    assert len(GENERATORS) == 1


@pytest.mark.skipif(IN_PYTHON, reason="in Python, several members are not decided in a call")
@pytest.mark.parametrize("kind", ["full batches", "shuffled"])
def test_members_go_on_from_rows_of_results_as_from_states(kind):
    with session_of(range(6), kind, epochs=4) as first:
        while first.is_running():
            first.advance()
        results = first.results()
    for starts in ([Row(results, k) for k in range(6)], [results.state(k) for k in range(6)]):
        whole = [result.state for result in trained(session_of(range(6), kind))]
        for own, state in zip(trained(session_of(starts, kind, epochs=5)), whole, strict=True):
            assert own.state.vectors.tobytes() == state.vectors.tobytes()
            assert own.state.index.tobytes() == state.index.tobytes()
            assert (
                own.state.random_state["state"]["key"].tobytes()
                == state.random_state["state"]["key"].tobytes()
            )
            assert (own.state.t, own.state.counters["epoch"]) == (state.t, 9)


@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("seed", [3, np.random.RandomState, "state", "best"])
def test_a_population_goes_on_from_whatever_it_began_with(seed, batch_size):
    """Also from a generator of the caller's, and from states whose best parameters no rule asks
    for."""
    options = {"optimizer": Adam(0.1), "batch_size": batch_size}
    stop = Stop(validation=0.2, restore_best=seed == "best")

    def start():
        if seed == 3:
            return {"seed": 3}
        if seed is np.random.RandomState:
            return {"seed": np.random.RandomState(3)}
        return {"resume": train(NETWORK, X, Y, seed=3, epochs=2, stop=stop, **options).state}

    population = Population(NETWORK, X, Y, n=1, **start(), n_jobs=1, **options)
    for _ in range(3):
        population.advance(2)
    assert state_bits(population[0].state) == state_bits(
        train(NETWORK, X, Y, epochs=6, **start(), **options).state
    )


def test_a_result_of_a_session_that_goes_on_stays_as_it_is():
    session = session_of([0], "shuffled")
    session.advance(2)
    then = session.result(0, goes_on=True)
    before = pickle.loads(pickle.dumps(then))
    session.advance(3)
    assert (then.stop_reason, then.n_epochs) == ("running", 2)
    assert result_bits(then) == result_bits(before)


def test_options_are_frozen_and_say_nothing_of_the_seed():
    options = check_options(NETWORK, X, Y, epochs=3, seed=5)
    with pytest.raises(AttributeError):
        options.n_epochs = 4
    assert result_bits(trained(Session([options], [5]))[0]) == result_bits(
        train(NETWORK, X, Y, epochs=3, seed=5)
    )
