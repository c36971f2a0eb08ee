"""Ctrl-C: the first one, the next one, in which call of fastnn, and whose handler is called and is
back afterwards."""

import copy
import inspect
import os
import pickle
import signal
import threading
import time
from unittest import mock

import numpy as np
import pytest
from bits import assert_same_params, assert_same_result, result_bits
from waiting import Late, handled_by, times_out

from fastnn import (
    SGD,
    DivergenceError,
    InterruptWarning,
    Network,
    Population,
    Stop,
    TrainingInterrupted,
    get_backend,
    train,
    train_many,
)
from fastnn.training import exceptions

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

NETWORK = Network((3, 4, 2), "tanh")
X = np.random.RandomState(0).randn(9, 3)
Y = np.sin(X[:, :2])
RAISE = Stop(on_interrupt="raise")


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def pressing(presses):
    """A callback that presses Ctrl-C so many times after the third epoch."""

    def press(progress):
        for _ in range(presses if progress.epoch == 3 else 0):
            ctrl_c()

    return press


@pytest.fixture(autouse=True)
def old():
    """The handler of SIGINT that was there before, and must be there after."""
    handler = signal.getsignal(signal.SIGINT)
    yield handler
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.fixture
def go(backend):
    def run(presses=0, **options):
        defaults = {"epochs": 5, "seed": 0, "callbacks": [pressing(presses)]}
        return train(NETWORK, X, Y, backend=backend, **defaults | options)

    return run


@pytest.fixture(params=["sgd", "lbfgs"])
def fit(request, monkeypatch):
    """A fit without end, and so many Ctrl-C before its third call of the back end."""
    estimators = pytest.importorskip("fastnn.estimators", exc_type=ImportError)
    kind = type(get_backend())
    before_calls = []

    def pressed(right):
        def call(*given, **options):
            for _ in range(before_calls.pop() if before_calls else 0):
                ctrl_c()
            return right(*given, **options)

        return call

    for name in ("train", "loss"):
        monkeypatch.setattr(kind, name, pressed(getattr(kind, name)))

    def run(presses):
        before_calls[:] = [presses, 0, 0]
        endless = {"tol": 0, "n_iter_no_change": np.inf, "max_iter": 10**6, "max_fun": 10**6}
        mlp = estimators.MLPRegressor(
            hidden_layer_sizes=(4,), solver=request.param, random_state=0, **endless
        )
        return mlp.fit(X, np.sin(3 * X[:, 0]) * X[:, 1])

    return run


@pytest.mark.parametrize("epochs", [5, 3])
def test_the_first_one_returns_what_there_is_after_a_warning_at_the_callers_line(epochs, backend):
    options = {"epochs": epochs, "seed": 0, "callbacks": [pressing(1)], "backend": backend}
    words = "interrupted after 3 epochs of this call, 3 steps in all"
    with pytest.warns(InterruptWarning, match=words) as seen:
        result = train(NETWORK, X, Y, **options)
    line = inspect.currentframe().f_lineno - 1
    assert (result.stop_reason, result.n_epochs) == ("interrupted", 3)
    assert (seen[0].filename, seen[0].lineno) == (__file__, line)
    assert seen[0].message.result is result


@pytest.mark.filterwarnings("error")
def test_the_warning_as_an_error_carries_the_result(go):
    with pytest.raises(InterruptWarning) as raised:
        go(1)
    assert (raised.value.result.stop_reason, raised.value.result.n_epochs) == ("interrupted", 3)


def test_one_that_raises_carries_the_result_through_pickle_and_copy(go):
    with pytest.raises(KeyboardInterrupt) as raised:
        go(2, stop=RAISE)
    # at once, in the midst of a chunk: there is no result
    assert type(raised.value) is KeyboardInterrupt
    for _ in range(2):
        with pytest.raises(TrainingInterrupted, match="interrupted after 3 epochs") as raised:
            go(1, stop=RAISE)
    error = raised.value
    assert isinstance(error, KeyboardInterrupt)
    assert (error.result.stop_reason, error.result.n_epochs) == ("interrupted", 3)
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert (type(other), str(other)) == (TrainingInterrupted, str(error))
        assert_same_result(other.result, error.result)
    assert_same_params(go(epochs=2, seed=None, resume=error.result.state), go())
    with pytest.warns(InterruptWarning):
        go(1)
    with pytest.raises(TrainingInterrupted):
        go(1, stop=RAISE)


