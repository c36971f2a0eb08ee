"""The Fortran program of the page, beside exported C: it prints what Python does."""

import re
import shutil
import subprocess

import pytest
from pages import FENCE, text

PAGE = "docs/howto/fortran.md"


@pytest.mark.skipif(
    not all(map(shutil.which, ("gcc", "gfortran"))),
    reason="apt-get install gfortran: it is missing",
)
def test_the_program_of_the_page_prints_the_numbers_of_predict(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    commands = ""
    for language, code in FENCE.findall(text(PAGE)):
        if language == "python":
            exec(compile(code, PAGE, "exec"), namespace)
        elif language == "fortran":
            name = re.match(r"! (\S+)\n", code)[1]
            (tmp_path / name).write_text(code)
        elif language == "console":
            commands += code
    flags = "set -e\nalias gfortran='gfortran -std=f2008 -Wall -Wextra -Werror'\n"
    done = subprocess.run(["sh", "-c", flags + commands], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == capsys.readouterr().out
