"""Sessions: a divergence goes back to the last good step, and what a training is begun with goes on
in whatever parts."""

import numpy as np
import pytest
from bits import assert_same_result, assert_same_results, state_bits
from chunks import chunks_of

from fastnn import SGD, Adam, Network, Population, Stop, train
from fastnn.compiler.loader import IN_PYTHON
from fastnn.training import session
from fastnn.training.generator import GENERATORS
from fastnn.training.options import check_options

R = np.random.RandomState(0)
X = R.rand(23, 3)
Y = R.rand(23, 2)
NETWORK = Network((3, 5, 2), "tanh")
DIVERGING = {
    "optimizer": Adam(lambda step: 0.01 * (step + 1) if step < 33 else 1e308),
    "stop": Stop(on_divergence="stop"),
}


def finished(options, starts, most_epochs=None):
    """The results of a session of members with these options."""
    with session.Session(options, starts) as begun:
        while begun.running:
            begun.advance(most_epochs)
            begun.end_due()
        results = begun.results()
    return [results.result(k) for k in range(len(options))]


@pytest.mark.parametrize("most_repeated", [1, 12, 512])
@pytest.mark.parametrize("begun", ["with a seed", "with parameters", "with a state"])
def test_a_divergence_goes_back_to_what_was_saved_last(begun, most_repeated, monkeypatch):
    """Several calls ago, perhaps: then the steps of all of them are repeated."""
    begin = {"seed": 4}
    if begun == "with parameters":
        begin["params"] = NETWORK.init_params(5)
    if begun == "with a state":
        begin = {"resume": train(NETWORK, X, Y, batch_size=5, epochs=3, seed=4, **DIVERGING).state}
    options = {"batch_size": 5, "epochs": 9} | begin | DIVERGING
    at_once = train(NETWORK, X, Y, **options)
    monkeypatch.setattr(session, "MOST_REPEATED", most_repeated)
    chunks_of(monkeypatch, 5)
    assert_same_result(train(NETWORK, X, Y, **options), at_once)
    assert at_once.stop_reason == "diverged"
    assert at_once.state.t == 34
    assert np.isfinite(at_once.state.vectors).all()


@pytest.mark.parametrize("written", ["parameters", "rows"])
def test_a_divergence_reads_nothing_that_a_callback_has_written_over(written):
    network = Network((3, 200, 2), "tanh")  # whose state is more numbers than the rows of 34 steps
    options = {"batch_size": None, "seed": 4} | DIVERGING
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


def test_a_session_ends_when_a_callback_raises():
    """What plays the generators goes back, for the next training."""
    GENERATORS.clear()
    with pytest.raises(ZeroDivisionError):
        train(NETWORK, X, Y, epochs=9, callbacks=[lambda progress: 1 / 0])
    assert len(GENERATORS) == 1


@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize(
    "begun", ["with a seed", "with a generator", "with a state", "at its best"]
)
def test_a_population_goes_on_from_whatever_it_began_with(begun, batch_size):
    """Also from a generator of the caller's, and from states whose best parameters no rule asks
    for."""
    options = {"optimizer": Adam(0.1), "batch_size": batch_size}
    stop = Stop(validation=0.2, restore_best=begun == "at its best")

    def begin():
        if begun == "with a seed":
            return {"seed": 3}
        if begun == "with a generator":
            return {"seed": np.random.RandomState(3)}
        return {"resume": train(NETWORK, X, Y, seed=3, epochs=2, stop=stop, **options).state}

    population = Population(NETWORK, X, Y, n=1, **begin(), n_jobs=1, **options)
    for _ in range(3):
        population.advance(2)
    whole = train(NETWORK, X, Y, epochs=6, **begin(), **options)
    assert state_bits(population[0].state) == state_bits(whole.state)


def test_options_are_frozen_and_say_nothing_of_the_seed():
    options = check_options(NETWORK, X, Y, epochs=3, seed=5)
    with pytest.raises(AttributeError):
        options.n_epochs = 4
    (result,) = finished([options], [5])
    assert_same_result(result, train(NETWORK, X, Y, epochs=3, seed=5))


KINDS = {
    "full batches": {"batch_size": None},
    "shuffled": {"batch_size": 5},
    "patience": {
        "batch_size": 5,
        "stop": Stop(validation=(X[:7], Y[:7]), patience=2, restore_best=True),
    },
    "a split": {"batch_size": None, "stop": Stop(validation=0.3, patience=3, restore_best=True)},
    "divergence": {"batch_size": 5, "optimizer": SGD(1e6), "stop": Stop(on_divergence="stop")},
    "a late divergence": {"batch_size": 5} | DIVERGING,
}


@pytest.mark.skipif(IN_PYTHON, reason="in Python, several members are not decided in a call")
@pytest.mark.parametrize("most_epochs", [None, 1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_members_of_a_session_have_the_bits_of_trainings_alone(kind, most_epochs):
    """In whatever parts they advance."""
    options = {"optimizer": Adam(0.1), "epochs": 9} | KINDS[kind]
    checked = check_options(NETWORK, X, Y, **options, threads=1)
    alone = [train(NETWORK, X, Y, seed=seed, **options) for seed in range(6)]
    assert_same_results(finished([checked] * 6, range(6), most_epochs), alone)


def test_an_epoch_in_several_calls_has_its_loss_though_the_first_member_has_ended(monkeypatch):
    chunks_of(monkeypatch, 1)
    kind = {"optimizer": Adam(0.1), "epochs": 5, "batch_size": 5, "backend": "numpy"}
    options = check_options(NETWORK, X, Y, **kind)
    _, result = finished([options._replace(n_epochs=2), options], [0, 1])
    assert_same_result(result, train(NETWORK, X, Y, **kind, seed=1))
