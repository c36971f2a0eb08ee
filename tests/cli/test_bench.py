"""``fastnn bench``: answers first, then times; reports that are kept and compared."""

import json
import re

import pytest

pytest.importorskip("typer")
pytest.importorskip("rich")

from fastnn import gate, train
from fastnn.cli import bench, correctness
from fastnn.cores import Cores
from fastnn.gate import compare

SETTINGS = bench.BenchSettings(
    rounds=2, sample_seconds=0.001, starts=1, compiled=0, workloads=("seed", "tab")
)


@pytest.fixture(scope="module")
def report():
    steps = []
    what = (["seed"], ["numpy", "numba"], [None, "float32"], SETTINGS)
    found = bench.run(*what, steps.append)
    assert len(steps) >= bench.n_steps(*what) - 3 * SETTINGS.starts
    return found


def test_report_holds_samples_by_workload_dtype_and_back_end(report):
    found = {work: [*backends] for work, backends in bench.by_workload(report).items()}
    assert found == {("seed", dtype): ["numpy", "numba"] for dtype in ("float64", "float32")}
    for training in report["trainings"]:
        assert len(training["seconds"]) == SETTINGS.rounds
        assert min(training["seconds"]) > 0
    assert [start["what"] for start in report["starts"]][:2] == [
        "import numpy",
        "import fastnn, after numpy",
    ]


def test_one_start_is_no_spread(report):
    starts = ([{"what": "a", "seconds": seconds}] for seconds in ([1.0], [1.0, 2.0]))
    titles = [
        [c.header for c in bench.starts_table(report | {"starts": s}).columns] for s in starts
    ]
    assert titles == [["what", "once"], ["what", "median", "least", "most"]]


@pytest.fixture
def short(monkeypatch):
    """``fastnn bench`` has settings of nothing much."""
    monkeypatch.setattr(bench, "QUICK", SETTINGS)
    monkeypatch.setattr(bench, "FULL", SETTINGS)
    monkeypatch.setattr(bench, "_starts", lambda *_: [{"what": "import numpy", "seconds": [0.1]}])


def test_bench_prints_speeds_ratios_and_starts(short, succeed):
    out, _ = succeed("bench", "--quick", "--workload", "seed")
    assert re.search(r"seed, float64 .* [\d,]+ .* [\d,]+ .* \d+", out)
    for words in (
        "iterations per second",
        "numba / numpy",
        "import numpy",
        "Answers checked first",
        "load before",
    ):
        assert words in " ".join(out.split())
    one, _ = succeed("bench", "--workload", "seed", "--backend", "numpy")
    assert "numba" not in one.split("Answers")[0].split("Training")[1]  # and no ratio


def test_bench_writes_samples_and_counts_the_units_of_real_work(short, succeed, tmp_path):
    names = ("seed", "seed, validation", "seed, one call")
    options = (option for name in names for option in ("--workload", name))
    out, _ = succeed("bench", *options, "--dtype", "both", "--json", "r.json")
    assert "r.json" in out
    assert re.search(r"seed, validation, float64 .*\n.*epochs per second", out)
    assert re.search(r"seed, one call, float32 .*\n.*calls per second", out)
    found = bench.load(tmp_path / "r.json")
    units = [unit for unit in ("iteration", "epoch", "call") for _ in range(4)]
    assert [training["unit"] for training in found["trainings"]] == units
    assert all(t["iterations"] >= 1 and min(t["seconds"]) > 0 for t in found["trainings"])
    assert found["format"] == 1


def test_bench_prints_what_the_gate_reads_and_how_many_threads(short, succeed, monkeypatch):
    """Real work and the other back end have one."""
    monkeypatch.setattr(bench, "available_cores", lambda: Cores(2, ""))
    chosen = ("--workload", "tab", "--workload", "seed, one call", "--threads", "all")
    out, _ = succeed("bench", *chosen, "--json", "-")
    values, _ = gate.read(out)
    assert gate.Quantity("trainings", "tab, float32, numba") in values
    two = [(t["workload"], t["backend"]) for t in json.loads(out)["trainings"] if t["threads"] == 2]
    assert two == [("tab", "numba")]


GATE = ("gate", "--base", "base", "--head", "head")


@pytest.mark.parametrize("path", ["file/out", "folder"])
@pytest.mark.parametrize(
    ("command", "option"),
    [(("bench",), "--json"), (GATE, "--json"), (GATE, "--plot"), (GATE, "--summary")],
)
def test_files_are_checked_before_anything_is_measured(
    refused, monkeypatch, tmp_path, command, option, path
):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(bench, "run", lambda *_: pytest.fail("measured"))
    monkeypatch.setattr(compare, "run", lambda _: pytest.fail("ran"))
    assert option in refused(*command, option, path)
    told = "there is no folder new; make it first"
    assert told in refused(*command, option, "new/out")
    refused(*command, option, "out", "--backend", "none")  # other mistakes are found as before


def slower(factor):
    """What makes of a report an old one, whose samples were so many times as long."""
    return lambda new: {
        "trainings": [t | {"seconds": [s * factor for s in t["seconds"]]} for t in new["trainings"]]
    }


@pytest.mark.parametrize(
    ("change", "options", "code", "told"),
    [
        (slower(1000.0), ("--fail-below", "0.1"), 0, "new speed / old speed"),
        (slower(0.001), ("--fail-below", "0.1"), 1, "too slow"),
        (slower(0.001), (), 0, "new speed / old speed"),
        (lambda new: {"cpu": "Abacus"}, (), 0, "another processor, Abacus"),
        (lambda new: {"trainings": []}, (), 2, "no training in common"),
    ],
)
def test_bench_fails_where_it_got_slower_and_says_what_cannot_be_compared(
    short, run, report, tmp_path, change, options, code, told
):
    (tmp_path / "old.json").write_text(json.dumps(report | change(report)))
    command = ("bench", "--workload", "seed", "--compare", "old.json", *options)
    actual, out, err = run(*command)
    assert actual == code
    assert told in " ".join((out + err).split())
    assert ("too slow" in out) == (code == 1)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        (
            "--workload",
            "seed validation",
            f"(did you mean 'seed, validation'?) is none of: {'; '.join(bench.NAMES)}",
        ),
        ("--backend", "cuda", "is none of: numpy; numba"),
        ("--dtype", "float16", "it is float32, float64 or both"),
        ("--fail-below", "0.9", "it needs --compare"),
        ("--threads", "0", "neither a number from 1 on nor all"),
        ("--threads", "many", "neither a number from 1 on nor all"),
        ("--threads", "1.5", "neither a number from 1 on nor all"),
        (
            "--compare",
            "list.json",
            "fastnn: list.json is no report of `fastnn bench --json`: it is a list",
        ),
        (
            "--compare",
            "counts.json",
            "fastnn: counts.json is no report of `fastnn bench --json`: it has no cpu and no",
        ),
    ],
)
def test_bench_refuses_what_it_does_not_know(short, refused, tmp_path, option, value, told):
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "counts.json").write_text('{"format": 1, "counts": {"a": 1}}')
    assert told in refused("bench", option, value)


def test_bench_times_nothing_when_the_answers_differ(short, run, monkeypatch):
    monkeypatch.setattr(
        correctness, "train", lambda *data, **options: train(*data, **options | {"seed": 1})
    )
    monkeypatch.setattr(bench, "interleaved", lambda *_: pytest.fail("timed"))
    code, out, err = run("bench", "--workload", "seed")
    assert code == 2
    assert re.fullmatch(r"fastnn: .*nothing was timed\n", err)
    assert "iterations per second" not in out
