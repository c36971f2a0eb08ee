"""The process of one peer: a request a line on stdin, an answer a line on stdout, both JSON.

Each peer has a process of its own, so that its threads, its environment and its crashes are its own. The one that
asks (`lanes`) asks one at a time, in turn.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import sys
import time

import numpy as np

from benchmarks.peers.many.jobs import Job
from benchmarks.peers.workloads import GRID, VALIDATION, load
from fastnn import workloads
from fastnn.testing.correctness import check_same_answer

CHECKED_EPOCHS = {"seed": 100, "iris": 100}  # of the others one, or as many as make ten steps
CHECKED_MEMBERS, CHECKED_ITERATIONS = 3, 100
TARGET_ACCURACY = 0.96
MOST_EPOCHS = 60


class Worker:
    """What can be asked of a peer; each method is a request."""

    def __init__(self, module: str) -> None:
        self.peer = importlib.import_module(f"benchmarks.peers.{module}")

    def about(self) -> dict:
        """Versions, and which kernels the BLAS in this process runs."""
        found = {package: importlib.metadata.version(package) for package in self.peer.VERSIONS}
        try:
            import threadpoolctl
        except ImportError:
            return {"versions": found, "blas": []}
        pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        names = {f"{p['internal_api']} {p['version']}, {p.get('architecture', '?')} kernels" for p in pools}
        return {"versions": found, "blas": sorted(names)}

    def prepare(self, workload: str) -> dict:
        """Load a workload; train it for some steps and compare with the reference."""
        self.workload = load(workload)
        self.trainer = self.peer.Trainer(self.workload)
        name = workload.removesuffix(VALIDATION)
        epochs = CHECKED_EPOCHS.get(name, max(1, min(self.workload.most_epochs, 10 // self.workload.batches)))
        start = time.perf_counter()
        params = self.trainer.train(epochs)
        first_call = time.perf_counter() - start
        if self.workload.held_out and not hasattr(self.trainer, "validation"):
            raise NotImplementedError("it does not validate")
        if self.trainer.own_rules:
            self.trainer.train(5 * epochs)
            first, last = self.trainer.losses[0], self.trainer.losses[-1]
            if not last < first:
                raise ValueError(f"error {first} before the training, {last} after it")
        elif not GRID.fullmatch(workload):
            expected, dtype = self.workload.expected(epochs), self.workload.X.dtype
            check_same_answer(workload, params.astype(dtype), expected.params)
            if self.workload.held_out:
                check_same_answer(workload, np.array(self.trainer.validation, dtype), expected.history.validation_loss)
        return {"first_call": first_call, "own_rules": self.trainer.own_rules}

    def time(self, epochs: int) -> float:
        """Seconds of a training of the prepared workload."""
        start = time.perf_counter()
        self.trainer.train(epochs)
        return time.perf_counter() - start

    def check_many(self, name: str, mixed: bool) -> None:
        """Compare some short trainings of `many` with the reference's."""
        job = Job(name, CHECKED_MEMBERS, CHECKED_ITERATIONS, mixed)
        trainer = self.peer.Trainer(job)
        found = trainer.train_from(job.params)
        if not trainer.own_rules:
            check_same_answer(f"many, {name}", found.astype(job.workload.X.dtype), job.expected())

    def prepare_many(self, name: str, members: int, iterations: int, mixed: bool) -> float:
        """Prepare so many members; seconds of the first call."""
        self.trainer = self.peer.Trainer(Job(name, members, iterations, mixed))
        return self.time_many()

    def time_many(self) -> float:
        """Seconds of all members, the drawing of weights counted."""
        start = time.perf_counter()
        params = self.trainer.train()
        seconds = time.perf_counter() - start
        if not np.isfinite(params).all():
            raise ValueError("weights that are not finite")
        return seconds

    def release(self) -> None:
        """Forget the workload."""
        self.workload = self.trainer = None

    def learn(self, seed: int) -> dict:
        """How long the digits take to the target: epochs are counted first, one by one, and then timed in one go."""
        digits = workloads.load("digits")
        trainer = self.peer.Trainer(load("digits"))
        labels = digits.Y_test.argmax(axis=1)
        for epochs in range(1, MOST_EPOCHS + 1):
            accuracy = (trainer.learn(epochs, seed, digits.X_test) == labels).mean()
            if accuracy >= TARGET_ACCURACY:
                break
        else:
            raise ValueError(f"seed {seed}: {accuracy:.3f} of the held-out digits after {MOST_EPOCHS} epochs")
        start = time.perf_counter()
        trainer.learn(epochs, seed, digits.X_test)
        return {"seconds": time.perf_counter() - start, "epochs": epochs}

    def prepare_predict(self, rows: int) -> None:
        """A classifier of the digits' size, and so many rows in C order, float32."""
        X = np.random.RandomState(0).random_sample((rows, 64)).astype(np.float32)
        self.predict = self.peer.Trainer(load("digits")).predictor(X)
        output = self.predict()
        if output.shape != (rows, 10) or not np.allclose(output.sum(axis=1), 1, atol=1e-4):
            raise ValueError("no probabilities")

    def time_predict(self, calls: int) -> float:
        """Seconds of so many predictions."""
        start = time.perf_counter()
        for _ in range(calls):
            self.predict()
        return time.perf_counter() - start

    def products(self, width: int, seconds: float) -> dict:
        """GF/s inside fastnn's kernel."""
        return self.peer.products(width, seconds)


def serve(module: str) -> None:
    """Answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to stderr

    def answer(**content) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    try:
        worker = Worker(module)
    except (ImportError, OSError) as error:
        answer(missing=str(error))
        return
    answer(result=None)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer(result=getattr(worker, name)(**arguments))
        except NotImplementedError as error:
            answer(unsupported=str(error))
        except Exception as error:
            answer(error=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    serve(sys.argv[1])
