"""The gate's command."""

import functools

import pytest


@pytest.fixture
def gate(run):
    """Run ``fastnn gate`` in an empty folder; its exit code, stdout and stderr."""
    pytest.importorskip("matplotlib")
    return functools.partial(run, "gate")
