"""The time before the first iteration: import, compilation, kernels from the disk cache; and memory.

The code that a `timeraw` method returns is run by asv in a fresh interpreter, which is what it times.
"""

import subprocess
import sys
import tempfile

from fastnn import train
from suite.common import BACKENDS, check, load

PREPARE = """
import os, tempfile
os.environ["FASTNN_CACHE_DIR"] = {folder}
import numpy as np
from fastnn import SGD, Network, train
X = np.ones((2, 2), np.{dtype})
"""
FIRST_TRAINING = "train(Network((2, 2, 1)), X, X[:, :1], optimizer=SGD(), epochs=1)"


class Import:
    """`import fastnn`, and what the first use of each back end imports."""

    version = "1"
    timeout = 300
    number, repeat, rounds, warmup_time = 1, 5, 2, 0

    def timeraw_import(self):
        return "import fastnn", "import numpy"

    def timeraw_import_and_numpy_backend(self):
        return 'import fastnn; fastnn.get_backend("numpy")', "import numpy"

    def timeraw_import_and_numba_backend(self):
        return 'import fastnn; fastnn.get_backend("numba")', "import numpy"


class Cold:
    """The first training of a process, with an empty disk cache. Numba has been imported before the clock starts."""

    version = "1"
    timeout = 300
    number, repeat, rounds, warmup_time = 1, 3, 2, 0
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


class Memory:
    """Most memory of a process that trains, everything that is imported included."""

    version = "1"
    timeout = 300
    param_names = ("workload", "backend")
    params = (("seed", "digits", "mnist"), BACKENDS)

    def setup(self, name, backend):
        """Load the data; compile, and check."""
        self.workload = load(name)
        check(self.workload, backend)

    def peakmem_train(self, name, backend):
        workload = self.workload
        options = workload.train_options | {"seed": 0, "epochs": 1}
        train(workload.network, workload.X, workload.Y, **options, backend=backend)
