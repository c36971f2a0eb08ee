"""Training: seconds that a fixed number of iterations takes, for asv takes lower as better everywhere."""

import functools
import statistics

from timing import seconds_of

from suite import BACKENDS, Timed, checked

# One call takes 5 ms at least: asv's samples are single calls, since `setup` runs before each. By workload: of both.
EPOCHS = {
    "seed": (1_000, 50_000),
    "iris": (500, 5_000),
    "digits": (4, 20),
    "online": (1, 5),
    "tab": (1, 2),
    "mnist": (1, 1),
    "big": (1, 1),
}


class Train(Timed):
    """One training, from the call of `train` to its result."""

    param_names = ("workload", "backend")
    params = (tuple(EPOCHS), BACKENDS)

    def setup(self, name, backend):
        """Load the data; compile, and check the answer against the reference."""
        self.run = checked(name, backend).run
        self.epochs = EPOCHS[name][BACKENDS.index(backend)]

    def time_train(self, name, backend):
        self.run(self.epochs, backend)


class Ratio(Timed):
    """Both back ends in turn in one process, so that the machine's noise hits both."""

    param_names = ("workload",)
    params = (tuple(EPOCHS),)
    unit = "numba time / numpy time"
    pairs = 9

    def setup(self, name):
        """Compile, and check the answer."""
        self.run = checked(name, "numba").run

    def track_numba_numpy_time_ratio(self, name):
        """Seconds an iteration with numba, as a part of those with numpy: the median of the pairs' ratios."""
        runs = [(functools.partial(self.run, n, backend), n) for n, backend in zip(EPOCHS[name], BACKENDS, strict=True)]
        pairs = ([seconds_of(run) / n for run, n in runs] for _ in range(self.pairs))
        return statistics.median(numba / numpy for numpy, numba in pairs)
