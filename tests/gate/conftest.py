"""The gate with simulated runs, and its command."""

import functools

import pytest

from fastnn.gate import compare


@pytest.fixture
def runs(monkeypatch):
    """Replace running a command; the list of the commands that were run."""
    called = []

    def install(function):
        def run(command):
            called.append(command)
            return function(command, len(called))

        monkeypatch.setattr(compare, "run", run)
        return called

    return install


@pytest.fixture
def gate(run):
    """Run ``fastnn gate`` in an empty folder; its exit code, stdout and stderr."""
    pytest.importorskip("matplotlib")
    return functools.partial(run, "gate")
