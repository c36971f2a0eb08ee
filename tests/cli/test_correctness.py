"""Answers are checked before anything is timed: a wrong training has no speed."""

import functools

import numpy as np
import pytest

from fastnn import train, workloads
from fastnn.cli import correctness
from fastnn.cli.correctness import DifferentAnswerError, check_same_answer, check_workload
from fastnn.measuring import work
from fastnn.reference import NumpyBackend

load = functools.cache(workloads.load)


def test_different_answers_are_found_before_anything_is_timed(dtype):
    expected = np.linspace(1, 2, 50)
    check_same_answer("same", expected.astype(dtype), expected)
    for wrong in (expected * 1.05, expected * np.nan, expected[::-1]):
        with pytest.raises(
            DifferentAnswerError, match=r"wrong: relative distance .* nothing was timed"
        ):
            check_same_answer("wrong", wrong.astype(dtype), expected)


@pytest.mark.parametrize("name", [name for name in workloads.names() if name != "big"])
def test_one_untrained_epoch_is_a_different_answer(name):
    """The benchmarks' guard notices a back end that does nothing."""
    workload = load(name)
    trained = train(
        workload.network, workload.X, workload.Y, **workload.train_options | {"epochs": 2}, seed=0
    ).params
    untrained = workload.network.init_params(np.random.RandomState(0), workload.dtype)
    with pytest.raises(DifferentAnswerError):
        check_same_answer(name, untrained, trained)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n == "big")) for n in workloads.names()]
)
def test_every_workload_passes_its_check(name, backend, dtype):
    check_workload(load(name, dtype), backend)


def test_real_work_with_another_answer_is_found():
    wrong = work.load("seed, validation")._replace(
        answer=lambda backend: np.ones(3) + (backend == "numba") * 1e-6
    )
    with pytest.raises(
        DifferentAnswerError,
        match=r"seed, validation, numba: relative distance .*nothing was timed",
    ):
        correctness.check_work(wrong, "numba")


@pytest.mark.parametrize(
    ("name", "backend", "changes", "told"),
    [
        (
            "seed",
            "numpy",
            {"epochs": 2},
            r"seed, float64, numpy: loss .* more than 0\.05; nothing was timed",
        ),
        ("digits", "numba", {"epochs": 2}, "of the held-out rows recognized, less than"),
        ("seed", "numpy", {"seed": 1}, "the tutorial's weights"),
    ],
)
def test_a_training_that_learns_too_little_or_something_else_is_found(
    monkeypatch, name, backend, changes, told
):
    monkeypatch.setattr(
        correctness, "train", lambda *data, **options: train(*data, **options | changes)
    )
    with pytest.raises(DifferentAnswerError, match=told):
        check_workload(load(name), backend)


def test_a_back_end_that_errs_is_found():
    class Wrong(NumpyBackend):
        name = "wrong"

        def train_steps(self, task, state, steps):
            good = super().train_steps(task, state, steps)
            state.vectors[0] *= 1.5
            return good

    with pytest.raises(
        DifferentAnswerError, match=r"tab, float32.*reference has.*nothing was timed"
    ):
        check_workload(load("tab"), Wrong())
