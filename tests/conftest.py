"""What all tests share: one body for both back ends and both dtypes, and the same drawn examples
everywhere."""

import gc
import math
import os
import signal

# on a slow machine, processes of tests would tell of compilations
os.environ.setdefault("FASTNN_QUIET", "1")
# BLAS reads it once; beside a worker for each core its threads only spin
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest

from fastnn import cli, cores
from fastnn.backends import BACKENDS
from fastnn.compiler import cache
from fastnn.training import exceptions

DTYPES = (np.float32, np.float64)

hypothesis.settings.register_profile(
    "fastnn",
    deadline=None,  # the first call of a kernel compiles it
    derandomize=True,  # the same examples on every machine and in every run of the same source
    database=None,
    print_blob=True,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.function_scoped_fixture,
    ],
)
hypothesis.settings.load_profile("fastnn")


exceptions.AGAIN = 600.0  # on a busy machine, the two Ctrl-C of a test may be seconds apart

# as in a shell's background job: no Ctrl-C would be answered
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection():
    """Collected tests are no garbage: looking for some meanwhile takes a fifth of the time."""
    gc.disable()


def pytest_collection_finish():
    """Nor do the tests' own searches for garbage, some of which are complete ones, look through all
    other tests."""
    gc.freeze()
    gc.enable()


def pytest_runtest_setup():
    """No test sends its Ctrl-C soon after another one's, which would make it the second."""
    exceptions._last_swallowed = -math.inf


@pytest.fixture
def set_columns(monkeypatch):
    """A function that sets the width of the terminal: for the help, and for rich, which asks when a
    console is made."""

    def set_columns(width):
        console = pytest.importorskip("fastnn.cli.console")
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(console.out, "width", width)

    return set_columns


@pytest.fixture
def run(capsys, monkeypatch, set_columns, tmp_path):
    """Run ``fastnn`` in an empty folder; what it ends with, prints, and prints on stderr."""
    pytest.importorskip("typer")
    set_columns(120)
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.main([*map(str, arguments)])
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return call


@pytest.fixture(params=BACKENDS)
def backend(request):
    """The name of a back end."""
    return request.param


@pytest.fixture(params=DTYPES, ids=lambda dtype: dtype.__name__)
def dtype(request):
    """A scalar type, ``np.float32`` or ``np.float64``."""
    return request.param


@pytest.fixture
def no_helpers(monkeypatch):
    """No helper thread has been started, and what the test starts is its own."""
    monkeypatch.setattr(cores, "_idle", [])
    monkeypatch.setattr(cores, "_lent", [])


@pytest.fixture
def shared(monkeypatch):
    """The numbers of threads of the calls of the back end that threads share, in order."""
    from fastnn.fused import team

    numbers = []
    train = team.Team.train

    def counted(self, *arguments):
        numbers.append(len(self._members))
        return train(self, *arguments)

    monkeypatch.setattr(team.Team, "train", counted)
    return numbers


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder for the kernel cache, and no warning given yet."""
    path = tmp_path / "cache"
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(path))
    monkeypatch.setattr(cache, "_errors", [])
    monkeypatch.setattr(cache, "_warned", [])
    # Whoever edits sources while tests run need not see these fail.
    cache.source_stamp.cache_clear()
    return path
