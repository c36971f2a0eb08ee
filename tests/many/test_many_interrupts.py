"""Ctrl-C, callbacks and errors in train_many: what ends, what is returned, what goes on, and that nothing hangs."""

import contextlib
import inspect
import os
import pickle
import signal
import threading
import time
import warnings

import numpy as np
import pytest
from same_results import assert_same_result
from survival import Child

from fastnn import SGD, InterruptWarning, MonitorError, Network, Stop, TrainingInterrupted, every, train, train_many

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

NETWORK = Network((2, 3, 1), "tanh")
X = np.random.RandomState(0).randn(40, 2)
Y = X[:, :1]
M, EARLY = 12, 5


def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(autouse=True)
def _handler():
    """The handler of SIGINT that was there before must be there after, and no thread of ours be left."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is handler
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fastnn")]


@pytest.fixture(params=[1, 2])
def n_jobs(request):
    return request.param


class After:
    """A callback that does something once when so many members have ended."""

    def __init__(self, n, do):
        self.n, self.do, self.calls, self.done = n, do, [], threading.Event()

    def __call__(self, progress):
        self.calls.append(progress)
        if progress.n_ended < self.n or self.done.is_set():
            return None
        try:
            return self.do()
        finally:
            self.done.set()


@pytest.fixture
def go(backend, n_jobs):
    """`train_many` of seeds, each a unit of its own; later ones wait until an `After` is done, if there is one."""

    def run(callbacks=(), **options):
        until = [callback.done for callback in callbacks if isinstance(callback, After)]

        def late(step):
            assert all(done.wait(20) for done in until)
            return 0.1

        rates = [lambda step: 0.1] * EARLY + [late] * (M - EARLY)
        rest = {"epochs": 5, "seed": range(M), "learning_rate": rates, "optimizer": SGD()}
        return train_many(NETWORK, X, Y, **rest | options, backend=backend, n_jobs=n_jobs, callbacks=callbacks)

    return run


def assert_resumes(many, whole, backend="numpy", **options):
    """Assert that members which ended early come to the end of the whole trainings."""
    rest = {"learning_rate": lambda step: 0.1, "optimizer": SGD()} | options
    left = [b.n_epochs - a.n_epochs for a, b in zip(many, whole, strict=True)]
    more = train_many(NETWORK, X, Y, resume=[a.state for a in many], epochs=left, backend=backend, **rest)
    for one, other in zip(more, whole, strict=True):
        assert one.params.tobytes() == other.params.tobytes()
        assert one.state.t == other.state.t


# --------------------------------------------------------------------------------------------------------------- Ctrl-C


def test_the_first_one_returns_what_there_is_after_a_warning(go, backend):
    press = After(3, ctrl_c)
    with pytest.warns(InterruptWarning, match=f"when . of {M} members were through, which is what train_many") as seen:
        many = go([press])
    assert seen[0].message.result is many
    through = [reason == "epochs" for reason in many.stop_reason]
    assert 3 <= sum(through) <= 5
    assert set(many.stop_reason) == {"epochs", "interrupted"}
    assert all(n == 5 for n, ended in zip(many.n_epochs, through, strict=True) if ended)
    assert (many.n_epochs[-3:] == 0).all()
    assert len(press.calls) == 3
    assert_resumes(many, go(), backend)


def test_the_warning_is_at_the_callers_line():
    line = inspect.currentframe().f_lineno + 2
    with pytest.warns(InterruptWarning) as seen:
        train_many(NETWORK, X, Y, n=3, epochs=3, callbacks=[After(1, ctrl_c)])
    assert (seen[0].filename, seen[0].lineno) == (__file__, line)


def test_members_under_way_end_at_once_and_resume(go, backend, n_jobs):
    """Long trainings, more than the threads: those that have begun end within an epoch, the others do not begin."""
    timer = threading.Timer(0.3, ctrl_c)
    timer.start()
    began = time.monotonic()
    with pytest.warns(InterruptWarning, match=f"when 0 of {M} members"):
        many = go(epochs=10**7, learning_rate=0.01, batch_size=7)
    assert time.monotonic() - began < 10
    assert many.stop_reason == ["interrupted"] * M
    assert [result.state.t > 0 for result in many] == [True] * n_jobs + [False] * (M - n_jobs)
    options = {"learning_rate": 0.01, "optimizer": SGD(), "batch_size": 7, "backend": "numba"}
    if backend == "numba":  # the other one would take its time
        n = int(many.n_epochs.max()) + 1
        assert_resumes(many[:3], train_many(NETWORK, X, Y, seed=range(3), epochs=n, **options), **options)


def test_those_that_have_not_begun_are_what_train_gives_for_no_epoch(go, backend):
    with pytest.warns(InterruptWarning):
        many = go(callbacks=[After(1, ctrl_c)], stop=Stop(validation=0.2), dtype="float32")
    last = many[-1]
    alone = train(
        NETWORK,
        X,
        Y,
        epochs=0,
        seed=M - 1,
        optimizer=SGD(),
        stop=Stop(validation=0.2),
        backend=backend,
        dtype="float32",
    )
    assert last.params.tobytes() == alone.params.tobytes()
    assert last.state.validation_rows.tobytes() == alone.state.validation_rows.tobytes()
    assert last is many[-1]
    copy = pickle.loads(pickle.dumps(many))
    assert_same_result(copy[-1], last)
    assert copy.stop_reason == many.stop_reason


def test_without_a_seed_one_that_has_not_begun_is_the_same_each_time():
    with pytest.warns(InterruptWarning):
        many = train_many(NETWORK, X, Y, n=9, epochs=[10**6] * 9, n_jobs=1, callbacks=[After(1, ctrl_c)])
    assert many.n_epochs[-1] == 0
    assert many[-1].params.tobytes() == many.params[-1].tobytes() == many[-1:].params.tobytes()


def test_the_second_one_raises(go):
    def twice():
        ctrl_c()
        ctrl_c()

    with pytest.raises(KeyboardInterrupt) as raised:
        go(callbacks=[After(3, twice)], epochs=50)
    assert type(raised.value) is KeyboardInterrupt


def test_the_second_one_raises_in_a_later_call_of_fastnn(go):
    with pytest.warns(InterruptWarning):
        go(callbacks=[After(1, ctrl_c)])
    with pytest.raises(KeyboardInterrupt):
        go(callbacks=[After(1, ctrl_c)])
    with pytest.raises(KeyboardInterrupt):  # which the one that raised is not part of
        train(NETWORK, X, Y, epochs=3, callbacks=[lambda progress: ctrl_c()])


def test_one_that_raises_carries_the_result_through_pickle(go):
    with pytest.raises(TrainingInterrupted, match=f"when . of {M} members were through") as raised:
        go(callbacks=[After(2, ctrl_c)], stop=[Stop()] * (M - 1) + [Stop(on_interrupt="raise")])
    found = pickle.loads(pickle.dumps(raised.value)).result
    assert len(found) == M
    assert found.params.tobytes() == raised.value.result.params.tobytes()
    assert set(found.stop_reason) == {"epochs", "interrupted"}


@contextlib.contextmanager
def handled_by(handler):
    old = signal.signal(signal.SIGINT, handler)
    try:
        yield
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, old)


def test_a_handler_of_the_users_own_is_called_and_is_back(go):
    calls = []
    with handled_by(lambda signum, frame: calls.append(signum)), pytest.warns(InterruptWarning):
        go(callbacks=[After(2, ctrl_c)])
    assert calls == [signal.SIGINT]


def test_what_the_users_handler_raises_ends_all(go):
    def handler(signum, frame):
        raise TimeoutError

    with handled_by(handler), pytest.raises(TimeoutError):
        go(epochs=10**5, callbacks=[After(1, ctrl_c)])


def test_thousands_that_have_not_begun_are_there_at_once():
    """Their results are made when they are asked for."""
    began = []
    with pytest.warns(InterruptWarning):
        many = train_many(
            *(NETWORK, X, Y),
            n=20_000,
            epochs=300,
            n_jobs=1,
            callbacks=[lambda progress: ctrl_c() if began else began.append(time.perf_counter()) or ctrl_c()],
        )
    assert time.perf_counter() - began[0] < 1.5
    assert len(many) == 20_000
    assert many.n_epochs.sum() < 300 * 5_000
    assert many[-1].state.t == 0


# ------------------------------------------------------------------------------------------------- callbacks and errors


def test_callbacks_see_each_member_once_and_its_result(go):
    seen = []
    many = go(callbacks=[lambda progress: seen.append((progress, progress.result(progress.ended[0])))])
    assert sorted(number for progress, _ in seen for number in progress.ended) == list(range(M))
    assert [progress.n_ended for progress, _ in seen] == list(np.cumsum([len(p.ended) for p, _ in seen]))
    assert {progress.n_members for progress, _ in seen} == {M}
    for progress, result in seen:
        assert_same_result(result, many[progress.ended[0]])


def test_a_member_that_has_not_ended_has_no_result():
    asked = []

    def ask(progress):
        with pytest.raises(ValueError, match="member 11 has not ended yet"):
            progress.result(11)
        asked.append(progress.n_ended)
        return True

    train_many(NETWORK, X, Y, seed=range(M), epochs=10**5, stop=Stop(patience=1), n_jobs=1, callbacks=[ask])
    assert asked == [1]


@pytest.mark.parametrize("true", [True, np.True_])
def test_a_callback_that_returns_true_ends_all_without_a_warning(go, true):
    many = go(callbacks=[After(3, lambda: true)])
    assert set(many.stop_reason) == {"epochs", "callback"}
    assert 3 <= many.stop_reason.count("epochs") <= 5


def test_a_callback_that_raises_ends_all_and_its_error_carries_the_result(go, backend):
    def fail():
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine") as raised:
        go(callbacks=[After(3, fail)])
    many = raised.value.result
    assert len(many) == M
    assert 3 <= many.stop_reason.count("epochs") <= 5
    assert_resumes(many, go(), backend)


def test_a_monitor_that_raises_ends_all_and_its_member_is_named(go):
    bad = 4

    def monitor(Y, outputs):
        assert failed.wait(20)
        return 1.0

    def broken(Y, outputs):
        failed.set()
        raise ZeroDivisionError

    failed = threading.Event()
    rules = [Stop(), Stop(), Stop(), Stop(), Stop(monitor=broken), *[Stop(monitor=monitor)] * (M - 5)]
    with pytest.raises(MonitorError, match="broken failed after epoch 1") as raised:
        go(stop=rules)
    assert raised.value.member == bad
    assert f"fastnn: this was member {bad}" in raised.value.__notes__
    many = raised.value.result
    assert (many.stop_reason[bad], many.n_epochs[bad]) == ("running", 1)
    assert many.stop_reason[:bad].count("epochs") >= bad - 1
    assert len(many) == M


def test_a_learning_rate_that_raises_names_its_member(go):
    def rate(step):
        return 0.1 if step < 3 else 1 / 0

    with pytest.raises(ZeroDivisionError) as raised:
        go(learning_rate=[0.1] * 5 + [rate] + [0.1] * (M - 6), batch_size=7)  # of which those with 0.1 are blocks
    assert raised.value.member == 5
    assert len(raised.value.result) == M


def test_every_is_for_one_training():
    with pytest.raises(TypeError, match=r"every.* counts a training's epochs"):
        train_many(NETWORK, X, Y, n=2, epochs=1, callbacks=[every(2, print)])


def test_members_that_diverge_end_and_go_on_exactly(backend, n_jobs):
    rates = [0.1, 1e3, 0.1, 1e200, 1e308]
    options = {"seed": range(5), "epochs": 200, "learning_rate": rates, "optimizer": SGD(), "batch_size": 7}
    many = train_many(NETWORK, X, Y, **options, backend=backend, n_jobs=n_jobs)
    assert many.stop_reason[0] == many.stop_reason[2] == "epochs"
    assert many.stop_reason[3:] == ["diverged"] * 2
    assert np.isfinite(many.params).all()
    more = train_many(NETWORK, X, Y, resume=[r.state for r in many], epochs=3, learning_rate=0.01, backend=backend)
    for result, state in zip(more, [r.state for r in many], strict=True):
        stop = Stop(on_divergence="stop")
        alone = train(NETWORK, X, Y, resume=state, epochs=3, optimizer=SGD(0.01), stop=stop, backend=backend)
        assert_same_result(result, alone)


# ----------------------------------------------------------------------------------------------- trainings in trainings


def test_many_in_a_callback_of_one_and_one_in_a_callback_of_many(go, backend):
    wanted, alone = go(), train(NETWORK, X, Y, epochs=3, seed=1, backend=backend)
    inner = []
    outer = train(NETWORK, X, Y, epochs=3, seed=1, backend=backend, callbacks=[lambda progress: inner.append(go())])
    assert_same_result(outer, alone)
    many = go(callbacks=[lambda p: inner.append(train(NETWORK, X, Y, epochs=3, seed=1, backend=backend)) or None])
    assert len(inner) >= 3 + 1
    for found, right in [(inner[0], wanted), (inner[2], wanted), (many, wanted)]:
        for one, other in zip(found, right, strict=True):
            assert_same_result(one, other)
    assert_same_result(inner[-1], alone)


def test_ctrl_c_ends_many_in_a_callback_of_many(go):
    inner = []

    def nested():
        inner.append(go(callbacks=[After(2, ctrl_c)], epochs=4))

    with pytest.warns(InterruptWarning) as seen:
        outer = go(callbacks=[After(1, nested)])
    assert len(seen) == 2
    assert "interrupted" in inner[0].stop_reason
    assert "interrupted" in outer.stop_reason


def test_two_at_once_in_two_threads(go):
    wanted, found = go(epochs=30), {}
    threads = [threading.Thread(target=lambda k=k: found.update({k: go(epochs=30)})) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(2):
        for one, other in zip(found[k], wanted, strict=True):
            assert_same_result(one, other)


ENDS = """
import sys, threading, time
import numpy as np
from fastnn import Network, train_many
X = np.random.RandomState(0).randn(40, 2)
network = Network((2, 3, 1), "tanh")

