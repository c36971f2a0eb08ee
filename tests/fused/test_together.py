"""Threads that share each step: how the parameters are divided, and the bits of one thread whatever happens."""

import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from bits import all_bits

from fastnn import RPROP, SGD, Adam, Network, RMSprop, cores, get_backend
from fastnn.cores import Cores
from fastnn.fused import team
from fastnn.fused.layout import LAYER_FIELDS, SMALL, describe
from fastnn.fused.team import divide
from fastnn.losses import LOSSES
from fastnn.memory import ALIGNMENT
from fastnn.state import Data, Steps, StepState, Task
from fastnn.testing.cases import draw_training

NUMBERS = (2, 3, 5, 8)
TUTORIAL = {"bias": "scalar", "bias_gradient": "times_bias", "reduction": "sum"}
NETWORKS = {
    "whole vectors": Network((40, 32, 48, 16), ("tanh", "silu"), "softmax", "cross_entropy"),
    "odd": Network((23, 37, 29, 3), ("gelu", "relu")),
    "wide": Network((7, 300, 1), "elu", "sigmoid", "log_loss"),
    "one layer": Network((200, 5), loss="huber"),
    "small": Network((3, 5, 4, 1), "sigmoid", **TUTORIAL),
    "scalar bias": Network((30, 24, 17, 2), "softplus", **TUTORIAL),
    "no bias": Network((17, 33, 16, 4), "leaky_relu", "softmax", "squared_error", bias="none"),
}


def steps_of(n, batch_size, n_epochs=2):
    """The steps of some epochs, each in an order of its own, the last batch shorter."""
    rows = np.concatenate([np.random.RandomState(k).permutation(n) for k in range(n_epochs)])
    begins = np.arange(0, n, batch_size)
    start = (np.arange(n_epochs)[:, None] * n + begins).ravel()
    stop = (np.arange(n_epochs)[:, None] * n + np.minimum(begins + batch_size, n)).ravel()
    return Steps(rows, start, stop, np.linspace(0.01, 0.02, len(start)), np.zeros(len(start)))


def trained(network, optimizer, problem, steps, threads, alpha=0.01):
    """The bits of a training of these steps, and the most threads that shared one."""
    task = Task(network, optimizer, Data(*problem[1:]), alpha, threads=threads)
    state, loss = StepState.create(problem.params, optimizer.n_slots), np.zeros(len(steps.loss))
    good = get_backend("numba").train_steps(task, state, steps._replace(loss=loss))
    assert not state.storage[0, state.n_params :].any() or good < len(loss)
    return [good, *all_bits(state.vectors, state.beta_products, loss)], state.threads


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("n", [1, *NUMBERS])
def test_parameters_are_divided_without_rest(name, n, dtype):
    """Into stretches, each of which ends where a vector of the update does, and where a row of W or a layer does."""
    network, lanes = NETWORKS[name], ALIGNMENT // np.dtype(dtype).itemsize
    layers = {layer.weight.start: layer for layer in network.layers}
    starts = sorted(layers)
    parts, first_part = divide(network, describe(network, np.dtype(dtype)), lanes, n)
    parts = [dict(zip(LAYER_FIELDS, part, strict=True)) for part in parts.reshape(-1, len(LAYER_FIELDS))]
    assert (len(first_part), first_part[0], first_part[-1]) == (n + 1, 0, len(parts))
    covered = 0
    for k, part in enumerate(parts):
        layer = layers[max(start for start in starts if start <= part["weight"])]
        begin, end = layer.weight.start, layer.bias.stop
        assert part["weight"] == covered
        covered += part["fan_in"] * layer.fan_out + part["n_bias"]
        if covered < end:
            assert (covered - begin) % lanes == (covered - begin) % layer.fan_out == 0 == part["n_bias"]
            assert end - begin > SMALL
        elif k + 1 in first_part[1:-1]:
            assert (end - begin) % lanes == 0, "the last vector of the layer holds numbers of the next thread's"
        else:
            assert covered == end
    assert covered == network.n_params


def test_the_division_is_fair():
    """As far as rows that fill whole vectors allow: four of these 100, for eight threads."""
    network = Network((784, 100, 10))
    parts, first_part = divide(network, describe(network, np.dtype(np.float32)), 16, 8)
    parts = parts.reshape(-1, len(LAYER_FIELDS))
    sizes = [sum(part[0] * part[1] + part[4] for part in parts[a:b]) for a, b in itertools.pairwise(first_part)]
    assert max(sizes) <= math.ceil(network.n_params / 8) + 400


