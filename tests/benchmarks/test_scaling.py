"""How work and memory grow with sizes and rows: counted, so that a change of complexity shows
without any timing."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import scaling as script
from benchmarks.readme import ROOT
from benchmarks.scaling import AXES, BACKENDS, NEAR, NoiseWorkload, exponent, memory


def test_the_exponent_of_a_power_law_is_found_and_is_in_its_interval():
    """19 times of 20, with noise; that of a curve that is no power law is wide."""
    random_state = np.random.RandomState(0)
    x = np.array([64, 128, 256, 512])
    for p in (-1.0, 0.0, 0.5, 2.0):
        found = exponent(x, 3e-6 * x**p)
        assert found.value == pytest.approx(p)
        assert found.high - found.low < 1e-6
    found = [exponent(x, x**2 * np.exp(0.05 * random_state.standard_normal(4))) for _ in range(400)]
    assert 0.92 < np.mean([e.low <= 2 <= e.high for e in found]) < 0.98
    wide = exponent([1, 2, 4, 8], [1, 1, 4, 4])
    assert wide.high - wide.low > 1


@pytest.mark.parametrize(
    ("x", "y"), [([1, 2], [1, 2]), ([1, 2, 3], [1, 0, 2]), ([1, 2, 3], [1, 2])]
)
def test_too_little_for_an_exponent_is_refused(x, y):
    with pytest.raises(ValueError, match="three positive points"):
        exponent(x, y)


def test_the_kernels_work_grows_as_it_should_and_a_change_of_complexity_is_counted():
    command = [sys.executable, str(ROOT / "tests" / "support" / "scaling_calls.py")]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    curves = json.loads(done.stdout).items()
    found = {
        axis: exponent([int(size) for size in curve], list(curve.values())).value
        for axis, curve in curves
    }
    assert found.pop("width, injected") - AXES["width"].time[1] > NEAR
    assert found == {axis: pytest.approx(AXES[axis].time[1], abs=NEAR) for axis in AXES}


def test_the_fused_work_space_ends_at_a_block_of_rows():
    one, four = (memory(NoiseWorkload(batch=b, rows=1024), "numba")["work"] for b in (256, 1024))
    assert four < 1.1 * one + 4 * NoiseWorkload().arguments()[0].n_params  # the gradient of a block


@pytest.mark.parametrize("backend", BACKENDS)
def test_memory_is_followed(backend):
    """State, its copies and the result: three vectors of parameters at least; a work space: the
    gradient at least."""
    workload = NoiseWorkload(width=256, batch=16, rows=64)
    vector = workload.arguments()[0].n_params * 4
    found = memory(workload, backend)
    assert 3 * vector < found["training"] < 20 * vector
    assert vector < found["work"] < found["training"]
    few, many = (memory(NoiseWorkload(batch=32, rows=n), backend)["work"] for n in (512, 4096))
    assert many < 1.1 * few  # whatever the number of rows


WIDER = (
    "another exponent: time per step over width, numba: 3."  # one more than of what was measured
)
NOISE = "unclear exponent: time per step over rows, numba"


@pytest.mark.parametrize(
    ("axis", "change", "code", "told"),
    [
        ("width", lambda i, size: size, 1, WIDER),
        ("rows", lambda i, size: 9 if i in (4, 6) else 1, 0, NOISE),
    ],
)
def test_another_complexity_fails_and_noise_is_none(tmp_path, capsys, axis, change, code, told):
    found = json.loads((ROOT / script.RESULTS).read_text("utf-8"))
    seconds = found["axes"][axis]["seconds"]
    seconds["numba"] = {
        n: [min(s) * change(i, int(n))] for i, (n, s) in enumerate(seconds["numba"].items())
    }
    (tmp_path / "found.json").write_text(json.dumps(found))
    assert script.main(["--from", str(tmp_path / "found.json"), "--no-write"]) == code
    assert told in capsys.readouterr().err


def test_the_command_measures(monkeypatch, tmp_path):
    """On the smallest sizes."""
    small = {
        name: axis._replace(
            workloads={s: p._replace(rows=128) for s, p in list(axis.workloads.items())[:3]},
            fitted=3,
        )
        for name, axis in AXES.items()
    }
    monkeypatch.setattr(script, "AXES", small)
    measured = script.measure(sample_seconds=1e-4, rounds=1)
    lines = list(script.lines(measured))
    assert len(lines) == len(AXES) * len(script.QUANTITIES) * len(BACKENDS)
    assert all(value > 0 for line in lines for value in line.values)
