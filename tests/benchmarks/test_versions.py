"""What compares versions: instructions, real work, asv's suite."""

import importlib
import itertools

import numpy as np
import pytest

from benchmarks import instructions
from fastnn import workloads
from fastnn.measuring import work

ROOT = instructions.ROOT
BENCHMARKS = ROOT / "benchmarks"


def test_what_comes_once_cancels(tmp_path):
    """Start-up, then 40 and 300 an iteration of two cases, each with a fixed cost; the 10th count
    is not the 2nd."""
    counts = tmp_path / "counts"  # callgrind leaves a file for each mark, and one for the rest
    counts.write_text("desc: Trigger: Program termination\ntotals: 7\n")
    totals = [10**9, 123 + 40 * 10, 123 + 40 * 20, 10**8, 77 + 300 * 5, 77 + 300 * 10, *range(6)]
    for i, total in enumerate(totals, start=1):
        text = (
            f"part: {i}\ndesc: Trigger: --dump-before=getppid\nfn=(1) f\n1 5\n\nsummary: "
            f"{total}\ntotals: {total}\n"
        )
        (tmp_path / f"counts.{i}").write_text(text)
    found = instructions.per_iteration(counts, {"seed": 10, "tab": 5, "a": 1, "b": 1})
    assert found == {"seed": 40, "tab": 300, "a": 1, "b": 1}
    with pytest.raises(RuntimeError, match="wrote 12 counts, not 3 for each of seed"):
        instructions.per_iteration(counts, {"seed": 10})


@pytest.mark.parametrize(
    ("tab", "code", "row"), [(5149.0, 0, "+2.97% |  |"), (5152.0, 1, "+3.03% | more |")]
)
def test_more_than_three_per_cent_is_too_many(monkeypatch, capsys, tab, code, row):
    """In the table, at the end of what is printed, and in the exit code."""
    here = [{"seed": 1020.0, "tab": tab, "new one": 1.0, "seed, rates": 1530.0}]
    counts = {
        "abc123": [{"seed": 1000.0, "tab": 5000.0}, {"seed": 1001.0, "tab": 5001.0}],
        str(ROOT): here,
    }
    monkeypatch.setattr(instructions, "why_not", lambda: "")
    monkeypatch.setattr(instructions, "count", lambda base, _: counts[base])
    assert instructions.main(["abc123"]) == code
    out = capsys.readouterr().out
    assert ("More than 3% more instructions than abc123: tab." in out) == bool(code)
    assert "| seed | 1,020 | 1,000 | +1.95% |  |" in out
    assert f"| tab | {tab:,.0f} | 5,000 | {row}" in out
    assert "| new one | 1 |  |  | new |" in out
    assert "| seed, rates: 1.50 times seed | 1,530 |" in out


@pytest.mark.slow
@pytest.mark.skipif(
    instructions.why_not() != "", reason=instructions.why_not() or "there is valgrind"
)
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
def imported(monkeypatch):
    """Import a module of asv's suite as asv does."""
    monkeypatch.setenv("FASTNN_NUM_THREADS", "1")
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


WRONG = work.load("seed, plain")._replace(
    answer=lambda backend: np.ones(3) + (backend == "numba") * 1e-6
)


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("suite.train", lambda module: module.checked("seed", "numba")),
        ("benchmarks.real_work", lambda module: module.check()),
    ],
)
def test_no_wrong_answer_is_timed(imported, monkeypatch, name, measure):
    module = imported(name)
    monkeypatch.setattr(module.work, "load", lambda *_, **__: WRONG)
    with pytest.raises(Exception, match=r"seed, plain.*: relative distance .* nothing was timed"):
        measure(module)


def test_asv_benchmarks_run(imported, monkeypatch):
    """Each once, on the small workloads."""
    suite = imported("suite.train")
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
    with pytest.raises(NotImplementedError):
        suite.checked("unheard of", "numba")
