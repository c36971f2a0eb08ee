"""fastnn itself, on one thread, or with PEER_THREADS "all" on all cores where that is faster."""

import os
import time
import timeit

import numpy as np

import fastnn
from benchmarks.peers.workloads import PeerWorkload
from fastnn.cores import available_cores

VERSIONS = ("numba", "llvmlite")
THREADS = (1, available_cores().number) if os.environ.get("PEER_THREADS") == "all" else (1,)


class Trainer:
    """`fastnn.train`, from the call to its result."""

    own_rules = False

    def __init__(self, workload: PeerWorkload) -> None:
        self.data = (workload.network, workload.X, workload.Y)
        self.options = {"optimizer": workload.optimizer, "batch_size": workload.batch, "threads": 1}
        if os.environ.get("PEER_SPECIALIZE"):
            self.options["backend"] = fastnn.get_backend("numba", specialize=True)
        self.params = workload.params
        self.stop = fastnn.Stop(validation=workload.held_out)
        if len(THREADS) > 1:
            self.options["threads"] = min(THREADS, key=lambda n: self._seconds(n, min(4, workload.most_epochs)))

    def _seconds(self, threads: int, epochs: int) -> float:
        """The least seconds of some short trainings."""
        self.options["threads"] = threads
        return min(timeit.repeat(lambda: self.train(epochs), number=1, repeat=4))

    def train(self, epochs: int) -> np.ndarray:
        options = self.options | {"shuffle": False, "params": self.params, "stop": self.stop}
        result = fastnn.train(*self.data, epochs=epochs, **options)
        self.validation = result.history.validation_loss
        return result.params

    def learn(self, epochs: int, seed: int, X_test: np.ndarray) -> np.ndarray:
        """Train on shuffled rows; the labels of other rows."""
        result = fastnn.train(*self.data, epochs=epochs, seed=seed, **self.options)
        return result.predict(X_test).argmax(axis=1)

    def predictor(self, X: np.ndarray):
        """A function that predicts X."""
        result = fastnn.train(*self.data, epochs=1, **self.options)
        return lambda: result.predict(X)


def products(width: int, seconds: float) -> dict[str, float]:
    """GF/s of the products inside the kernel, by a network of a few such layers without an activation.

    What else is in the time, gathering rows and the output, is less than a tenth of the work from 128 columns on.
    """
    n_layers, rows = max(2, min(8, 1024 // width)), 2048
    network = fastnn.Network((width,) * (n_layers + 1), activation="identity", output="identity")
    random_state = np.random.RandomState(0)
    X = random_state.standard_normal((rows, width)).astype(np.float32)
    params = network.init_params(random_state, np.float32)
    forward = 2 * width * width * rows * n_layers
    calls = {
        "forward": (forward, lambda: fastnn.predict(network, params, X, assume_finite=True)),
        # The deltas of the layer below, of all but the first; the gradients of all.
        "forward and back": (
            3 * forward - forward / n_layers,
            lambda: fastnn.loss_and_gradient(network, params, X, X, assume_finite=True),
        ),
    }
    return {name: operations / _least(call, seconds) / 1e9 for name, (operations, call) in calls.items()}


def _least(call, seconds: float) -> float:
    """The least seconds that a call takes, tried for so long."""
    call()
    least, stop = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < stop:
        start = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - start)
    return least
