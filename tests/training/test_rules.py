"""The rules of `Stop`, schedules, `every`, `rows`, against a plain loop, wherever a training is
cut, by whatever."""

import math

import hypothesis
import hypothesis.strategies as st
import pytest
from bits import bits, state_bits
from chunks import chunks_of
from plain_rules import cases, matches, plain
from small_training import SignalAt

from fastnn import every, load
from fastnn.training import exceptions


class Stumble(Exception):
    """The exception of a callback."""


def cut_off(case, backend, how, at, look):
    """The first part of a training, which is cut off after `at` epochs, or steps for Ctrl-C."""

    def stumble(progress):
        if progress.epoch == at:
            raise Stumble

    cut = {"Ctrl-C": [SignalAt(at)], "error": [stumble], "call": []}[how]
    epochs = min(at, case.n_epochs) if how == "call" else case.n_epochs
    try:
        return case.train(backend, callbacks=[look, *cut], epochs=epochs)
    except Stumble as error:
        return error.result


@pytest.mark.filterwarnings("ignore::fastnn.InterruptWarning")
@hypothesis.settings(max_examples=120)
@hypothesis.given(
    case=cases(),
    how=st.sampled_from(["call", "Ctrl-C", "error"]),
    at=st.integers(0, 14),
    n_steps=st.sampled_from([1, 3, 10**6]),
)
def test_rules_give_what_a_plain_loop_gives(backend, tmp_path_factory, case, how, at, n_steps):
    expected = plain(case, backend)
    called = []
    look = every(case.k, lambda progress: called.append(progress.epoch_in_all))
    with pytest.MonkeyPatch.context() as patch:
        chunks_of(patch, n_steps)
        patch.setattr(exceptions, "_last_swallowed", -math.inf)
        whole = case.train(backend)
        matches(whole, expected)
        first = cut_off(case, backend, how, at, look)
        assert called == [epoch for epoch in expected.called if epoch <= first.n_epochs]
        if first.state.t == expected.state.t:
            assert bits(first.params) == bits(expected.params)
            if expected.reason in ("tolerance", "validation"):  # it is not to be resumed
                assert first.stop_reason == expected.reason
            return
        path = tmp_path_factory.getbasetemp() / "rules.npz"
        first.save(path)
        for state in (first.state, load(path).state):
            del called[:]
            second = case.train(
                backend, epochs=case.n_epochs - first.n_epochs, resume=state, callbacks=[look]
            )
            matches(second, expected, first)
            assert state_bits(second.state) == state_bits(whole.state)
            assert called == [epoch for epoch in expected.called if epoch > first.n_epochs]
