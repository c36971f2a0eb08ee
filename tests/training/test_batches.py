"""What is drawn from the seed, and in which order the rows go into batches."""

import numpy as np
import pytest
from bits import bits, result_bits
from small_training import NETWORK, N, Recorder

from fastnn import SGD, Network, exponential, kit, train
from fastnn.training.rows import RowOrder


def test_same_seed_gives_the_same_bits_and_another_seed_does_not(go):
    assert result_bits(go()) == result_bits(go()) == result_bits(go(seed=np.int64(3)))
    assert bits(go().params) != bits(go(seed=4).params)
    assert bits(go(seed=None).params) != bits(go(seed=None).params)


def test_a_random_state_is_used_as_it_is(go):
    random_state = np.random.RandomState(3)
    result = go(seed=random_state)
    assert result_bits(result) == result_bits(go())
    assert random_state.get_state()[2] == result.state.random_state["state"]["pos"]
    assert bits(go(seed=random_state).params) != bits(result.params)  # it has gone on


@pytest.mark.parametrize("batch_size", [None, N, N + 1, 10**9])
def test_full_batches_are_not_shuffled(data, batch_size):
    recorder = Recorder()
    result = train(NETWORK, *data, epochs=3, batch_size=batch_size, seed=8, backend=recorder)
    assert [rows.tolist() for rows in recorder.rows] == [list(range(N))] * 3
    random_state = np.random.RandomState(8)
    NETWORK.init_params(random_state, np.float64)
    assert result.state.random_state["state"]["pos"] == random_state.get_state()[2]


def test_without_shuffle_rows_stay_in_order(data):
    recorder = Recorder()
    train(NETWORK, *data, epochs=2, batch_size=10, shuffle=False, seed=8, backend=recorder)
    assert [rows.tolist() for rows in recorder.rows] == [list(range(10)), list(range(10, 20)), list(range(20, N))] * 2


def test_skipped_batches_change_nothing_but_t(go, data):
    """Two batches of weight 0 in an otherwise full epoch: the same as an epoch of the other rows."""
    X, Y = data
    weight = np.ones(N)
    weight[5:15] = 0
    kept = np.r_[0:5, 15:N]
    with_skips = go(sample_weight=weight, shuffle=False)
    without = go(X[kept], Y[kept], shuffle=False)
    assert bits(with_skips.state.vectors) == bits(without.state.vectors)
    assert bits(with_skips.state.beta_products) == bits(without.state.beta_products)
    assert bits(with_skips.history.loss) == bits(without.history.loss)
    assert (with_skips.state.t, without.state.t) == (30, 18)


def test_zero_epochs_give_the_initial_parameters(go):
    result = go(epochs=0)
    assert (result.n_epochs, result.state.t, result.stop_reason) == (0, 0, "epochs")
    assert bits(result.params) == bits(NETWORK.init_params(np.random.RandomState(3), np.float64))


@pytest.mark.parametrize(("options", "same"), [((None, True), True), ((5, False), True), ((5, True), False)])
def test_steps_that_do_not_differ_are_the_same_arrays(options, same):
    """So that a back end knows them again; rows that are shuffled differ."""
    plan, rate = RowOrder(np.arange(N), *options, np.random.RandomState(0)), np.full(5, 0.1)
    rate = rate[: plan.steps_per_epoch]
    draws = []
    for _ in range(3):
        draws.append(plan.draw(len(rate), rate))
        plan.commit(len(rate))
    assert (draws[0] is draws[1] is draws[2]) == same
    assert draws[0].start is draws[2].start
    with_other_rates = plan.draw(len(rate), 2 * rate)
    assert (with_other_rates is draws[2]) == same
    assert with_other_rates.learning_rate.tolist() == (2 * rate).tolist()


def test_steps_of_a_training_that_is_over_serve_others_of_their_own_bits(data, backend, monkeypatch):
    """Other rows, numbers of rows, rates and lengths; also where one training begins within another one."""
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
        result = train(NETWORK, X, Y, **{"optimizer": SGD(0.3), "epochs": 2, "seed": 0, "backend": backend} | options)
        return result_bits(result)

    alone = []
    for options in kinds:
        with kit.off():
            alone.append(go(options))
    order = np.random.RandomState(0).randint(len(kinds), size=100)
    assert [go(kinds[k]) for k in order] == [alone[k] for k in order]


def test_a_results_row_order_is_its_own(go):
    first, second = go(batch_size=None), go(batch_size=None)
    first.state.index[...] = 0
    assert sorted(second.state.index) == sorted(go(batch_size=None).state.index) == list(range(N))


@pytest.mark.parametrize("options", [{}, {"params": None}, {"seed": np.int64(3)}, {"batch_size": 5}])
@pytest.mark.parametrize("network", [NETWORK, Network((3, 5, 2), init="normal"), Network((3, 400, 2), init="he")])
def test_the_generator_of_a_result_stands_where_its_draws_have_left_it(data, network, options):
    """Also when it is looked at after other trainings; numbers of a normal distribution are drawn in pairs."""
    if "params" in options:
        options = {"params": np.zeros(network.n_params)}
    result = train(network, *data, **{"epochs": 2, "batch_size": None, "seed": 3} | options)
    train(network, *data, epochs=1, seed=4)
    random_state = np.random.RandomState(3)
    if "params" not in options:
        network.init_params(random_state)
    if "batch_size" in options:
        for _ in range(2):
            random_state.shuffle(np.arange(N))
    expected, found = random_state.get_state(legacy=False), result.state.random_state
    assert bits(found["state"]["key"]) == bits(expected["state"]["key"])
    assert found["state"]["pos"] == expected["state"]["pos"]
    assert {**found, "state": None} == {**expected, "state": None}
