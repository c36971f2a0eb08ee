"""Real work: seconds of a usual number of epochs with something between them, of short calls, and of fits."""

import work

from suite import BACKENDS, Timed, checked


class RealWork(Timed):
    """A usual run of each."""

    param_names = ("work", "backend")
    params = (work.NAMES, BACKENDS)

    def setup(self, name, backend):
        """Load the data; compile, and check the answer against the reference."""
        self.work = checked(name, backend)

    def time_real_work(self, name, backend):
        self.work.run(self.work.usual, backend)
