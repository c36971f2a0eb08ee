"""The performance gate: what it reads, how it judges, what it fails on, and that another project can use it."""

import json
import pathlib
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest

from fastnn import cli
from fastnn.gate import compare, measure, samples
from fastnn.gate.compare import Alone, Comparison, Count, Outcome, Plan
from fastnn.gate.samples import CommandError, Quantity, Sample
from fastnn.gate.statistics import Interval, interval, judge

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "my_kernel_bench.py"
THRESHOLD = compare.THRESHOLD
DIGITS, ONLINE = (Quantity("trainings", name) for name in ("digits", "online"))
START, MEMORY = Quantity("starts", "first call"), Quantity("memory", "peak")


# ------------------------------------------------------------------------------------------------------------- reading


def test_what_is_read():
    report = {
        "format": 1,
        "cpu": "not read",
        "trainings": [
            {"workload": "digits", "dtype": "float32", "backend": "numba", "seconds": [3.0, 1.0, 2.0], "sizes": [2]},
            {"workload": "online", "seconds": [5]},
        ],
        "starts": [{"what": "first call", "seconds": [0.5]}],
        "memory": [{"what": "peak", "bytes": [100]}],
        "counts": {"kernels compiled": 0},
    }
    values, counts = samples.read(json.dumps(report))
    digits = Quantity("trainings", "digits, float32, numba")
    assert values == {digits: 2.0, ONLINE: 5.0, START: 0.5, MEMORY: 100.0}
    assert counts == {"kernels compiled": 0}


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
        ('{"format": 1, "trainings": [{"seconds": [1]}]}', r"trainings\[0\].workload must be a str, not None"),
        ('{"format": 1, "starts": [{"what": "a"}]}', r"starts\[0\].seconds must be a list, not None"),
        ('{"format": 1, "starts": [{"what": "a", "seconds": []}]}', r"starts\[0\].seconds is empty"),
        ('{"format": 1, "starts": [{"what": "a", "seconds": [0]}]}', "positive numbers, not 0"),
        ('{"format": 1, "starts": [{"what": "a", "seconds": [NaN]}]}', "positive numbers, not nan"),
        ('{"format": 1, "starts": [{"what": "a", "seconds": [true]}]}', "positive numbers, not True"),
        ('{"format": 1, "counts": {"a": 1.5}}', r"counts\['a'\] must be a whole number, not 1.5"),
        (
            '{"format": 1, "starts": [{"what": "a", "seconds": [1]}, {"what": "a", "seconds": [1]}]}',
            r"starts\[1\] has the name of an earlier one, 'a'",
        ),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"format": 1, "starts": [{"what": "a", "seconds": [1' + "0" * 400 + "]}]}", "positive numbers, not 1000"),
        ('{"format": 1, "starts": [{"what": "a", "seconds": [' + "9" * 9999 + "]}]}", "[0-9]+ digits"),
        ('{"format": "' + "x" * 10**6 + '"}', '"format" is .x*, not 1'),
        ('{"format": 1, "counts": {"' + "x" * 10**6 + '": "y"}}', "must be a whole number"),
        ('{"format": 1, "trainings": "' + "x" * 10**6 + '"}', "trainings must be a list"),
        ('{"format": 1, "trainings": [{"workload": "a", "seconds": ["' + "x" * 10**6 + '"]}]}', "positive numbers"),
    ],
    ids=lambda value: value[:40],
)
def test_what_is_no_report(text, message):
    """However it was made to hurt: a ValueError of a few words."""
    with pytest.raises(ValueError, match=message) as error:
        samples.read(text)
    assert len(str(error.value)) < 300


def test_a_long_line_of_a_failed_command_is_cut():
    command = python("-c", "import sys; print('x' * 10**6, file=sys.stderr); sys.exit(3)")
    with pytest.raises(CommandError) as error:
        samples.run(command)
    assert len(str(error.value)) < len(command) + 400


def python(*arguments):
    """A command for the shell that runs Python."""
    join = subprocess.list2cmdline if sys.platform == "win32" else shlex.join
    return join([sys.executable, *map(str, arguments)])


def test_a_command_that_fails():
    command = python("-c", "import sys; print('no such kernel', file=sys.stderr); sys.exit(3)")
    with pytest.raises(CommandError, match="ended with 3:\n  no such kernel"):
        samples.run(command)


def test_a_command_that_prints_something_else():
    with pytest.raises(CommandError, match=r"printed no JSON in the format of `fastnn bench --json -`: .*'hello'"):
        samples.run(python("-c", "print('hello')"))


def test_fastnn_bench_prints_what_the_gate_reads(capsys):
    pytest.importorskip("rich")
    pytest.importorskip("typer")
    with pytest.raises(SystemExit) as end:
        cli.main(["bench", "--quick", "--workload", "seed", "--backend", "numpy", "--json", "-"])
    assert not end.value.code
    values, _ = samples.read(capsys.readouterr().out)
    assert Quantity("trainings", "seed, float64, numpy") in values


# ------------------------------------------------------------------------------------------------------------- judging


def pairs(random, n, ratio, noise=0.02):
    """Pairs of a machine that drifts, is now and then twice as slow for one run, and has noise besides."""
    drift = np.exp(np.cumsum(random.normal(0, 0.02, 2 * n)))
    busy = np.where(random.random_sample(2 * n) < 0.1, random.uniform(1, 2, 2 * n), 1)
    times = drift * busy * np.exp(random.normal(0, noise, 2 * n))
    found = []
    for i in range(n):
        first, second = times[2 * i : 2 * i + 2]
        base, head = (second, first) if i % 2 else (first, second)
        found.append((base, ratio * head))
    return found


def simulated(monkeypatch, seed, ratio, names=("a", "b", "c", "d")):
    """The outcome of a gate on simulated runs, in which head takes `ratio` times as long."""
    random = np.random.RandomState(seed)
    quantities = [Quantity("trainings", name) for name in names]
    speed = {"level": 1.0}

    def run(command):
        speed["level"] *= np.exp(random.normal(0, 0.02))
        level = speed["level"] * (random.uniform(1, 2) if random.random_sample() < 0.1 else 1)
        times = level * np.exp(random.normal(0, 0.02, len(names))) * (ratio if command == "head" else 1)
        return Sample(dict(zip(quantities, times, strict=True)), {"compiled": 0}, 1.0)

    monkeypatch.setattr(compare, "run", run)
    return compare.compare("base", "head", Plan())


def test_no_alarm_when_nothing_changed(monkeypatch):
    """Four workloads on a machine that drifts by 2 % a run and is up to twice as slow in one run of ten."""
    assert all(simulated(monkeypatch, seed, 1.0).passed for seed in range(200))


def test_15_percent_are_always_noticed(monkeypatch):
    found = [simulated(monkeypatch, seed, 1.15) for seed in range(200)]
    assert not any(outcome.passed for outcome in found)
    assert np.mean([c.slower for outcome in found for c in outcome.comparisons]) > 0.9


def test_a_gain_is_called_one(monkeypatch):
    outcome = simulated(monkeypatch, 0, 0.7)
    assert outcome.passed
    assert {c.verdicts for c in outcome.comparisons} == {("faster",)}


@pytest.mark.parametrize("ratio", [1.0, 1.15])
def test_interval_holds_the_truth(ratio):
    random = np.random.RandomState(0)
    intervals = [interval(pairs(random, 12, ratio)) for _ in range(200)]
    assert np.mean([low <= ratio <= high for low, _, high in intervals]) > 0.93


def test_interval_takes_no_notice_of_outliers_or_drift():
    quiet = [(1.0, 1.1)] * 8
    assert interval(quiet) == pytest.approx((1.1, 1.1, 1.1))
    assert interval([*quiet, (1.0, 50.0), (50.0, 1.1)]).middle == pytest.approx(1.1)
    drifting = [(d, 1.1 * d * 1.1) if i % 2 else (d * 1.1, 1.1 * d) for i, d in enumerate(2.0 ** np.arange(8))]
    assert interval(drifting).middle == pytest.approx(1.1, rel=0.01)


def test_interval_is_the_same_each_time():
    found = pairs(np.random.RandomState(0), 8, 1.0)
    assert interval(found) == interval(found)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(1.06, 1.2, "slower"), (1.04, 1.2, "undecided"), (0.9, 1.04, "no slower"), (0.8, 0.9, "faster")],
)
def test_verdicts(low, high, verdict):
    assert judge(Interval(low, (low + high) / 2, high), 1.05) == verdict


