"""Real work does what its name says on both back ends, and its benchmark times no wrong answer."""

import pathlib
import re
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

pytest.importorskip("sklearn")

from benchmarks import instructions, real_work_probe  # noqa: E402
from benchmarks import real_work as script  # noqa: E402
from fastnn import train, workloads  # noqa: E402
from fastnn.measuring import real_work  # noqa: E402
from fastnn.testing.correctness import SAME_ANSWER, check_same_answer  # noqa: E402

# ------------------------------------------------------------------------------------------------------------ the work


@pytest.mark.parametrize("name", real_work.ALL_NAMES)
def test_both_back_ends_have_the_same_answer(name, dtype):
    work = real_work.load(name, dtype)
    numba, numpy = (work.run(2, backend) for backend in ("numba", "numpy"))
    assert numba.dtype == dtype
    check_same_answer(name, numba, numpy)


@pytest.mark.parametrize("data", ["seed", "iris b32"])
def test_what_is_done_between_epochs_changes_no_weight(data):
    plain = real_work.load(f"{data}, plain").run(5, "numba")
    validated = real_work.load(f"{data}, validation").run(5, "numba")
    np.testing.assert_array_equal(validated[:-5], plain)
    np.testing.assert_array_equal(real_work.load(f"{data}, callback").run(5, "numba"), plain)


def test_one_call_is_the_usual_training_of_the_seed():
    seed = workloads.load("seed")
    result = train(seed.network, seed.X, seed.Y, **seed.train_options, seed=0)
    expected = np.concatenate([result.params, result.history.loss])
    np.testing.assert_array_equal(real_work.load("seed, one call").run(2, "numba"), expected)


@pytest.mark.parametrize("name", real_work.FIT_NAMES)
def test_fits_are_those_of_scikit_learn(name):
    fit, n = real_work.load_fit(name), real_work.load(name).usual
    mine, theirs = (fit.run(module.MLPClassifier, n) for module in (real_work_probe.fastnn, real_work_probe.theirs))
    real_work_probe.check_fits(mine, theirs, fit.X)
    assert (mine.validation_scores_ is not None) == ("early" in name)


def test_names_are_those_that_version_0_1_had_too():
    """The file runs with other versions."""
    source = pathlib.Path(real_work.__file__).read_text("utf-8")
    assert set(re.findall(r"\bfastnn\.(\w+)", source.partition("import fastnn\n")[2])) == {
        *("MLPClassifier", "Stop", "train", "workloads"),
        "train_many",  # a loop over `train` takes its place there
    }


# ----------------------------------------------------------------------------------------------------------- the table


def test_the_probe_knows_the_packages_tolerance():
    assert SAME_ANSWER["float64"] == real_work_probe.SAME_ANSWER


def test_the_probe_times_every_line(monkeypatch):
    monkeypatch.setattr(real_work_probe, "FEW", 1)
    monkeypatch.setattr(real_work_probe, "MANY", 2)
    monkeypatch.setattr(real_work_probe, "SAMPLE_SECONDS", 0.0)
    monkeypatch.setattr(real_work_probe, "LINES", dict(list(real_work_probe.LINES.items())[:9]))
    found = real_work_probe.times()
    assert list(found) == list(real_work_probe.LINES)
    assert all(np.isfinite(value) for value in found.values())


def test_the_probe_times_no_wrong_answer(monkeypatch):
    work = real_work.RealWork("epoch", 1, 1, lambda n, backend: np.ones(3) + (backend == "numba") * 1e-6)
    monkeypatch.setattr(real_work_probe, "load", lambda name: work)
    with pytest.raises(SystemExit, match=r"seed, plain: relative distance .* nothing was timed"):
        real_work_probe.check()


@pytest.fixture
def answers(monkeypatch):
    """The processes' answers, in turn; the folder of each is put into `asked`."""
    values = {"an epoch": 2e-6, "times the plain training": 3.0}
    answers = {"check": {"a": "1", "b": "2"}, "time": values}
    asked = []
    monkeypatch.setattr(script, "probe", lambda folder, what: asked.append((folder.name, what)) or answers[what])
    return asked


def test_versions_take_turns(answers, tmp_path, capsys):
    (tmp_path / "fastnn").mkdir()
    assert script.main(["--rounds", "2", "--against", str(tmp_path)]) == 0
    here, there = ROOT.name, tmp_path.name
    assert answers == [(here, "check"), (there, "check"), *[(here, "time"), (there, "time")] * 2]
    assert capsys.readouterr().out.splitlines() == [
        f"| real work | fastnn | {tmp_path} |",
        "|---|---|---|",
        "| an epoch | 2.00 µs (2.00–2.00) | 2.00 µs (2.00–2.00) |",
        "| times the plain training | 3.00 (3.00–3.00) | 3.00 (3.00–3.00) |",
    ]


def test_other_bits_are_not_timed(answers, monkeypatch, capsys):
    monkeypatch.setattr(script, "different", lambda answers: ["a: 46e18c6"])
    assert script.main([]) == 1
    assert "Other bits, so nothing was timed: a: 46e18c6" in capsys.readouterr().out
    assert [what for _, what in answers] == ["check"]


def test_other_bits_are_named_with_their_version():
    answers = {"fastnn": {"a": "1", "b": "2"}, "0.1": {"a": "1", "b": "3"}, "0.2": {"a": "1", "b": "2"}}
    assert script.different(answers) == ["b: 0.1"]


def test_a_version_is_a_folder_or_a_commit(monkeypatch, tmp_path):
    with instructions.source(str(ROOT)) as folder:
        assert folder == ROOT
    if not (ROOT / ".git").exists():
        pytest.skip("no repository")
    with instructions.source("HEAD") as folder:
        assert (folder / "fastnn" / "__init__.py").is_file()
        assert folder != ROOT
    assert not folder.exists()
