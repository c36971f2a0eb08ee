"""train_many on the workers of joblib's engines: what is sent, and clear errors. The same bits: test_clusters.py."""

from __future__ import annotations

import os
import sys
import threading

import numpy as np
import pytest
from bits import assert_same_result, assert_same_results

import fastnn
from fastnn import SGD, Adam, Network, Stop, train_many
from fastnn.many import driver, engine
from fastnn.many.driver import Driver
from fastnn.many.engine import Laid
from fastnn.reference import NumpyBackend

joblib = pytest.importorskip("joblib", reason="joblib comes with scikit-learn")

RANDOM = np.random.RandomState(1)
X, Y = RANDOM.rand(40, 3), RANDOM.rand(40, 1)
NETWORK = Network((3, 5, 1), "sigmoid", "sigmoid")
SHORT = {"seed": range(30), "epochs": [3, 5] * 15, "batch_size": 7, "optimizer": Adam(0.01)}
STOPPED = {"seed": range(4), "epochs": 30, "stop": Stop(patience=2, validation=0.3, restore_best=True)}


@pytest.fixture(scope="module", autouse=True)
def _loky():
    """End the workers, which other tests need not share their cores with."""
    yield
    joblib.externals.loky.get_reusable_executor().shutdown(wait=True)


def go(case, **options):
    return train_many(NETWORK, X, Y, **case | options)


def refused(match, case=SHORT, **options):
    """The EngineError of trainings on two workers."""
    with joblib.parallel_config("loky", n_jobs=2), pytest.raises(fastnn.EngineError, match=match):
        go(case, **options)


def test_a_choice_is_the_users():
    """Threads of this process without one; all workers with one, whatever joblib's default."""
    members = 3
    assert driver.chosen_engine(None) is None
    with joblib.parallel_config("threading"):
        assert driver.chosen_engine(None) is None
    with joblib.parallel_config("loky"):
        assert driver.chosen_engine(None).n_workers == joblib.cpu_count()
        assert driver.chosen_engine(members).n_workers == members
    with joblib.parallel_config("loky", n_jobs=members):
        assert driver.chosen_engine(None).n_workers == members


def test_an_engine_that_always_fails_is_an_error(monkeypatch):
    monkeypatch.setattr(engine, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(engine, "ATTEMPTS", 2)  # each of which starts workers
    monkeypatch.setattr(engine, "train_packed", os.abort)  # whose arguments are wrong
    refused("failed 2 times, 30 members")


def monitor_that_raises(Y, outputs):
    raise ZeroDivisionError("of the caller's own")


def test_an_error_of_a_member_arrives():
    stop = Stop(monitor=monitor_that_raises)
    with (
        joblib.parallel_config("loky", n_jobs=2),
        pytest.raises(fastnn.MonitorError, match="of the caller's own") as error,
    ):
        go(STOPPED, stop=stop)
    assert str(error.value).startswith("member ")


class TwoArguments(Exception):
    """It hands on one text, and so cannot be made again of its pickle."""

    def __init__(self, step, why):
        super().__init__(f"step {step}: {why}")


class WithALock(Exception):
    def __init__(self, why):
        super().__init__(why)
        self.lock = threading.Lock()


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    def __reduce__(self):
        raise RuntimeError("no pickle")


class Raising:
    """A learning rate that raises an error, made in the worker."""

    def __init__(self, kind, *given):
        self.kind, self.given = kind, given

    def __call__(self, step):
        raise self.kind(*self.given)


ERRORS = [
    (Raising(ZeroDivisionError, "sensor gone"), ZeroDivisionError, "sensor gone"),
    (Raising(TwoArguments, 0, "sensor gone"), RuntimeError, "TwoArguments: step 0: sensor gone"),
    (Raising(WithALock, "gone " * 500), RuntimeError, "WithALock: gone gone"),
    (Raising(Unprintable), RuntimeError, "Unprintable: its text cannot be had"),
]


@pytest.mark.parametrize(("rate", "kind", "text"), ERRORS, ids=[text for *_, text in ERRORS])
def test_an_error_of_any_class_arrives_at_once_with_its_text(rate, kind, text, monkeypatch):
    monkeypatch.setattr(engine, "ATTEMPTS", 1)
    with joblib.parallel_config("loky", n_jobs=2), pytest.raises(kind) as caught:
        go(SHORT, optimizer=SGD(rate))
    assert str(caught.value).startswith(text)
    assert len(str(caught.value)) <= 1000
    assert f"fastnn: this was member {caught.value.member}" in caught.value.__notes__
    if kind is RuntimeError:
        assert any("in __call__\n" in note for note in caught.value.__notes__)


class Locked(NumpyBackend):
    """A back end that cannot be pickled."""

    __repr__ = object.__repr__

    def __init__(self):
        self.lock = threading.Lock()


def monitor_with_a_lock():
    lock = threading.Lock()
    return lambda Y, outputs: float(lock.locked())


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"stop": Stop(monitor=monitor_with_a_lock())}, "<function monitor_with_a_lock"),
        ({"backend": Locked()}, "<.*Locked object"),
        ({"optimizer": SGD(monitor_with_a_lock())}, r"SGD\(learning_rate=<function monitor_with_a_lock"),
    ],
    ids=["monitor", "back end", "learning rate"],
)
def test_what_cannot_be_sent_is_named(options, name, monkeypatch):
    """Before anything is sent: Dask waits for ever for what it could not pickle."""
    monkeypatch.setattr(joblib.Parallel, "__call__", lambda *args: pytest.fail("it was sent"))
    refused(f"cannot train: {name}.* cannot be pickled .*lock", **options)


