"""The baseline is the tutorial's own loop, and the benchmarks run. Those for pytest-benchmark run by themselves."""

import importlib
import inspect
import itertools
import json
import pathlib
import re
import runpy
import sys
import types

import mpmath
import numpy as np
import pytest
import seed_page
from numpy.testing import assert_allclose
from survival import python

from fastnn import train, workloads
from fastnn.measuring import tutorial
from fastnn.measuring.timing import Timing, in_process, interleaved
from fastnn.testing.correctness import SAME_ANSWER

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"

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
    """asv's suite as asv imports it: its modules by name."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    names = ("common", "train", "predict", "real_work", "start")
    return {name: importlib.import_module(f"suite.{name}") for name in names}


SMALL = ("seed", "digits", "seed, validation", "iris, early stopping")


def test_tolerances_are_those_of_the_package(suite, monkeypatch):
    """Both programs measure older commits too, and so cannot import them from what they measure."""
    pytest.importorskip("resource")
    monkeypatch.syspath_prepend(BENCHMARKS)
    assert suite["common"].TOLERANCE == importlib.import_module("gate_probe").SAME_ANSWER == SAME_ANSWER


def classes(module):
    """The benchmark classes that a module defines."""
    return [cls for cls in vars(module).values() if inspect.isclass(cls) and cls.__module__ == module.__name__]


def test_asv_benchmarks_run(suite, monkeypatch):
    """Each once, on the small workloads; what asv runs in processes of their own is left to the next test."""
    monkeypatch.setattr(suite["train"], "EPOCHS", dict.fromkeys(suite["train"].EPOCHS, 2))
    monkeypatch.setattr(suite["predict"], "CALLS", {1: 1, 10_000: 1})
    ran = set()
    modules = (suite["train"], suite["predict"], suite["real_work"])
    for cls in [*itertools.chain(*map(classes, modules)), suite["start"].Memory]:
        for values in itertools.product(*cls.params):
            if isinstance(values[0], str) and values[0] not in SMALL:
                continue
            benchmark = cls()
            benchmark.setup(*values)
            for name in dir(cls):
                if name.startswith(("time_", "track_", "peakmem_")):
                    result = getattr(benchmark, name)(*values)
                    assert result is None if not name.startswith("track_") else 0 < result < 1
                    ran.add(name)
    assert ran == {
        "time_train",
        "track_numba_numpy_time_ratio",
        "time_predict",
        "time_loss_and_gradient",
        "time_real_work",
        "peakmem_train",
    }


def test_asv_knows_every_workload(suite):
    names, backends = suite["train"].Train.params
    assert set(names) == set(workloads.names())
    assert set(itertools.product(names, backends)) == set(suite["train"].EPOCHS)


def test_asv_would_run_this_code_in_processes_of_their_own(suite, monkeypatch):
    filled = types.SimpleNamespace(run=lambda *_, **__: None)  # the warm cache: seconds of compilation
    monkeypatch.setattr(suite["start"], "subprocess", filled)
    assert "import numba" not in suite["start"].PREPARE  # which a process that finds its kernels does not need
    for cls in (suite["start"].Import, suite["start"].Cold, suite["start"].Warm):
        for values in itertools.product(*getattr(cls, "params", [])):
            benchmark = cls()
            if values:
                benchmark.setup(*values)
            for name in (name for name in dir(cls) if name.startswith("timeraw_")):
                for code in getattr(benchmark, name)(*values):
                    compile(code, name, "exec")
                if "numba" not in name and not values:
                    timed, before = getattr(benchmark, name)()
                    in_process(f"{before}\n{timed}")
            if values:
                benchmark.teardown(*values)


def test_asv_benchmarks_have_versions(suite):
    """The history outlives an edit of the source."""
    for module in ("train", "predict", "real_work", "start"):
        assert all(cls.version.isdigit() for cls in classes(suite[module]))


def test_asv_times_no_wrong_answer(suite, monkeypatch):
    other = workloads.load("seed").network.init_params(np.random.RandomState(1), float)
    monkeypatch.setattr(
        suite["common"],
        "train",
        lambda *data, backend, **options: (
            train(*data, backend=backend, **options) if backend == "numpy" else types.SimpleNamespace(params=other)
        ),
    )
    with pytest.raises(AssertionError, match="relative distance"):
        suite["common"].check(workloads.load("seed"), "numba")


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


def test_a_process_of_its_own_tells_time_memory_and_output():
    process = in_process("print('hello'); x = bytearray(80_000_000)", {"FASTNN_TEST": "1"})
    assert process.output == "hello\n"
    assert process.seconds > 0
    assert process.peak_bytes is None or 80e6 < process.peak_bytes < 300e6


def test_a_failing_process_says_why():
    with pytest.raises(RuntimeError, match="ValueError: so it is"):
        in_process("raise ValueError('so it is')")


PARTS_OF_THE_KERNEL = """
import re, sys

import numpy as np

sys.path.insert(0, sys.argv[1])
from benchmarks.hotspots import PARTS, functions
from fastnn.compiler import codegen
from fastnn.compiler import tracing

tracing.OUTLINED_ATTRIBUTES.append("noinline")
code = codegen.compile_entry("train_steps", np.dtype(np.float32)).partition(b"\\n")[2]
found = functions(code)
assert all(0 <= place < place + size <= len(code) for place, size in found.values()), found
parts = [next((part for part, pattern in PARTS.items() if re.search(pattern, name)), name) for name in found]
print(*sorted(set(parts)), sep="\\n")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="perf and its object files are Linux'")
def test_the_profile_knows_every_part_of_the_kernel():
    parts = runpy.run_path(str(BENCHMARKS / "hotspots.py"))["PARTS"]
    assert python(PARTS_OF_THE_KERNEL, BENCHMARKS.parent, NUMBA_OPT=1) == sorted(parts)  # inlines the same functions
