"""The peers' processes, and the requests that one answers.

Each peer has a process of its own, so that its threads, its environment and its crashes are its
own.
"""

import contextlib
import functools
import importlib
import importlib.metadata
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from benchmarks.peers.workloads import GRID, VALIDATION, Job, load
from fastnn import workloads
from fastnn.cli.correctness import check_same_answer
from fastnn.measuring.timing import repeated, seconds_of

CHECKED_EPOCHS = {"seed": 100, "iris": 100}  # of the others one, or as many as make ten steps
CHECKED_MEMBERS = 3
CHECKED_ITERATIONS = 100
TARGET_ACCURACY = 0.96
MOST_EPOCHS = 60
TUNING = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
)
"""Variables that would hold a peer back (or help it); a lane begins without them."""


class PeerError(Exception):
    """The peer failed, or gave another answer."""


class Worker:
    """The requests to a peer, answered in its process: each method is one."""

    def __init__(self, module: str) -> None:
        self.peer = importlib.import_module(f"benchmarks.peers.{module}")
        self.runs: dict[str, Callable[[int], object]] = {}

    def time(self, what: str, n: int = 1) -> float:
        """Seconds of n epochs, trainings of all members, or predictions, of what was prepared by
        that name.
        """
        return seconds_of(functools.partial(self.runs[what], n))

    def release(self) -> None:
        self.runs.clear()

    def about(self) -> dict:
        found = {package: importlib.metadata.version(package) for package in self.peer.VERSIONS}
        try:
            import threadpoolctl
        except ImportError:
            return {"versions": found, "blas": []}
        pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        names = {
            f"{p['internal_api']} {p['version']}, {p.get('architecture', '?')} kernels"
            for p in pools
        }
        return {"versions": found, "blas": sorted(names)}

    def prepare(self, workload: str) -> dict:
        """Load a workload; train it for some steps and compare with the reference."""
        loaded = load(workload)
        trainer = self.peer.Trainer(loaded)
        self.runs[workload] = trainer.train
        found = []
        least = max(1, min(loaded.most_epochs, 10 // loaded.batches))
        epochs = CHECKED_EPOCHS.get(workload.removesuffix(VALIDATION), least)
        first_call = seconds_of(lambda: found.append(trainer.train(epochs)))
        if loaded.held_out and not hasattr(trainer, "validation"):
            raise NotImplementedError("it does not validate")
        if own_rules := getattr(trainer, "own_rules", False):
            trainer.train(5 * epochs)
            if not trainer.losses[-1] < trainer.losses[0]:
                raise ValueError(
                    f"error {trainer.losses[0]} before the training, {trainer.losses[-1]} after it"
                )
        elif not GRID.fullmatch(workload):
            expected = loaded.expected(epochs)
            dtype = loaded.X.dtype
            check_same_answer(workload, found[0].astype(dtype), expected.params)
            if loaded.held_out:
                check_same_answer(
                    workload, np.array(trainer.validation, dtype), expected.history.validation_loss
                )
        return {"first_call": first_call, "own_rules": own_rules}

    def check_many(self, way: str, name: str, mixed: bool, **options) -> None:
        job = Job(name, CHECKED_MEMBERS, CHECKED_ITERATIONS, mixed)
        trainer = getattr(self.peer, way)(job, **options)
        found = trainer.train_from(job.params)
        if not getattr(trainer, "own_rules", False):
            check_same_answer(
                f"many, {name}", found.astype(job.workload.X.dtype), job.trained(backend="numpy")
            )

    def prepare_many(
        self, title: str, way: str, name: str, members: int, iterations: int, mixed: bool, **options
    ):
        """Prepare so many members; seconds of the first call, the drawing of weights counted."""
        trainer = getattr(self.peer, way)(Job(name, members, iterations, mixed), **options)
        found = []
        self.runs[title] = repeated(trainer.train)
        seconds = seconds_of(lambda: found.append(trainer.train()))
        if not np.isfinite(found[0]).all():
            raise ValueError("weights that are not finite")
        return seconds

    def learn(self, seed: int) -> dict:
        """How long the digits take to the target: epochs are counted first, one by one, and then
        timed in one go.
        """
        digits = workloads.load("digits")
        trainer = self.peer.Trainer(load("digits"))
        for epochs in range(1, MOST_EPOCHS + 1):
            accuracy = (
                trainer.learn(epochs, seed, digits.X_test) == digits.Y_test.argmax(axis=1)
            ).mean()
            if accuracy >= TARGET_ACCURACY:
                seconds = seconds_of(functools.partial(trainer.learn, epochs, seed, digits.X_test))
                return {"seconds": seconds, "epochs": epochs}
        raise ValueError(
            f"seed {seed}: {accuracy:.3f} of the held-out digits after {MOST_EPOCHS} epochs"
        )

    def prepare_predict(self, rows: int) -> None:
        """A classifier of the digits' size, and so many rows in C order, float32."""
        X = np.random.RandomState(0).random_sample((rows, 64)).astype(np.float32)
        predict = self.peer.Trainer(load("digits")).predictor(X)
        self.runs["predict"] = repeated(predict)
        output = predict()
        if output.shape != (rows, 10) or not np.allclose(output.sum(axis=1), 1, atol=1e-4):
            raise ValueError("no probabilities")

    def products(self, width: int, seconds: float) -> dict:
        return self.peer.products(width, seconds)


_worker = functools.cache(Worker)


def _answer(module: str, request: str, arguments: dict[str, Any]) -> Any:
    """Answer in the peer's process. Of other errors only the text can be sent."""
    try:
        worker = _worker(module)
    except OSError as error:  # of a library that is there, but cannot be loaded
        raise ImportError(str(error)) from error
    try:
        return getattr(worker, request)(**arguments)
    except (ImportError, NotImplementedError):
        raise
    except Exception as error:
        raise PeerError(f"{type(error).__name__}: {error}") from None


class Peer(NamedTuple):
    module: str  # in this folder
    one_core: bool = False  # whether the process is bound to one
    variables: Mapping[str, str] = {}
    packages: str = (
        ""  # a folder that `pip install --target` made: they come before those of this environment
    )


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of this process without those that tune a library, and with these."""
    return {name: value for name, value in os.environ.items() if name not in TUNING} | dict(
        extra or {}
    )


class Lane:
    """A peer in a process of its own. Where something is missing, making it raises an `ImportError`
    that names it.
    """

    def __init__(self, title: str, peer: Peer) -> None:
        if peer.packages and not os.path.isdir(peer.packages):
            raise ImportError(f"no folder {peer.packages}, which `nox -s measure -- peers` makes")
        path = [os.path.abspath(peer.packages)] if peer.packages else []
        self.title = title
        self._module = peer.module
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        # of what the process inherits, before it loads any library
        with contextlib.ExitStack() as stack:
            stack.enter_context(
                mock.patch.dict(os.environ, environment(peer.variables), clear=True)
            )
            stack.enter_context(mock.patch.object(sys, "path", path + sys.path))
            if peer.one_core and hasattr(os, "sched_setaffinity"):
                stack.callback(os.sched_setaffinity, 0, cores := os.sched_getaffinity(0))
                os.sched_setaffinity(0, {max(cores)})
            self._pool.submit(os.getpid).result()
        try:
            self.about = self.ask("about")
        except BaseException:
            self.close()
            raise

    def ask(self, request: str, **arguments: Any) -> Any:
        try:
            return self._pool.submit(_answer, self._module, request, arguments).result()
        except PeerError as error:
            raise PeerError(f"{self.title}: {error}") from None

    def close(self) -> None:
        self._pool.shutdown()
