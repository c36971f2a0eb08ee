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
    return SCRIPT.read_text("utf-8") + "".join(f"print(fastnn.{name}(0.1).name)\n" for name in fastnn.OPTIMIZERS)


def test_the_script_has_every_public_name():
    assert set(dir(fastnn)) - set(re.findall(r"fastnn\.(\w+)", script())) == set()


def test_the_script_runs():
    pytest.importorskip("sklearn")
    command = [sys.executable, "-W", "error", str(SCRIPT)]
    subprocess.run(command, env=environment(), check=True, stdout=subprocess.DEVNULL, timeout=120)


@pytest.fixture(scope="module")
def mypy_cache(tmp_path_factory):
    """What mypy has found of the package and of NumPy, for the scripts after the first one."""
    return tmp_path_factory.mktemp("mypy")


@pytest.fixture
def check(tmp_path, mypy_cache):
    """Run a type checker on a script in a project of its own; what it says, and whether it was content."""

    def run(checker, text):
        pytest.importorskip(checker, reason="the session `types` has it")
        (tmp_path / "user.py").write_text(text, "utf-8")
        settings = {"extraPaths": [str(PACKAGE)], "typeCheckingMode": "strict", "pythonVersion": "3.11"}
        (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
        command = {
            "mypy": [
                *(sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent"),
                f"--cache-dir={mypy_cache}",
                "user.py",
            ],
            "basedpyright": [PYRIGHT, "--level=error", f"--pythonpath={sys.executable}", "."],
        }[checker]
        told = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(PYTHONPATH=None, MYPYPATH=PACKAGE),
            capture_output=True,
            text=True,
            timeout=300,
        )
        return told.returncode == 0, told.stdout + told.stderr

    return run


CHECKERS = ("mypy", "basedpyright")


@pytest.mark.parametrize("checker", CHECKERS)
def test_type_checkers_accept_a_script_with_every_public_name(check, checker):
    content, told = check(checker, script())
    assert content, told


@pytest.mark.parametrize("checker", CHECKERS)
def test_type_checkers_see_what_is_wrong(check, checker):
    content, told = check(checker, "import fastnn\n\nfastnn.Network(sizes=3)\nfastnn.no_such_name\n")
    assert not content
    assert "no_such_name" in told
    assert len(re.findall(r"user\.py:3", told)) == 1