# ----------------------------------------------------------------------------------------------------------- comparing


@pytest.fixture
def runs(monkeypatch):
    """Replace running a command; the list of the commands that were run."""
    called = []

    def install(function):
        def run(command):
            called.append(command)
            return function(command, len(called))

        monkeypatch.setattr(compare, "run", run)
        return called

    return install


def sample(seconds=1.0, counts=(("compiled", 0),), quantity=DIGITS):
    return Sample({quantity: seconds}, dict(counts), 1.0)


def test_pairs_turn_and_stop_when_decided(runs):
    called = runs(lambda command, i: sample())
    outcome = compare.compare("base", "head", Plan())
    assert outcome.passed
    assert called == ["base", "head"] * 2 + ["head", "base", "base", "head"] * 2 + ["head", "base"]
    assert len(outcome.comparisons[0].rounds[0]) == compare.FEWEST


def test_undecided_takes_all_pairs_and_passes(runs):
    called = runs(lambda command, i: sample(1.0 + 0.1 * (i % 3) * (command == "head")))
    outcome = compare.compare("base", "head", Plan(pairs=8))
    assert outcome.passed
    assert outcome.comparisons[0].verdicts == ("undecided",)
    assert len(called) == 2 + 2 * 8


def test_slower_must_be_found_twice(runs):
    first_round = 2 + 2 * compare.FEWEST
    runs(lambda command, i: sample(1.5 if command == "head" and i <= first_round else 1.0))
    outcome = compare.compare("base", "head", Plan())
    assert outcome.passed
    assert outcome.comparisons[0].verdicts == ("slower", "no slower")
    runs(lambda command, i: sample(1.5 if command == "head" else 1.0))
    assert not compare.compare("base", "head", Plan()).passed


