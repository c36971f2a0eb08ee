"""The fuzzer of public objects finds nothing, and would find what is there."""

import json
import subprocess
import sys
import time

import pytest
from forks import in_forks
from survival import HERE, environment

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, and their memory is limited")


SPOILED = {
    "backend": "guard.check = lambda *arguments: None; backend.check_inputs = guard.check",
    "estimator": "fitted.weights_of = careless",
}
"""What takes away the checks, of a back end's arrays and of an estimator's weights; by the kind of cases that fail."""

SCRIPT = """
import os, sys
sys.path.insert(0, {folder!r})
import numpy as np
import fuzz
from fastnn.estimators import fitted
from fastnn.fused import backend, guard

def careless(coefs, intercepts):
    sizes = (np.shape(coefs[0])[0], *(np.shape(W)[1] for W in coefs))
    params = np.concatenate([np.ravel(part) for pair in zip(coefs, intercepts) for part in pair]).astype(float)
    return fitted.Weights(sizes, params, list(coefs), list(intercepts))

print("right", flush=True)
fuzz.main({first}, {n})
for kind, spoil in {spoiled!r}.items():
    print("spoiled:", kind, flush=True)
    if not os.fork():
        exec(spoil)
        fuzz.main(0, 300)
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""


def fuzz(first, n, timeout, spoiled=()):
    """Run the fuzzer, with the checks and in forks of its process without some; its lines, and its stderr."""
    code = SCRIPT.format(folder=str(HERE), first=first, n=n, spoiled=dict(spoiled))
    command, streams = [sys.executable, "-P", "-c", code], {"capture_output": True, "text": True}
    run = subprocess.run(command, env=environment(), timeout=timeout, **streams)
    parts = [part.splitlines() for part in run.stdout.split("spoiled: ")]
    assert [part[0] for part in parts] == ["right", *spoiled], run.stderr
    return [part[1:] for part in parts], run.stderr


def assert_finds_nothing(lines, n):
    *failures, counts = lines
    assert not failures, "\n".join(failures)
    counts = json.loads(counts)
    for kind in ("estimator", "result", "state", "training", "backend"):
        assert counts[kind] > 0.08 * n
    assert counts["fine"] > 0.2 * n
    assert counts["refused"] > 0.4 * n
    assert counts["fine"] + counts["refused"] > 0.98 * n


@pytest.fixture(scope="module")
def fuzzed():
    """What the fuzzer says, with the checks and without them, in one process, which takes long to begin."""
    return fuzz(0, 800, 240, SPOILED)


def test_no_public_object_can_be_made_to_hurt(fuzzed):
    (right, *_), _ = fuzzed
    assert_finds_nothing(right, 800)


def test_what_is_there_is_found(fuzzed):
    """Cases fail without the checks: in other processes, for some of them end theirs."""
    (_, *spoiled), stderr = fuzzed
    for kind, lines in zip(SPOILED, spoiled, strict=True):
        assert sum(f": {kind}: " in line or "signal" in line for line in lines) > 3, stderr


@pytest.mark.slow
def test_no_public_object_can_be_made_to_hurt_in_many_cases():
    (right,), _ = fuzz(10_000, 100_000, 7_200)
    assert_finds_nothing(right, 100_000)


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
