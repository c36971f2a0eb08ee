"""What `nox -s nojit` runs on little data: teams of threads, losses, predictions, which other tests do on a lot of it.

Where kernels run as plain Python, one thread does the parts of all; here, threads of Python's have one each.
"""

import numpy as np
import pytest
from bits import all_bits, bits
from test_together import Scripted, steps_of, trained

from fastnn import SGD, Adam, Network, cores, get_backend, predict
from fastnn.compiler.loader import IN_PYTHON
from fastnn.compiler.memory_ops import caller
from fastnn.cores import Cores
from fastnn.fused import backend, preparation, team, together
from fastnn.state import Data, Task
from fastnn.testing.cases import draw_training

pytestmark = pytest.mark.nojit

NETWORK = Network((3, 4, 2), "tanh", "softmax", "squared_error")


@pytest.fixture
def threads(no_helpers, monkeypatch):
    """Threads have a part each, also in Python, where they wait for one another as long as it takes."""
    if IN_PYTHON:  # these are constants of the kernel, which may be compiled now
        monkeypatch.setattr(team, "IN_PYTHON", False)
        monkeypatch.setattr(together, "PATIENCE", -1)
        monkeypatch.setattr(team, "SPINS", 50)


@pytest.fixture
def three_cores(threads, monkeypatch):
    """A machine with so many, where any step is worth a trial, of one, two and three threads in turn."""
    monkeypatch.setattr(cores, "available_cores", lambda: Cores(3, "told"))
    monkeypatch.setattr(team, "BestNumber", Scripted)
    monkeypatch.setattr(preparation, "WORK", 0)
    monkeypatch.setattr(team, "is_at_hand", lambda name, dtype: True)


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


def test_the_number_changes_within_a_call(three_cores):
    problem, steps, alone = problem_of(48, n_epochs=5)
    assert trained(NETWORK, Adam(), problem, steps, None) == (alone, 3)


def test_a_call_of_changing_numbers_ends_where_training_diverges(three_cores):
    problem, steps, _ = problem_of(48, n_epochs=6)
    steps = steps._replace(learning_rate=np.where(np.arange(6) < 3, 0.01, 1e300))
    good, *_ = trained(NETWORK, SGD(), problem, steps, 1)[0]
    assert 3 <= trained(NETWORK, SGD(), problem, steps, None)[0][0] == good < 6


def test_one_thread_goes_on_where_the_kernel_is_not_there(three_cores, monkeypatch):
    monkeypatch.setattr(team, "is_at_hand", lambda name, dtype: False)
    problem, steps, alone = problem_of(48)
    assert trained(NETWORK, Adam(), problem, steps, None) == (alone, 1)


class Deaf(list):
    """A helper that takes work and does not do it."""

    put = list.append
    __hash__ = object.__hash__


def test_helpers_that_do_not_come_are_not_waited_for(threads, monkeypatch):
    deaf = Deaf()
    if IN_PYTHON:
        monkeypatch.setattr(together, "PATIENCE", 100)
    monkeypatch.setattr(cores, "_new_helper", lambda: deaf)
    problem, steps, alone = problem_of(48)
    assert trained(NETWORK, Adam(), problem, steps, 2) == (alone, 1)
    assert [late() for late in deaf] == [team.ALONE]


def test_helpers_that_cannot_be_started_leave_one_thread(threads, monkeypatch):
    def fail():
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(cores, "_new_helper", fail)
    problem, steps, alone = problem_of(48)
    assert trained(NETWORK, Adam(), problem, steps, 2) == (alone, 1)


def test_an_exception_before_the_steps_begin_sends_helpers_away(threads, monkeypatch):
    deaf, call = Deaf(), team.Team._call

    def interrupted(self, t, *args):
        if t == 0:
            raise KeyboardInterrupt
        return call(self, t, *args)

    monkeypatch.setattr(cores, "_new_helper", lambda: deaf)
    problem, steps, _ = problem_of(48)
    monkeypatch.setattr(team.Team, "_call", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(NETWORK, Adam(), problem, steps, 2)
    assert [late() for late in deaf] == [team.ALONE]
    assert not cores.helpers_at_work()


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


@pytest.mark.skipif(not IN_PYTHON, reason="compiled, it has addresses")
def test_a_function_has_no_address():
    function = get_backend("numba").function(Network((2, 1)), np.ones(3))
    for get in (function.__wrapper_address__, lambda: function.c_function, lambda: function.c_network):
        with pytest.raises(RuntimeError, match=r"no compiled function to call: call f\(x, out\) from Python"):
            get()


def test_an_entry_point_is_not_called_by_its_address():
    with pytest.raises(NotImplementedError, match="entry points are called by their names"):
        caller(1)(0, np.zeros(1, np.int64), np.zeros(1, np.int64))
