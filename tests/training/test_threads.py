"""train(..., threads=): what is used, that it shows in nothing else, and that none hangs in
whatever process."""

import linecache
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import drawn
import numpy as np
import pytest
from bits import all_bits, assert_same_result, result_bits
from hypothesis import given, settings
from survival import python
from watched import watch

from fastnn import (
    SGD,
    Adam,
    Network,
    Stop,
    cores,
    loss_and_gradient,
    predict,
    train,
)
from fastnn.fused import team
from fastnn.training import inputs

NETWORK = Network((23, 37, 3), "tanh")
X = np.random.RandomState(0).standard_normal((300, 23))
Y = np.sin(X[:, :3])
OPTIONS = {"epochs": 20, "batch_size": 100, "optimizer": Adam(), "seed": 0, "alpha": 0.01}


def trained(threads, **changed):
    return train(NETWORK, X, Y, threads=threads, **OPTIONS | changed)


def test_the_result_says_how_many_there_were():
    assert [trained(threads).threads for threads in (1, 2, 3, 99)] == [1, 2, 3, 6]
    assert trained(4, backend="numpy", epochs=1).threads == 1


@settings(max_examples=30)
@given(drawn.trainings(rows=(33, 70, 300, 600), batches=(None, 32, 100, 270)))
def test_any_training_has_the_same_bits(drawn):
    alone = result_bits(drawn.train("numba", threads=1, seed=0))
    for threads in (2, 3, 5, 8):
        assert result_bits(drawn.train("numba", threads=threads, seed=0)) == alone


@pytest.mark.parametrize("monitor", ["loss", "r2"])
def test_rows_that_are_not_trained_on_are_shared_too(monitor, monkeypatch, shared):
    """Where a batch of one row takes one thread, and the scores of each epoch take those that were
    asked for."""
    borrowed = watch(monkeypatch, cores, "borrow")
    rows = np.tile(X, (2, 1))
    stop = Stop(validation=(rows, np.sin(rows[:, :3])), monitor=monitor, restore_best=True)
    alone, *others = (trained(n, stop=stop, epochs=3, batch_size=1) for n in (1, 2, 3, 5))
    for result in others:
        assert_same_result(result, alone)
        assert result.threads == alone.threads == 1
    assert shared == [2] * 3 + [3] * 3 + [5] * 3
    of_predictions = [1] * 3 + [2] * 6  # 600 rows have three blocks
    helpers = [call.arguments[0] for call in borrowed]
    assert helpers == (of_predictions if monitor == "r2" else [])


def test_each_thread_takes_memory(monkeypatch):
    rows = np.ones((256, 1))

    def go(threads):
        network = Network((1, 2000, 1))
        train(network, rows, rows, batch_size=None, epochs=1, threads=threads)

    # two keep deltas of all layers
    for memory, fits, too_many in ((60_000_000, 2, [50]), (20_000_000, 1, [2, None])):
        monkeypatch.setattr(inputs, "memory", lambda memory=memory: memory)
        go(fits)
        for threads in too_many:
            with pytest.raises(MemoryError, match="256 rows at a time it takes"):
                go(threads)


@pytest.mark.parametrize("optimizer", [SGD(), SGD(sequential=True)])
def test_threads_without_rows_take_none(optimizer):
    rows = np.random.RandomState(0).rand(40, 1)
    network = Network((1, 3, 1))

    def go(threads):
        result = train(network, rows, rows, optimizer=optimizer, epochs=2, seed=0, threads=threads)
        loss, gradient = loss_and_gradient(network, result.params, rows, rows, threads=threads)
        return all_bits(
            result.params, predict(network, result.params, rows, threads=threads), loss, gradient
        )

    assert go(10**12) == go(1)


def test_several_trainings_at_once_and_within_each_other():
    """Each begins another one in its callback."""
    within = []
    alone = result_bits(trained(1))
    look = [lambda progress: within.append(trained(2)) if progress.epoch == 3 else None]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda n: trained(n, callbacks=look), [2, 3, 2, 5, 3, 2] * 2))
    assert [result_bits(result) for result in results + within] == [alone] * 24
    for result in (trained(2, callbacks=look), within.pop()):
        assert result_bits(result) == alone
        assert result.threads == 2


def test_helpers_that_cannot_be_started_cost_speed_only(no_helpers, monkeypatch):
    monkeypatch.setattr(
        cores, "_new_helper", mock.Mock(side_effect=RuntimeError("can't start new thread"))
    )
    result = trained(3)
    assert (result_bits(result), result.threads) == (result_bits(trained(1)), 1)


def test_an_exception_before_the_steps_begin_sends_the_helpers_away(monkeypatch):
    """One that a signal's handler raises, after they have been called."""
    call = team.Team._call
    errors = [KeyboardInterrupt]

    def interrupted(self, t, *arguments):
        if t == 0 and errors:
            raise errors.pop()
        return call(self, t, *arguments)

    monkeypatch.setattr(team.Team, "_call", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(3)
    assert not cores.helpers_at_work()
    assert result_bits(trained(3)) == result_bits(trained(1))


def is_waiting(ident):
    """Whether the thread is at the line of `cores` that waits for work."""
    frame = sys._current_frames()[ident]
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
    return line.strip() == "work = helper.get()"


def test_the_same_helpers_serve_many_trainings_and_sleep_between_them():
    """Each waits for its queue, in no function of a training."""
    trained(3)
    n = threading.active_count()
    for _ in range(5):
        trained(3)
    assert threading.active_count() == n
    helpers = [thread.ident for thread in threading.enumerate() if thread.name == "fastnn helps"]
    assert len(helpers) >= 2
    deadline = time.monotonic() + 60
    while not all(is_waiting(helper) for helper in helpers) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert all(is_waiting(helper) for helper in helpers)


TOGETHER = """
import sys, threading, time, os
import numpy as np
from fastnn import Adam, Network, train
X = np.random.RandomState(0).standard_normal((300, 23))

def trained(threads, epochs=20, **options):
    options |= {"epochs": epochs, "batch_size": 100, "optimizer": Adam(), "seed": 0}
    return train(Network((23, 37, 3), "tanh"), X, np.sin(X[:, :3]), threads=threads, **options)

def bits(threads):
    return trained(threads).state.storage.tobytes()
"""

FORK = """
import multiprocessing
right, children = bits(2), []

def fork(progress):
    if progress.epoch == 3:
        children.append(os.fork())

result = trained(2, callbacks=[fork])
assert result.state.storage.tobytes() == right
if not children[0]:
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(bits, [1, 2, 3, 2]) == [right] * 4
assert bits(3) == right
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_training_goes_on_in_a_forked_child_which_starts_helpers_of_its_own():
    python(TOGETHER + FORK)


EXIT = """
threading.Thread(target=trained, args=(2, 10**9), daemon=True).start()
trained(3)
time.sleep(float(sys.argv[1]))
print("ends")
"""


@pytest.mark.parametrize("seconds", [0, 0.03, 0.3])
def test_the_interpreter_ends_with_a_training_under_way(seconds):
    """In a daemon thread: with code 0, and nothing on stderr."""
    assert python(TOGETHER + EXIT, seconds) == ["ends"]


LATE = """
import atexit
right = bits(1)

class Last:
    def __del__(self, bits=bits, right=right):
        assert bits(2) == right
        print("deleted")

last = Last()
last.myself = last  # the collector finds it when the interpreter ends
atexit.register(lambda: print(bits(2) == right))
bits(2)
"""


def test_a_training_while_the_interpreter_ends():
    assert python(TOGETHER + LATE) == ["True", "deleted"]
