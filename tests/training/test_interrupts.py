"""Ctrl-C: the first one, the next one, in which call of fastnn, and whose handler is called and is back afterwards."""

import copy
import gc
import inspect
import os
import pickle
import signal
import threading
import time
import timeit
import warnings

import numpy as np
import pytest
from waiting import handled_by

from fastnn import SGD, DivergenceError, InterruptWarning, Network, Stop, TrainingInterrupted, get_backend, train
from fastnn.training import exceptions

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

NETWORK = Network((2, 3, 1), "tanh")
X = np.random.RandomState(0).randn(40, 2)
Y = X[:, :1]
RAISE = Stop(on_interrupt="raise")


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def pressing(presses):
    """A callback that presses Ctrl-C so many times after the third epoch."""
    return lambda progress: [ctrl_c() for _ in range(presses if progress.epoch == 3 else 0)]


@pytest.fixture(autouse=True)
def old():
    """The handler of SIGINT that was there before, and must be there after."""
    handler = signal.getsignal(signal.SIGINT)
    yield handler
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.fixture
def go(backend):
    """`train` for five epochs, with Ctrl-C pressed so many times after the third."""
    return lambda presses=0, **options: train(
        NETWORK, X, Y, **{"epochs": 5, "seed": 0, "backend": backend, "callbacks": [pressing(presses)]} | options
    )


@pytest.fixture(params=["sgd", "lbfgs"])
def fit(request, monkeypatch):
    """`fit` of an estimator, with Ctrl-C pressed so many times within the third call of the back end."""
    estimators = pytest.importorskip("fastnn.estimators", exc_type=ImportError)

    def run(presses=0):
        calls = []
        with monkeypatch.context() as patch:
            for name in ("train_steps", "train_group", "loss"):
                patch.setattr(type(get_backend()), name, _pressing_in_third(type(get_backend()), name, calls, presses))
            endless = {"tol": 0, "n_iter_no_change": np.inf, "max_iter": 10**6, "max_fun": 10**6}
            mlp = estimators.MLPRegressor(hidden_layer_sizes=(4,), solver=request.param, random_state=0, **endless)
            return mlp.fit(X, np.sin(3 * X[:, 0]) * X[:, 1])

    return run


def _pressing_in_third(kind, name, calls, presses):
    right = getattr(kind, name)

    def call(*arguments, **options):
        calls.append(name)
        for _ in range(presses if len(calls) == 3 else 0):
            ctrl_c()
        return right(*arguments, **options)

    return call


def test_the_first_one_returns_what_there_is_after_a_warning_at_the_callers_line(backend):
    line = inspect.currentframe().f_lineno + 2
    with pytest.warns(InterruptWarning, match="interrupted after 3 epochs of this call, 3 steps in all") as seen:
        result = train(NETWORK, X, Y, epochs=5, seed=0, callbacks=[pressing(1)], backend=backend)
    assert (result.stop_reason, result.n_epochs) == ("interrupted", 3)
    assert (seen[0].filename, seen[0].lineno) == (__file__, line)
    assert seen[0].message.result is result


@pytest.mark.filterwarnings("error")
def test_the_warning_as_an_error_carries_the_result(go):
    with pytest.raises(InterruptWarning) as raised:
        go(1)
    assert (raised.value.result.stop_reason, raised.value.result.n_epochs) == ("interrupted", 3)


def test_the_second_one_in_the_same_call_raises(go):
    with pytest.raises(KeyboardInterrupt) as raised:
        go(2)
    assert type(raised.value) is KeyboardInterrupt


def test_the_second_one_raises_in_a_later_call_within_two_seconds(go, monkeypatch):
    with pytest.warns(InterruptWarning):
        go(1)
    assert go().stop_reason == "epochs"
    with pytest.raises(KeyboardInterrupt) as raised:
        go(1)
    assert type(raised.value) is KeyboardInterrupt
    monkeypatch.setattr(exceptions, "_last_swallowed", time.monotonic() - exceptions.AGAIN)
    with pytest.warns(InterruptWarning):
        assert go(1).stop_reason == "interrupted"


def test_a_loop_of_trainings_can_be_stopped(backend):
    ends = []

    def loop():
        for _ in range(20):
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            ends.append(train(NETWORK, X, Y, epochs=10**9, stop=Stop(max_seconds=10), backend=backend).stop_reason)

    with warnings.catch_warnings(action="ignore"), pytest.raises(KeyboardInterrupt):
        loop()
    assert ends == ["interrupted"]


def test_one_that_raises_carries_the_result_through_pickle_and_copy(go):
    with pytest.raises(TrainingInterrupted, match="interrupted after 3 epochs") as raised:
        go(1, stop=RAISE)
    error = raised.value
    assert isinstance(error, KeyboardInterrupt)
    assert (error.result.stop_reason, error.result.n_epochs) == ("interrupted", 3)
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is TrainingInterrupted
        assert str(other) == str(error)
        assert other.result.params.tobytes() == error.result.params.tobytes()
    more, whole = go(epochs=2, seed=None, resume=error.result.state), go()
    assert more.params.tobytes() == whole.params.tobytes()