class Once:
    """A monitor that can be pickled, but not unpickled."""

    def __call__(self, Y, outputs):
        return 1.0

    def __reduce__(self):
        return divmod, (1, 0)


def test_what_cannot_be_unpickled_is_named(monkeypatch):
    monkeypatch.setattr(joblib.Parallel, "__call__", lambda *args: pytest.fail("it was sent"))
    refused(r"cannot train: <.*Once object.*> cannot be unpickled: ZeroDiv", STOPPED, stop=Stop(monitor=Once()))


def test_an_engine_without_workers_is_an_error(monkeypatch):
    """Dask's raises TimeoutError, after ten seconds."""

    def wait(self, n_jobs):
        raise TimeoutError("no worker after 10 seconds")

    monkeypatch.setattr(joblib.parallel.BACKENDS["loky"], "effective_n_jobs", wait)
    refused("engine loky has no workers: TimeoutError: no worker after 10 seconds")


def test_a_worker_that_comes_late_with_another_version_is_refused(monkeypatch):
    right = engine.packed

    def packed(units):
        plan, arrays = right(units)
        return plan._replace(version="9.9"), arrays

    monkeypatch.setattr(engine, "packed", packed)
    refused(f"a worker of the engine has fastnn {fastnn.__version__}.*9.9")


def test_a_callback_need_not_be_pickled(monkeypatch):
    seen, lock = [], threading.Lock()

    def callback(progress):
        with lock:
            seen.extend(progress.ended)

    with joblib.parallel_config("loky", n_jobs=2):
        go(STOPPED, callbacks=[callback])
    assert sorted(seen) == [0, 1, 2, 3]


def test_memory_maps_give_the_same_bits():
    """joblib maps arrays of more than 1 MB into its workers' memory, where nobody can write them."""
    big = np.random.RandomState(2).rand(50_000, 3)
    case = {"seed": range(6), "epochs": 2, "batch_size": 500}
    here = train_many(NETWORK, big, big[:, :1], **case)
    with joblib.parallel_config("loky", n_jobs=2):
        kinds = joblib.Parallel(prefer="threads")(joblib.delayed(kind)(big) for _ in range(2))
        there = train_many(NETWORK, big, big[:, :1], **case)
    assert kinds == [("memmap", False)] * 2
    assert_same_results(here, there)


def kind(array):
    """How an array came."""
    return type(array).__name__, array.flags.writeable


def nowhere(folder):
    return False


def missing(arrays, folder):
    return {id(array): Laid(f"{folder}/missing", [], []) for array in arrays}