def go(epochs):
    return train_many(network, X, X[:, :1], seed=range(8), epochs=epochs, batch_size=7, n_jobs=2, backend=sys.argv[1])

go(2)
"""

DAEMON = (
    ENDS
    + """
threading.Thread(target=go, args=(10**7,), daemon=True).start()
time.sleep(0.5)
print("ready", flush=True)
"""
)

FORK = (
    ENDS
    + """
import multiprocessing
wanted = go(30).params.tobytes()
thread = threading.Thread(target=go, args=(100_000,), daemon=True)
thread.start()
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert [many.params.tobytes() for many in pool.map(go, [30] * 4)] == [wanted] * 4
assert go(30).params.tobytes() == wanted
print("ready", flush=True)
"""
)


@pytest.mark.parametrize("script", [DAEMON, FORK], ids=["daemon", "fork"])
def test_a_process_ends_whatever_its_threads_are_at(script, backend):
    with Child(script, backend) as child:
        child.wait_for("ready")
        assert child.end() == 0


AGAIN = (
    ENDS
    + """
def busy(progress):
    print("ready", flush=True)
    time.sleep(60)

try:
    train_many(network, X, X[:, :1], seed=range(8), epochs=[3] + [10**7] * 7, n_jobs=2, backend=sys.argv[1],
               callbacks=[busy])
