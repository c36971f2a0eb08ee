"""The benchmark of one row and the example of compiled code: they run, and compare the answers before they time."""

import importlib.util
import pathlib
import re
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

pytest.importorskip("sklearn")

from benchmarks import one_row  # noqa: E402


@pytest.mark.parametrize("name", one_row.NETWORKS)
def test_each_way_is_measured(name):
    found = one_row.measure(one_row.NETWORKS[name], name.split()[-1], rounds=2, n_rows=20)
    assert {"predict", "function(), from Python", "function(), from compiled code"} <= set(found)
    assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in found.values())


def test_a_wrong_answer_is_not_timed(monkeypatch):
    monkeypatch.setattr(one_row, "of_others", lambda result, folder: [("theirs", lambda X, out: out.fill(0.5))])
    with pytest.raises(AssertionError, match="theirs"):
        one_row.measure(one_row.NETWORKS["3-5-1, float64"], "float64", rounds=1, n_rows=5)


def test_the_example_integrates(capsys, monkeypatch):
    spec = importlib.util.spec_from_file_location("pendulum", ROOT / "examples" / "pendulum.py")
    pendulum = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pendulum)
    monkeypatch.setattr(pendulum, "N_STEPS", 200)
    pendulum.main()
    *ways, last = capsys.readouterr().out.splitlines()
    assert len(ways) >= 3
    assert all(re.fullmatch(r".{28} +[\d.]+ µs a call", line) for line in ways)
    high, low, off = map(float, re.findall(r"-?\d+\.\d+", last))
    assert high == 2.5
    assert low < -1.5
    assert off < 0.05
    assert np.isfinite(off)
