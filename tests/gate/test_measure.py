"""Kernels that the gate measures: another project's by `measure`, and fastnn's own by the probe."""

import json
import pathlib
import subprocess
import sys

import pytest
from gate_samples import MEMORY, START, python

from fastnn import gate as samples
from fastnn.gate import Quantity, measure
from fastnn.measuring import work

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "my_kernel_bench.py"


def test_measure_writes_what_the_gate_reads():
    """A sample takes as long as it should, by a clock that ticks 1 ms a call; functions are measured in turn."""
    now, called = [0.0], []

    def do(name, seconds):
        called.append(name)
        now[0] += seconds

    functions = {"slow": lambda: do("slow", 0.03), "fast": lambda: do("fast", 1e-4)}
    options = {"counts": {"compiled": 2}, "starts": {"first call": [0.5]}, "memory": {"peak": [100]}}
    text = measure(functions, **options, samples=3, clock=lambda: now[0])
    slow, fast = (Quantity("trainings", name) for name in functions)
    values, counts = samples.read(text)
    assert values == pytest.approx({slow: 0.03, fast: 1e-4, START: 0.5, MEMORY: 100.0})
    assert counts == {"compiled": 2}
    assert called[-402:] == ["fast"] * 200 + ["slow"] * 2 + ["fast"] * 200  # each begins a round in turn


def test_measure_refuses_what_the_gate_would_not_read():
    with pytest.raises(ValueError, match="missing or empty"):
        measure({})
    with pytest.raises(ValueError, match=r"whole number, not 0\.5"):
        measure({}, counts={"a": 0.5})
    with pytest.raises(TypeError, match=r"functions must be a mapping, such as \{'name': function\}, not <function"):
        measure(lambda: None)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def example(cache, monkeypatch):
    """The command that measures the example, which Numba compiles once for all tests."""
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(cache))
    return python(EXAMPLE)


@pytest.fixture
def as_before(example, cache):
    """A command that prints what the example printed when it compiled, without running it again."""
    file = cache / "printed.json"
    if not file.exists():
        file.write_bytes(subprocess.run(example, shell=True, capture_output=True, check=True).stdout)
    return python("-S", "-c", f"print(open({str(file)!r}).read())")


def test_gate_on_the_example(gate, example, as_before, tmp_path):
    code, out, _ = gate("--base", as_before, "--head", example, "--pairs", 2, "--threshold", 5, "--json", "out.json")
    assert code == 0, out
    found = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert [c["name"] for c in found["comparisons"]] == ["nearest of 64", "nearest of 512"]
    assert {count["head"] for count in found["counts"]} == {0}


@pytest.mark.skipif(sys.platform == "win32", reason="the shell sets variables in another way")
def test_gate_notices_without_timing_that_the_example_is_not_compiled(gate, example, as_before):
    code, out, _ = gate("--base", as_before, "--head", f"NUMBA_DISABLE_JIT=1 {example}", "--counts")
    assert code == 1
    assert "kernels that run as plain Python: 0 to 1" in out


SHORT = f"""
import json, sys, time
sys.path.insert(0, {str(ROOT / "benchmarks")!r})
import probe
probe.SAMPLED, probe.LARGE = (0.001, 1, time.process_time), ()
print(json.dumps(probe.gate()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no `resource`")
@pytest.mark.parametrize(
    "arguments",
    [["-c", SHORT], pytest.param([ROOT / "benchmarks" / "probe.py", "gate"], marks=pytest.mark.slow)],
    ids=["short", "all"],
)
def test_probe_measures_fastnn(arguments):
    """In short without the largest networks, of which the reference takes half of the time, and without repetitions."""
    found = samples.run(python(*arguments))
    counts = {name: count for name, count in found.counts.items() if "Numba" not in name}  # the cache may be cold
    assert len(counts) == 5
    assert set(counts.values()) == {0}
    assert {kind for kind, _ in found.values} == {"trainings", "starts", "memory"}
    assert {name for name in work.SMALL_NAMES if name.startswith("seed")} <= {name for _, name in found.values}
