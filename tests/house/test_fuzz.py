"""The fuzzer of public objects finds nothing, and would find what is there."""

import ctypes
import json
import os
import sys
import time

import pytest
from forks import in_forks
from survival import run

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, and their memory is limited")


SPOILED = {
    "backend": "guard.check = guard.check_inputs = lambda *arguments: None",
    "estimator": "fitted.weights_of = careless",
    "sparse": "validation.checked_sparse = lambda name, X: X",
    "exported": "to_c.decimal = lambda x: format(x, '.6g'); to_numpy.layers_of = lambda model: RIGHT_LAYERS(model)[:1]",
    "many": "results.Row.result = lambda row: dataclasses.replace(RIGHT(row), params=RIGHT(row).params * 2)",
    "population": "continued.Continued.copy = lambda self, member: self",
    "threads": "backend.share = lambda work, parts, threads: [work(part) for part in [*parts][1:]]",
    "file": "archive._short = lambda error: str(error) * 100",
    "state": "state.TrainingState.check = lambda self: None",
    "result": "results.TrainingResult.predict = lambda self, X, **options: RIGHT_PREDICT(self, X, **options) * 2",
    "training": "reference.ACTIVATION_FUNCTIONS['relu'] = reference.ACTIVATION_FUNCTIONS['tanh']",
    "made": "optimizers.Optimizer.from_dict = lambda values: None",
    "called": "arguments.MOST_CHARACTERS = arguments._SHORT.maxstring = arguments._SHORT.maxother = 10**6",
    "searched": "search._network = lambda network, settings: network",
    "scored": "scorers.Classifier.predict_proba = lambda self, outputs: outputs[:, ::-1]",
    "logged": "callbacks.CsvLogger._begin = lambda self, before: None",
    "values": "reference.ACTIVATION_FUNCTIONS['leaky_relu'] = reference.ACTIVATION_FUNCTIONS['relu']",
    "derivatives": "reference.NumpyBackend.input_jacobian = lambda self, *given: RIGHT_JACOBIAN(self, *given) * 2",
    "row": "function.check = lambda *arguments: None",
    "prepared": "preparation.LIMIT = 2.9",
    "table": "table_to_numpy.LIMIT = 2.9",
}
"""{each door: what takes away the checks of its cases, or makes a mistake, so that some fail}"""

SCRIPT = """
import dataclasses, os, sys
import numpy as np
import fuzz
from fastnn.estimators import fitted, validation
from fastnn.files import archive, to_c, to_numpy
from fastnn import optimizers, reference
from fastnn.checking import arguments
from fastnn.fused import backend, function, guard
from fastnn.many import population as continued
from fastnn.many import search
from fastnn.tabular import preparation, to_numpy as table_to_numpy
from fastnn.training import callbacks, results, scorers, state

RIGHT, RIGHT_LAYERS = results.Row.result, to_numpy.layers_of
RIGHT_JACOBIAN, RIGHT_PREDICT = reference.NumpyBackend.input_jacobian, results.TrainingResult.predict

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
        fuzz.main(0, 80, kind)
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""


def fuzz(first, n, timeout, spoiled=()):
    """Run the fuzzer, with the checks and in forks of its process without some; its lines, and its stderr."""
    done = run("-c", SCRIPT.format(first=first, n=n, spoiled=dict(spoiled)), timeout=timeout)
    parts = [part.splitlines() for part in done.stdout.split("spoiled: ")]
    assert [part[:1] for part in parts] == [[name] for name in ("right", *spoiled)], done.stderr
    return [part[1:] for part in parts], done.stderr


N = 2_000


def assert_finds_nothing(lines, n):
    """No case failed, of each door there were some, and nearly all were compared with what they should be."""
    failures, table = [line for line in lines if line.startswith("case ")], json.loads(lines[-1])
    assert not failures, "\n".join(failures)
    assert sorted(table) == sorted(SPOILED)
    counts = {word: sum(row[word] for row in table.values()) for word in table["estimator"]}
    assert sum(counts.values()) == n
    assert all(sum(row.values()) > 0.02 * n for row in table.values())
    assert counts["fine"] + counts["diverged"] > 0.3 * n < counts["refused"]
    assert counts["unknown"] < 0.02 * n


def test_no_public_object_can_be_made_to_hurt():
    (right,), _ = fuzz(0, N, 480)
    assert_finds_nothing(right, N)


def test_what_is_there_is_found():
    """Cases fail without the checks: in other processes, for some of them end theirs."""
    (_, *spoiled), stderr = fuzz(0, 1, 480, SPOILED)
    for kind, lines in zip(SPOILED, spoiled, strict=True):
        assert sum(line.startswith("case ") for line in lines) > 2, f"{kind}: {lines[:-1]}, {stderr}"


@pytest.mark.slow
def test_no_public_object_can_be_made_to_hurt_in_many_cases():
    (right,), _ = fuzz(10_000, 100_000, 7_200)
    assert_finds_nothing(right, 100_000)


ENDS = {
    7: lambda: ctypes.string_at(0),
    9: os.abort,
    11: lambda: time.sleep(60),
    13: lambda: os._exit(3),
    15: {}.popitem,
}


def test_each_end_of_a_fork_is_blamed_on_its_case():
    outcomes = in_forks(lambda seed: ENDS.get(seed, lambda: "fine")(), range(20), each=6, seconds=2)
    assert list(outcomes) == list(range(20))
    ends = {seed: word for seed, word in outcomes.items() if word != "fine"}
    assert ends.pop(15).endswith("KeyError: 'popitem(): dictionary is empty'\n")
    assert ends.pop(11) == "hung: the fork did not end within 2 s"
    assert ends == {7: "signal: SIGSEGV", 9: "signal: SIGABRT", 13: "exit: 3"}
