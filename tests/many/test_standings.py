"""The standings of a population: who is left, under the numbers from the first, and who is the best of them."""

import numpy as np
import pytest

from fastnn import SGD, Network, Population, Stop

RANDOM = np.random.RandomState(5)
X = RANDOM.rand(20, 3)
Y = RANDOM.rand(20, 1)
NETWORK = Network((3, 5, 1), "sigmoid", "sigmoid")
WIDE = Network((3, 9, 4, 1), ("tanh", "relu"))


def small(**options):
    """A population of four plain networks."""
    plain = {"networks": NETWORK, "X": X, "Y": Y, "seed": range(4), "optimizer": SGD(0.5), "batch_size": 7}
    return Population(**plain | options)


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
