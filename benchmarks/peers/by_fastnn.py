"""fastnn itself, on one thread, or with PEER_THREADS "all" on all cores where that is faster."""

import os
import timeit

import numpy as np

import fastnn
from benchmarks.peers.workloads import Job, PeerWorkload
from fastnn.cores import cpus
from fastnn.measuring.timing import repeated, sampled

VERSIONS = ("numba", "llvmlite")
# A worker process is one beside others, and takes one core by itself; a lane works alone.
THREADS = (1, cpus()) if os.environ.get("PEER_THREADS") == "all" else (1,)


class Trainer:
    def __init__(self, workload: PeerWorkload) -> None:
        self.data = workload.data
        self.options = workload.options | {"threads": 1}
        if os.environ.get("PEER_SPECIALIZE"):
            self.options["backend"] = fastnn.get_backend("numba", specialize=True)
        self.params = workload.params
        if len(THREADS) > 1:
            epochs = min(4, workload.most_epochs)
            self.options["threads"] = min(
                THREADS, key=lambda threads: self._seconds(threads, epochs)
            )

    def _seconds(self, threads: int, epochs: int) -> float:
        self.options["threads"] = threads
        return min(timeit.repeat(lambda: self.train(epochs), number=1, repeat=4))

    def train(self, epochs: int) -> np.ndarray:
        result = fastnn.train(*self.data, epochs=epochs, params=self.params, **self.options)
        self.validation = result.history.validation_loss
        return result.params

    def learn(self, epochs: int, seed: int, X_test: np.ndarray) -> np.ndarray:
        result = fastnn.train(
            *self.data, epochs=epochs, seed=seed, **self.options | {"shuffle": True}
        )
        return result.predict(X_test).argmax(axis=1)

    def predictor(self, X: np.ndarray):
        result = fastnn.train(*self.data, epochs=1, **self.options)
        return lambda: result.predict(X)


class Members:
    def __init__(self, job: Job, n_jobs: int | None = None) -> None:
        w = job.workload
        self.data = w.data
        self.seeds = range(job.members)
        epochs = job.epochs if job.mixed else job.epochs[0]
        self.options = w.options | {
            "epochs": epochs,
            "n_jobs": cpus() if n_jobs is None else n_jobs,
        }

    def train(self) -> np.ndarray:
        return fastnn.train_many(*self.data, seed=self.seeds, **self.options).params

    def train_from(self, params: np.ndarray) -> np.ndarray:
        return fastnn.train_many(*self.data, params=params, **self.options).params


class Loop:
    def __init__(self, job: Job) -> None:
        self.train = job.trained

    def train_from(self, params: np.ndarray) -> np.ndarray:
        return self.train({"params": own} for own in params)


def products(width: int, seconds: float) -> dict[str, float]:
    """GF/s of the products inside the kernel, by a network of a few such layers without an
    activation.
    """
    # What else is in the time, gathering rows and the output, is less than a tenth of the work from
    # 128 columns on.
    n_layers = max(2, min(8, 1024 // width))
    rows = 2048
    network = fastnn.Network((width,) * (n_layers + 1), activation="identity", output="identity")
    random_state = np.random.RandomState(0)
    X = random_state.standard_normal((rows, width)).astype(np.float32)
    params = network.init_params(random_state, np.float32)
    forward = 2 * width * width * rows * n_layers
    # Backwards: the deltas of the layer below, of all but the first; the gradients of all.
    work = {"forward": forward, "forward and back": 3 * forward - forward / n_layers}
    calls = {
        "forward": repeated(lambda: fastnn.predict(network, params, X, assume_finite=True)),
        "forward and back": repeated(
            lambda: fastnn.loss_and_gradient(network, params, X, X, assume_finite=True)
        ),
    }
    return {
        name: work[name] / min(times) / 1e9
        for name, times in sampled(calls, seconds / 10, 10).items()
    }
