"""Threads and processes: any number of trainings at once give the bits of one after another, and none hangs."""

import importlib.util
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from survival import UNOPTIMIZED, python
from survival_jobs import job, jobs, prediction

from fastnn import SGD, Network, train

N = 8


@pytest.fixture(scope="module")
def serial():
    """The hashes of the jobs, done one after another in this process."""
    hashes = jobs(N)
    assert len(set(hashes)) == N
    return hashes


THREADS = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
import survival_jobs
n, barrier = int(sys.argv[1]), threading.Barrier(int(sys.argv[1]))

def together(k):
    barrier.wait()
    return getattr(survival_jobs, sys.argv[2])(k)

with ThreadPoolExecutor(n) as pool:
    print(*pool.map(together, range(n)), sep="\\n")
"""


@pytest.mark.parametrize("kind", [prediction, pytest.param(job, marks=pytest.mark.slow)])
def test_eight_threads_from_a_cold_cache(kind, tmp_path):
    """Both dtypes are compiled, the modules of the back end imported, by whichever thread comes first.

    The kernel of predictions is compiled in the least time; the slow test compiles that of trainings besides.
    """
    said = python(THREADS, N, kind.__name__, FASTNN_CACHE_DIR=tmp_path / "cache", **UNOPTIMIZED)
    assert said == [kind(k) for k in range(N)]


JOBLIB = """
import sys
import joblib
from survival_jobs import job
print(*joblib.Parallel(2, backend=sys.argv[2])(joblib.delayed(job)(k) for k in range(int(sys.argv[1]))), sep="\\n")
"""


def test_joblib(serial):
    if importlib.util.find_spec("joblib") is None:
        pytest.skip("joblib comes with scikit-learn")
    assert python(JOBLIB, N, "loky") == serial


def test_threads_that_train_one_network():
    """Threads with different seeds share nothing that a kernel works in."""
    X = np.random.RandomState(0).standard_normal((200, 3))
    network, barrier = Network((3, 40, 2), "tanh"), threading.Barrier(N)

    def params(seed, together=False):
        if together:
            barrier.wait()
        return train(
            network, X, np.sin(X[:, :2]), optimizer=SGD(), epochs=100, batch_size=50, seed=seed
        ).params.tobytes()

    alone = [params(seed) for seed in range(N)]
    with ThreadPoolExecutor(N) as pool:
        assert list(pool.map(params, range(N), [True] * N)) == alone


CALLBACKS = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from fastnn import Network, predict, train
X = np.linspace(-1, 1, 60).reshape(20, 3)

def nested(seed):
    inner = []
    network = Network((3, 4, 1), "tanh")
    look = lambda p: inner.append(train(network, X, X[:, 0], epochs=2, seed=p.epoch).predict(X).tobytes())
    outer = train(network, X, X[:, 0], epochs=4, batch_size=5, seed=seed, callbacks=[look])
    return outer.params.tobytes(), *inner

alone = [nested(seed) for seed in range(8)]
with ThreadPoolExecutor(8) as pool:
    assert list(pool.map(nested, range(8))) == alone
print("done")
"""


def test_threads_that_train_within_callbacks():
    """The generators that trainings hand on to each other are never in two hands."""
    assert python(CALLBACKS) == ["done"]


FORK_MEANWHILE = """
import os, threading, time
from fastnn.compiler import loader
begun = threading.Event()

def make():
    with loader._lock:
        begun.set()
        time.sleep(0.3)

threading.Thread(target=make).start()
begun.wait()
child = os.fork()
if not child:
    os._exit(0 if loader._lock.acquire(timeout=5) else 1)
print(os.waitpid(child, 0)[1], loader._lock.acquire(timeout=5))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_while_a_thread_makes_a_kernel():
    """The child would wait for ever for a thread that it does not have."""
    assert python(FORK_MEANWHILE) == ["0 True"]
