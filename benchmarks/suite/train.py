"""Training: seconds that a fixed number of iterations takes, for asv takes lower as better everywhere."""

import statistics
import time

from fastnn import train
from suite.common import BACKENDS, WORKLOADS, Timed, check, load

# One call takes 5 ms at least: asv's samples are single calls, since `setup` runs before each.
EPOCHS = {
    ("seed", "numpy"): 1_000,
    ("seed", "numba"): 50_000,
    ("iris", "numpy"): 500,
    ("iris", "numba"): 5_000,
    ("digits", "numpy"): 4,
    ("digits", "numba"): 20,
    ("online", "numpy"): 1,
    ("online", "numba"): 5,
    ("tab", "numpy"): 1,
    ("tab", "numba"): 2,
    ("mnist", "numpy"): 1,
    ("mnist", "numba"): 1,
    ("big", "numpy"): 1,
    ("big", "numba"): 1,
}


class Train(Timed):
    """One training, from the call of `train` to its result."""

    param_names = ("workload", "backend")
    params = (WORKLOADS, BACKENDS)

    def setup(self, name, backend):
        """Load the data; compile, and check the answer against the reference."""
        workload = load(name)
        check(workload, backend)
        self.data = (workload.network, workload.X, workload.Y)
        self.options = workload.train_options | {"seed": 0, "epochs": EPOCHS[name, backend]}

    def time_train(self, name, backend):
        train(*self.data, **self.options, backend=backend)


class Ratio(Timed):
    """Both back ends in turn in one process, so that the machine's noise hits both."""

    param_names = ("workload",)
    params = (WORKLOADS,)
    unit = "numba time / numpy time"
    pairs = 9

    def setup(self, name):
        """Compile, and check the answer."""
        self.workload = load(name)
        check(self.workload, "numba")

    def track_numba_numpy_time_ratio(self, name):
        """Seconds an iteration with numba, as a part of those with numpy: the median of the pairs' ratios."""
        ratios = []
        for _ in range(self.pairs):
            numpy, numba = (self.seconds(name, backend) for backend in BACKENDS)
            ratios.append(numba / numpy)
        return statistics.median(ratios)

    def seconds(self, name, backend):
        """An epoch's seconds."""
        workload, epochs = self.workload, EPOCHS[name, backend]
        options = workload.train_options | {"seed": 0, "epochs": epochs}
        start = time.perf_counter()
        train(workload.network, workload.X, workload.Y, **options, backend=backend)
        return (time.perf_counter() - start) / epochs
