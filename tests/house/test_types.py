"""Type checkers know every public name: a user's script passes them at their strictest."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from survival import environment

import fastnn

SCRIPT = pathlib.Path(__file__).parents[1] / "support" / "data" / "user.py"
PACKAGE = pathlib.Path(fastnn.__file__).parents[1]
PYRIGHT = shutil.which("basedpyright", path=os.path.dirname(sys.executable))


def script():
    """The user's script, and a line for each optimizer, so that a new one is checked as it is."""
    return SCRIPT.read_text("utf-8") + "".join(
        f"print(fastnn.{name}(0.1).name)\n" for name in fastnn.OPTIMIZERS
    )


def test_the_script_has_every_public_name():
    assert set(dir(fastnn)) - set(re.findall(r"fastnn\.(\w+)", script())) == set()


def test_the_script_runs():
    pytest.importorskip("sklearn")
    command = [sys.executable, "-W", "error", str(SCRIPT)]
    subprocess.run(command, env=environment(), check=True, stdout=subprocess.DEVNULL, timeout=600)


WRONG = "import fastnn\n\nfastnn.Network(sizes=3)\nfastnn.no_such_name\n"
CACHE = f"--cache-dir={os.devnull}"  # what is found of NumPy is used once
CHECKERS = {
    "mypy": [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--follow-imports=silent",
        CACHE,
    ],
    "basedpyright": [PYRIGHT, "--level=error", f"--pythonpath={sys.executable}"],
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_type_checkers_accept_a_script_with_every_public_name(checker, tmp_path):
    """Of a project of a right script and of a wrong one, the only errors are those of the
    latter."""
    pytest.importorskip(checker, reason="the session `lint` has it")
    (tmp_path / "user.py").write_text(script(), "utf-8")
    (tmp_path / "wrong.py").write_text(WRONG, "utf-8")
    settings = {"extraPaths": [str(PACKAGE)], "typeCheckingMode": "strict", "pythonVersion": "3.11"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    variables = environment(PYTHONPATH=None, MYPYPATH=PACKAGE)
    options = {"capture_output": True, "text": True}
    command = [*CHECKERS[checker], "user.py", "wrong.py"]
    run = subprocess.run(command, cwd=tmp_path, env=variables, timeout=600, **options)
    assert run.returncode == 1, run.stdout + run.stderr
    assert set(re.findall(r"(\w+\.py):\d+", run.stdout)) == {"wrong.py"}, run.stdout
    assert "no_such_name" in run.stdout
    assert len(re.findall(r"wrong\.py:3", run.stdout)) == 1
