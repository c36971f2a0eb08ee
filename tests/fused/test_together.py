"""Threads that share each step: the bits of one thread whatever happens.

Where kernels run as plain Python, one thread does the parts of all; by the fixture `threads`, each
does its own.
"""

import itertools
import json
import math
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np
import pytest
from bits import all_bits
from survival import UNOPTIMIZED, python
from watched import watch

from fastnn import SGD, Adam, Network, cores, get_backend
from fastnn.cores import Cores
from fastnn.fused import team
from fastnn.fused.layout import LAYER_FIELDS, describe
from fastnn.fused.team import divide
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
    start = np.arange(0, n, batch_size)
    first = np.arange(n_epochs)[:, None] * n
    start, stop = (first + start).ravel(), (first + np.minimum(start + batch_size, n)).ravel()
    return Steps(rows, start, stop, np.linspace(0.01, 0.02, len(start)), np.zeros(len(start)))


def trained(network, optimizer, problem, steps, threads, alpha=0.01):
    """The bits of a training of these steps, and the most threads that shared one."""
    task = Task(network, optimizer, Data(*problem[1:]), alpha, threads=threads)
    state = StepState.create(problem.params, optimizer.n_slots)
    loss = np.zeros(len(steps.loss))
    good = get_backend("numba").train_steps(task, state, steps._replace(loss=loss))
    assert not state.storage[0, state.n_params :].any() or good < len(loss)
    return [good, *all_bits(state.vectors, state.beta_products, loss)], state.threads


def assert_bits_of_one_thread(network, optimizer, problem, steps, numbers=NUMBERS):
    alone, used = trained(network, optimizer, problem, steps, 1)
    assert used == 1
    for threads in numbers:
        assert trained(network, optimizer, problem, steps, threads)[0] == alone, threads


@pytest.fixture
def threads(no_helpers, monkeypatch):
    """Helpers take part, also in Python, where they soon sleep."""
    monkeypatch.setattr(team, "IN_PYTHON", False)
    monkeypatch.setattr(team, "TICKS", 2000)


def test_the_division_is_fair():
    """As far as rows that fill whole vectors allow: four of these 100, for eight threads."""
    network = Network((784, 100, 10))
    parts, first_part = divide(network, describe(network, np.dtype(np.float32)), 16, 8)
    parts = parts.reshape(-1, len(LAYER_FIELDS))
    sizes = [
        sum(part[0] * part[1] + part[4] for part in parts[a:b])
        for a, b in itertools.pairwise(first_part)
    ]
    assert max(sizes) <= math.ceil(network.n_params / 8) + 400


@pytest.mark.parametrize("batch_size", [40, 128, 270])
@pytest.mark.parametrize("name", NETWORKS)
def test_any_number_of_threads_gives_the_bits_of_one(name, batch_size, dtype):
    """With row weights, some of them 0, penalty, several blocks, a short last batch of one vector
    or row."""
    network = NETWORKS[name]
    for n in (batch_size + 1, 2 * batch_size + 9, 300):
        assert_bits_of_one_thread(
            network, Adam(), draw_training(network, n, dtype), steps_of(n, batch_size)
        )


def losses_of(network, problem, threads):
    """The bits of a loss, of one with its gradient, and of the gradient; the second calls go by
    what is prepared."""
    numba = get_backend("numba")
    data = Data(*problem[1:])
    gradient = np.empty_like(problem.params)
    task = Task(network, SGD(), data, 0.01, threads=threads)
    losses = [numba.loss(task, problem.params, wanted) for wanted in (None, gradient) * 2]
    assert len(set(losses)) == 1
    found = [losses[0], *all_bits(gradient)]
    loss, gradient = numba.loss_and_gradient(network, problem.params, data, 0.01)
    assert found == [loss, *all_bits(gradient)]
    return found


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


def test_the_number_may_change_from_call_to_call(dtype):
    network = NETWORKS["odd"]
    problem = draw_training(network, 300, dtype)
    steps = steps_of(300, 150, 8)
    alone, _ = trained(network, Adam(), problem, steps, 1)
    state = StepState.create(problem.params, 2)
    good = 0
    for k, threads in enumerate((2, 1, 5, 8, None, 3, 2, 1)):
        task = Task(network, Adam(), Data(*problem[1:]), 0.01, threads=threads)
        part = Steps(steps.rows, *(array[2 * k : 2 * k + 2] for array in steps[1:]))
        good += get_backend("numba").train_steps(task, state, part)
    assert [good, *all_bits(state.vectors, state.beta_products, steps.loss)] == alone


