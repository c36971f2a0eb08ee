"""The fuzzer of public objects finds nothing, and would find what is there."""

import json
import subprocess
import sys
import time

import pytest
from forks import in_forks
from survival import HERE, environment

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, and their memory is limited")


def fuzz(first, n, timeout):
    """Run the fuzzer; the lines of what failed, and the counts."""
    command = [sys.executable, "-P", str(HERE / "fuzz.py"), str(first), str(n)]
    run = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=timeout)
    assert run.stdout, run.stderr
    *failures, counts = run.stdout.splitlines()
    assert bool(failures) == bool(run.returncode), run.stderr
    return failures, json.loads(counts)


@pytest.mark.parametrize(
    ("first", "n"), [(0, 800), pytest.param(10_000, 100_000, marks=pytest.mark.slow)], ids=["800", "100000"]
)
def test_no_public_object_can_be_made_to_hurt(first, n):
    failures, counts = fuzz(first, n, timeout=120 if n < 100_000 else 7_200)
    assert not failures, "\n".join(failures)
    for kind in ("estimator", "result", "state", "training", "backend"):
        assert counts[kind] > 0.08 * n
    assert counts["fine"] > 0.2 * n
    assert counts["refused"] > 0.4 * n
    assert counts["fine"] + counts["refused"] > 0.98 * n


def case(seed):
    """One of each kind of end."""
    import ctypes
    import os

    if seed == 7:
        ctypes.string_at(0)
    if seed == 9:
        os.abort()
    if seed == 11:
        time.sleep(60)
    if seed == 13:
        os._exit(3)
    if seed == 15:
        raise KeyError("no such thing")
    return "fine"


def test_each_end_of_a_fork_is_blamed_on_its_case():
    outcomes = in_forks(case, range(20), each=6, seconds=2)
    assert list(outcomes) == list(range(20))
    ends = {seed: word for seed, word in outcomes.items() if word != "fine"}
    assert ends.pop(15).endswith("KeyError: 'no such thing'\n")
    assert ends == {
        7: "signal: SIGSEGV",
        9: "signal: SIGABRT",
        11: "hung: the fork did not end within 2 s",
        13: "exit: 3",
    }


SPOILED = {
    "backend": "guard.check = lambda *arguments: None; backend.check_inputs = guard.check",
    "estimator": "fitted.weights_of = careless",
}
"""What takes away the checks, of a back end's arrays and of an estimator's weights; by the kind of cases that fail."""


def test_what_is_there_is_found():
    """Cases fail without the checks: in other processes, for some of them end theirs."""
    code = f"""
import os, sys
sys.path.insert(0, {str(HERE)!r})
import numpy as np
import fuzz
from fastnn.estimators import fitted
from fastnn.fused import backend, guard

def careless(coefs, intercepts):
    sizes = (np.shape(coefs[0])[0], *(np.shape(W)[1] for W in coefs))
    params = np.concatenate([np.ravel(part) for pair in zip(coefs, intercepts) for part in pair]).astype(float)
    return fitted.Weights(sizes, params, list(coefs), list(intercepts))

fuzz.warm()
for kind, spoil in {SPOILED!r}.items():
    print("spoiled:", kind, flush=True)
    if not os.fork():
        exec(spoil)
        fuzz.main(0, 300)
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""
    command = [sys.executable, "-P", "-c", code]
    run = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
    for part in run.stdout.split("spoiled: ")[1:]:
        kind, *lines = part.splitlines()
        assert sum(f": {kind}: " in line or "signal" in line for line in lines) > 3, run.stderr
    assert run.stdout.count("spoiled: ") == len(SPOILED)
