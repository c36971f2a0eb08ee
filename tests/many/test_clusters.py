"""train_many on real local clusters: loky and Dask always, Dask with two threads a worker and Ray
by the slow tests."""

import importlib.util
import pathlib
import re
import signal
import sys
import textwrap
import time

import pytest
from pages import blocks
from survival import Child, run

SCRIPT = pathlib.Path(__file__).parents[1] / "support" / "clusters.py"
NEEDS = {"loky": "joblib", "dask": "distributed", "ray": "ray"}
ENGINES = [
    pytest.param("loky", 1, id="loky"),
    pytest.param("dask", 1, id="dask"),
    pytest.param("dask", 2, id="dask with two threads", marks=pytest.mark.slow),
    pytest.param("ray", 1, id="ray", marks=pytest.mark.slow),
]


def skip_without(name):
    if importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed; the session `distributed` has it")


def printed(script, *arguments):
    done = run(script, *arguments, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(("name", "n_threads"), ENGINES)
def test_a_cluster_gives_the_same_bits(name, n_threads):
    skip_without(name)
    sys.stdout.write(printed(SCRIPT, name, n_threads))  # shown by -rP


@pytest.mark.parametrize(
    "name", ["loky", *(pytest.param(name, marks=pytest.mark.slow) for name in ("dask", "ray"))]
)
def test_the_page_on_engines_runs(name, tmp_path):
    """As a script, without the lines on other engines; it prints what the page says."""
    skip_without(name)
    of_engines = {"dask": r"\b(dask|client)\b", "ray": r"\bray\b"}
    others = "|".join(words for engine, words in of_engines.items() if engine != name)
    mine = [block for block in blocks("docs/howto/engines.md") if not re.search(others, block[0])]
    assert len(mine) == {"loky": 2, "dask": 5, "ray": 4}[name]
    script = tmp_path / "script.py"
    script.write_text(
        'if __name__ == "__main__":\n'
        + textwrap.indent("\n".join(code for code, _ in mine), "    ")
    )
    assert printed(script) == "".join(expected or "" for _, expected in mine)


WAITING = """
import joblib, warnings, numpy as np
from fastnn import InterruptWarning, Network, Stop, train_many
X, Y = np.random.RandomState(0).rand(1000, 3), np.random.RandomState(1).rand(1000, 1)
warnings.simplefilter("error", InterruptWarning)
joblib.parallel_config("loky", n_jobs=2)
train_many(Network((3, 5, 1)), X, Y, seed=range(4), epochs=1)  # the workers are there
print("begun", flush=True)
try:  # members take years
    train_many(Network((3, 50, 50, 1)), X, Y, seed=range(3), epochs=10**8, stop=Stop(patience=10**8))
except InterruptWarning as warning:
    print(warning.result.stop_reason.tolist())
print(train_many(Network((3, 5, 1)), X, Y, seed=range(2), epochs=1).n_epochs)
"""  # noqa: E501


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_ends_the_engines_tasks():
    """What had not come back has not begun; no task is waited for, where the calling process alone
    gets the signal."""
    with Child(WAITING) as child:
        child.wait_for("begun")
        time.sleep(0.5)
        child.send(signal.SIGINT)
        for line in str(["interrupted"] * 3), "[1 1]":
            assert child.wait_for(line[:2]) == line
