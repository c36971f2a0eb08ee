"""train_many within trainings, in threads, forks and processes that end: the same bits, and nothing hangs."""

import gc
import os
import signal
import threading
import time
import warnings

import numpy as np
import pytest
from bits import assert_same_result, assert_same_results
from ended_early import NETWORK, After, X, Y, ctrl_c
from survival import Child

from fastnn import InterruptWarning, cores, train, train_many

pytestmark = [pytest.mark.skipif(os.name == "nt", reason="POSIX signals"), pytest.mark.usefixtures("nothing_left")]


def test_many_in_a_callback_of_one_and_one_in_a_callback_of_many(go, backend):
    wanted, alone = go(), train(NETWORK, X, Y, epochs=3, seed=1, backend=backend)
    inner = []
    outer = train(NETWORK, X, Y, epochs=3, seed=1, backend=backend, callbacks=[lambda progress: inner.append(go())])
    assert_same_result(outer, alone)
    many = go(callbacks=[lambda p: inner.append(train(NETWORK, X, Y, epochs=3, seed=1, backend=backend)) or None])
    assert len(inner) >= 3 + 1
    for found, right in [(inner[0], wanted), (inner[2], wanted), (many, wanted)]:
        assert_same_results(found, right)
    assert_same_result(inner[-1], alone)


def test_ctrl_c_ends_many_in_a_callback_of_many(go):
    inner = []

    def nested():
        inner.append(go(callbacks=[After(2, ctrl_c)], epochs=4))

    with pytest.warns(InterruptWarning) as seen:
        outer = go(callbacks=[After(1, nested)])
    assert len(seen) == 2
    assert "interrupted" in inner[0].stop_reason
    assert "interrupted" in outer.stop_reason


def test_two_at_once_in_two_threads(go):
    wanted, found = go(epochs=30), {}
    threads = [threading.Thread(target=lambda k=k: found.update({k: go(epochs=30)})) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(2):
        assert_same_results(found[k], wanted)


ENDS = """
import sys, threading, time
import numpy as np
from fastnn import Network, train_many
X = np.random.RandomState(0).randn(40, 2)
network = Network((2, 3, 1), "tanh")

def go(epochs):
    return train_many(network, X, X[:, :1], seed=range(8), epochs=epochs, batch_size=7, n_jobs=2, backend=sys.argv[1])

go(2)
"""

DAEMON = f"""{ENDS}
threading.Thread(target=go, args=(10**7,), daemon=True).start()
time.sleep(0.2)
print("ready", flush=True)
"""

FORK = f"""{ENDS}
import multiprocessing
wanted = go(5).params.tobytes()
thread = threading.Thread(target=go, args=(100_000,), daemon=True)
thread.start()
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert [many.params.tobytes() for many in pool.map(go, [5] * 4)] == [wanted] * 4
assert go(5).params.tobytes() == wanted
print("ready", flush=True)
"""


@pytest.mark.parametrize("script", [DAEMON, FORK], ids=["daemon", "fork"])
def test_a_process_ends_whatever_its_threads_are_at(script, backend):
    with Child(script, backend) as child:
        child.wait_for("ready")
        assert child.end() == 0


AGAIN = f"""{ENDS}
import fastnn
from fastnn import cores

def busy(progress):
    print("ready", flush=True)
    time.sleep(60)

try:
    soon = [fastnn.Stop(max_seconds=0.01)] + [fastnn.Stop()] * 7
    train_many(network, X, X[:, :1], seed=range(8), epochs=10**7, n_jobs=2, backend=sys.argv[1], stop=soon,
               callbacks=[busy])
except KeyboardInterrupt:
    time.sleep(0.2)
    assert not cores.helpers_at_work()
    print("stopped", flush=True)
"""


def test_the_second_one_ends_a_call_that_is_busy_and_its_threads(backend):
    with Child(AGAIN, backend) as child:
        child.wait_for("ready")
        child.send(signal.SIGINT)
        time.sleep(0.2)
        child.send(signal.SIGINT)
        child.wait_for("stopped")
        assert child.end() == 0


def test_a_time_out_leaves_no_helper_at_work_and_the_handler():
    """Its exception may fall into any line."""

    class Late(Exception):
        pass

    def late(signum, frame):
        raise Late

    def go():
        began = time.perf_counter()
        with warnings.catch_warnings(action="ignore"):
            train_many(NETWORK, X, Y, seed=range(8), epochs=[5] * 7 + [2000], n_jobs=2)
        return time.perf_counter() - began

    random_state, n_late, took = np.random.RandomState(0), 0, min(go() for _ in range(3))
    old = signal.signal(signal.SIGALRM, late)
    gc.disable()  # an exception in a callback of the collector's would be nobody's
    try:
        for n in range(9999):
            if n >= 200 and n_late > 20:
                break
            try:
                signal.setitimer(signal.ITIMER_REAL, random_state.uniform(1e-4, 2 * took))
                go()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Late:
                n_late += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        gc.enable()
        signal.signal(signal.SIGALRM, old)
    assert n_late > 20
    deadline = time.monotonic() + 5
    while cores.helpers_at_work() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not cores.helpers_at_work()
    go()  # gives back the handler, should the last exception have come in the midst of that: see `Interrupt`
