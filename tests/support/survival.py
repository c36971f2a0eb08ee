"""Fresh interpreters for the survival tests: scripts that are watched, signalled, killed and
timed."""

import hashlib
import os
import pathlib
import subprocess
import sys
import threading

from bits import bits

import fastnn

TIMEOUT = 600
"""Seconds after which a process counts as hung."""

UNOPTIMIZED = {"NUMBA_OPT": "0"}
"""For tests of who compiles when, not of what: a kernel of the same bits in half the time."""

TRAINING = """
import sys, time
import numpy as np
from fastnn import Adam, Network, train
random_state = np.random.RandomState(0)
X = random_state.standard_normal((100, 6))
Y = np.sin(X[:, :2])
network = Network((6, 12, 2), activation="tanh")
options = {"optimizer": Adam(0.001), "batch_size": 15, "backend": sys.argv[1]}

class Ready:
    per_chunk = True
    told = False

    def __call__(self, progress):
        if progress.step > 20 and not self.told:
            self.told = True
            print("ready", flush=True)
"""
"""A script's beginning: what it trains, and a callback that says when it is under way."""

HEAVY = {"numba", "llvmlite", "scipy", "sklearn", "matplotlib", "rich", "typer"}
"""Packages that `import fastnn` must not bring along."""

HERE = pathlib.Path(__file__).parent


def environment(**variables):
    """This process' environment, with the package that is under test and these helpers on the path;
    None unsets one."""
    path = os.pathsep.join([str(pathlib.Path(fastnn.__file__).parents[1]), str(HERE)])
    changed = {**os.environ, "PYTHONPATH": path, **variables}
    return {name: str(value) for name, value in changed.items() if value is not None}


def run(*command, cwd=None, timeout=TIMEOUT, **variables):
    """Run a fresh interpreter, which must end by itself; return how it ended and what it
    printed."""
    options = {
        "capture_output": True,
        "text": True,
        "timeout": timeout,
        "cwd": cwd,
        "env": environment(**variables),
    }
    return subprocess.run([sys.executable, "-P", *map(str, command)], **options)


def python(code, *arguments, **options):
    """Run code in a fresh interpreter; return the lines that it prints. It must end well."""
    done = run("-c", code, *arguments, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


class Child:
    """A script under way, read line by line. Killed at the latest when the context ends, or when it
    counts as hung."""

    def __init__(self, code, *arguments, **variables):
        self._command = [sys.executable, "-P", "-c", code, *map(str, arguments)]
        self._env = environment(**variables)

    def __enter__(self):
        options = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
            "env": self._env,
        }
        self.process = subprocess.Popen(self._command, **options)
        self.send = self.process.send_signal
        self._limit = threading.Timer(TIMEOUT, self.process.kill)
        self._limit.start()
        return self

    def __exit__(self, *error):
        self._limit.cancel()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def line(self):
        """The next line; None after the last one."""
        line = self.process.stdout.readline()
        return line.rstrip("\n") if line else None

    def wait_for(self, word):
        """The next line that begins with `word`."""
        seen = []
        for line in iter(self.line, None):
            if line.startswith(word):
                return line
            seen.append(line)
        raise AssertionError(f"no line begins with {word!r}:\n" + "\n".join(seen))

    def end(self):
        """Wait for its end; what it returned."""
        return self.process.wait(timeout=TIMEOUT)


def fingerprint(*arrays):
    """One hash of the bits of arrays."""
    return hashlib.sha256(repr(list(map(bits, arrays))).encode()).hexdigest()