@pytest.mark.parametrize("batch_size", [40, 128, 270])
@pytest.mark.parametrize("name", NETWORKS)
def test_any_number_of_threads_gives_the_bits_of_one(name, batch_size, dtype):
    """With row weights, some of them 0, penalty, several blocks, a short last batch of one vector or row."""
    network = NETWORKS[name]
    for n in (batch_size + 1, 2 * batch_size + 9, 300):
        problem, steps = draw_training(network, n, dtype), steps_of(n, batch_size)
        alone, used = trained(network, Adam(), problem, steps, 1)
        assert used == 1
        for threads in NUMBERS:
            assert trained(network, Adam(), problem, steps, threads)[0] == alone


@pytest.mark.parametrize("name", NETWORKS)
def test_options_have_the_bits_of_one_thread(name, dtype):
    """Clipped gradients, whose length is a sum over all parameters, and rates; batches of several blocks, and short."""
    network = NETWORKS[name]
    rates = [(0.5, 0), *[(1, 2), (0, 0)][: network.n_layers - 1]] + [(1, 1)] * (network.n_layers - 3)
    for n, batch_size in ((65, 64), (300, 280)):
        problem, steps = draw_training(network, n, dtype), steps_of(n, batch_size)
        for options in ({"clip_norm": 0.1}, {"rates": rates}, {"clip_norm": 0.1, "rates": rates}):
            alone, _ = trained(network, Adam(**options), problem, steps, 1)
            for threads in (2, 3):
                assert trained(network, Adam(**options), problem, steps, threads)[0] == alone


OPTIMIZERS = [
    SGD(clip_norm=0.01, rates=(1, 0, 2)),
    SGD(),
    SGD(momentum=0.9),
    SGD(momentum=0.9, nesterov=True),
    RMSprop(),
    RPROP(),
]


@pytest.mark.nojit
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_every_optimizer(optimizer, dtype):
    network = Network((6, 20, 16, 3), "tanh", "sigmoid", "log_loss")
    problem, steps = draw_training(network, 70, dtype), steps_of(70, 70, 3)
    alone, _ = trained(network, optimizer, problem, steps, 1)
    together, used = trained(network, optimizer, problem, steps, 2)
    assert (together, used) == (alone, 2)


def losses_of(network, problem, threads):
    """The bits of a loss, of one with its gradient, and of the gradient; the second calls go by what is prepared."""
    task, gradient = Task(network, SGD(), Data(*problem[1:]), 0.01, threads=threads), np.empty_like(problem.params)
    losses = [get_backend("numba").loss(task, problem.params, wanted) for wanted in (None, gradient) * 2]
    assert len(set(losses)) == 1
    return [losses[0], *all_bits(gradient)]