@pytest.mark.parametrize("where", ["here", "elsewhere", "one came later"])
def test_data_of_all_tasks_go_in_a_file_once(where, monkeypatch):
    """In the messages where a worker is on another machine, also one that comes later; with the same bits."""
    sent, right = [], engine.train_packed
    monkeypatch.setattr(engine, "TASK_SECONDS", 1e-9)
    monkeypatch.setattr(engine, "PAUSE_SECONDS", 0.01)
    if where == "elsewhere":
        monkeypatch.setattr(engine, "reaches", nowhere)
    if where == "one came later":
        monkeypatch.setattr(engine, "files_of", missing)
    delayed = joblib.delayed

    def recorded(function):
        if function is not right:
            return delayed(function)
        return lambda numbers, plan, *arrays: sent.append(arrays) or delayed(function)(numbers, plan, *arrays)

    monkeypatch.setattr(joblib, "delayed", recorded)
    X, own = RANDOM.rand(5000, 3), [RANDOM.rand(5000, 1) for _ in range(4)]
    case = {"seed": range(4), "epochs": 1, "batch_size": 500}
    here = train_many(NETWORK, X, own, **case)
    with joblib.parallel_config("loky", n_jobs=2):
        there = train_many(NETWORK, X, own, **case)
    assert_same_results(here, there)
    found = {tuple(isinstance(array, Laid) for array in arrays[:3]) for arrays in sent}  # X, a member's own Y, weights
    on_linux = sys.platform == "linux"
    in_files, in_messages = (on_linux, False, on_linux), (False, False, False)
    expected = {"here": {in_files}, "elsewhere": {in_messages}, "one came later": {in_files, in_messages}}
    assert found == expected[where]


def test_workers_with_another_version_are_refused(monkeypatch):
    monkeypatch.setattr(engine, "__version__", "9.9")
    refused(f"{fastnn.__version__}.*9.9")


def test_a_generator_of_the_callers_stays_here():
    own, twin = np.random.RandomState(4), np.random.RandomState(4)
    with joblib.parallel_config("loky", n_jobs=2):
        there = train_many(NETWORK, X, Y, seed=[own, 5], epochs=2)
    here = train_many(NETWORK, X, Y, seed=[twin, 5], epochs=2)
    assert_same_results(here, there)
    assert own.randint(2**30) == twin.randint(2**30)


def test_a_callback_ends_the_trainings(monkeypatch):
    """It is called in this process; members that have not begun have no epoch."""
    monkeypatch.setattr(engine, "TASK_SECONDS", 1e-9)
    seen = []

    def callback(progress):
        seen.append(progress)
        return len(seen) == 2

    with joblib.parallel_config("loky", n_jobs=2):
        many = go(STOPPED, stop=Stop(monitor="r2"), callbacks=[callback])
    assert len(seen) == 2
    assert (many.stop_reason == "callback").sum() == 4 - seen[-1].n_ended
    assert isinstance(seen[0].result(seen[0].ended[0]), fastnn.TrainingResult)


def test_units_of_one_block_go_to_the_engine_too(monkeypatch):
    seen = []
    right = Driver._on_engine
    monkeypatch.setattr(Driver, "_on_engine", lambda self, *args: (seen.append(len(self.units)), right(self, *args)))
    with joblib.parallel_config("loky", n_jobs=2):
        go(SHORT, seed=[1], epochs=3)
    assert seen == [1]


def test_a_population_sends_the_rows_of_its_members_only(monkeypatch):
    sent = []
    right = engine.packed
    monkeypatch.setattr(engine, "TASK_SECONDS", 1e-9)

    def advanced():
        population = fastnn.Population(NETWORK, X, Y, seed=range(40), batch_size=None)
        population.advance(2)
        population.advance(dict.fromkeys(range(0, 40, 2), 3))
        return population

    here = advanced()
    with joblib.parallel_config("loky", n_jobs=2):
        monkeypatch.setattr(engine, "packed", lambda units: sent.append(right(units)) or sent[-1])
        there = advanced()
    states = [own.state for plan, _ in sent for unit in plan.units for own in unit.plans if own.state is not None]
    assert len(states) == 20
    assert sum({id(state.store): len(state.store.steps) for state in states}.values()) == 20
    for member in here:
        assert_same_result(here[member], there[member])
