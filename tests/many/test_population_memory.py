"""Members that were dropped, or that others have left behind, hold no memory."""

import gc
import tracemalloc
import weakref

import numpy as np

from fastnn import Adam, Network, Population

RANDOM = np.random.RandomState(5)
X = RANDOM.rand(20, 3)
Y = RANDOM.rand(20, 1)
M = 4


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
    """Each had an X of its own."""
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
    assert {len(training.last.results.steps) for training in population._trainings.values()} == {1, 3}
