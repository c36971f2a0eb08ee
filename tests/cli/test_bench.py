"""``fastnn bench``: answers first, then times; reports that are kept and compared."""

import functools
import json
import re
from statistics import median

import pytest

pytest.importorskip("typer")
pytest.importorskip("rich")

from fastnn import train
from fastnn.cli import bench
from fastnn.cores import Cores
from fastnn.errors import FastnnError
from fastnn.gate import compare
from fastnn.measuring import work
from fastnn.measuring.timing import calibrated
from fastnn.testing import correctness

PNG = b"\x89PNG\r\n\x1a\n"


SETTINGS = bench.BenchSettings(rounds=2, sample_seconds=0.001, starts=1, compiled=0, workloads=("seed", "tab"))


@pytest.fixture(scope="module")
def report():
    steps, what = [], (["seed"], ["numpy", "numba"], [None, "float32"], SETTINGS)
    found = bench.run(*what, steps.append)
    assert len(steps) >= bench.n_steps(*what) - 3 * SETTINGS.starts
    return found


def test_report_holds_samples_by_workload_dtype_and_back_end(report):
    both = ("numpy", "numba")
    assert {work: [*backends] for work, backends in bench.by_workload(report).items()} == {
        ("seed", dtype): [*both] for dtype in ("float64", "float32")
    }
    for training in report["trainings"]:
        assert len(training["seconds"]) == SETTINGS.rounds
        assert training["iterations"] >= 1
        assert 0 < median(training["seconds"]) < 1
    assert [start["what"] for start in report["starts"]][:2] == ["import numpy", "import fastnn, after numpy"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "trainings": [{}]}', '{"format": 1, "counts": {"a": 1}}']
)
def test_a_file_that_is_no_report_is_named(text, tmp_path):
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(FastnnError, match=r"other\.json is no report"):
        bench.load(tmp_path / "other.json")


def slower(report, factor, n=None):
    """The report with other samples, of its first trainings only."""
    trainings = [t | {"seconds": [s * factor for s in t["seconds"]]} for t in report["trainings"][:n]]
    return report | {"trainings": trainings}


def test_speed_ratio_is_new_by_old(report):
    ratios = bench.speeds_by(report, slower(report, 2.0, 3))
    names = ("seed, float64, numpy", "seed, float64, numba", "seed, float32, numpy")
    assert ratios == dict.fromkeys(names, pytest.approx(0.5))


@pytest.mark.parametrize(("name", "most"), [("seed", 10**7), ("digits", 20)])
def test_samples_are_no_longer_than_a_usual_training_in_batches(name, most):
    loaded, asked = work.load(name), []
    assert calibrated(asked.append, 1e9, loaded.most) == asked[-1] == most


def test_a_report_says_how_many_threads(monkeypatch):
    """Real work and the other back end have one."""
    monkeypatch.setattr(bench, "_starts", lambda *_: [])
    found = bench.run(["tab", "seed, one call"], ["numpy", "numba"], [None], SETTINGS, threads=2)
    two = [(t["workload"], t["backend"]) for t in found["trainings"] if t["threads"] == 2]
    assert two == [("tab", "numba")]


def test_the_picture_has_the_tables_ratios(report):
    """The median of the rounds' ratios, not the ratio of the medians."""
    samples = {"numpy": [1.0, 2.0, 9.0], "numba": [0.5, 0.1, 0.3]}  # ratios 2, 20, 30; medians 2 and 0.3
    trainings = [report["trainings"][0] | {"backend": name, "seconds": s} for name, s in samples.items()]
    told = report | {"trainings": trainings}
    (axes,) = bench.draw(told).axes
    assert "× 20.0" in [text.get_text() for text in axes.texts]
    assert next(bench.trainings_table(told).columns[3].cells).startswith("20.0\n")


def test_one_start_is_no_spread(report):
    starts = ([{"what": "a", "seconds": seconds}] for seconds in ([1.0], [1.0, 2.0]))
    titles = [[c.header for c in bench.starts_table(report | {"starts": s}).columns] for s in starts]
    assert titles == [["what", "once"], ["what", "median", "least", "most"]]


@pytest.fixture
def call(run, monkeypatch):
    """Run ``fastnn bench`` with settings of nothing much; what it returns, prints, and prints on stderr."""
    monkeypatch.setattr(bench, "QUICK", SETTINGS)
    monkeypatch.setattr(bench, "FULL", SETTINGS)
    monkeypatch.setattr(bench, "_starts", lambda *_: [{"what": "import numpy", "seconds": [0.1]}])
    return functools.partial(run, "bench")