@pytest.mark.parametrize("n", [70, 257, 300, 700])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_loss_and_its_gradient(name, n, dtype, shared):
    problem = draw_training(NETWORKS[name], n, dtype)
    alone = losses_of(NETWORKS[name], problem, 1)
    assert shared == []
    for threads in NUMBERS:
        assert losses_of(NETWORKS[name], problem, threads) == alone
    most = -(-min(n, 256) // (ALIGNMENT // np.dtype(dtype).itemsize)) // 2
    assert shared == [min(threads, most) for threads in NUMBERS for _ in range(4)]


@pytest.mark.nojit
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss(loss, dtype):
    network = Network((3, 4, 2), loss=loss, output=LOSSES[loss].outputs[-1])
    problem = draw_training(network, 40, dtype)
    assert losses_of(network, problem, 2) == losses_of(network, problem, 1)


def test_the_number_may_change_from_call_to_call(dtype):
    network = NETWORKS["odd"]
    problem, steps = draw_training(network, 300, dtype), steps_of(300, 150, 8)
    alone, _ = trained(network, Adam(), problem, steps, 1)
    state, good = StepState.create(problem.params, 2), 0
    for k, threads in enumerate((2, 1, 5, 8, None, 3, 2, 1)):
        task = Task(network, Adam(), Data(*problem[1:]), 0.01, threads=threads)
        good += get_backend("numba").train_steps(task, state, Steps(steps.rows, *(a[2 * k :][:2] for a in steps[1:])))
    assert [good, *all_bits(state.vectors, state.beta_products, steps.loss)] == alone


@pytest.mark.nojit
def test_batches_without_weight_are_skipped(dtype):
    network = Network((6, 20, 16, 3))
    problem, steps = draw_training(network, 70, dtype), steps_of(70, 70, 3)
    nothing = problem._replace(sample_weight=np.zeros_like(problem.sample_weight))
    bits, used = trained(network, Adam(), nothing, steps, 2)
    assert (bits, used) == (trained(network, Adam(), nothing, steps, 1)[0], 2)


@pytest.mark.parametrize("where", ["loss", "parameters"])
def test_divergence_ends_at_the_same_step(where, dtype):
    network = NETWORKS["whole vectors"] if where == "parameters" else NETWORKS["odd"]
    problem, steps = draw_training(network, 200, dtype), steps_of(200, 100, 20)
    rates = np.where(np.arange(40) < 11, 0.01, 1e300 if dtype is np.float64 else 1e38)
    good, *_ = trained(network, SGD(), problem, steps._replace(learning_rate=rates), 1)[0]
    assert 11 <= good < 40
    for threads in NUMBERS:
        assert trained(network, SGD(), problem, steps._replace(learning_rate=rates), threads)[0][0] == good


@pytest.mark.parametrize(
    ("asked", "rows", "used"),
    [(1, 256, 1), (3, 256, 3), (99, 256, 16), (99, 5000, 16), (99, 33, 2), (99, 23, 1), (4, 1, 1)],
)
def test_each_thread_has_two_vectors_of_rows(asked, rows, used):
    network = NETWORKS["wide"]
    problem, steps = draw_training(network, rows, np.float64), steps_of(rows, rows)
    assert trained(network, SGD(), problem, steps, asked)[1] == used


def test_threads_that_share_cpus_wait_asleep(monkeypatch):
    """Looking, each would keep the one that it waits for from its work."""
    ticks, made = [], team.Team.__init__

    def recorded(self, *arguments):
        made(self, *arguments)
        ticks.append({share.ticks for *_, share in self._members})

    monkeypatch.setattr(team, "cpus", lambda: 3)
    monkeypatch.setattr(team.Team, "__init__", recorded)
    problem, steps = draw_training(NETWORKS["odd"], 300, np.float64), steps_of(300, 300)
    for threads in (2, 3, 4, 8):
        trained(NETWORKS["odd"], SGD(), problem, steps, threads)
    assert ticks == [{team.TICKS}] * 2 + [{0}] * 2


def test_a_sequential_optimizer_takes_one_thread():
    network = NETWORKS["wide"]
    problem, steps = draw_training(network, 100, np.float64), steps_of(100, 100)
    assert trained(network, SGD(sequential=True), problem, steps, 2)[1] == 1


def test_little_work_is_for_one_thread(monkeypatch):
    """Without a look at the machine."""
    monkeypatch.setattr(cores, "available_cores", lambda: pytest.fail("asked for the cores"))
    network = Network((4, 16, 3))
    _, n_threads = trained(network, SGD(), draw_training(network, 150, np.float64), steps_of(150, 150), None)
    assert n_threads == 1


@pytest.fixture
def three_cores(monkeypatch):
    """A machine with so many, where any step is worth sharing."""
    monkeypatch.setattr(cores, "available_cores", lambda: Cores(3, "told"))
    monkeypatch.setattr(team, "WORK", 1)
    monkeypatch.setattr(team, "is_at_hand", lambda name, dtype: True)  # it is compiled where it is not


@pytest.mark.parametrize(("work", "used"), [(0, 3), (1, 1), (2, 2), (2.5, 2), (3, 3), (9, 3)])
def test_unasked_there_are_as_many_as_have_work_and_cores(three_cores, monkeypatch, work, used):
    """What counts is the work between two waits: that of a block of rows."""
    network, n = NETWORKS["odd"], 300
    monkeypatch.setattr(team, "WORK", int(256 * network.n_params / work) if work else 1)
    problem, steps = draw_training(network, n, np.float64), steps_of(n, n)
    assert trained(network, Adam(), problem, steps, None) == (trained(network, Adam(), problem, steps, 1)[0], used)


def test_one_thread_goes_on_while_the_kernel_is_compiled(three_cores, monkeypatch):
    network, answers = NETWORKS["odd"], [False, False, True]
    problem, steps = draw_training(network, 300, np.float64), steps_of(300, 150, 2)
    alone, _ = trained(network, Adam(), problem, steps, 1)
    monkeypatch.setattr(team, "is_at_hand", lambda name, dtype: answers.pop(0) if answers else True)
    assert [trained(network, Adam(), problem, steps, None) for _ in range(3)] == [(alone, 1), (alone, 1), (alone, 3)]


def test_other_threads_than_the_main_one_take_no_helpers_unasked(three_cores):
    network = NETWORKS["odd"]
    problem, steps = draw_training(network, 300, np.float64), steps_of(300, 150, 20)
    with ThreadPoolExecutor(1) as pool:
        used = [pool.submit(trained, network, Adam(), problem, steps, n).result()[1] for n in (None, 2)]
    assert used == [1, 2]


def test_helpers_at_work_elsewhere_leave_their_cores(three_cores, monkeypatch):
    network = NETWORKS["odd"]
    problem, steps = draw_training(network, 300, np.float64), steps_of(300, 150, 20)
    monkeypatch.setattr(cores, "helpers_at_work", lambda: 2)
    assert trained(network, Adam(), problem, steps, None)[1] == 1
