"""Training and real work: seconds of a fixed number of iterations, for asv takes lower as better
everywhere.

Before anything is timed, the answer is compared with the reference's; what a commit does not know,
asv skips.
"""

import functools

import work
from timing import in_turn, ratio, seconds_of

BACKENDS = ("numpy", "numba")
# One call takes 5 ms at least: asv's samples are single calls, since `setup` runs before each. By
# workload: of both.
EPOCHS = {
    "seed": (1_000, 50_000),
    "iris": (500, 5_000),
    "digits": (4, 20),
    "online": (1, 5),
    "tab": (1, 2),
}
EPOCHS |= {"mnist": (1, 1), "big": (1, 1)}


class Timed:
    """Settings of every benchmark whose time asv takes."""

    version = (
        "1"  # set by hand: asv's own, a hash of this source, drops the history with every edit
    )
    timeout = 300
    rounds = 2
    # ten samples at least in two rounds: with fewer asv never speaks of a regression
    repeat = (3, 10, 10.0)
    warmup_time = 0.2


def checked(name, backend):
    """Work that is compiled and has the right answer; NotImplementedError, so that asv skips, where
    it is not known.
    """
    try:
        loaded = work.load(name)
    except KeyError:
        raise NotImplementedError(f"no workload {name!r} in this commit") from None
    work.check(loaded, backend)
    return loaded


class Train(Timed):
    param_names = ("workload", "backend")
    params = ((*EPOCHS, *work.NAMES), BACKENDS)

    def setup(self, name, backend):
        self.work = checked(name, backend)
        self.n = EPOCHS[name][BACKENDS.index(backend)] if name in EPOCHS else self.work.usual

    def time_train(self, name, backend):
        self.work.run(self.n, backend)


class Ratio(Timed):
    """Both back ends in turn in one process, so that the machine's noise hits both."""

    param_names = ("workload",)
    params = (tuple(EPOCHS),)
    unit = "numba time / numpy time"
    pairs = 9

    def setup(self, name):
        self.run = checked(name, "numba").run

    def track_numba_numpy_time_ratio(self, name):
        """Seconds an iteration with numba, as a part of those with numpy: the median of the pairs'
        ratios.
        """
        n = dict(zip(BACKENDS, EPOCHS[name], strict=True))
        asks = {
            b: functools.partial(seconds_of, functools.partial(self.run, n[b], b)) for b in BACKENDS
        }
        numpy, numba = (
            [s / n[b] for s in samples] for b, samples in in_turn(asks, self.pairs).items()
        )
        return ratio(numba, numpy).middle
