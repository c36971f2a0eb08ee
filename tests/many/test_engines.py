"""train_many on the workers of joblib's engines: what is sent, and clear errors."""

import os
import pickle
import threading
from unittest import mock

import numpy as np
import pytest
from bits import assert_same_results
from watched import watch

import fastnn
from fastnn import SGD, Adam, Network, Stop, train, train_many
from fastnn.many import driver, engine
from fastnn.reference import NumpyBackend
from fastnn.sparse import sparse_rows
from fastnn.training.results import Row

joblib = pytest.importorskip("joblib", reason="joblib comes with scikit-learn")

RANDOM = np.random.RandomState(1)
X = RANDOM.rand(40, 3)
Y = RANDOM.rand(40, 1)
NETWORK = Network((3, 5, 1), "sigmoid", "sigmoid")
SHORT = {"seed": range(30), "epochs": [3, 5] * 15, "batch_size": 7, "optimizer": Adam(0.01)}


@pytest.fixture(scope="module", autouse=True)
def _loky():
    """End the workers, which other tests need not share their cores with."""
    yield
    joblib.externals.loky.get_reusable_executor().shutdown(wait=True)


def go(**options):
    return train_many(NETWORK, X, Y, **SHORT | options)


def refused(match, **options):
    """The EngineError of trainings on two workers."""
    with joblib.parallel_config("loky", n_jobs=2), pytest.raises(fastnn.EngineError, match=match):
        go(**options)


def test_a_choice_is_the_users():
    """Threads of this process without one; all workers with one, whatever joblib's default."""
    assert driver.chosen_engine(None) is None
    with joblib.parallel_config("threading"):
        assert driver.chosen_engine(None) is None
    with joblib.parallel_config("loky"):
        assert driver.chosen_engine(None).n_workers == joblib.cpu_count()
        assert driver.chosen_engine(3).n_workers == 3
    with joblib.parallel_config("loky", n_jobs=3):
        assert driver.chosen_engine(None).n_workers == 3


def test_an_engine_that_always_fails_is_an_error(monkeypatch):
    monkeypatch.setattr(engine, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(engine, "ATTEMPTS", 2)  # each of which starts workers
    monkeypatch.setattr(engine, "train_packed", os.abort)  # whose arguments are wrong
    refused("failed 2 times, 30 members")


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
    """A learning rate or a monitor that raises an error, made in the worker."""

    def __init__(self, kind, *given):
        self.kind = kind
        self.given = given

    def __call__(self, *step):
        raise self.kind(*self.given)


GONE = Raising(ZeroDivisionError, "sensor gone")
ERRORS = [
    ({"optimizer": SGD(GONE)}, ZeroDivisionError, "sensor gone"),
    (
        {"optimizer": SGD(Raising(TwoArguments, 0, "gone"))},
        RuntimeError,
        "TwoArguments: step 0: gone",
    ),
    ({"optimizer": SGD(Raising(WithALock, "gone " * 500))}, RuntimeError, "WithALock: gone gone"),
    ({"optimizer": SGD(Raising(Unprintable))}, RuntimeError, "Unprintable: its text cannot be had"),
    ({"stop": Stop(monitor=GONE)}, fastnn.MonitorError, "member .* after epoch 1 .*sensor gone"),
]


@pytest.mark.parametrize(("options", "kind", "text"), ERRORS, ids=[text for *_, text in ERRORS])
def test_an_error_of_any_class_arrives_at_once_with_its_text(options, kind, text, monkeypatch):
    monkeypatch.setattr(engine, "ATTEMPTS", 1)
    with joblib.parallel_config("loky", n_jobs=2), pytest.raises(kind, match=f"^{text}") as caught:
        go(**options)
    assert len(str(caught.value)) <= 1000
    member = f"member {caught.value.member}"
    notes = caught.value.__notes__
    assert f"fastnn: this was {member}" in notes or str(caught.value).startswith(f"{member}: ")
    if kind is RuntimeError:
        assert any("in __call__\n" in note for note in notes)


class Locked(NumpyBackend):
    __repr__ = object.__repr__

    def __init__(self):
        self.lock = threading.Lock()


def monitor_with_a_lock():
    lock = threading.Lock()
    return lambda Y, outputs: float(lock.locked())


class Once:
    """A monitor that can be pickled, but not unpickled."""

    def __call__(self, Y, outputs):
        return 1.0

    def __reduce__(self):
        return divmod, (1, 0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"stop": Stop(monitor=monitor_with_a_lock())},
            "<function monitor_with_a_lock.* cannot be pickled .*lock",
        ),
        ({"backend": Locked()}, "<.*Locked object.* cannot be pickled .*lock"),
        (
            {"optimizer": SGD(monitor_with_a_lock())},
            r"SGD\(learning_rate=<function .* cannot be pickled .*lock",
        ),
        ({"stop": Stop(monitor=Once())}, "<.*Once object.*> cannot be unpickled: ZeroDiv"),
    ],
)
def test_what_cannot_be_sent_is_named(options, text, monkeypatch):
    """Before anything is sent: Dask waits for ever for what it could not pickle."""
    monkeypatch.setattr(joblib.Parallel, "__call__", lambda *args: pytest.fail("it was sent"))
    refused(f"cannot train: {text}", **options)


