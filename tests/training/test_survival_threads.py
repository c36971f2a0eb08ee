"""Threads of a training in processes that fork, end, have no more of them or other work: none hangs, no bit differs."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from bits import result_bits
from survival import python

from fastnn import Adam, Network, cores, train
from fastnn.fused import team

NETWORK = Network((23, 37, 3), "tanh")
X = np.random.RandomState(0).standard_normal((300, 23))
Y = np.sin(X[:, :3])


def trained(threads, **changed):
    options = {"epochs": 20, "batch_size": 100, "optimizer": Adam(), "seed": 0} | changed
    return train(NETWORK, X, Y, threads=threads, **options)


@pytest.fixture
def alone():
    return result_bits(trained(1))


def test_several_trainings_at_once(alone):
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(trained, [2, 3, 2, 5, 3, 2] * 2))
    assert [result_bits(result) for result in results] == [alone] * 12


def test_a_training_within_another_ones_callback(alone):
    within = []
    result = trained(2, callbacks=[lambda progress: within.append(trained(2)) if progress.epoch == 3 else None])
    assert [result_bits(result), *map(result_bits, within)] == [alone] * 2
    assert [result.threads, within[0].threads] == [2, 2]


def test_helpers_that_cannot_be_started_cost_speed_only(alone, no_helpers, monkeypatch):
    def fail(*args, **options):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(cores, "_new_helper", fail)
    result = trained(3)
    assert (result_bits(result), result.threads) == (alone, 1)


def test_an_exception_before_a_training_begins_sends_the_helpers_away(alone, monkeypatch):
    """One that a signal's handler raises, after they have been called."""
    call, calls = team.Team._call, []

    def interrupted(self, t, *args):
        if t == 0 and not calls:
            calls.append(t)
            raise KeyboardInterrupt
        return call(self, t, *args)

    monkeypatch.setattr(team.Team, "_call", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(3)
    assert not cores.helpers_at_work()
    assert result_bits(trained(3)) == alone


def test_helpers_sleep_between_trainings():
    """They take no time of the processor's: less than a tenth of what one that waits actively would."""
    trained(3)
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.05


def test_the_same_helpers_serve_many_trainings():
    trained(3)
    before = threading.active_count()
    for _ in range(5):
        trained(3)
    assert threading.active_count() == before


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
right = bits(2)
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(bits, [1, 2, 3, 2]) == [right] * 4
assert bits(3) == right
child = os.fork()
if not child:
    os._exit(0 if bits(2) == right else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_starts_helpers_of_its_own():
    python(TOGETHER + FORK)


FORK_WITHIN = """
right, children = bits(2), []

def fork(progress):
    if progress.epoch == 3:
        children.append(os.fork())

result = trained(2, callbacks=[fork])
assert result.state.storage.tobytes() == right
if not children[0]:
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_training_goes_on_in_a_child_too():
    python(TOGETHER + FORK_WITHIN)


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
