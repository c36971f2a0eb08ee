"""Trainings of many members that end early: what they are, and what must be true of them."""

import os
import signal
import threading

import numpy as np

from fastnn import SGD, Network, train_many

NETWORK = Network((2, 3, 1), "tanh")
X = np.random.RandomState(0).randn(40, 2)
Y = X[:, :1]
M, EARLY = 12, 5


def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


class After:
    """A callback that does something once when so many members have ended."""

    def __init__(self, n, do):
        self.n, self.do, self.calls, self.done = n, do, [], threading.Event()

    def __call__(self, progress):
        self.calls.append(progress)
        if progress.n_ended < self.n or self.done.is_set():
            return None
        try:
            return self.do()
        finally:
            self.done.set()


def assert_resumes(many, whole, backend="numpy", **options):
    """Assert that members which ended early come to the end of the whole trainings."""
    rest = {"learning_rate": lambda step: 0.1, "optimizer": SGD()} | options
    left = [b.n_epochs - a.n_epochs for a, b in zip(many, whole, strict=True)]
    more = train_many(NETWORK, X, Y, resume=[a.state for a in many], epochs=left, backend=backend, **rest)
    for one, other in zip(more, whole, strict=True):
        assert one.params.tobytes() == other.params.tobytes()
        assert one.state.t == other.state.t