def test_an_engine_without_workers_is_an_error(monkeypatch):
    """Dask's raises TimeoutError, after ten seconds."""
    wait = mock.Mock(side_effect=TimeoutError("no worker after 10 seconds"))
    monkeypatch.setattr(joblib.parallel.BACKENDS["loky"], "effective_n_jobs", wait)
    refused("engine loky has no workers: TimeoutError: no worker after 10 seconds")


@pytest.mark.parametrize("late", [False, True])
def test_workers_with_another_version_are_refused(late, monkeypatch):
    right = engine.packed

    def packed(units):
        plan, arrays = right(units)
        return plan._replace(version="9.9"), arrays

    if late:
        monkeypatch.setattr(engine, "packed", packed)
        refused(f"a worker of the engine has fastnn {fastnn.__version__}.*9.9")
    else:
        monkeypatch.setattr(engine, "__version__", "9.9")
        refused(f"{fastnn.__version__}.*9.9")


@pytest.mark.parametrize("first", [0, 20], ids=["whole", "slice"])
def test_sparse_rows_go_with_tasks_and_come_back_with_the_bits_of_dense_ones(first):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    dense = RANDOM.rand(first + 40, 100) * (RANDOM.rand(first + 40, 100) < 0.05)
    rows = sparse_rows("X", scipy_sparse.csr_matrix(dense))[first:]
    case = {"epochs": 3, "seed": range(4)}
    with joblib.parallel_config("loky", n_jobs=2):
        far = train_many(Network((100, 5, 1)), rows, Y, **case)
    assert_same_results(far, train_many(Network((100, 5, 1)), dense[first:], Y, **case))


@pytest.mark.parametrize("lost", [False, True])
def test_data_go_with_tasks_and_come_back_with_the_same_bits(lost, monkeypatch):
    """Each array once in a task, where X is of several MB and a member's targets are its own; also
    where a worker was lost."""
    sent = watch(monkeypatch, engine, "packed")
    monkeypatch.setattr(engine, "TASK_SECONDS", 1e-9)
    monkeypatch.setattr(engine, "PAUSE_SECONDS", 0.01)
    X = RANDOM.rand(50_000, 3)
    own = [RANDOM.rand(50_000, 1) for _ in range(4)]
    case = {"seed": range(4), "epochs": 1, "batch_size": 500, "rows": np.arange(500)}
    here = train_many(NETWORK, X, own, **case)
    if lost:
        monkeypatch.setattr(engine.Engine, "_answers", failing_once(engine.Engine._answers))
    with joblib.parallel_config("loky", n_jobs=2):
        there = train_many(NETWORK, X, own, **case)
    assert_same_results(here, there)
    for call in sent:
        _, arrays = call.result
        assert len({id(array) for array in arrays}) == len(arrays)


