"""The time before the first iteration: import, compilation, kernels from the disk cache; and memory.

The code that a `timeraw` method returns is run by asv in a fresh interpreter, which is what it times.
"""

import subprocess
import sys
import tempfile

from suite import BACKENDS, Timed, checked

PREPARE = """
import os, tempfile
os.environ["FASTNN_CACHE_DIR"] = {folder}
import numpy as np
from fastnn import SGD, Network, train
X = np.ones((2, 2), np.{dtype})
"""
FIRST_TRAINING = "train(Network((2, 2, 1)), X, X[:, :1], optimizer=SGD(), epochs=1)"


class Import(Timed):
    """`import fastnn`, and what the first use of each back end imports."""

    number, repeat, warmup_time = 1, 5, 0

    def timeraw_import(self):
        return "import fastnn", "import numpy"

    def timeraw_import_and_numpy_backend(self):
        return 'import fastnn; fastnn.get_backend("numpy")', "import numpy"

    def timeraw_import_and_numba_backend(self):
        return 'import fastnn; fastnn.get_backend("numba")', "import numpy"


class Cold(Timed):
    """The first training of a process, with an empty disk cache. Numba has been imported before the clock starts."""

    number, repeat, warmup_time = 1, 3, 0
    param_names = ("dtype",)
    params = (("float64", "float32"),)

    def setup(self, dtype):
        """A folder, in which each process makes its own cache."""
        self.folder = tempfile.TemporaryDirectory()

    def teardown(self, dtype):
        """Delete the folder with all that was kept in it."""
        self.folder.cleanup()

    def timeraw_first_training(self, dtype):
        folder = f"tempfile.mkdtemp(dir={self.folder.name!r})"
        return FIRST_TRAINING, "import numba" + PREPARE.format(folder=folder, dtype=dtype)


class Warm(Cold):
    """The same, with the kernels on disk, and with all that the training imports."""

    version = "2"  # 1 did not count the import of Numba, which came before every training
    repeat = 5

    def setup(self, dtype):
        """A cache that a process before has filled."""
        super().setup(dtype)
        self.prepare = PREPARE.format(folder=repr(self.folder.name), dtype=dtype)
        subprocess.run([sys.executable, "-c", self.prepare + FIRST_TRAINING], check=True)

    def timeraw_first_training(self, dtype):
        return FIRST_TRAINING, self.prepare


class Memory(Timed):
    """Most memory of a process that trains, everything that is imported included."""

    param_names = ("workload", "backend")
    params = (("seed", "digits", "mnist"), BACKENDS)

    def setup(self, name, backend):
        """Load the data; compile, and check."""
        self.run = checked(name, backend).run

    def peakmem_train(self, name, backend):
        self.run(1, backend)
