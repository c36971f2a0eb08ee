"""The baseline is the tutorial's own loop, and the benchmarks run. Those for pytest-benchmark run by themselves."""

import importlib
import json
import pathlib
import re
import runpy

import mpmath
import numpy as np
import pytest
import seed_page
from numpy.testing import assert_allclose

from fastnn import tutorial, workloads
from fastnn.answers import DifferentAnswerError, check_same_answer
from fastnn.timing import Timing, interleaved

BENCHMARKS = pathlib.Path(__file__).parents[1] / "benchmarks"

# ----------------------------------------------------------------------------------------------------------- the loop


@pytest.mark.parametrize("seed", seed_page.BY_SEED)
def test_numbers_are_those_of_exact_arithmetic(seed):
    """The tutorial's mathematics once more, in scalars of 30 digits: no array, no rounding that could be shared."""
    with mpmath.workdps(30):
        found = exact_numbers(seed)
        for number, expected in zip(found, seed_page.BY_SEED[seed], strict=True):
            assert abs(number / expected - 1) < 1e-13


def exact_numbers(seed):
    """The fields of `seed_page.Numbers`."""
    drawn = tutorial.initial_weights(seed)
    w1, w2 = mpmath.matrix(drawn.w1.tolist()), mpmath.matrix(drawn.w2.tolist())
    b1 = b2 = mpmath.mpf(1)
    rows = [(mpmath.matrix([row]), int(y)) for row, (y,) in zip(tutorial.X.tolist(), tutorial.Y, strict=True)]

    def sigmoid(z):
        return 1 / (1 + mpmath.exp(-z))

    def forward(x):
        a1 = (x * w1).apply(lambda z: sigmoid(z + b1))
        return a1, sigmoid((a1 * w2)[0] + b2)

    errors = []
    for _ in range(100):
        passed = [(x, y, *forward(x)) for x, y in rows]
        errors.append(sum((y - a2) ** 2 / 2 for _, y, _, a2 in passed))
        d2 = [(a2 - y) * a2 * (1 - a2) for _, y, _, a2 in passed]
        for d, (_, _, a1, _) in zip(d2, passed, strict=True):
            w2 -= d * a1.T
        b2 -= b2 * sum(d2)
        d1 = [[d * w2[j] * a1[j] * (1 - a1[j]) for j in range(5)] for d, (_, _, a1, _) in zip(d2, passed, strict=True)]
        for d, (x, *_) in zip(d1, passed, strict=True):
            w1 -= x.T * mpmath.matrix([d])
        b1 -= b1 * sum(map(sum, d1))
    outputs = [forward(mpmath.matrix([row]))[1] for row in tutorial.X_TEST.tolist()]
    return errors[0], errors[-1], b1, b2, *outputs


@pytest.mark.parametrize("seed", seed_page.BY_SEED)
def test_loop_gives_the_tutorials_numbers(seed):
    weights, errors = tutorial.train(tutorial.initial_weights(seed))
    found = (errors[0], errors[-1], weights.b1, weights.b2, *tutorial.predict(weights, tutorial.X_TEST).ravel())
    assert_allclose(found, seed_page.BY_SEED[seed], rtol=seed_page.RTOL)
    assert errors.shape == (100,)


def test_loop_gives_the_errors_of_the_printed_weights():
    _, errors = tutorial.train(tutorial.Weights(seed_page.PRINTED_W1, seed_page.PRINTED_W2, 1.0, 1.0))
    places = list(seed_page.PRINTED_ERRORS)
    assert_allclose(errors[places], list(seed_page.PRINTED_ERRORS.values()), rtol=seed_page.RTOL)


def test_loop_changes_nothing_that_it_is_given():
    given = tutorial.initial_weights(0)
    tutorial.train(given)
    np.testing.assert_array_equal(tutorial.flat(given), tutorial.flat(tutorial.initial_weights(0)))


def test_baseline_script_prints_errors_outputs_and_speed(capsys, monkeypatch):
    main = runpy.run_path(str(BENCHMARKS / "tutorial.py"))["main"]
    monkeypatch.setitem(main.__globals__, "TIMED_ITERATIONS", 2)
    main(seed=1)
    printed = capsys.readouterr().out
    assert f"iteration  99  error {seed_page.BY_SEED[1].last_error:.10f}" in printed
    assert f"{seed_page.BY_SEED[1].output_111:.10f}, target 1" in printed
    assert "iterations a second" in printed


# ---------------------------------------------------------------------------------------------------------------- asv


@pytest.fixture
def suite(monkeypatch):
    """asv's suite as asv imports it, its trainings cut short."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    module = importlib.import_module("suite.train")
    monkeypatch.setattr(module, "EPOCHS", dict.fromkeys(module.EPOCHS, 2))
    return module


def test_asv_benchmarks_run(suite):
    names, backends = suite.Train.params
    assert {(name, backend) for name in names for backend in backends} == set(suite.EPOCHS)
    for name, backend in suite.EPOCHS:
        benchmark = suite.Train()
        benchmark.setup(name, backend)
        benchmark.time_train(name, backend)
    assert suite.Train.version  # else an edit of the source would drop the history


def test_asv_keeps_commits_apart(suite, monkeypatch):
    monkeypatch.setenv("ASV_COMMIT", "abc123")
    monkeypatch.setenv("FASTNN_CACHE_DIR", "")  # so that monkeypatch puts back what was there
    monkeypatch.delenv("FASTNN_CACHE_DIR")
    importlib.reload(importlib.import_module("suite"))
    import os

    assert pathlib.Path(os.environ["FASTNN_CACHE_DIR"]).name == "abc123"


def test_asv_configuration_points_at_the_suite():
    source = (BENCHMARKS / "asv.conf.json").read_text("utf-8")
    configuration = json.loads(re.sub(r"^\s*//.*$", "", source, flags=re.MULTILINE))
    assert (BENCHMARKS / configuration["benchmark_dir"] / "__init__.py").is_file()
    assert (BENCHMARKS / configuration["repo"] / "pyproject.toml").is_file()


# -------------------------------------------------------------------------------------------------------------- timing


def test_interleaved_takes_turns_after_a_warm_up():
    calls = []
    timings = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, {"a": 1, "b": 10}, rounds=3)
    assert calls == ["a", "b"] * 4
    assert [len(timing.seconds) for timing in timings.values()] == [3, 3]


def test_timing_is_by_the_median():
    timing = Timing((1.0, 2.0, 9.0))
    assert (timing.median, timing.per_second) == (2.0, 0.5)
    assert timing.spread == pytest.approx((5.5 - 1.5) / 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_different_answers_are_found_before_anything_is_timed(dtype):
    expected = np.linspace(1, 2, 50)
    check_same_answer("same", expected.astype(dtype), expected)
    for wrong in (expected * 1.05, expected * np.nan, expected[::-1]):
        with pytest.raises(DifferentAnswerError, match=r"wrong: relative distance .* nothing was timed"):
            check_same_answer("wrong", wrong.astype(dtype), expected)


@pytest.mark.parametrize("name", workloads.names())
def test_one_untrained_epoch_is_a_different_answer(name):
    """What guards the benchmarks notices a back end that does nothing."""
    if name == "big":
        pytest.skip("large")
    from fastnn import train

    workload = workloads.load(name)
    trained = train(workload.network, workload.X, workload.Y, **workload.train_options | {"epochs": 2}, seed=0).params
    untrained = workload.network.init_params(np.random.RandomState(0), workload.dtype)
    with pytest.raises(DifferentAnswerError):
        check_same_answer(name, untrained, trained)
