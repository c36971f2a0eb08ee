"""What the gate's tests compare: quantities, samples of them, and a command that runs Python."""

import shlex
import subprocess
import sys

from fastnn.gate import Quantity, Sample

DIGITS, ONLINE = (Quantity("trainings", name) for name in ("digits", "online"))
START = Quantity("starts", "first call")
MEMORY = Quantity("memory", "peak")


def sample(seconds=1.0, counts=(("compiled", 0),), quantity=DIGITS):
    return Sample({quantity: seconds}, dict(counts), 1.0)


def python(*arguments):
    """A command for the shell that runs Python."""
    join = subprocess.list2cmdline if sys.platform == "win32" else shlex.join
    return join([sys.executable, *map(str, arguments)])