def test_bench_prints_speeds_ratios_and_starts(call):
    code, out, err = call("--quick", "--workload", "seed")
    assert code == 0, err
    assert re.search(r"seed, float64 .* [\d,]+ .* [\d,]+ .* \d+", out)
    for words in ("iterations a second", "numba / numpy", "import numpy", "Answers checked first", "load before"):
        assert words in " ".join(out.split())
    one = call("--workload", "seed", "--backend", "numpy")[1]
    assert "numba" not in one.split("Answers")[0].split("Training")[1]  # and no ratio


def test_bench_writes_samples_and_a_picture_and_counts_the_units_of_real_work(call, tmp_path):
    pytest.importorskip("matplotlib")
    names = ("seed", "seed, validation", "seed, one call")
    options = (option for name in names for option in ("--workload", name))
    code, out, err = call(*options, "--dtype", "both", "--json", "r.json", "--plot", "new/speeds.png")
    assert code == 0, err
    assert "r.json" in out
    assert re.search(r"seed, validation, float64 .*\n.*epochs a second", out)
    assert re.search(r"seed, one call, float32 .*\n.*calls a second", out)
    found = bench.load(tmp_path / "r.json")
    units = [unit for unit in ("iteration", "epoch", "call") for _ in range(4)]
    assert [training["unit"] for training in found["trainings"]] == units
    assert all(t["iterations"] >= 1 and min(t["seconds"]) > 0 for t in found["trainings"])
    assert found["format"] == 1
    assert (tmp_path / "new/speeds.png").read_bytes().startswith(PNG)


GATE = ("gate", "--base", "base", "--head", "head")


@pytest.mark.parametrize("path", ["file/out", "folder"])
@pytest.mark.parametrize(
    ("command", "option"),
    [(("bench",), "--json"), (("bench",), "--plot"), *((GATE, option) for option in ("--json", "--plot", "--summary"))],
)
def test_files_are_checked_before_anything_is_measured(run, monkeypatch, tmp_path, command, option, path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(bench, "run", lambda *_: pytest.fail("measured"))
    monkeypatch.setattr(compare, "run", lambda _: pytest.fail("ran"))
    code, _, err = run(*command, option, path)
    assert code == 2
    assert option in err
    assert run(*command, option, "new/folder/out", "--backend", "none")[0] == 2  # other mistakes are found as before


@pytest.mark.parametrize(("factor", "code"), [(1000.0, 0), (0.001, 1)])
def test_bench_fails_where_it_got_slower(call, report, tmp_path, factor, code):
    (tmp_path / "old.json").write_text(json.dumps(slower(report, factor)))
    options = ("--workload", "seed", "--compare", "old.json", "--fail-below", "0.8")
    found, out, _ = call(*options)
    assert found == code
    assert ("too slow" in out) == (code == 1)
    assert call(*options[:4])[0] == 0  # without a limit it only tells


@pytest.mark.parametrize(
    ("changes", "code", "told"),
    [({"cpu": "Abacus"}, 0, "another processor, Abacus"), ({"trainings": []}, 2, "no training in common")],
)
def test_bench_says_what_cannot_be_compared(call, report, tmp_path, changes, code, told):
    (tmp_path / "old.json").write_text(json.dumps(report | changes))
    found, out, err = call("--workload", "seed", "--compare", "old.json")
    assert found == code
    assert told in " ".join((out + err).split())


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--workload", "sed", "is none of: seed; iris"),
        ("--backend", "cuda", "is none of: numpy; numba"),
        ("--dtype", "float16", "it is float32, float64 or both"),
        ("--fail-below", "0.9", "it needs --compare"),
        *(("--threads", text, "neither a number from 1 on nor all") for text in ("0", "-1", "many", "1.5")),
        ("--compare", "old.json", "fastnn: old.json is no report"),
    ],
)
def test_bench_refuses_what_it_does_not_know(call, tmp_path, option, value, told):
    (tmp_path / "old.json").write_text("{}")
    code, _, err = call(option, value)
    assert code == 2
    assert told in " ".join(err.split())


def test_names_of_workloads_are_parted_by_what_is_in_none_of_them(call):
    code, _, err = call("--workload", "seed validation")
    assert code == 2
    listed = " ".join(err.split()).partition("is none of: ")[2].split("; ")
    assert listed == list(bench.NAMES)
    assert "(did you mean 'seed, validation'?)" in " ".join(err.split())


def test_bench_times_nothing_when_the_answers_differ(call, monkeypatch):
    monkeypatch.setattr(correctness, "train", lambda *data, **options: train(*data, **options | {"seed": 1}))
    monkeypatch.setattr(bench, "interleaved", lambda *_: pytest.fail("timed"))
    code, out, err = call("--workload", "seed")
    assert code == 2
    assert re.fullmatch(r"fastnn: .*nothing was timed\n", err)
    assert "iterations a second" not in out


def test_names_of_a_number_of_threads(monkeypatch):
    monkeypatch.setattr(bench, "available_cores", lambda: Cores(3, ""))
    assert [bench._number_of_threads(text) for text in ("all", "2")] == [3, 2]
