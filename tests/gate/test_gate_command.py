"""The gate with simulated runs: their turns and end, and what the command prints, writes and ends
with."""

import json

import pytest
from gate_samples import DIGITS, ONLINE, START, python, sample

from fastnn.gate import CommandError, Quantity, Sample, compare
from fastnn.gate.compare import GateSettings


@pytest.fixture
def runs(monkeypatch):
    """Replace running a command; the list of the commands that were run."""
    called = []

    def install(function):
        monkeypatch.setattr(
            compare, "run", lambda command: called.append(command) or function(command, len(called))
        )
        return called

    return install


@pytest.fixture
def compared(gate, tmp_path):
    """Compare base with head; the exit code, stdout, and what is written as JSON."""

    def call(*arguments):
        code, out, _ = gate("--base", "base", "--head", "head", "--json", "out.json", *arguments)
        return code, out, json.loads((tmp_path / "out.json").read_text("utf-8"))

    return call


def test_pairs_turn_and_stop_when_decided(runs):
    """The first run of each may compile."""
    called = runs(lambda command, i: sample(counts=[("compiled", i if i <= 2 else 0)]))
    outcome = compare.compare("base", "head", GateSettings())
    assert outcome.passed
    assert called == ["base", "head"] * 2 + ["head", "base", "base", "head"] * 2 + ["head", "base"]
    assert len(outcome.comparisons[0].rounds[0]) == compare.FEWEST


@pytest.mark.parametrize(
    ("seconds", "quantity", "verdicts"),
    [
        (lambda head, i: 1.0 + 0.1 * (i % 3) * head, DIGITS, ("undecided",)),
        (
            lambda head, i: 1.5 if head and i <= 2 + 2 * compare.FEWEST else 1.0,
            DIGITS,
            ("slower", "no slower"),
        ),
        # starts have a threshold of their own
        (lambda head, i: 1.15 if head else 1.0, START, ("no slower",)),
        (lambda head, i: 1.5 if head else 1.0, DIGITS, ("slower", "slower")),
    ],
)
def test_slower_must_be_found_twice_and_undecided_takes_all_pairs(
    runs, seconds, quantity, verdicts
):
    called = runs(lambda command, i: sample(seconds(command == "head", i), quantity=quantity))
    outcome = compare.compare("base", "head", GateSettings(pairs=8))
    assert outcome.comparisons[0].verdicts == verdicts
    assert outcome.passed == (verdicts != ("slower", "slower"))
    if verdicts == ("undecided",):
        assert len(called) == 2 + 2 * 8


def test_what_one_side_alone_measures_is_shown_and_the_rest_compared(compared, runs):
    def both(command, i):
        only = ONLINE if command == "base" else START
        return Sample(
            {DIGITS: 1.0, only: 2.0},
            {"both": 0, "less": 1 if command == "head" else 3, command: 3},
            1.0,
        )

    runs(both)
    code, out, found = compared()
    assert code == 0
    assert (
        "Passed: nothing is shown to be slower. Not compared, for head does not measure it: "
        "online; base."
    ) in out
    assert [c["name"] for c in found["comparisons"]] == ["digits"]
    alone = [(one["name"], one["base"], one["head"]) for one in found["alone"]]
    assert alone == [("online", 2.0, None), ("first call", None, 2.0)]
    verdicts = {count["name"]: count["verdict"] for count in found["counts"]}
    assert verdicts == {"both": "equal", "less": "fewer", "base": "gone", "head": "new"}


def test_a_side_must_measure_the_same_in_each_run(runs):
    runs(lambda command, i: sample(quantity=ONLINE if i == 5 else DIGITS))
    with pytest.raises(
        CommandError, match="head does not measure the same in each run; missing this time: digits"
    ):
        compare.compare("base", "head", GateSettings())


def test_pass(compared, runs, tmp_path):
    runs(lambda command, i: sample(2e-6))
    code, out, found = compared("--plot", "out.png")
    assert code == 0
    assert "2.00 µs" in out
    assert "Passed: nothing is shown to be slower." in out
    assert (found["passed"], found["base"], found["head"]) == (True, "base", "head")
    (digits,) = found["comparisons"]
    assert (digits["name"], digits["verdict"]) == ("digits", "no slower")
    assert digits["ratio"]["middle"] == 1.0
    assert digits["rounds"] == [[[2e-6, 2e-6]] * compare.FEWEST]
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_fail_by_count(compared, runs, tmp_path):
    """The picture is there, for who uploads it, and says why it shows nothing."""
    called = runs(lambda command, i: sample(counts=[("compiled", 2 if command == "head" else 0)]))
    code, out, found = compared("--plot", "out.png")
    assert (code, len(called)) == (1, 4)
    assert "FAILED, more than before, and so nothing was timed: compiled: 0 to 2." in out
    assert (found["counts"][0]["verdict"], found["comparisons"]) == ("more", [])
    assert "Ratios: out.png" in out
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("arguments", [(), ("--counts",)])
def test_nothing_compared_is_no_success(gate, runs, arguments):
    """Without counts, `--counts` compares nothing; without it, the names of what is timed differ as
    well."""
    quantity = {"base": DIGITS, "head": DIGITS if arguments else ONLINE}
    runs(lambda command, i: sample(counts=(), quantity=quantity[command]))
    code, out, err = gate("--base", "base", "--head", "head", *arguments)
    assert (code, out) == (2, "")
    assert ("print no count" if arguments else "measure nothing") + " of the same name" in err


def test_a_broken_command_is_one_clear_line(gate):
    code, out, err = gate("--base", python("-c", "print('{}')"), "--head", "x")
    assert (code, out) == (2, "")  # 1 is for what is slower
    deprecated, error = err.splitlines()
    assert "DeprecationWarning: fastnn.gate and the command fastnn gate go in 0.5" in deprecated
    assert '"format" is None, not 1' in error


@pytest.mark.parametrize(
    "arguments", [(), ("--base", "x"), ("--base", "x", "--head", "y", "--pairs", 1)]
)
def test_wrong_usage(gate, arguments):
    assert gate(*arguments)[0] == 2


def test_the_summary_is_markdown_and_appended(gate, runs, tmp_path):
    """Slower functions stand out, those that were not compared are named, and a name breaks no
    table."""
    slow = Quantity("trainings", "a | b")
    values = {"base": {slow: 1e-3, DIGITS: 1.0}, "head": {slow: 1.5e-3}}
    runs(lambda command, i: Sample(values[command], {"compiled": 0}, 1.0))
    (tmp_path / "summary.md").write_text("before\n", "utf-8")
    assert gate("--base", "base", "--head", "head", "--summary", "summary.md")[0] == 1
    text = (tmp_path / "summary.md").read_text("utf-8")
    assert text.startswith(
        "before\n### Head against base\n\n| what | base | head | head / base | verdict |\n|---|"
    )
    assert "\n| a \\| b | 1.00 ms | 1.50 ms | 1.500 1.500–1.500 | **slower** |\n" in text
    assert "\n| digits | 1.00 s | - |  | gone |\n" in text
    assert "\n| compiled | 0 | 0 |  | equal |\n" in text
    assert "**FAILED, slower in two rounds: a | b (+50.0%).**" in text
