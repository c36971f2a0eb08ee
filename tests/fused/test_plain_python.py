"""What `nox -s nojit` runs on little data: teams of threads, losses, predictions, which other tests do on a lot of it.

Where kernels run as plain Python, one thread does the parts of all; here, threads of Python's have one each.
"""

import threading
import time

import numpy as np
import pytest
from bits import all_bits, bits
from test_together import steps_of, trained

from fastnn import SGD, Adam, Network, cores, get_backend, predict
from fastnn.compiler.calls import caller
from fastnn.cores import Cores
from fastnn.fused import backend, team
from fastnn.state import Data, StepState, Task
from fastnn.testing.cases import draw_training

pytestmark = pytest.mark.nojit

NETWORK = Network((3, 4, 2), "tanh", "softmax", "squared_error")


@pytest.fixture
def threads(no_helpers, monkeypatch):
    """Helpers take part, also in Python, where they soon sleep."""
    monkeypatch.setattr(team, "IN_PYTHON", False)
    monkeypatch.setattr(team, "TICKS", 2000)


def problem_of(n, dtype=np.float64, n_epochs=2):
    """A problem of `n` rows, the steps of some epochs of full batches, and the bits of one thread."""
    problem, steps = draw_training(NETWORK, n, dtype), steps_of(n, n, n_epochs)
    alone, used = trained(NETWORK, Adam(), problem, steps, 1)
    assert used == 1
    return problem, steps, alone


@pytest.mark.parametrize("n", [50, 64, 257])
def test_threads_meet(threads, n, dtype):
    problem, steps, alone = problem_of(n, dtype, 1 if n == 257 else 2)
    asked = 2 if dtype is np.float32 else 3
    assert trained(NETWORK, Adam(), problem, steps, asked) == (alone, asked)


def test_one_thread_goes_on_where_the_kernel_is_not_there(threads, monkeypatch):
    monkeypatch.setattr(cores, "available_cores", lambda: Cores(3, "told"))
    monkeypatch.setattr(team, "WORK", 1)
    answers = [True, False]
    monkeypatch.setattr(team, "is_at_hand", lambda name, dtype: answers.pop())
    problem, steps, alone = problem_of(48)
    for used in (1, 3):
        assert trained(NETWORK, Adam(), problem, steps, None) == (alone, used)


class Deaf(list):
    """A helper that takes work and does not do it."""

    put = list.append
    __hash__ = object.__hash__


def test_helpers_that_do_not_come_are_not_waited_for(threads, monkeypatch):
    """And who comes when all is done, and rows and state are others, does nothing, and reads none of them."""
    deaf = Deaf()
    monkeypatch.setattr(cores, "_new_helper", lambda: deaf)
    problem, steps, alone = problem_of(48)
    task = Task(NETWORK, Adam(), Data(*problem[1:]), 0.01, threads=2)
    state = StepState.create(problem.params, 2)
    assert get_backend("numba").train_steps(task, state, steps) == len(steps.loss)
    assert all_bits(state.vectors, state.beta_products, steps.loss) == alone[1:]
    for array in (*steps, *task.data, state.storage, state.beta_products):
        array.fill(1 << 40)
    for late in deaf:
        late()
    assert len(deaf) == 1
    assert all((array == 1 << 40).all() for array in (*steps, *task.data, state.storage, state.beta_products))


@pytest.mark.parametrize("comes", ["before", "after"])
def test_an_exception_before_the_steps_begin_sends_helpers_away(threads, monkeypatch, comes):
    """Those that wait for the first thread, and those that come when it has gone."""
    deaf, call, ended = Deaf(), team.Team._call, threading.Event()

    def help_and_tell():
        deaf[0]()
        ended.set()

    helper = threading.Thread(target=help_and_tell)

    def interrupted(self, t, *args):
        if t > 0:
            return call(self, t, *args)
        if comes == "before":
            helper.start()
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(cores, "_new_helper", lambda: deaf)
    problem, steps, _ = problem_of(48)
    monkeypatch.setattr(team.Team, "_call", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(NETWORK, Adam(), problem, steps, 2)
    if comes == "after":
        helper.start()
    helper.join(60)
    assert ended.is_set()
    assert not steps.loss.any()
    assert not cores.helpers_at_work()


def test_a_late_helper_keeps_its_buffers(threads, monkeypatch):
    problem, steps, alone = problem_of(48)
    calls, call = [], team.Team._call
    monkeypatch.setattr(team.Team, "_call", lambda self, t, *args: calls.append(t) or call(self, t, *args))
    late = team.Team._help

    def is_late(self, t, *args):
        with self._busy[t]:
            late(self, t, *args)

    monkeypatch.setattr(team.Team, "_help", is_late)
    assert trained(NETWORK, Adam(), problem, steps, 2) == (alone, 2)
    assert calls == [0]


def test_a_helper_leaves_the_cpu_of_its_caller(monkeypatch):
    moved = []
    monkeypatch.setattr(cores, "cpu_of_thread", lambda: 3)
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda thread: {1, 3}, raising=False)
    monkeypatch.setattr(cores.os, "sched_setaffinity", lambda thread, allowed: moved.append(allowed), raising=False)
    for cpu in (-1, 2, 3):
        cores.leave_cpu(cpu)
    assert moved == [{1}, {1, 3}]


@pytest.mark.parametrize("n", [1, 48, 257])
def test_a_loss_and_its_gradient(threads, n, dtype):
    """Of one row, of a block, and of two, by one thread and by two."""
    problem, numba = draw_training(NETWORK, n, dtype), get_backend("numba")
    loss, gradient = numba.loss_and_gradient(NETWORK, problem.params, Data(*problem[1:]), 0.01)
    for asked in (1, 2):
        task = Task(NETWORK, SGD(), Data(*problem[1:]), 0.01, threads=asked)
        written = np.empty_like(problem.params)
        assert bits(np.float64(numba.loss(task, problem.params))) == bits(np.float64(loss))
        for _ in range(2):  # what the first call has prepared serves the second
            assert numba.loss(task, problem.params, written) == loss
            assert all_bits(written) == all_bits(gradient)


def test_predictions_that_helpers_share(monkeypatch):
    network = Network((2, 1))
    params, X = np.array([0.5, -1.0, 2.0]), np.random.RandomState(0).standard_normal((backend.PART + 3, 2))
    right = predict(network, params, X)
    monkeypatch.setattr(backend, "IN_PYTHON", False)
    monkeypatch.setattr(backend, "MANY", 0)
    monkeypatch.setattr(cores, "available_cores", lambda: Cores(2, "told"))
    assert predict(network, params, X).tobytes() == right.tobytes()
    np.testing.assert_allclose(right[:, 0], X @ params[:2] + 2, rtol=1e-12)


def test_an_entry_point_is_not_called_by_its_address():
    with pytest.raises(NotImplementedError, match="entry points are called by their names"):
        caller(1)(0, np.zeros(1, np.int64), np.zeros(1, np.int64))
