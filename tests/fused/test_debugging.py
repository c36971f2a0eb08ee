"""The debugger session that docs/development/debug.md shows is a real one."""

import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def without_places(text):
    """A session's output but for the lines that say where in the source it stands; numbers as
    words."""
    lines = [line for line in text.splitlines() if not line.startswith(("> ", "-> ", "Breakpoint"))]
    return re.sub(r"np\.int64\((\d+)\)", r"\1", "\n".join(lines)).split()


def test_debugger_session(tmp_path):
    page = ROOT.joinpath("docs/development/debug.md").read_text("utf-8")
    (program, session) = re.search(
        r"\$ cat small\.py\n(.*?)\n\n\$ [^\n]*pdb small\.py\n(.*?)```", page, re.S
    ).groups()
    tmp_path.joinpath("small.py").write_text(program, "utf-8")
    commands = re.findall(r"^\(Pdb\) (.*)$", session, re.M)
    assert len(commands) >= 4
    done = subprocess.run(
        [sys.executable, "-m", "pdb", "small.py"],
        input="\n".join([*commands, "quit", "y", ""]),
        env=os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    shown = without_places(
        "\n".join(line for line in session.splitlines() if not line.startswith("(Pdb)"))
    )
    printed = without_places(done.stdout.replace("(Pdb) ", "\n"))
    assert "".join(shown) in "".join(printed)