def test_starts_have_a_threshold_of_their_own(runs):
    runs(lambda command, i: sample(1.15 if command == "head" else 1.0, quantity=START))
    assert compare.compare("base", "head", Plan()).passed


def test_a_worse_count_fails_and_nothing_is_timed(runs):
    called = runs(lambda command, i: sample(counts=[("compiled", 1 if command == "head" else 0)]))
    outcome = compare.compare("base", "head", Plan())
    assert not outcome.passed
    assert outcome.counts == (Count("compiled", 0, 1),)
    assert outcome.comparisons == ()
    assert len(called) == 4


def test_the_first_run_may_compile(runs):
    runs(lambda command, i: sample(counts=[("compiled", 9 if i <= 2 else 0)]))
    assert compare.compare("base", "head", Plan()).passed


def test_fewer_or_new_counts_pass(runs):
    runs(lambda command, i: sample(counts=[("a", 0), ("new", 5)] if command == "head" else [("a", 3)]))
    outcome = compare.compare("base", "head", Plan(timed=False))
    assert outcome.passed
    assert [(count.name, count.verdict) for count in outcome.counts] == [("a", "fewer"), ("new", "new")]


def test_what_one_side_alone_measures_is_shown_and_the_rest_compared(runs):
    def both(command, i):
        only = ONLINE if command == "base" else START
        return Sample({DIGITS: 1.0, only: 2.0}, {"both": 0, command: 3}, 1.0)

    runs(both)
    outcome = compare.compare("base", "head", Plan())
    assert outcome.passed
    assert [c.quantity for c in outcome.comparisons] == [DIGITS]
    assert outcome.alone == (Alone(ONLINE, 2.0, None), Alone(START, None, 2.0))
    assert [(count.name, count.verdict) for count in outcome.counts] == [
        ("both", "equal"),
        ("base", "gone"),
        ("head", "new"),
    ]
    assert outcome.gone == ["online", "base"]


def test_nothing_in_common_is_an_error(runs):
    runs(lambda command, i: sample(counts=(), quantity=ONLINE if command == "head" else DIGITS))
    with pytest.raises(CommandError, match="nothing of the same name"):
        compare.compare("base", "head", Plan())


def test_a_side_must_measure_the_same_in_each_run(runs):
    runs(lambda command, i: sample(quantity=ONLINE if i == 5 else DIGITS))
    with pytest.raises(CommandError, match="head does not measure the same in each run; missing this time: digits"):
        compare.compare("base", "head", Plan())