except KeyboardInterrupt:
    time.sleep(0.2)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fastnn")]
    print("stopped", flush=True)
"""
)


def test_the_second_one_ends_a_call_that_is_busy_and_its_threads(backend):
    with Child(AGAIN, backend) as child:
        child.wait_for("ready")
        child.send(signal.SIGINT)
        time.sleep(0.2)
        child.send(signal.SIGINT)
        child.wait_for("stopped")
        assert child.end() == 0


def test_a_time_out_leaves_no_thread_and_the_handler():
    """Its exception may fall into any line."""

    class Late(Exception):
        pass

    def late(signum, frame):
        raise Late

    random_state, n_late = np.random.RandomState(0), 0
    old = signal.signal(signal.SIGALRM, late)
    try:
        for _ in range(200):
            try:
                signal.setitimer(signal.ITIMER_REAL, random_state.uniform(1e-4, 2e-2))
                with warnings.catch_warnings(action="ignore"):
                    train_many(NETWORK, X, Y, seed=range(8), epochs=[5] * 7 + [2000], n_jobs=2)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Late:
                n_late += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, old)
    assert n_late > 20
    deadline = time.monotonic() + 5
    while [t for t in threading.enumerate() if t.name.startswith("fastnn")] and time.monotonic() < deadline:
        time.sleep(0.01)
