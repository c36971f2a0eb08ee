"""The fuzzer of public objects finds nothing, and would find what is there."""

import ctypes
import json
import os
import sys
import time

import pytest
from forks import in_forks
from survival import HERE, run

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="forks, and their memory is limited"
)


@pytest.mark.parametrize(
    ("first", "n"), [(0, 2_000), pytest.param(10_000, 100_000, marks=pytest.mark.slow)]
)
def test_no_public_object_can_be_made_to_hurt(first, n):
    """No case fails, of each door there are some, and nearly all are compared with what they should
    be."""
    done = run(HERE / "fuzz.py", first, n, timeout=480 + n // 15)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, [line for line in lines if line.startswith("case ")] or done.stderr
    table = json.loads(lines[-1])
    assert len(table) == 13
    counts = {word: sum(row[word] for row in table.values()) for word in table["estimator"]}
    assert sum(counts.values()) == n
    assert all(sum(row.values()) > 0.02 * n for row in table.values())
    assert counts["fine"] + counts["diverged"] > 0.3 * n < counts["refused"]
    assert counts["unknown"] < 0.02 * n


SPOILED = {
    "backend": "guard.check = guard.check_inputs = lambda *arguments: None",
    "sparse": "validation.checked_matrix = sparse.checked_matrix = lambda name, X: X",
    "file": "archive.shortened = lambda text, most: text * 100",
    "state": "state.TrainingState.check = lambda self: None",
    "training": "reference.ACTIVATION_FUNCTIONS['relu'] = reference.ACTIVATION_FUNCTIONS['tanh']",
    "made": "optimizers.Optimizer.from_dict = lambda values: None",
    "row": "function.check = lambda *arguments: None",
    "prepared": "preparation.LIMIT = 2.9",
    "ways": "to_numpy.LIMIT = 2.9",
}
"""{a door: what takes away a check, or makes a mistake}"""

SPOIL = """
import json, os, sys
import fuzz
from fastnn import optimizers, reference, sparse
from fastnn.estimators import validation
from fastnn.files import archive
from fastnn.fused import backend, function, guard
from fastnn.tabular import preparation, to_numpy
from fastnn.training import state
fuzz.warm()
fuzz.warm = lambda: None
for door, spoil in json.loads(sys.argv[1]).items():
    if not (child := os.fork()):
        exec(spoil)
        os._exit(min(100, fuzz.main(0, 80, door)))
    sys.stderr.write(f"{door} {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\\n")
"""


@pytest.mark.slow
def test_what_is_there_is_found():
    told = [line.split() for line in run("-c", SPOIL, json.dumps(SPOILED)).stderr.splitlines()]
    assert [door for door, _ in told] == [*SPOILED], told
    assert [(door, n) for door, n in told if int(n) < 3] == []


WITHOUT = """
import sys
sys.modules.update({"onnx": None, "onnxruntime": None, "safetensors": None})
import fuzz
sys.exit(sum(fuzz.main(0, 60, door) for door in ("file", "ways")))
"""


def test_no_package_of_a_format_needs_to_be_there():
    done = run("-c", WITHOUT)
    assert done.returncode == 0, done.stdout + done.stderr


ENDS = {
    7: lambda: ctypes.string_at(0),
    9: os.abort,
    11: lambda: time.sleep(3600),
    13: lambda: os._exit(3),
    15: {}.popitem,
}


def test_each_end_of_a_fork_is_blamed_on_its_case():
    def case(seed):
        return ENDS.get(seed, lambda: "fine")()

    ending = [seed for seed in range(20) if seed != 11]
    outcomes = in_forks(case, ending, each=6)
    assert list(outcomes) == ending
    ends = {seed: word for seed, word in outcomes.items() if word != "fine"}
    assert ends.pop(15).endswith("KeyError: 'popitem(): dictionary is empty'\n")
    assert in_forks(case, [11], seconds=1) == {11: "hung: the fork did not end within 1 s"}
    assert ends == {7: "signal: SIGSEGV", 9: "signal: SIGABRT", 13: "exit: 3"}
