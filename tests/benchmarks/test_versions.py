"""What compares versions: instructions, real work, the gate's probe; asv's suite."""

import importlib
import itertools
import json
import os
import pathlib
import re
import types

import numpy as np
import pytest

from benchmarks import instructions, real_work
from fastnn import train, workloads
from fastnn.measuring import work
from fastnn.testing.correctness import DifferentAnswerError
from fastnn.training import epochs as pace

ROOT = instructions.ROOT
BENCHMARKS = ROOT / "benchmarks"


def dumps(folder, totals):
    """The files that callgrind leaves: one for each mark, and one for the rest."""
    (folder / "counts").write_text("desc: Trigger: Program termination\ntotals: 7\n")
    for i, total in enumerate(totals, start=1):
        text = f"part: {i}\ndesc: Trigger: --dump-before=getppid\nfn=(1) f\n1 5\n\nsummary: {total}\ntotals: {total}\n"
        (folder / f"counts.{i}").write_text(text)
    return folder / "counts"


def test_what_comes_once_cancels(tmp_path):
    """Start-up, then 40 and 300 an iteration of two cases, each with a fixed cost; the 10th count is not the 2nd."""
    totals = [10**9, 123 + 40 * 10, 123 + 40 * 20, 10**8, 77 + 300 * 5, 77 + 300 * 10, *range(6)]
    found = instructions.per_iteration(dumps(tmp_path, totals), {"seed": 10, "tab": 5, "a": 1, "b": 1})
    assert found == {"seed": 40, "tab": 300, "a": 1, "b": 1}
    with pytest.raises(RuntimeError, match="wrote 12 counts, not 3 for each of seed"):
        instructions.per_iteration(tmp_path / "counts", {"seed": 10})


def test_more_than_three_per_cent_is_too_many():
    base = [{"seed": 1000.0, "tab": 5000.0}, {"seed": 1001.0, "tab": 5001.0}]
    here = [{"seed": 1020.0, "tab": 5200.0, "new one": 1.0, "seed, rates": 1530.0}]
    assert instructions.higher(here, base) == ["tab"]
    table = instructions.table(here, base, "abc123")
    assert "| seed | 1,020 | 1,000 | +1.95% |  |" in table
    assert "| tab | 5,200 | 5,000 | +3.99% | more |" in table
    assert "| new one | 1 |  |  | new |" in table
    assert "| seed, rates: 1.50 times seed | 1,530 |" in table


@pytest.mark.parametrize(("machine", "said"), [("x86_64", "valgrind is not installed"), ("arm64", "this is arm64")])
def test_where_nothing_can_be_counted_it_says_why(monkeypatch, capsys, machine, said):
    monkeypatch.setattr(instructions.platform, "machine", lambda: machine)
    monkeypatch.setattr(instructions.shutil, "which", lambda name: None)
    assert instructions.main([]) == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(("here", "code"), [(1029.0, 0), (1031.0, 1)])
def test_the_exit_code_tells_of_more(monkeypatch, capsys, here, code):
    monkeypatch.setattr(instructions, "why_not", lambda: "")
    counts = {"abc123": 1000.0, str(ROOT): here}
    monkeypatch.setattr(instructions, "count", lambda base, _: [{"seed": counts[base]}])
    assert instructions.main(["abc123"]) == code
    assert ("More than 3% more instructions than abc123: seed." in capsys.readouterr().out) == bool(code)


@pytest.mark.slow
@pytest.mark.skipif(instructions.why_not() != "", reason=instructions.why_not() or "there is valgrind")
def test_counts_are_stable():
    """The promise on which the limit of 3 % rests: half a per cent."""
    samples = instructions.count(str(ROOT), 2)
    for name in samples[0]:
        assert instructions.spread([counts[name] for counts in samples]) < 0.005
        assert samples[0][name] > 100


def test_a_version_is_a_folder_or_a_commit():
    with instructions.source(str(ROOT)) as folder:
        assert folder == ROOT
    if not (ROOT / ".git").exists():
        pytest.skip("no repository")
    with instructions.source("HEAD") as folder:
        assert (folder / "fastnn" / "__init__.py").is_file()
        assert folder != ROOT
    assert not folder.exists()


