"""Many trainings that callbacks, errors, Ctrl-C and time-outs end, nested and in threads: what is
left and goes on."""

import os
import pickle
import signal
import threading
import time
import warnings

import numpy as np
import pytest
from bits import assert_same_params, assert_same_result, bits
from waiting import times_out

from fastnn import SGD, InterruptWarning, MonitorError, Network, Stop, cores, train, train_many

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
NETWORK = Network((2, 3, 1), "tanh")
X = np.random.RandomState(0).randn(40, 2)
Y = X[:, :1]
M = 12
EARLY = 5


@pytest.fixture(autouse=True)
def nothing_left():
    """The handler of SIGINT that was there before must be there after, and no helper of ours be at
    work."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is handler
    assert not cores.helpers_at_work()


@pytest.fixture(params=[1, 2])
def go(backend, request):
    """`train_many` of seeds, each a unit of its own; later ones wait until an `After` is done, if
    there is one."""

    def run(callbacks=(), **options):
        until = [callback.done for callback in callbacks if isinstance(callback, After)]

        def late(step):
            assert all(done.wait(600) for done in until)
            return 0.1

        rates = [lambda step: 0.1] * EARLY + [late] * (M - EARLY)
        rest = {"epochs": 5, "seed": range(M), "learning_rate": rates, "optimizer": SGD()}
        rest |= {"backend": backend, "n_jobs": run.n_jobs, "callbacks": callbacks}
        return train_many(NETWORK, X, Y, **rest | options)

    run.n_jobs = request.param
    return run


def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


class After:
    """A callback that does something once when so many members have ended."""

    def __init__(self, n, do):
        self.n = n
        self.do = do
        self.calls = []
        self.done = threading.Event()

    def __call__(self, progress):
        self.calls.append(progress)
        if progress.n_ended < self.n or self.done.is_set():
            return None
        try:
            return self.do()
        finally:
            self.done.set()


def assert_resumes(many, whole, backend="numpy", **options):
    """Assert that members which ended early come to the end of the whole trainings."""
    rest = {"learning_rate": lambda step: 0.1, "optimizer": SGD()} | options
    left = [b.n_epochs - a.n_epochs for a, b in zip(many, whole, strict=True)]
    states = [result.state for result in many]
    more = train_many(NETWORK, X, Y, resume=states, epochs=left, backend=backend, **rest)
    for one, other in zip(more, whole, strict=True):
        assert one.state.t == other.state.t
        assert_same_params(one, other)


def test_callbacks_see_each_member_once_and_its_result(go):
    seen = []
    left = set(range(M))

    def see(progress):
        left.difference_update(progress.ended)
        for i in left:
            with pytest.raises(ValueError, match=f"member {i} has not ended yet"):
                progress.result(i)
        seen.append((progress, progress.result(progress.ended[0])))

    many = go(callbacks=[see])
    ended = []
    for progress, result in seen:
        ended += progress.ended
        assert progress.n_ended == len(ended)
        assert progress.n_members == M
        assert_same_result(result, many[progress.ended[0]])
    assert sorted(ended) == list(range(M))


@pytest.mark.parametrize("true", [True, np.True_])
def test_a_callback_that_returns_true_ends_all_without_a_warning(go, true):
    many = go(callbacks=[After(3, lambda: true)])
    assert set(many.stop_reason) == {"epochs", "callback"}
    assert 3 <= (many.stop_reason == "epochs").sum() <= 5


def test_a_callback_that_raises_ends_all_and_its_error_carries_the_result(go, backend):
    with pytest.raises(KeyError, match="mine") as raised:
        go(callbacks=[After(3, lambda: {}["mine"])])
    many = raised.value.result
    assert 3 <= (many.stop_reason == "epochs").sum() <= 5
    assert_resumes(many, go(), backend)


def test_a_monitor_that_raises_ends_all_and_its_member_is_named(go):
    failed = threading.Event()

    def monitor(Y, outputs):
        assert failed.wait(600)
        return 1.0

    def broken(Y, outputs):
        failed.set()
        raise ZeroDivisionError

    with pytest.raises(MonitorError, match=r"^member 4: .*broken failed after epoch 1") as raised:
        go(stop=[*[Stop()] * 4, Stop(monitor=broken), *[Stop(monitor=monitor)] * (M - 5)])
    many = raised.value.result
    assert len(many) == M
    assert raised.value.member == 4
    assert (many.stop_reason[4], many.n_epochs[4]) == ("running", 1)
    assert (many.stop_reason[:4] == "epochs").sum() >= 3


def test_a_learning_rate_that_raises_names_its_member(go):
    # those with 0.1 are blocks
    rates = [0.1] * 5 + [lambda step: 0.1 if step < 3 else 1 / 0] + [0.1] * (M - 6)
    with pytest.raises(ZeroDivisionError) as raised:
        go(learning_rate=rates, batch_size=7)
    assert (raised.value.member, len(raised.value.result)) == (5, M)


def test_the_first_one_returns_what_there_is_after_a_warning(go, backend):
    press = After(3, ctrl_c)
    words = f"when . of {M} members were through, which is what train_many"
    with pytest.warns(InterruptWarning, match=words) as seen:
        many = go([press])
    assert seen[0].message.result is many
    through = many.stop_reason == "epochs"
    assert set(many.stop_reason) == {"epochs", "interrupted"}
    assert 3 <= sum(through) <= 5
    assert len(press.calls) == 3
    assert (many.n_epochs[through] == 5).all()
    assert (many.n_epochs[-3:] == 0).all()
    assert_resumes(many, go(), backend)


def test_members_under_way_end_at_once_and_resume(go, backend):
    """Long trainings, more than the threads: those that have begun end at their next chunk, the
    others do not begin."""
    begun = threading.Event()

    def first(step):
        if step == 20:
            assert go.n_jobs == 1 or begun.wait(600)
            ctrl_c()
        return 0.01

    def other(step):
        begun.set()
        return 0.01

    options = {"optimizer": SGD(), "batch_size": 7}
    with pytest.warns(InterruptWarning, match=f"when 0 of {M} members"):
        many = go(epochs=10**7, learning_rate=[first] + [other] * (M - 1), **options)
    assert many.stop_reason.tolist() == ["interrupted"] * M
    assert [result.state.t > 0 for result in many] == [True] * go.n_jobs + [False] * (M - go.n_jobs)
    n = int(many.n_epochs.max()) + 1
    options |= {"learning_rate": 0.01, "backend": backend}
    whole = train_many(NETWORK, X, Y, seed=range(3), epochs=n, **options)
    assert_resumes(many[:3], whole, **options)


def test_those_that_have_not_begun_are_what_train_gives_for_no_epoch(go, backend):
    with pytest.warns(InterruptWarning):
        many = go(callbacks=[After(1, ctrl_c)], stop=Stop(validation=0.2), dtype="float32")
    last = many[-1]
    options = {"stop": Stop(validation=0.2), "backend": backend, "dtype": "float32", "seed": M - 1}
    alone = train(NETWORK, X, Y, epochs=0, optimizer=SGD(), **options)
    assert_same_params(last, alone)
    assert bits(last.state.validation_rows) == bits(alone.state.validation_rows)
    assert last is many[-1]
    copy = pickle.loads(pickle.dumps(many))
    assert_same_result(copy[-1], last)
    assert copy.stop_reason.tolist() == many.stop_reason.tolist()


def test_the_second_one_raises_in_the_same_call_or_in_a_later_one_of_fastnn(go):
    epochs = [50] * (M - 1) + [10**7]  # a helper ends, too, what it is at
    with pytest.raises(KeyboardInterrupt) as raised:
        go([After(3, lambda: [ctrl_c() for _ in range(2)])], epochs=epochs)
    assert type(raised.value) is KeyboardInterrupt
    with pytest.warns(InterruptWarning):
        go(callbacks=[After(1, ctrl_c)])
    with pytest.raises(KeyboardInterrupt):
        go(callbacks=[After(1, ctrl_c)])
    with pytest.raises(KeyboardInterrupt):  # which the one that raised is not part of
        train(NETWORK, X, Y, epochs=3, callbacks=[lambda progress: ctrl_c()])


def test_a_time_out_leaves_no_helper_at_work_and_the_handler():
    def go():
        with warnings.catch_warnings(action="ignore"):
            train_many(NETWORK, X, Y, seed=range(8), epochs=[5] * 7 + [2000], n_jobs=2)

    assert times_out(go, lambda n, n_late: n == 9999 or (n >= 200 and n_late > 20)) > 20
    deadline = time.monotonic() + 60
    while cores.helpers_at_work() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not cores.helpers_at_work()
    # gives back the handler, should the last exception have come in the midst of that: see
    # `Interrupt`
    go()
