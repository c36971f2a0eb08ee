"""Training: seconds that a fixed number of iterations takes, for asv takes lower as better everywhere."""

from fastnn import train, workloads
from fastnn.timing import check_same_answer

# One call takes 5 ms at least: asv's samples are single calls, since `setup` runs before each.
EPOCHS = {("seed", "numpy"): 1_000, ("seed", "numba"): 50_000, ("digits", "numpy"): 2, ("digits", "numba"): 20}


class Train:
    """One training, from the call of `train` to its result."""

    version = "1"  # set by hand: asv's own, a hash of this source, drops the history with every edit
    timeout = 300
    rounds = 2
    repeat = (3, 10, 10.0)
    warmup_time = 0.2
    param_names = ("workload", "backend")
    params = (("seed", "digits"), ("numpy", "numba"))

    def setup(self, name, backend):
        """Load the data; compile, and check the answer against the reference."""
        workload = workloads.load(name)
        self.data = (workload.network, workload.X, workload.Y)
        self.options = workload.train_options | {"seed": 0, "epochs": EPOCHS[name, backend]}
        short = self.options | {"epochs": 2}
        expected = train(*self.data, **short, backend="numpy")
        check_same_answer(f"{name}, {backend}", train(*self.data, **short, backend=backend).params, expected.params)

    def time_train(self, name, backend):
        train(*self.data, **self.options, backend=backend)
