"""The examples of searches: each trains what its definition says, exactly, and finds what is good."""

import importlib
import inspect
import pathlib

import numpy as np
import pytest
from bits import assert_same_result

from fastnn import SGD, Network, Population, train

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
RANDOM = np.random.RandomState(3)
X = RANDOM.rand(20, 3)
Y = X[:, :1] ** 2
NETWORK = Network((3, 5, 1), "tanh")
RATES = np.logspace(-3, 0, 9)


@pytest.fixture
def example(monkeypatch):
    """An example, imported by its name."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module


def sample(n):
    """A population of small networks."""
    return Population(NETWORK, X, Y, optimizer=SGD(), learning_rate=np.resize(RATES, n), seed=0, batch_size=None)


def alone(rate, epochs):
    return train(NETWORK, X, Y, optimizer=SGD(rate), seed=0, batch_size=None, epochs=epochs)


def test_successive_halving(example):
    """9, 3 and 1 members with 2, 6 and 18 epochs each, of which 2, 4 and 12 are new; the winner is `train` alone."""
    population = sample(9)
    best = example("successive_halving").successive_halving(population, epochs=2, rungs=3)
    assert population.members == [best]
    assert population.epochs_trained == 9 * 2 + 3 * 4 + 1 * 12
    assert_same_result(population[best], alone(RATES[best], 18))
    first = {i: alone(rate, 2).history.loss[-1] for i, rate in enumerate(RATES)}
    second = {i: alone(RATES[i], 6).history.loss[-1] for i in sorted(first, key=first.get)[:3]}
    assert best == min(second, key=second.get)


def test_the_page_quotes_the_example(example):
    """To the letter."""
    source = inspect.getsource(example("successive_halving").successive_halving)
    assert source in (EXAMPLES.parent / "docs" / "howto" / "many.md").read_text("utf-8")


def test_hyperband(example):
    """Brackets of 9, 5 and 3 members with at first 1, 3 and 9 epochs: table 1 of its authors, for R = 9."""
    found, epochs_trained = example("hyperband").hyperband(sample, most_epochs=9)
    assert epochs_trained == (9 * 1 + 3 * 2 + 1 * 6) + (5 * 3 + 1 * 6) + 3 * 9
    assert [result.n_epochs for _, result in found] == [9, 9, 9]
    scores = [score for score, _ in found]
    assert scores == [result.history.loss[-1] for _, result in found]
    assert len(set(scores)) > 1


def test_population_based_training(example):
    """The worst take over the best's weights, so that all end nearer to it; all train as many epochs."""
    population, rates = sample(8), dict(enumerate(RATES[:8]))
    search = example("population_based_training").population_based_training
    best = search(population, rates, rounds=4, epochs=3, random_state=np.random.RandomState(0))
    assert population.epochs_trained == 8 * 4 * 3
    assert [result.n_epochs for result in population.values()] == [12] * 8
    assert {i: r.state.counters["optimizer"]["learning_rate"] for i, r in population.items()} == rates
    assert set(rates.values()) != set(RATES[:8])
    losses = population.scores()
    assert losses[best] == min(losses.values())
    assert max(losses.values()) < alone(RATES[0], 12).history.loss[-1]


@pytest.mark.parametrize("name", ["successive_halving", "hyperband", "population_based_training", "optuna_search"])
def test_they_find_good_settings(name, example, capsys):
    """On the handwritten digits, as the scripts do."""
    pytest.importorskip("sklearn")
    if name == "optuna_search":
        pytest.importorskip("optuna", reason="needs Optuna: pip install optuna")
    example(name).main()
    assert float(capsys.readouterr().out.rpartition(":")[2]) > 0.95
