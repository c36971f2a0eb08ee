"""Files that are not within 100 columns are those of the list at the end of pyproject.toml."""

import json
import pathlib
import subprocess
import sys
import tomllib

import pytest

pytest.importorskip("ruff", reason="the session `lint` has it")

ROOT = pathlib.Path(__file__).parents[2]
RUFF = (sys.executable, "-m", "ruff")


def files_reported(*command):
    """The files, relative to the root, in which this command of ruff reports something."""
    options = ("--output-format=json", "--no-cache", ".")
    run = subprocess.run([*RUFF, *command, *options], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode in (0, 1), run.stderr
    paths = {pathlib.Path(report["filename"]) for report in json.loads(run.stdout)}
    return {path.relative_to(ROOT).as_posix() for path in paths}


def test_the_list_names_the_files_beyond_100_columns_and_no_others():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["ruff"]
    exceptions = settings["format"]["exclude"]
    unformatted = files_reported("format", "--check", "--config=format.exclude = []")
    too_wide = files_reported(
        "check", "--select=E501", "--config=lint.pycodestyle.max-line-length = 100"
    )
    beyond = unformatted | too_wide
    assert exceptions == sorted(exceptions)
    assert sorted(beyond - set(exceptions)) == [], "shorten lines, and run `ruff format`"
    assert sorted(set(exceptions) - beyond) == [], "take these out of the list"
