"""The gate with simulated runs, and its command."""

import pytest

from fastnn import cli
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
def gate(capsys, monkeypatch, set_columns, tmp_path):
    """Run ``fastnn gate`` in an empty folder; its exit code, stdout and stderr."""
    for package in ("typer", "rich", "matplotlib"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    set_columns(120)

    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.main(["gate", *map(str, arguments)])
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return call
