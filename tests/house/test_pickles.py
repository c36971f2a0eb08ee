"""Every public object arrives: through pickle and copy, and through the pools that people train
in."""

import copy
import pickle

import pytest
from public import CLASSES, OBJECTS, VALUES, diverge, same
from survival import python

import fastnn


def test_there_is_an_object_of_each_public_class():
    made = {kind for thing in OBJECTS for kind in type(thing).__mro__}
    assert [kind.__name__ for kind in CLASSES if kind not in made] == []
    assert len(VALUES) > 25


WAYS = {f"protocol {n}": lambda thing, n=n: pickle.loads(pickle.dumps(thing, n)) for n in range(6)}
WAYS |= {"copy": copy.copy, "deepcopy": copy.deepcopy}


@pytest.mark.parametrize("way", WAYS)
def test_objects_arrive(way):
    """Classes and functions arrive as they are."""
    assert [thing for thing in OBJECTS if not same(WAYS[way](thing), thing)] == []
    assert [thing for thing in VALUES if WAYS[way](thing) is not thing] == []


MOVED = {
    "fastnn.training.results": [fastnn.History],
}
"""Classes in pickles of public objects, by the modules in which earlier versions had them: these
pickles name them."""


@pytest.mark.parametrize("module", MOVED)
def test_pickles_of_earlier_versions_find_their_classes(module):
    for kind in MOVED[module]:
        assert (
            pickle.loads(pickle.GLOBAL + f"{module}\n{kind.__name__}\n".encode() + pickle.STOP)
            is kind
        )
        assert kind.__module__ != module


POOLS = """
import concurrent.futures, multiprocessing, sys
import joblib
from public import OBJECTS, diverge, echo, same, throw

def in_parallel(function, things):
    return joblib.Parallel(2, timeout=600)(joblib.delayed(function)(thing) for thing in things)

def what_is_raised(call, function, things):
    try:
        return list(call(function, things))
    except Exception as error:
        return error

def try_out(kind, call):
    back = list(call(echo, OBJECTS))
    lost = {type(a).__name__ for a, b in zip(OBJECTS, back, strict=True) if not same(a, b)}
    for error in OBJECTS:
        if isinstance(error, Exception):  # a KeyboardInterrupt ends a pool, whoever raises it
            there = what_is_raised(call, throw, [error])
            assert type(there) is type(error) and there.args == error.args, repr(there)
            assert same(vars(there).get("result"), vars(error).get("result"))
    error = what_is_raised(in_parallel if kind == "loky" else call, diverge, range(6))
    print(kind, lost, type(error).__name__, error.result.n_epochs)

with multiprocessing.Pool(2) as pool:
    try_out("multiprocessing", lambda function, things: pool.map_async(function, things).get(60))
# of joblib what Parallel runs on; Parallel itself starts new processes after each error
for kind, futures in ("futures", concurrent.futures), ("loky", joblib.externals.loky):
    with futures.ProcessPoolExecutor(1 + (kind == "futures")) as pool:
        try_out(kind, lambda function, things: pool.map(function, things, timeout=600))
"""
KINDS = ("multiprocessing", "futures", "loky")


def test_objects_arrive_in_a_pool_and_errors_are_raised_there():
    """One member of a sweep that diverges ends it with its own error, where it hung the pool or
    broke it."""
    pytest.importorskip("joblib", reason="joblib comes with scikit-learn")
    with pytest.raises(fastnn.DivergenceError) as alone:
        diverge(2)
    assert python(POOLS) == [
        f"{kind} set() DivergenceError {alone.value.result.n_epochs}" for kind in KINDS
    ]


def test_a_progress_that_was_sent_says_why_it_has_no_result():
    (progress,) = (thing for thing in OBJECTS if type(thing).__name__ == "Progress")
    with pytest.raises(RuntimeError, match="copy"):
        pickle.loads(pickle.dumps(progress)).result()
