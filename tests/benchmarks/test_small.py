"""The smaller benchmarks: they compare answers before they time, and their tables say what was
measured."""

import importlib.util

import numpy as np
import pytest

from benchmarks import calibration, exports, readme, searches, speeds, threads

ROOT = readme.ROOT


def test_an_export_that_differs_is_no_number_of_the_table(monkeypatch):
    monkeypatch.setitem(
        exports.WAYS, "wrong", lambda result, folder: lambda X: np.zeros((len(X), 4))
    )
    with pytest.raises(AssertionError, match=r"wrong, .*our own prediction has"):
        exports.difference("wrong", exports.network_of("tanh"), "float64")


def test_a_wrong_row_is_not_timed(monkeypatch):
    monkeypatch.setattr(
        exports, "of_others", lambda result, folder: [("theirs", lambda X, out: out.fill(0.5))]
    )
    with pytest.raises(AssertionError, match="theirs"):
        exports.measure(exports.NETWORKS["3-5-1, float64"], "float64", rounds=1, n_rows=5)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_winners_are_compared_with_what_they_are_alone():
    # scikit-learn's takes long
    found = {name: search() for name, search in list(searches.SEARCHES.items())[1:]}
    assert searches.wrong(found) == []
    halved = found["`fastnn.search`, successive halving"]
    wrong = halved.winner.params.copy()
    wrong[3] = np.nextafter(wrong[3], 1)
    object.__setattr__(halved.winner, "params", wrong)
    name = "`fastnn.search`, Hyperband"
    found[name] = found[name]._replace(score=0.5)
    assert searches.wrong(found) == ["`fastnn.search`, successive halving", name]


@pytest.mark.parametrize("name", ["instructions", "scaling", "threads"])
def test_the_page_has_the_figures_of_the_results(capsys, tmp_path, name):
    script = importlib.import_module(f"benchmarks.{name}")
    (tmp_path / "docs" / "images").mkdir(parents=True)
    assert not script.main(["--from", str(ROOT / script.RESULTS), "--folder", str(tmp_path)])
    out, err = capsys.readouterr()
    assert f"\n\n{out}<!-- {name}: end -->" in (ROOT / "benchmarks/README.md").read_text("utf-8")
    assert err == ""
    assert [path.stat().st_size > 20_000 for path in tmp_path.rglob("*.png")] == [True] * (
        name != "instructions"
    )


def test_another_answer_by_threads_is_no_figure(monkeypatch):
    way_of = threads.way_of
    others = iter(b"abcdef")
    monkeypatch.setattr(
        threads, "way_of", lambda *of: way_of(*of)._replace(bits=lambda: next(others))
    )
    with pytest.raises(RuntimeError, match="iris: threads show in the bits"):
        threads.speed_ups("iris", 0.1)


def test_every_command_has_its_place_in_its_page():
    for name, (page, command, *_) in readme.PAGES.items():
        assert f"<!-- {name}: begin -->" in (ROOT / page).read_text("utf-8")
        assert command.startswith("fastnn ") or importlib.util.find_spec(
            command.removeprefix("python -m ")
        )
    with pytest.raises(ValueError, match="0 places"):
        readme.replace("nothing", "peers", "")


def test_the_calibration_error_is_that_of_its_definition():
    sure = np.eye(3)[[0, 1, 2, 2]]
    assert (
        calibration.calibration_error(sure, np.array([0, 1, 2, 2]))
        == calibration.floor_of(sure)
        == 0
    )
    p = np.tile([0.8, 0.2], (10, 1))
    # six of ten are right
    assert calibration.calibration_error(p, np.arange(10) // 6) == pytest.approx(0.2)
    many = np.tile([0.8, 0.2], (100_000, 1))
    assert 0 < calibration.floor_of(many) < 0.005


def test_the_picture_has_the_ratios_of_rounds():
    """Their median, not the ratio of the medians."""
    # ratios 2, 20, 30; medians 2 and 0.3
    samples = {"numpy": [1.0, 2.0, 9.0], "numba": [0.5, 0.1, 0.3]}
    about = {"workload": "seed", "dtype": "float64", "sizes": [3, 5, 1]}
    trainings = [about | {"backend": name, "seconds": s} for name, s in samples.items()]
    report = {"cpu": "here", "date": "today", "trainings": trainings}
    (axes,) = speeds.draw(report).axes
    assert "× 20.0" in [text.get_text() for text in axes.texts]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["seed\nfloat64"]