@pytest.fixture
def probe(monkeypatch):
    """The probe's module, which tests of the gate run as a program."""
    monkeypatch.setenv("FASTNN_NUM_THREADS", "1")
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("probe")


def test_the_probe_marks_three_counts_a_case(probe, monkeypatch):
    marks = []
    monkeypatch.setattr(probe, "EPOCHS", {"seed": 2, "iris": 1, "unheard of": 1})
    monkeypatch.setattr(probe, "PREDICTIONS", 2)
    monkeypatch.setattr(probe, "mark", lambda: marks.append(None))
    monkeypatch.setattr(pace, "CHUNK_SECONDS", pace.CHUNK_SECONDS)  # put back what the probe changes
    with_options = {"seed, rates": 2, "iris, clip_norm": 1, "iris, rates": 1}
    assert probe.instructions() == {"seed": 2, "iris": 1, **with_options, "predict 1 row": 2}
    assert len(marks) == 18


WRONG = work.load("seed, plain")._replace(answer=lambda backend: np.ones(3) + (backend == "numba") * 1e-6)
SAID = r"seed, plain.*: relative distance .* nothing was timed"


def test_the_probe_times_no_wrong_answer(probe, monkeypatch):
    monkeypatch.setattr(probe.work, "load", lambda *_, **__: WRONG)
    with pytest.raises(AssertionError, match=SAID):
        probe.gate()


def test_every_line_is_measured_after_the_answers(monkeypatch):
    less = {"FEW": 1, "MANY": 2, "REPEAT_SECONDS": 0.0, "LINES": dict([*real_work.LINES.items()][:9])}
    for name, few in less.items():
        monkeypatch.setattr(real_work, name, few)
    rows = real_work.table([real_work.measure() for _ in range(2)]).splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == [f"| {line}" for line in real_work.LINES]
    monkeypatch.setattr(real_work.work, "load", lambda name: WRONG)
    with pytest.raises(DifferentAnswerError, match=SAID):
        real_work.check()


@pytest.fixture
def suite(monkeypatch):
    """asv's suite as asv imports it."""
    monkeypatch.setenv("FASTNN_NUM_THREADS", "1")
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("suite.train")


def test_asv_benchmarks_run(suite, monkeypatch):
    """Each once, on the small workloads."""
    assert set(suite.EPOCHS) == set(workloads.names())
    monkeypatch.setattr(suite, "EPOCHS", dict.fromkeys(suite.EPOCHS, (2, 2)))
    small = ("seed", "digits", "seed, validation", "iris, early stopping")
    for name, backend in itertools.product(small, suite.BACKENDS):
        benchmark = suite.Train()
        benchmark.setup(name, backend)
        benchmark.time_train(name, backend)
    for name in small[:2]:
        benchmark = suite.Ratio()
        benchmark.setup(name)
        assert 0 < benchmark.track_numba_numpy_time_ratio(name) < 1
    assert suite.Timed.version.isdigit()  # the history outlives an edit of the source


def test_asv_times_no_wrong_answer(suite, monkeypatch):
    other = workloads.load("seed").network.init_params(np.random.RandomState(1), float)
    wrong = types.SimpleNamespace(params=other)
    trained = {"numpy": train, "numba": lambda *data, **options: wrong}
    monkeypatch.setattr("fastnn.train", lambda *data, backend, **o: trained[backend](*data, **o, backend=backend))
    with pytest.raises(AssertionError, match="relative distance"):
        suite.checked("seed", "numba")
    with pytest.raises(NotImplementedError):
        suite.checked("unheard of", "numba")


def test_asv_keeps_commits_apart(suite, monkeypatch):
    monkeypatch.setenv("ASV_COMMIT", "abc123")
    monkeypatch.setenv("FASTNN_CACHE_DIR", "")  # so that monkeypatch puts back what was there
    monkeypatch.delenv("FASTNN_CACHE_DIR")
    importlib.reload(importlib.import_module("suite"))
    assert pathlib.Path(os.environ["FASTNN_CACHE_DIR"]).name == "abc123"


def test_asv_finds_the_suite():
    configuration = json.loads(re.sub(r"^\s*//.*$", "", (BENCHMARKS / "asv.conf.json").read_text("utf-8"), flags=re.M))
    assert (BENCHMARKS / configuration["benchmark_dir"] / "train.py").is_file()