def failing_once(right):
    """The answers of workers, of which the first ones are lost with theirs."""
    calls = []

    def answers(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise RuntimeError("a worker was lost")
        yield from right(*arguments)

    return answers


@pytest.mark.parametrize("name", ["threading", "loky"])
def test_a_generator_of_the_callers_stays_here_and_goes_on(name):
    own = np.random.RandomState(4)
    twin = np.random.RandomState(4)
    with joblib.parallel_config(name, n_jobs=2):
        many = train_many(NETWORK, X, Y, seed=[own, 5], epochs=2)
    assert_same_results(many, [train(NETWORK, X, Y, seed=seed, epochs=2) for seed in (twin, 5)])
    assert own.randint(2**30) == twin.randint(2**30)


@pytest.mark.parametrize("most", [2, 21])
def test_callbacks_are_called_here_and_end_the_trainings(most, monkeypatch, recwarn):
    """They need not be pickled; members that have not begun have no epoch."""
    monkeypatch.setattr(engine, "TASK_SECONDS", 1e-9)
    seen = []

    def callback(progress):
        seen.append(progress)
        return len(seen) == most

    with joblib.parallel_config("loky", n_jobs=2):
        many = go(seed=range(20), epochs=50, stop=Stop(monitor="r2"), callbacks=[callback])
    assert len(seen) == min(most, 20)
    assert len({number for progress in seen for number in progress.ended}) == seen[-1].n_ended
    assert (many.stop_reason == "callback").sum() == 20 - seen[-1].n_ended
    assert isinstance(seen[0].result(seen[0].ended[0]), fastnn.TrainingResult)
    # joblib's, of the other tasks
    assert "cancelled" not in "".join(str(warning.message) for warning in recwarn)


def test_units_of_one_block_go_to_the_engine_too(monkeypatch):
    calls = watch(monkeypatch, driver.Driver, "_on_engine")
    with joblib.parallel_config("loky", n_jobs=2):
        go(seed=[1], epochs=3)
    assert [len(of_call.arguments[0].units) for of_call in calls] == [1]


def test_a_population_sends_the_rows_of_its_members_only(monkeypatch):
    monkeypatch.setattr(engine, "TASK_SECONDS", 1e-9)

    def advanced():
        population = fastnn.Population(NETWORK, X, Y, seed=range(40), batch_size=None)
        population.advance(2)
        population.advance(dict.fromkeys(range(0, 40, 2), 3))
        return population

    here = advanced()
    sent = watch(monkeypatch, engine, "packed")
    with joblib.parallel_config("loky", n_jobs=2):
        there = advanced()
    plans = [call.result[0] for call in sent]
    members = [member for plan in plans for unit in plan.units for member in unit.members]
    states = [member.start for member in members if isinstance(member.start, Row)]
    assert len(states) == 20
    assert sum({id(state.store): len(state.store.t) for state in states}.values()) == 20
    assert_same_results(here.values(), there.values())


def test_what_goes_through_a_scheduler_is_small(monkeypatch):
    """Of a member some 50 bytes on the way there, and little more than its arrays on the way
    back."""
    n = 1000
    sizes_of_answers = []
    answers = engine.Engine._answers

    def recorded(*arguments):
        for answer in answers(*arguments):
            sizes_of_answers.append(len(pickle.dumps(answer[1])))
            yield answer

    sent = watch(monkeypatch, engine, "packed")
    monkeypatch.setattr(engine.Engine, "_answers", recorded)
    X = np.zeros((5000, 3))
    Y = np.zeros((5000, 1))
    options = {"rows": np.arange(20), "seed": range(n), "epochs": 2, "batch_size": None}
    with joblib.parallel_config("loky", n_jobs=2):
        many = train_many(Network((3, 5, 1)), X, Y, **options)
    plans, arrays_of_tasks = zip(*(call.result for call in sent), strict=True)
    of_data = X.nbytes + Y.nbytes + 5000 * 8 + 20 * 8  # with the weights and the rows
    for arrays in arrays_of_tasks:
        assert sum(array.nbytes for array in arrays) == of_data
    assert sum(len(pickle.dumps(plan)) for plan in plans) < 80 * n + 2000 * len(sent)
    state = many[0].state
    arrays_of_a_member = (state.storage, state.beta_products, many[0].history.loss)
    size = sum(array.nbytes for array in arrays_of_a_member)
    assert sum(sizes_of_answers) < n * (size + 150) + 2000 * len(sizes_of_answers)
