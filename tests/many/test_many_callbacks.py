"""Callbacks of train_many, and errors of callbacks, monitors and learning rates: what ends and what is left."""

import os
import threading
import warnings

import numpy as np
import pytest
from bits import assert_same_result
from ended_early import NETWORK, After, M, X, Y, assert_resumes

from fastnn import SGD, MonitorError, Stop, every, train, train_many
from fastnn.many.driver import _StopFlag
from fastnn.many.engine import Engine
from fastnn.training.exceptions import Interrupt

pytestmark = [pytest.mark.skipif(os.name == "nt", reason="POSIX signals"), pytest.mark.usefixtures("nothing_left")]


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
    assert 3 <= (many.stop_reason == "epochs").sum() <= 5


def test_a_callback_that_raises_ends_all_and_its_error_carries_the_result(go, backend):
    def fail():
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine") as raised:
        go(callbacks=[After(3, fail)])
    many = raised.value.result
    assert len(many) == M
    assert 3 <= (many.stop_reason == "epochs").sum() <= 5
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
    with pytest.raises(MonitorError, match=r"^member 4: .*broken failed after epoch 1") as raised:
        go(stop=rules)
    assert raised.value.member == bad
    many = raised.value.result
    assert (many.stop_reason[bad], many.n_epochs[bad]) == ("running", 1)
    assert (many.stop_reason[:bad] == "epochs").sum() >= bad - 1
    assert len(many) == M


def test_a_learning_rate_that_raises_names_its_member(go):
    def rate(step):
        return 0.1 if step < 3 else 1 / 0

    with pytest.raises(ZeroDivisionError) as raised:
        go(learning_rate=[0.1] * 5 + [rate] + [0.1] * (M - 6), batch_size=7)  # of which those with 0.1 are blocks
    assert raised.value.member == 5
    assert len(raised.value.result) == M


def test_every_is_for_one_training():
    with pytest.raises(TypeError, match=r"every.* and CsvLogger see a training's epochs"):
        train_many(NETWORK, X, Y, n=2, epochs=1, callbacks=[every(2, print)])


def test_members_that_diverge_end_and_go_on_exactly(backend, n_jobs):
    rates = [0.1, 1e3, 0.1, 1e200, 1e308]
    options = {"seed": range(5), "epochs": 200, "learning_rate": rates, "optimizer": SGD(), "batch_size": 7}
    many = train_many(NETWORK, X, Y, **options, backend=backend, n_jobs=n_jobs)
    assert many.stop_reason[0] == many.stop_reason[2] == "epochs"
    assert many.stop_reason[3:].tolist() == ["diverged"] * 2
    assert np.isfinite(many.params).all()
    more = train_many(NETWORK, X, Y, resume=[r.state for r in many], epochs=3, learning_rate=0.01, backend=backend)
    for result, state in zip(more, [r.state for r in many], strict=True):
        stop = Stop(on_divergence="stop")
        alone = train(NETWORK, X, Y, resume=state, epochs=3, optimizer=SGD(0.01), stop=stop, backend=backend)
        assert_same_result(result, alone)


def test_of_the_tasks_that_it_ended_an_engine_tells_nothing():
    """joblib warns that they did not come to their ends."""

    def answers(tasks):
        try:
            yield from ["first", "second"]
        finally:
            warnings.warn("tasks which were still being processed have been cancelled", UserWarning, stacklevel=2)

    flag = _StopFlag(Interrupt())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for answer in Engine._answers(None, answers, iter(()), flag):
            assert answer == "first"
            flag.end("callback")
    assert told == []
