"""The smaller benchmarks: they compare answers before they time, and their tables say what was
measured."""

import importlib.util

import numpy as np
import pytest

from benchmarks import calibration, engines, exports, readme, searches, threads
from benchmarks.engines import FEW, MANY, MOST, SOME, Model, Times

ROOT = readme.ROOT


@pytest.mark.parametrize("way", exports.WAYS)
def test_each_export_is_compared(way):
    found = exports.difference(way, exports.network_of("elu"), "float64")
    assert found in ("0", "-") if way in ("C", "safetensors") else found == "-" or float(found) > 0


def test_an_export_that_differs_is_no_number_of_the_table(monkeypatch):
    monkeypatch.setitem(
        exports.WAYS, "wrong", lambda result, folder: lambda X: np.zeros((len(X), 4))
    )
    with pytest.raises(AssertionError, match=r"wrong, .*our own prediction has"):
        exports.difference("wrong", exports.network_of("tanh"), "float64")


def test_sizes_are_those_of_files():
    pytest.importorskip("onnx")
    found = exports.sizes()
    weights = found.pop("the weights alone, in memory")
    assert weights == 4 * (64 * 64 + 64 + 64 * 10 + 10)
    assert min(found.values()) > weights


@pytest.mark.parametrize("name", exports.NETWORKS)
def test_each_way_to_predict_a_row_is_measured(name):
    found = exports.measure(exports.NETWORKS[name], name.split()[-1], rounds=2, n_rows=20)
    assert {"predict", "function(), from Python", "function(), from compiled code"} <= set(found)
    assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in found.values())


def test_a_wrong_row_is_not_timed(monkeypatch):
    monkeypatch.setattr(
        exports, "of_others", lambda result, folder: [("theirs", lambda X, out: out.fill(0.5))]
    )
    with pytest.raises(AssertionError, match="theirs"):
        exports.measure(exports.NETWORKS["3-5-1, float64"], "float64", rounds=1, n_rows=5)


MODEL = Model(call=0.04, before=3e-6, there=450e-6, meanwhile=13e-6)


def times(n, n_workers):
    own = n * (MODEL.before + MODEL.meanwhile)
    return Times(MODEL.seconds(n, n_workers, engines.CORES), own, n * MODEL.before)


FOUND = {(n, w): times(n, w) for w in (2, 1) for n in (FEW, SOME, MANY, MOST)}


def test_the_model_is_found_again_and_says_who_has_most_to_do():
    """In exact times; then it is right on what it was not fitted to."""
    model = engines.fitted(FOUND)
    assert model == pytest.approx(MODEL)
    assert model.seconds(SOME, 2, engines.CORES) == pytest.approx(FOUND[SOME, 2].wall)
    assert (MODEL.limit(10), MODEL.limit(1000)) == ("workers", "caller")
    assert MODEL.seconds(1_000_000, 1000) == pytest.approx(
        MODEL.call + 1e6 * (MODEL.before + MODEL.meanwhile)
    )


def test_engines_have_a_table(monkeypatch, capsys):
    monkeypatch.setattr(
        engines, "NEEDS", dict.fromkeys(["threads", "loky"], "fastnn") | {"ray": "not_installed"}
    )
    monkeypatch.setattr(engines, "of_part", lambda name: {name: FOUND})
    monkeypatch.setattr(engines, "sent", lambda: (40.0, 26_000.0, 60.0))
    engines.main([])
    out, err = capsys.readouterr()
    assert "ray is left out: not_installed is not installed" in err
    wall = f"{FOUND[SOME, 2].wall:.2f}"
    assert f"| loky | 2 | {SOME:,} | {wall} | {wall} (+0 %) | 0 | 1.00 |" in out.splitlines()


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


def test_threads_are_measured():
    assert min(map(min, threads.speed_ups("iris", 0.05).values())) > 0
    for name in [*threads.SHORT][::2]:
        assert min(map(min, threads.short(name, 2, 0).values())) > 0


@pytest.mark.parametrize("name", ["instructions", "scaling", "threads"])
def test_the_page_has_the_figures_of_the_results(capsys, tmp_path, name):
    script = importlib.import_module(f"benchmarks.{name}")
    assert not script.main(["--from", str(ROOT / script.RESULTS), "--folder", str(tmp_path)])
    out, err = capsys.readouterr()
    assert f"\n\n{out}<!-- {name}: end -->" in (ROOT / "benchmarks/README.md").read_text("utf-8")
    assert err == ""
    assert [path.stat().st_size > 20_000 for path in tmp_path.rglob("*.png")] == [True] * (
        name != "instructions"
    )


def test_the_chart_of_threads_has_a_panel_for_each_load():
    samples = {"1": [1.0], "2": [1.5, 1.7, 1.6], "None": [1.2, 1.4, 1.3]}
    panels = threads.chart({"iris": [samples] * 3}).axes
    assert [axes.get_title(loc="left") for axes in panels] == [
        "alone",
        "beside one busy process",
        "beside two",
    ]
    assert all([bar.get_height() for bar in axes.patches] == [1.6, 1.3] for axes in panels)


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


def test_the_noise_of_the_drawn_rows_is_that_of_the_rows_to_test():
    (X, X_test, y, y_test), noise = calibration.uneven(0)
    assert (len(X), len(X_test), len(y), len(y_test), len(noise)) == (
        2_000,
        5_000,
        2_000,
        5_000,
        5_000,
    )
    truth = np.sin(2 * X_test["0"]) + X_test["1"] * X_test["2"]
    assert np.std((y_test - truth) / noise) == pytest.approx(1, abs=0.05)