@pytest.mark.parametrize("where", ["loss", "parameters"])
def test_divergence_ends_at_the_same_step(where, dtype):
    network = NETWORKS["whole vectors"] if where == "parameters" else NETWORKS["odd"]
    problem = draw_training(network, 200, dtype)
    steps = steps_of(200, 100, 20)
    rates = np.where(np.arange(40) < 11, 0.01, 1e300 if dtype is np.float64 else 1e38)
    steps = steps._replace(learning_rate=rates)
    good = [trained(network, SGD(), problem, steps, threads)[0][0] for threads in (1, *NUMBERS)]
    assert 11 <= good[0] < 40
    assert good == good[:1] * 5


SHARED = [
    (1, 256, 1),
    (3, 256, 3),
    (99, 256, 16),
    (99, 5000, 16),
    (99, 33, 2),
    (99, 23, 1),
    (4, 1, 1),
]


def threads_of(asked, network=NETWORKS["odd"], n=300, optimizer=Adam()):  # noqa: B008 - it is a value
    """How many threads share steps on all of n rows."""
    problem = draw_training(network, n, np.float64)
    return trained(network, optimizer, problem, steps_of(n, n), asked)[1]


@pytest.mark.parametrize(("asked", "rows", "used"), SHARED)
def test_each_thread_has_two_vectors_of_rows(asked, rows, used):
    assert threads_of(asked, NETWORKS["wide"], rows) == used
    assert threads_of(asked, NETWORKS["wide"], rows, SGD(sequential=True)) == 1


def test_threads_that_share_cpus_wait_asleep(monkeypatch):
    """Looking, each would keep the one that it waits for from its work."""
    made = watch(monkeypatch, team.Team, "__init__")
    monkeypatch.setattr(team, "cpus", lambda: 3)
    for threads in (2, 3, 4, 8):
        threads_of(threads)
    ticks = [{share.ticks for *_, share in call.arguments[0]._members} for call in made]
    assert ticks == [{team.TICKS}] * 2 + [{0}] * 2


def test_little_work_is_for_one_thread(monkeypatch):
    """Without a look at the machine."""
    monkeypatch.setattr(cores, "available_cores", lambda: pytest.fail("asked for the cores"))
    assert threads_of(None, Network((4, 16, 3)), 150) == 1


@pytest.fixture
def three_cores(monkeypatch):
    """A machine with so many, where any step is worth sharing."""
    monkeypatch.setattr(cores, "available_cores", lambda: Cores(3, "told"))
    monkeypatch.setattr(team, "WORK", 1)
    # it is compiled where it is not
    monkeypatch.setattr(team, "is_at_hand", lambda name, dtype: True)


@pytest.mark.parametrize(("work", "used"), [(0, 3), (1, 1), (2, 2), (2.5, 2), (3, 3), (9, 3)])
def test_unasked_there_are_as_many_as_have_work_and_cores(three_cores, monkeypatch, work, used):
    """What counts is the work between two waits: that of a block of rows."""
    monkeypatch.setattr(team, "WORK", int(256 * NETWORKS["odd"].n_params / work) if work else 1)
    assert threads_of(None) == used


def test_helpers_at_work_and_other_threads_than_the_main_one_leave_their_cores(
    three_cores, monkeypatch
):
    with ThreadPoolExecutor(1) as pool:
        assert [pool.submit(threads_of, n).result() for n in (None, 2)] == [1, 2]
    monkeypatch.setattr(cores, "helpers_at_work", lambda: 2)
    assert threads_of(None) == 1


# -- helpers that come late, or not at all

TINY = Network((3, 4, 2), "tanh", "softmax", "squared_error")


def problem_of(n, dtype=np.float64, n_epochs=2):
    """A problem of `n` rows, the steps of some epochs of full batches, and the bits of one
    thread."""
    problem = draw_training(TINY, n, dtype)
    steps = steps_of(n, n, n_epochs)
    return problem, steps, trained(TINY, Adam(), problem, steps, 1)[0]


@pytest.mark.nojit
@pytest.mark.parametrize("n", [50, 64, 257])
def test_threads_meet(threads, n, dtype):
    problem, steps, alone = problem_of(n, dtype, 1 if n == 257 else 2)
    asked = 2 if dtype is np.float32 else 3
    assert trained(TINY, Adam(), problem, steps, asked) == (alone, asked)


@pytest.mark.nojit
def test_one_thread_goes_on_where_the_kernel_is_not_there(threads, three_cores, monkeypatch):
    answers = [True, False]
    monkeypatch.setattr(team, "is_at_hand", lambda name, dtype: answers.pop())
    problem, steps, alone = problem_of(48)
    for used in (1, 3):
        assert trained(TINY, Adam(), problem, steps, None) == (alone, used)


