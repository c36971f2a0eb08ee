"""Every public object arrives: through pickle and copy, and through the pools that people train in."""

import copy
import pickle

import pytest
from public import OBJECTS, classes, same, values
from survival import python
from sweep import diverge

import fastnn
from fastnn import testing


def test_there_is_an_object_of_each_public_class():
    made = {kind for thing in OBJECTS for kind in type(thing).__mro__}
    assert {kind.__name__ for kind in classes() - made} == set()
    assert len(values()) > 25


WAYS = {f"protocol {n}": lambda thing, n=n: pickle.loads(pickle.dumps(thing, n)) for n in range(6)}
WAYS |= {"copy": copy.copy, "deepcopy": copy.deepcopy}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("i", range(len(OBJECTS)), ids=lambda i: f"{i} {type(OBJECTS[i]).__name__}")
def test_an_object_arrives(i, way):
    assert same(WAYS[way](OBJECTS[i]), OBJECTS[i])


@pytest.mark.parametrize("way", WAYS)
def test_classes_and_functions_arrive_as_they_are(way):
    assert [thing for thing in values() if WAYS[way](thing) is not thing] == []


MOVED = {
    "fastnn.training.results": [fastnn.History],
    "fastnn.testing.check": [testing.Check],
    "fastnn.testing.differences": [testing.Difference],
    "fastnn.testing.matching": [testing.Match],
    "fastnn.testing.report": [testing.Outcome, testing.Report],
}
"""Classes in pickles of public objects, by the modules in which earlier versions had them: these pickles name them."""


@pytest.mark.parametrize("module", MOVED)
def test_pickles_of_earlier_versions_find_their_classes(module):
    for kind in MOVED[module]:
        by_name = pickle.GLOBAL + f"{module}\n{kind.__name__}\n".encode() + pickle.STOP
        assert pickle.loads(by_name) is kind
        assert kind.__module__ != module


POOLS = """
import concurrent.futures, multiprocessing, sys
import joblib
from public import OBJECTS, echo, same, throw
from sweep import diverge

def in_a_pool(kind, function, things):
    if kind == "multiprocessing":
        with multiprocessing.Pool(2) as pool:
            return pool.map_async(function, things).get(60)
    if kind == "concurrent.futures":
        with concurrent.futures.ProcessPoolExecutor(2) as pool:
            return list(pool.map(function, things, timeout=600))
    return joblib.Parallel(2, timeout=600)(joblib.delayed(function)(thing) for thing in things)

def what_is_raised(kind, function, things):
    try:
        in_a_pool(kind, function, things)
    except Exception as error:
        return error

def try_out(kind):
    # what Parallel runs on; Parallel itself starts new processes after each error
    one_by_one = joblib.externals.loky.ProcessPoolExecutor(1) if kind == "joblib" else None
    back = list(one_by_one.map(echo, OBJECTS)) if one_by_one else in_a_pool(kind, echo, OBJECTS)
    lost = {type(a).__name__ for a, b in zip(OBJECTS, back, strict=True) if not same(a, b)}
    for error in OBJECTS:
        if isinstance(error, Exception):  # a KeyboardInterrupt ends a pool, whoever raises it
            there = (
                one_by_one.submit(throw, error).exception(60) if one_by_one else what_is_raised(kind, throw, [error])
            )
            assert type(there) is type(error) and there.args == error.args, repr(there)
            assert same(vars(there).get("result"), vars(error).get("result"))
    error = what_is_raised(kind, diverge, range(6))
    print(kind, lost, type(error).__name__, error.result.n_epochs)

for kind in sys.argv[1:]:
    try_out(kind)
"""
KINDS = ("multiprocessing", "concurrent.futures", "joblib")


def test_objects_arrive_in_a_pool_and_errors_are_raised_there():
    """One member of a sweep that diverges ends it with its own error, where it hung the pool or broke it."""
    pytest.importorskip("joblib", reason="joblib comes with scikit-learn")
    with pytest.raises(fastnn.DivergenceError) as alone:
        diverge(2)
    assert python(POOLS, *KINDS) == [f"{kind} set() DivergenceError {alone.value.result.n_epochs}" for kind in KINDS]


def test_a_progress_that_was_sent_says_why_it_has_no_result():
    (progress,) = (thing for thing in OBJECTS if type(thing).__name__ == "Progress")
    with pytest.raises(RuntimeError, match="copy"):
        pickle.loads(pickle.dumps(progress)).result()
