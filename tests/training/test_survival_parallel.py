"""Threads, processes, a long life: trainings at once, or by the thousand, have the bits of one, and
none hangs."""

import gc
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from survival import UNOPTIMIZED, fingerprint, python
from survival_jobs import job, prediction

from fastnn import SGD, Network, every, get_backend, train, train_many
from fastnn.losses import HIDDEN
from fastnn.testing import cases

N = 8

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
    """Who comes first imports and compiles, in both dtypes, what predicts, and in the slow test
    what trains, too."""
    said = python(THREADS, N, kind.__name__, FASTNN_CACHE_DIR=tmp_path / "cache", **UNOPTIMIZED)
    assert said == [kind(k) for k in range(N)]


JOBLIB = """
import sys
import joblib
from survival_jobs import job
print(*joblib.Parallel(2, backend="loky")(joblib.delayed(job)(k) for k in range(int(sys.argv[1]))), sep="\\n")
"""  # noqa: E501


def test_joblib():
    pytest.importorskip("joblib", reason="joblib comes with scikit-learn")
    serial = [job(k) for k in range(N)]
    assert len(set(serial)) == N
    assert python(JOBLIB, N) == serial


@pytest.mark.parametrize(
    ("call", "seeds"), [(train, range(N)), (train_many, [[k, k + N] for k in range(N)])]
)
def test_threads_that_train_one_network(call, seeds):
    """Also within callbacks: kernels share no memory, generators that trainings hand on are never
    in two hands."""
    X = np.random.RandomState(0).standard_normal((200, 3))
    Y = np.sin(X[:, :2])
    network = Network((3, 40, 2), "tanh")
    barrier = threading.Barrier(N)
    options = {"optimizer": SGD(), "batch_size": 50}

    def params(seed, together=False):
        inner = []

        def train_within(progress):
            result = train(network, X, Y, epochs=2, seed=progress.epoch, **options)
            inner.append(result.params.tobytes())

        if together:
            barrier.wait()
        callbacks = [every(20, train_within)] if call is train else []
        outer = call(network, X, Y, epochs=100, seed=seed, callbacks=callbacks, **options)
        return outer.params.tobytes(), *inner

    alone = [*map(params, seeds)]
    with ThreadPoolExecutor(N) as pool:
        assert list(pool.map(params, seeds, [True] * N)) == alone


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
    os._exit(0 if loader._lock.acquire(timeout=60) else 1)
print(os.waitpid(child, 0)[1], loader._lock.acquire(timeout=60))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_while_a_thread_makes_a_kernel():
    """The child would wait for ever for a thread that it does not have."""
    assert python(FORK_MEANWHILE) == ["0 True"]


GROWTH = 4 << 20
"""Bytes by which the process may grow: what is left by each fit would be a thousand times as
much."""


def memory():
    """Bytes of memory that the process has in use."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def fit(k):
    """The k-th drawn network, trained for a few steps; the hash of its bits."""
    loss, output = cases.PAIRS[k % len(cases.PAIRS)]
    about = {"activation": HIDDEN[k % len(HIDDEN)], "loss": loss, "output": output}
    wanted = {"sizes": (1 + k % 9, 2 + k % 17, 2 + k % 5), "weighted": k % 2 == 0}
    optimizers = [cases.EVERY[k % len(cases.EVERY)]]
    case = cases.choose(get_backend("numba"), about, wanted=wanted, optimizers=optimizers)
    dtype = ("float32", "float64")[k % 2]
    params, X, Y, weight = cases.draw_training(case.network, 1 + 7 * k % 60, dtype, k)
    options = case.options(weight) | {"optimizer": case.optimizer, "epochs": 3, "seed": k}
    options["batch_size"] = None if case.optimizer.full_batch else 1 + k % 17
    result = train(case.network, X, Y, params=params, **options)
    return fingerprint(result.params, result.history.loss, result.predict(X))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("n", [1200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_memory_stays_flat_and_results_the_same(n):
    kinds = 100
    first = [fit(k) for k in range(kinds)]
    assert len(set(first)) == kinds
    for k in range(kinds):  # once more, until nothing is new to the process
        assert fit(k) == first[k]
    before = memory()
    for i in range(n - 2 * kinds):
        assert fit(i % kinds) == first[i % kinds]
    assert memory() - before < GROWTH
