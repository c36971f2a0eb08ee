"""The small training of the driver's tests, with a back end, an observer and a plain stop rule."""

import signal

from fastnn import Network
from fastnn.reference import NumpyBackend

NETWORK = Network((3, 4, 2), activation="tanh")

N = 23


class Recorder(NumpyBackend):
    """The reference back end, which keeps what it was given, and takes no options of optimizers."""

    name = "recorder"
    takes_options = False

    def __init__(self):
        self.rows = []
        self.chunks = []
        self.data = None

    def train_steps(self, task, state, steps):
        good = super().train_steps(task, state, steps)
        self.data = task.data
        self.chunks.append(len(steps.loss))
        self.rows += [steps.rows[steps.start[s] : steps.stop[s]].copy() for s in range(good)]
        return good


class SignalAt:
    """An observer that sends SIGINT after so many chunks."""

    per_chunk = True

    def __init__(self, n_chunks):
        self.left = n_chunks

    def __call__(self, progress):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)
