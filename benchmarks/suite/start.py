"""The time before the first iteration: import, and kernels from the disk cache.

The code that a `timeraw` method returns is run by asv in a fresh interpreter, which is what it times.
"""

import subprocess
import sys
import tempfile

from suite import Timed

PREPARE = """
import os
os.environ["FASTNN_CACHE_DIR"] = {folder!r}
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


class Warm(Timed):
    """The first training of a process, with the kernels on disk, and with all that the training imports."""

    version = "2"  # 1 did not count the import of Numba, which came before every training
    number, repeat, warmup_time = 1, 5, 0
    param_names = ("dtype",)
    params = (("float64", "float32"),)

    def setup(self, dtype):
        """A cache that a process before has filled."""
        self.folder = tempfile.TemporaryDirectory()
        self.prepare = PREPARE.format(folder=self.folder.name, dtype=dtype)
        subprocess.run([sys.executable, "-c", self.prepare + FIRST_TRAINING], check=True)

    def teardown(self, dtype):
        """Delete the folder with all that was kept in it."""
        self.folder.cleanup()

    def timeraw_first_training(self, dtype):
        return FIRST_TRAINING, self.prepare
