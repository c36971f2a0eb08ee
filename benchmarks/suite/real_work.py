"""Real work: seconds of a usual number of epochs with something between them, of short calls, and of fits."""

import pathlib
import runpy

from suite.common import BACKENDS, Timed, agree

PATH = pathlib.Path(__file__).parents[2] / "fastnn" / "measuring" / "real_work.py"  # of this tree, whatever the commit
real_work = runpy.run_path(str(PATH), run_name="real_work")


class RealWork(Timed):
    """A usual run of each."""

    param_names = ("work", "backend")
    params = (real_work["NAMES"], BACKENDS)

    def setup(self, name, backend):
        """Load the data; compile, and check the answer against the reference."""
        self.work = real_work["load"](name)
        agree(f"{name}, {backend}", *(self.work.run(self.work.usual, each) for each in (backend, "numpy")))

    def time_real_work(self, name, backend):
        self.work.run(self.work.usual, backend)