def test_one_that_raises_does_so_each_time(go):
    """It raises soon after a call that returned, too; and since it has raised, the next call's is a first one."""
    with pytest.raises(KeyboardInterrupt) as raised:
        go(2, stop=RAISE)
    assert type(raised.value) is KeyboardInterrupt  # at once, in the midst of a chunk: there is no result
    for _ in range(2):
        with pytest.raises(TrainingInterrupted):
            go(1, stop=RAISE)
    with pytest.warns(InterruptWarning):
        go(1)
    with pytest.raises(TrainingInterrupted):
        go(1, stop=RAISE)


def test_a_divergence_in_the_same_chunk_hides_no_ctrl_c(monkeypatch):
    def go(**stop):
        rates = SGD(lambda step: ctrl_c() or 1e200 if step == 7 else 0.01)
        return train(NETWORK, X, Y, optimizer=rates, epochs=20, seed=0, stop=Stop(**stop), backend="numpy")

    with pytest.raises(DivergenceError):
        go()
    with pytest.raises(KeyboardInterrupt):  # the second one: who catches DivergenceError in a loop can stop it too
        go()
    with pytest.raises(TrainingInterrupted):
        go(on_interrupt="raise")
    monkeypatch.setattr(exceptions, "_last_swallowed", -np.inf)
    with pytest.warns(InterruptWarning):
        assert go(on_divergence="stop").stop_reason == "diverged"


def test_an_estimator_is_fitted_so_far_after_scikit_learns_warning(fit):
    with pytest.warns(UserWarning, match=r"^Training interrupted by user\.$"):
        mlp = fit(1)
    assert mlp.stop_reason_ == "interrupted"
    assert mlp.n_iter_ > 0
    assert np.isfinite(mlp.predict(X)).all()


def test_the_second_one_in_fit_raises(fit):
    with pytest.raises(KeyboardInterrupt):
        fit(2)


@pytest.mark.parametrize("calls", ["fit fit", "fit go", "go fit"])
def test_the_second_one_raises_in_whatever_call_of_fastnn(calls, fit, go):
    first, then = ({"fit": fit, "go": go}[call] for call in calls.split())
    with pytest.warns(UserWarning, match="interrupted"):
        first(1)
    with pytest.raises(KeyboardInterrupt):
        then(1)


def test_a_handler_of_the_users_own_is_called_each_time(go):
    calls = []
    with handled_by(lambda signum, frame: calls.append(signum)):
        with pytest.warns(InterruptWarning):
            assert go(1).stop_reason == "interrupted"
        assert calls == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            go(1)
        assert calls == [signal.SIGINT] * 2


def test_what_the_users_handler_raises_ends_the_training(go):
    def handler(signum, frame):
        raise TimeoutError

    with handled_by(handler), pytest.raises(TimeoutError):
        go(1)


def test_the_users_handler_is_called_while_an_estimator_fits(fit):
    calls = []
    with handled_by(lambda signum, frame: calls.append(signum)), pytest.warns(UserWarning, match="interrupted by user"):
        fit(1)
    assert calls == [signal.SIGINT]


@pytest.mark.parametrize("left", [signal.SIG_IGN, signal.SIG_DFL])
def test_what_is_no_function_stays_while_training(go, left):
    seen = []
    with handled_by(left):
        go(callbacks=[lambda progress: seen.append(signal.getsignal(signal.SIGINT))])
    assert seen == [left] * 5


def test_a_training_within_a_callback_ends_with_the_one_outside(go):
    inner = []
    with pytest.warns(InterruptWarning) as seen:
        outer = go(callbacks=[lambda progress: inner.append(go(int(progress.epoch == 2)).stop_reason)])
    assert (inner, outer.n_epochs, outer.stop_reason) == (["epochs", "interrupted"], 2, "interrupted")
    assert len(seen) == 2


class Late(Exception):
    """The exception of a time-out."""


def test_the_handler_is_back_whatever_arrives_when():
    """A time-out's exception may fall into the very lines that take SIGINT over or give it back."""
    seen, n_late, random_state = [], 0, np.random.RandomState(0)

    def late(signum, frame):
        raise Late

    def once():
        return train(NETWORK, X, Y, epochs=1, seed=0, backend="numpy")

    took = min(timeit.repeat(once, number=1, repeat=50))
    old = signal.signal(signal.SIGALRM, late)
    gc.disable()  # a collection calls functions of other packages, in which the exception would get lost
    try:
        with handled_by(handler := lambda signum, frame: seen.append(signum)):
            for n in range(1, 3001):
                try:
                    signal.setitimer(signal.ITIMER_REAL, random_state.uniform(0, 2) * took)
                    once()
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except Late:
                    n_late += 1
                signal.setitimer(signal.ITIMER_REAL, 0)
                ctrl_c()
                assert len(seen) == n
                assert signal.getsignal(signal.SIGINT) is handler
    finally:
        gc.enable()
        signal.signal(signal.SIGALRM, old)
    assert n_late > 500
