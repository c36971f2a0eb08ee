"""How work and memory grow with sizes and rows: counted, so that a change of complexity shows
without any timing."""

import json
import os
import subprocess
import sys

import pytest

from benchmarks import scaling as script
from benchmarks.readme import ROOT
from benchmarks.scaling import AXES, NEAR, NoiseWorkload, exponent, memory


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