def test_the_second_one_raises_in_the_same_call_or_in_a_later_one_within_two_seconds(
    go, monkeypatch
):
    for presses in (2, 1):
        with pytest.raises(KeyboardInterrupt) as raised:
            go(presses)
        assert type(raised.value) is KeyboardInterrupt
        if presses == 2:  # the next one is a first one again
            with pytest.warns(InterruptWarning):
                go(1)
            assert go().stop_reason == "epochs"
    monkeypatch.setattr(exceptions, "_last_swallowed", time.monotonic() - exceptions.AGAIN)
    with pytest.warns(InterruptWarning):
        assert go(1).stop_reason == "interrupted"


def test_a_divergence_in_the_same_chunk_hides_no_ctrl_c(monkeypatch):
    def go(**stop):
        rates = SGD(lambda step: ctrl_c() or 1e200 if step == 7 else 0.01)
        return train(
            NETWORK, X, Y, optimizer=rates, epochs=20, seed=0, stop=Stop(**stop), backend="numpy"
        )

    with pytest.raises(DivergenceError):
        go()
    # the second one: who catches DivergenceError in a loop can stop it too
    with pytest.raises(KeyboardInterrupt):
        go()
    with pytest.raises(TrainingInterrupted):
        go(on_interrupt="raise")
    monkeypatch.setattr(exceptions, "_last_swallowed", -np.inf)
    with pytest.warns(InterruptWarning):
        assert go(on_divergence="stop").stop_reason == "diverged"


@pytest.mark.parametrize("how", ["train", "train_many", "Population"])
def test_a_training_that_its_rule_ends_in_the_same_epoch_has_the_rules_reason(how, backend):
    """Or it would be resumed, for an epoch more than without Ctrl-C."""
    scores = []

    def monitor(targets, outputs):
        scores.append(ctrl_c() if len(scores) == 2 else None)
        return 1.0

    options = {"seed": 0, "stop": Stop(monitor=monitor, patience=2), "backend": backend}

    def trained():
        if how == "train":
            return train(NETWORK, X, Y, epochs=9, **options)
        if how == "train_many":
            return train_many(NETWORK, X, Y, n=1, n_jobs=1, epochs=9, **options)[0]
        population = Population(NETWORK, X, Y, n=1, n_jobs=1, **options)
        population.advance(9)
        return population[0]

    with pytest.warns(InterruptWarning):
        result = trained()
    assert (result.stop_reason, result.n_epochs) == ("tolerance", 3)


def test_an_estimator_is_fitted_so_far_after_scikit_learns_warning(fit):
    """The user's handler is called; the second one raises."""
    with pytest.raises(KeyboardInterrupt):
        fit(2)
    calls = []
    with handled_by(lambda signum, frame: calls.append(signum)):
        with pytest.warns(UserWarning, match=r"^Training interrupted by user\.$"):
            mlp = fit(1)
        assert (mlp.stop_reason_, mlp.n_iter_ > 0, calls) == ("interrupted", True, [signal.SIGINT])
        assert np.isfinite(mlp.predict(X)).all()


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
    with handled_by(mock.Mock(side_effect=Late)), pytest.raises(Late):
        go(1)


def test_what_is_no_function_stays_while_training(go):
    seen = []
    results = []
    look = [lambda progress: seen.append(signal.getsignal(signal.SIGINT))]
    for left in (signal.SIG_IGN, signal.SIG_DFL):
        with handled_by(left):
            go(callbacks=look)
        assert seen == [left] * 5
        seen.clear()
    thread = threading.Thread(target=lambda: results.append(go(callbacks=look)))
    thread.start()
    thread.join()
    assert result_bits(results[0]) == result_bits(go())
    assert seen == [signal.getsignal(signal.SIGINT)] * 5


def test_a_training_within_a_callback_ends_with_the_one_outside(go):
    inner = []

    def train_within(progress):
        inner.append(go(presses=int(progress.epoch == 2)).stop_reason)

    with pytest.warns(InterruptWarning) as seen:
        outer = go(callbacks=[train_within])
    assert inner == ["epochs", "interrupted"]
    assert (outer.n_epochs, outer.stop_reason) == (2, "interrupted")
    assert len(seen) == 2


def test_the_handler_is_back_whatever_arrives_when():
    """A time-out's exception may fall into the very lines that take SIGINT over or give it back."""
    seen = []

    def then():
        seen.clear()
        ctrl_c()
        assert seen == [signal.SIGINT]
        assert signal.getsignal(signal.SIGINT) is handler

    def once():
        return train(NETWORK, X, Y, epochs=1, seed=0, backend="numpy")

    with handled_by(handler := lambda signum, frame: seen.append(signum)):
        assert times_out(once, lambda n, n_late: n == 3000, then) > 500
