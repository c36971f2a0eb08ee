"""Ctrl-C in train_many: the first one, the next one, whose handler is called, and what goes on from there."""

import contextlib
import inspect
import os
import pickle
import signal
import threading
import time

import pytest
from bits import assert_same_result
from ended_early import NETWORK, After, M, X, Y, assert_resumes, ctrl_c
from waiting import handled_by

from fastnn import SGD, InterruptWarning, Stop, TrainingInterrupted, train, train_many
from fastnn.many.driver import _StopFlag
from fastnn.many.engine import Engine
from fastnn.training.exceptions import Interrupt

pytestmark = [pytest.mark.skipif(os.name == "nt", reason="POSIX signals"), pytest.mark.usefixtures("nothing_left")]


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
    """Long trainings, more than the threads: those that have begun end at their next chunk, the others do not begin."""
    begun = threading.Event()

    def first(step):
        if step == 20:
            assert n_jobs == 1 or begun.wait(20)
            ctrl_c()
        return 0.01

    def other(step):
        begun.set()
        return 0.01

    options = {"optimizer": SGD(), "batch_size": 7}
    with pytest.warns(InterruptWarning, match=f"when 0 of {M} members"):
        many = go(epochs=10**7, learning_rate=[first] + [other] * (M - 1), **options)
    assert many.stop_reason.tolist() == ["interrupted"] * M
    assert [result.state.t > 0 for result in many] == [True] * n_jobs + [False] * (M - n_jobs)
    n, options = int(many.n_epochs.max()) + 1, {**options, "learning_rate": 0.01, "backend": backend}
    assert_resumes(many[:3], train_many(NETWORK, X, Y, seed=range(3), epochs=n, **options), **options)


def test_those_that_have_not_begun_are_what_train_gives_for_no_epoch(go, backend):
    with pytest.warns(InterruptWarning):
        many = go(callbacks=[After(1, ctrl_c)], stop=Stop(validation=0.2), dtype="float32")
    last = many[-1]
    options = {"stop": Stop(validation=0.2), "backend": backend, "dtype": "float32"}
    alone = train(NETWORK, X, Y, epochs=0, seed=M - 1, optimizer=SGD(), **options)
    assert last.params.tobytes() == alone.params.tobytes()
    assert last.state.validation_rows.tobytes() == alone.state.validation_rows.tobytes()
    assert last is many[-1]
    copy = pickle.loads(pickle.dumps(many))
    assert_same_result(copy[-1], last)
    assert copy.stop_reason.tolist() == many.stop_reason.tolist()


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


def test_a_handler_of_the_users_own_is_called_and_is_back(go):
    calls = []
    with handled_by(lambda signum, frame: calls.append(signum)), pytest.warns(InterruptWarning):
        go(callbacks=[After(2, ctrl_c)])
    assert calls == [signal.SIGINT]


def test_what_the_users_handler_raises_ends_all(go):
    def handler(signum, frame):
        raise TimeoutError

    with handled_by(handler), pytest.raises(TimeoutError):
        go(epochs=1000, callbacks=[After(1, ctrl_c)])


def test_thousands_that_have_not_begun_are_there_at_once():
    began, stop = [], lambda progress: began.append(time.process_time()) or ctrl_c()
    with pytest.warns(InterruptWarning):
        many = train_many(NETWORK, X, Y, n=20_000, epochs=300, n_jobs=1, callbacks=[stop])
    assert time.process_time() - began[0] < 1.5
    assert len(many) == 20_000
    assert many.n_epochs.sum() < 300 * 5_000
    assert many[-1].state.t == 0


@pytest.mark.parametrize("times", [1, 2])
def test_it_ends_the_wait_for_workers(times, nothing_left):
    def answers(tasks):
        try:
            yield "an answer"
            signal.raise_signal(signal.SIGINT)
            yield "one that takes long"
        finally:
            for _ in range(times - 1):
                signal.raise_signal(signal.SIGINT)

    interrupt = Interrupt()
    interrupt.begin()
    try:
        with contextlib.nullcontext() if times == 1 else pytest.raises(KeyboardInterrupt):
            assert list(Engine._answers(None, answers, iter(()), _StopFlag(interrupt))) == ["an answer"]
        assert interrupt.requested
    finally:
        interrupt.over = True
        interrupt.end()
