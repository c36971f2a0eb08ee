"""The command as a user runs it."""

import pytest

from fastnn import cli


@pytest.fixture
def run(capsys, monkeypatch, set_columns, tmp_path):
    """Run the command in an empty folder; what it returns, prints, and prints on stderr."""
    set_columns(120)
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return call
