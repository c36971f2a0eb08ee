"""The small training of the driver's tests, and what they hand to it: a back end, an observer, a plain stop rule."""

import signal

from fastnn import Network, get_backend

NETWORK = Network((3, 4, 2), activation="tanh")

N = 23


class Recorder:
    """The reference back end, which keeps what it was given."""

    name = "recorder"

    def __init__(self):
        self.inner = get_backend("numpy")
        self.supports, self.predict = self.inner.supports, self.inner.predict
        self.loss_and_gradient = self.inner.loss_and_gradient
        self.rows, self.rates, self.losses, self.chunks, self.data = [], [], [], [], None

    def train_steps(self, task, state, steps):
        good = self.inner.train_steps(task, state, steps)
        self.data = task.data
        self.chunks.append(len(steps.loss))
        for s in range(good):
            self.rows.append(steps.rows[steps.start[s] : steps.stop[s]].copy())
        self.rates += steps.learning_rate[:good].tolist()
        self.losses += steps.loss[:good].tolist()
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