# ---------------------------------------------------------------------------------------------------------- the command


@pytest.fixture
def gate(capsys, monkeypatch, set_columns, tmp_path):
    """Run ``fastnn gate`` in an empty folder; its exit code, stdout and stderr."""
    for package in ("typer", "rich", "matplotlib"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    set_columns(120)

    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.main(["gate", *map(str, arguments)])
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return call


def test_pass(gate, runs, tmp_path):
    runs(lambda command, i: sample(2e-6))
    code, out, _ = gate("--base", "base", "--head", "head", "--json", "out.json", "--plot", "out.png")
    assert code == 0
    assert "2.00 µs" in out
    assert "Passed: nothing is shown to be slower." in out
    found = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert (found["passed"], found["base"], found["head"]) == (True, "base", "head")
    (digits,) = found["comparisons"]
    assert (digits["name"], digits["verdict"], digits["ratio"]["middle"]) == ("digits", "no slower", 1.0)
    assert digits["rounds"] == [[[2e-6, 2e-6]] * compare.FEWEST]
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_fail_by_time(gate, runs):
    runs(lambda command, i: sample(1.5 if command == "head" else 1.0))
    code, out, _ = gate("--base", "base", "--head", "head")
    assert code == 1
    assert "FAILED, slower in two rounds: digits (+50.0%)." in out


def test_threshold(gate, runs):
    runs(lambda command, i: sample(1.5 if command == "head" else 1.0))
    assert gate("--base", "base", "--head", "head", "--threshold", 1.4)[0] == 1
    assert gate("--base", "base", "--head", "head", "--threshold", 1.6)[0] == 0


def test_fail_by_count(gate, runs, tmp_path):
    runs(lambda command, i: sample(counts=[("compiled", 2 if command == "head" else 0)]))
    code, out, _ = gate("--base", "base", "--head", "head", "--json", "out.json", "--plot", "out.png")
    assert code == 1
    assert "FAILED, more than before, and so nothing was timed: compiled: 0 to 2." in out
    assert json.loads((tmp_path / "out.json").read_text("utf-8"))["counts"][0]["verdict"] == "more"
    assert not (tmp_path / "out.png").exists()


def test_a_broken_command_is_one_clear_line(gate):
    code, out, err = gate("--base", python("-c", "print('{}')"), "--head", "x")
    assert (code, out) == (2, "")  # 1 is for what is slower
    assert err.count("\n") == 1
    assert '"format" is None, not 1' in err


@pytest.mark.parametrize("arguments", [(), ("--base", "x"), ("--base", "x", "--head", "y", "--pairs", 1)])
def test_wrong_usage(gate, arguments):
    assert gate(*arguments)[0] == 2


@pytest.mark.parametrize("option", ["--json", "--plot", "--summary"])
@pytest.mark.parametrize("path", ["file/out", "folder"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_run(gate, runs, tmp_path, option, path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    runs(lambda command, i: pytest.fail("ran"))
    code, _, err = gate("--base", "base", "--head", "head", option, path)
    assert code == 2
    assert option in err


def test_the_summary_is_markdown_and_appended(gate, runs, tmp_path):
    """What is slower stands out, what was not compared is named, and a name breaks no table."""
    slow, other = Quantity("trainings", "a | b"), Quantity("trainings", "gone")
    values = {"base": {slow: 1e-3, other: 1.0}, "head": {slow: 1.5e-3}}
    runs(lambda command, i: Sample(values[command], {"compiled": 0}, 1.0))
    (tmp_path / "summary.md").write_text("before\n", "utf-8")
    assert gate("--base", "base", "--head", "head", "--summary", "summary.md")[0] == 1
    text = (tmp_path / "summary.md").read_text("utf-8")
    assert text.startswith("before\n### Head against base\n\n| what | base | head | head / base | verdict |\n|---|")
    assert "\n| a \\| b | 1.00 ms | 1.50 ms | 1.500 1.500–1.500 | **slower** |\n" in text
    assert "\n| gone | 1.00 s | - |  | gone |\n" in text
    assert "\n| compiled | 0 | 0 |  | equal |\n" in text
    assert "**FAILED, slower in two rounds: a | b (+50.0%).**" in text


def test_what_is_gone_is_said_and_passes(gate, runs):
    runs(lambda command, i: Sample({DIGITS: 1.0} | ({ONLINE: 1.0} if command == "base" else {}), {}, 1.0))
    code, out, _ = gate("--base", "base", "--head", "head")
    assert code == 0
    assert "Passed: nothing is shown to be slower. Not compared, for head does not measure it: online." in out


def test_the_picture_marks_what_is_slower():
    pytest.importorskip("rich")
    pytest.importorskip("matplotlib")
    from fastnn.gate import report

    same, slow = ((1.0, 1.0),) * 6, ((1.0, 1.3),) * 6
    comparisons = (Comparison(DIGITS, THRESHOLD, (same,)), Comparison(ONLINE, THRESHOLD, (slow, slow)))
    figure = report.draw(Outcome("2026-01-01", "cpu", "a", "b", (1.0, 1.0), (), comparisons, (), 1.0))
    (axes,) = figure.axes
    colors = {line.get_color() for line in axes.lines if line.get_marker() == "o"}
    assert len(colors) == 2
    assert [label.get_text() for label in axes.get_yticklabels()] == ["digits", "online"]


# ------------------------------------------------------------------------------------------- another project's kernel


def test_measure_writes_what_the_gate_reads():
    """A sample takes as long as it should, by a clock that ticks 1 ms a call; functions are measured in turn."""
    now, called = [0.0], []

    def work(name, seconds):
        called.append(name)
        now[0] += seconds

    functions = {"slow": lambda: work("slow", 0.03), "fast": lambda: work("fast", 1e-4)}
    options = {"counts": {"compiled": 2}, "starts": {"first call": [0.5]}, "memory": {"peak": [100]}}
    text = measure(functions, **options, samples=3, clock=lambda: now[0])
    slow, fast = (Quantity("trainings", name) for name in functions)
    values, counts = samples.read(text)
    assert values == pytest.approx({slow: 0.03, fast: 1e-4, START: 0.5, MEMORY: 100.0})
    assert counts == {"compiled": 2}
    assert called[-402:] == (["slow"] + ["fast"] * 200) * 2


def test_measure_refuses_what_the_gate_would_not_read():
    with pytest.raises(ValueError, match="missing or empty"):
        measure({})
    with pytest.raises(ValueError, match=r"whole number, not 0\.5"):
        measure({}, counts={"a": 0.5})
    with pytest.raises(TypeError, match=r"functions must be a mapping, such as \{'name': function\}, not <function"):
        measure(lambda: None)


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The command that measures the example, with a kernel cache of its own."""
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    return python(EXAMPLE)


def test_gate_on_the_example(gate, example, tmp_path):
    code, out, _ = gate("--base", example, "--head", example, "--pairs", 2, "--threshold", 5, "--json", "out.json")
    assert code == 0, out
    found = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert [c["name"] for c in found["comparisons"]] == ["nearest of 64", "nearest of 512"]
    assert {count["head"] for count in found["counts"]} == {0}


@pytest.mark.skipif(sys.platform == "win32", reason="the shell sets variables in another way")
def test_gate_notices_without_timing_that_the_example_is_not_compiled(gate, example):
    code, out, _ = gate("--base", example, "--head", f"NUMBA_DISABLE_JIT=1 {example}", "--counts")
    assert code == 1
    assert "kernels that run as plain Python: 0 to 1" in out


# ------------------------------------------------------------------------------------------------------- fastnn itself


def test_trial_breaks_what_it_says(tmp_path, monkeypatch):
    """Each change of `gate_trial.py` still finds its place in the package, and leaves Python behind."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import gate_trial

    for i, change in enumerate((gate_trial.SLOWER, *gate_trial.LOSSES.values())):
        package = tmp_path / str(i)
        (package / change.file).parent.mkdir(parents=True)
        shutil.copy(ROOT / "fastnn" / change.file, package / change.file)
        change.apply(package)
        compile((package / change.file).read_text("utf-8"), change.file, "exec")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no `resource`")
def test_probe_measures_fastnn():
    found = samples.run(python(ROOT / "benchmarks" / "gate_probe.py"))
    counts = {name: count for name, count in found.counts.items() if "Numba" not in name}  # the cache may be cold
    assert len(counts) == 5
    assert set(counts.values()) == {0}
    assert {kind for kind, _ in found.values} == {"trainings", "starts", "memory"}
