"""What the gate reads and refuses: of another project's kernel by `measure`, of fastnn's own by the
probe."""

import json
import pathlib
import subprocess
import sys

import pytest
from gate_samples import MEMORY, START, python

from fastnn import gate as samples
from fastnn.gate import CommandError, Quantity, measure

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "my_kernel_bench.py"
pytestmark = pytest.mark.filterwarnings("ignore:fastnn.gate and:DeprecationWarning")


def test_measure_writes_what_the_gate_reads():
    """A sample takes as long as it should, by a clock that ticks 1 ms a call; functions are
    measured in turn."""
    now = [0.0]
    called = []

    def do(name, seconds):
        called.append(name)
        now[0] += seconds

    functions = {"slow": lambda: do("slow", 0.03), "fast": lambda: do("fast", 1e-4)}
    options = {
        "counts": {"compiled": 2},
        "starts": {"first call": [3.0, 0.1, 0.5]},
        "memory": {"peak": [100]},
    }
    text = measure(functions, **options, samples=3, clock=lambda: now[0])
    slow, fast = (Quantity("trainings", name) for name in functions)
    values, counts = samples.read(text)
    assert values == pytest.approx({slow: 0.03, fast: 1e-4, START: 0.5, MEMORY: 100.0})
    assert counts == {"compiled": 2}
    # each begins a round in turn
    assert called[-402:] == ["fast"] * 200 + ["slow"] * 2 + ["fast"] * 200


ONE = '{"what": "a", "seconds": [1]}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it printed nothing"),
        ("Traceback", "it begins with 'Traceback'"),
        ("[]", "it is a list"),
        ("{}", '"format" is None, not 1'),
        ('{"format": 2, "counts": {"a": 1}}', '"format" is 2, not 1'),
        ('{"format": 1}', "trainings, starts, memory and counts are all missing or empty"),
        ('{"format": 1, "trainings": 3}', "trainings must be a list, not 3"),
        ('{"format": 1, "trainings": [3]}', r"trainings\[0\] must be a dict, not 3"),
        (
            '{"format": 1, "trainings": [{"seconds": [1]}]}',
            r"trainings\[0\].workload must be a str, not None",
        ),
        (
            '{"format": 1, "starts": [{"what": "a"}]}',
            r"starts\[0\].seconds must be a list, not None",
        ),
        (
            '{"format": 1, "starts": [{"what": "a", "seconds": []}]}',
            r"starts\[0\].seconds is empty",
        ),
        ('{"format": 1, "starts": [{"what": "a", "seconds": [0]}]}', "positive numbers, not 0"),
        ('{"format": 1, "starts": [{"what": "a", "seconds": [NaN]}]}', "positive numbers, not nan"),
        (
            '{"format": 1, "starts": [{"what": "a", "seconds": [true]}]}',
            "positive numbers, not True",
        ),
        ('{"format": 1, "counts": {"a": 1.5}}', r"counts\['a'\] must be a whole number, not 1.5"),
        (
            '{"format": 1, "starts": [' + ONE + "," + ONE + "]}",
            r"starts\[1\] has the name of an earlier one, 'a'",
        ),
        ("[" * 100_000, "nested too deeply"),
        (
            '{"format": 1, "starts": [{"what": "a", "seconds": [1' + "0" * 400 + "]}]}",
            "positive numbers, not 1000",
        ),
        (
            '{"format": 1, "starts": [{"what": "a", "seconds": [' + "9" * 9999 + "]}]}",
            "[0-9]+ digits",
        ),
        ('{"format": "' + "x" * 10**6 + '"}', '"format" is .x*, not 1'),
        ('{"format": 1, "counts": {"' + "x" * 10**6 + '": "y"}}', "must be a whole number"),
        ('{"format": 1, "trainings": "' + "x" * 10**6 + '"}', "trainings must be a list"),
        (
            '{"format": 1, "trainings": [{"workload": "a", "seconds": ["' + "x" * 10**6 + '"]}]}',
            "positive numbers",
        ),
    ],
    ids=lambda value: value[:40],
)
def test_what_is_no_report(text, message):
    """However it was made to hurt: a ValueError of a few words."""
    with pytest.raises(ValueError, match=message) as error:
        samples.read(text)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "import sys; print('no such kernel', file=sys.stderr); sys.exit(3)",
            "ended with 3:\n  no such kernel",
        ),
        # which is cut
        ("import sys; print('x' * 10**6, file=sys.stderr); sys.exit(3)", "ended with 3:\n  x"),
        ("print('hello')", r"printed no JSON in the format of `fastnn bench --json -`: .*'hello'"),
    ],
)
def test_a_command_that_fails_or_prints_something_else(code, message):
    command = python("-c", code)
    with pytest.raises(CommandError, match=message) as error:
        samples.run(command)
    assert len(str(error.value)) < len(command) + 400


def test_measure_warns_at_the_caller_s_line_and_names_what_to_use():
    with pytest.warns(
        DeprecationWarning, match=r"go in 0\.5: use pytest-benchmark .* or asv"
    ) as warned:
        measure({}, counts={"compiled": 0})
    assert warned[0].filename == __file__


def test_measure_refuses_what_the_gate_would_not_read():
    with pytest.raises(ValueError, match="missing or empty"):
        measure({})
    with pytest.raises(ValueError, match=r"whole number, not 0\.5"):
        measure({}, counts={"a": 0.5})
    with pytest.raises(
        TypeError, match=r"functions must be a mapping, such as \{'name': function\}, not <function"
    ):
        measure(lambda: None)


def test_gate_on_the_example(gate, monkeypatch, tmp_path):
    """Beside what it printed when Numba compiled it; that it is not compiled is noticed without
    timing."""
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    example = python(EXAMPLE)
    before = tmp_path / "printed.json"
    before.write_bytes(subprocess.run(example, shell=True, capture_output=True, check=True).stdout)
    base = ("--base", python("-S", "-c", f"print(open({str(before)!r}).read())"))
    code, out, _ = gate(
        *base, "--head", example, "--pairs", 2, "--threshold", 5, "--json", "out.json"
    )
    assert code == 0, out
    found = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert [c["name"] for c in found["comparisons"]] == ["nearest of 64", "nearest of 512"]
    assert {count["head"] for count in found["counts"]} == {0}
    if sys.platform != "win32":  # whose shell sets variables in another way
        code, out, _ = gate(*base, "--head", f"NUMBA_DISABLE_JIT=1 {example}", "--counts")
        assert code == 1
        assert "kernels that run as plain Python: 0 to 1" in out