@pytest.mark.nojit
def test_helpers_that_do_not_come_are_not_waited_for(threads, monkeypatch):
    """And who comes when all is done, and rows and state are others, does nothing, and reads none
    of them."""
    deaf = SimpleQueue()  # of a helper that takes work and does not do it
    monkeypatch.setattr(cores, "_new_helper", lambda: deaf)
    problem, steps, alone = problem_of(48)
    task = Task(TINY, Adam(), Data(*problem[1:]), 0.01, threads=2)
    state = StepState.create(problem.params, 2)
    assert get_backend("numba").train_steps(task, state, steps) == len(steps.loss)
    assert all_bits(state.vectors, state.beta_products, steps.loss) == alone[1:]
    arrays = (*steps, *task.data, state.storage, state.beta_products)
    for array in arrays:
        array.fill(1 << 40)
    assert deaf.qsize() == 1
    deaf.get()()
    for array in arrays:
        assert (array == 1 << 40).all()


@pytest.mark.nojit
def test_a_late_helper_keeps_its_buffers(threads, monkeypatch):
    problem, steps, alone = problem_of(48)
    calls = watch(monkeypatch, team.Team, "_call")
    help_in_time = team.Team._help

    def help_late(self, t, *arguments):
        with self._busy[t]:
            help_in_time(self, t, *arguments)

    monkeypatch.setattr(team.Team, "_help", help_late)
    assert trained(TINY, Adam(), problem, steps, 2) == (alone, 2)
    # of other tests' teams there may be late helpers, too
    (numbers,) = (call.arguments[2] for call in calls if call.arguments[1] == 0)
    assert [call.arguments[1] for call in calls if call.arguments[2] is numbers] == [0]


@pytest.mark.nojit
def test_a_helper_leaves_the_cpu_of_its_caller(monkeypatch):
    moved = []
    monkeypatch.setattr(cores, "cpu_of_thread", lambda: 3)
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda thread: {1, 3}, raising=False)
    monkeypatch.setattr(
        cores.os, "sched_setaffinity", lambda thread, allowed: moved.append(allowed), raising=False
    )
    for cpu in (-1, 2, 3):
        cores.leave_cpu(cpu)
    assert moved == [{1}, {1, 3}]


# -- threads that are late, by a kernel in which they wait at random in each unit and between two

STRETCHED = """
import hashlib, json, os, sys
import numpy as np
from fastnn import Adam, Network, kit, train

random_state = np.random.RandomState(0)
X = random_state.standard_normal((192, 23))
options = {"epochs": %d, "batch_size": 96, "optimizer": Adam(), "seed": 0, "alpha": 0.01}

def print_hash(threads):
    result = train(Network((23, 37, 3), "tanh"), X, np.sin(X[:, :3]), threads=threads, **options)
    assert result.threads == threads
    print(hashlib.sha256(result.state.storage.tobytes() + result.history.loss.tobytes()).hexdigest())

print_hash(1)  # one thread claims nothing: its kernel is the same, and need not be compiled again
os.environ |= json.loads(sys.argv[1])
from fastnn.compiler.tracing import inlined  # imports Numba, which reads the environment
from fastnn.compiler.shared_numbers import relax
from fastnn.fused import team, together

claim = together.claim

@inlined
def delay(share, k):
    n = (k * 1103515245 + share.t * 12345) // 65536 %% 512
    for _ in range(n * (n %% 3 == 0)):
        relax(share.numbers)

@inlined
def claim_late(share, before, n):
    delay(share, 2 * before)
    u = claim(share, before, n)
    delay(share, 2 * before + u + 2)
    return u

together.claim = claim_late
for team.TICKS in %s:
    kit.clear()  # a team that is kept has the ticks that it was made with
    print_hash(2)
    print_hash(3)
"""  # noqa: E501


@pytest.mark.parametrize(
    ("n_epochs", "ticks", "settings"),
    [(30, (0, 8000), UNOPTIMIZED), pytest.param(5000, (8000,), {}, marks=pytest.mark.slow)],
)
def test_threads_that_come_late_change_no_bit(n_epochs, ticks, settings, tmp_path):
    """With 1, 2 and 3 threads. Not optimized, the kernel has the same units; the slow test has the
    optimized one."""
    settings = {"FASTNN_CACHE_DIR": str(tmp_path / "cache"), **settings}
    hashes = python(STRETCHED % (n_epochs, ticks), json.dumps(settings))
    assert (len(hashes), len(set(hashes))) == (1 + 2 * len(ticks), 1)
