"""Decisions at the ends of epochs within a call of the back end, against those of an epoch a call,
bit by bit."""

import contextlib
import dataclasses
import warnings

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from bits import result_bits, state_bits
from chunks import chunks_of
from drawn import trainings
from small_training import SignalAt
from watched import watch

from fastnn import (
    SGD,
    Adam,
    DivergenceError,
    InterruptWarning,
    Network,
    ReduceRate,
    Stop,
    train,
    train_many,
)
from fastnn.compiler.loader import IN_PYTHON
from fastnn.fused.backend import NumbaBackend
from fastnn.training import evaluation, exceptions, initial

pytestmark = pytest.mark.skipif(IN_PYTHON, reason="in Python, each epoch is a call")


@contextlib.contextmanager
def epoch_a_call():
    """Let the back end decide nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NumbaBackend, "decides", lambda self, task, rows_a_step, scored: False)
        yield


@st.composite
def rules(draw):
    """Stop rules that are decided at the ends of epochs."""

    def pick(*options):
        return draw(st.sampled_from(options))

    return Stop(
        tol=pick(None, 0.0, 1e-3, 0.1),
        patience=pick(None, 0, 1, 3),
        validation=pick(None, 0.2, 0.5),
        restore_best=pick(True, False),
        reduce=pick(None, None, ReduceRate(0.5, patience=1)),
        on_divergence="stop",
    )


def outcomes(case, stop, n_steps, at):
    """A training in chunks, its two parts where it is resumed; where Ctrl-C cuts it, it goes on to
    the same state."""
    options = {"stop": stop, "threads": 1, "params": None, "epochs": 8, "seed": 3}

    def go(**others):
        return case.train("numba", **options | others)

    with (
        pytest.MonkeyPatch.context() as patch,
        warnings.catch_warnings(action="ignore", category=InterruptWarning),
    ):
        chunks_of(patch, n_steps)
        # or a second Ctrl-C would end the tests
        patch.setattr(exceptions, "_last_swallowed", -np.inf)
        whole = go()
        first = go(epochs=at)
        cut = go(callbacks=[SignalAt(1 + at)])
        rest = go(seed=None, epochs=8 - at, resume=first.state)
        # else the rule fired in that chunk
        goes_on = cut.n_epochs < whole.n_epochs or whole.stop_reason == "diverged"
        if cut.stop_reason == "interrupted" and goes_on:
            cut = go(seed=None, epochs=8 - cut.n_epochs, resume=cut.state)
    assert state_bits(cut.state) == state_bits(whole.state)
    return [result_bits(result) for result in (whole, first, rest)]


def check(case, stop, n_steps, at):
    hypothesis.assume(len(case.problem.X) > 4)
    with np.errstate(all="ignore"):
        try:
            in_calls = outcomes(case, stop, n_steps, at)
            with epoch_a_call():
                assert in_calls == outcomes(case, stop, n_steps, at)
        except ValueError as error:  # such as a validation set without weight
            hypothesis.assume("sample_weight" not in str(error) and "validation" not in str(error))
            raise


DRAWN = {
    "case": trainings(rows=(9, 33), layers=(0, 2), epochs=(1, 2)),
    "stop": rules(),
    "n_steps": st.sampled_from([3, 10**6]),
    "at": st.integers(0, 8),
}


@pytest.mark.parametrize("n", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_decisions_are_those_of_an_epoch_a_call(n):
    hypothesis.settings(max_examples=n)(hypothesis.given(**DRAWN)(check))()


R = np.random.RandomState(0)
X = R.rand(60, 4)
Y = R.rand(60, 1)
NETWORK = Network((4, 7, 1), "tanh")


def go(optimizer=Adam(0.03), **options):  # noqa: B008 - it is a value
    return train(NETWORK, X, Y, optimizer=optimizer, epochs=40, batch_size=13, seed=3, **options)


@pytest.mark.parametrize(
    "rows",
    [{"validation_rows": np.arange(12), "rows": np.arange(12, 60)}, {"rows": np.arange(5, 50)}],
    ids=" ".join,
)
def test_rows_that_members_score_are_copied_once(rows, monkeypatch):
    copies = [watch(monkeypatch, module, "rows_of") for module in (initial, evaluation)]
    stop = Stop(patience=3, restore_best=True)
    train_many(NETWORK, X, Y, seed=range(9), n_jobs=1, epochs=5, stop=stop, **rows)
    assert sum(map(len, copies)) == 2  # one of them to check a member before all others


def test_what_needs_python_at_the_ends_of_epochs_is_not_decided_in_calls(monkeypatch):
    calls_that_decide = watch(monkeypatch, evaluation.Judge, "take")
    stop = Stop(validation=0.2, patience=5)
    go(stop=stop, callbacks=[lambda progress: None])
    go(stop=stop, optimizer=Adam(lambda step: 0.03))
    go(stop=stop, threads=2)
    for monitor in ("r2", lambda y, a: -float(((y - a) ** 2).mean())):
        go(stop=dataclasses.replace(stop, monitor=monitor))
    assert calls_that_decide == []
    go(stop=stop)
    assert calls_that_decide


def test_divergence_within_a_call_leaves_the_last_good_step():
    errors = []
    for context in (contextlib.nullcontext, epoch_a_call):
        with context(), pytest.raises(DivergenceError) as error:
            go(optimizer=SGD(8.0), stop=Stop(validation=0.3))
        errors.append((str(error.value), result_bits(error.value.result)))
    assert errors[0] == errors[1]
