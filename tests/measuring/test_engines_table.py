"""The tables of engines: the model is found again in times that follow it, and parts are put together."""

import pathlib
import sys

import pytest

pytest.importorskip("joblib", reason="joblib comes with scikit-learn")

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from benchmarks import engines
from benchmarks.engines import FEW, MANY, MOST, SOME, Model, Times

MODEL = Model(call=0.04, before=3e-6, there=450e-6, meanwhile=13e-6)


def times(n, n_workers):
    own = n * (MODEL.before + MODEL.meanwhile)
    return Times(MODEL.seconds(n, n_workers, engines.CORES), own, n * MODEL.before)


FOUND = {(n, w): times(n, w) for w in (2, 1) for n in (FEW, SOME, MANY, MOST)}


def test_the_model_is_found_again():
    """In exact times; then it is right on what it was not fitted to."""
    model = engines.fitted(FOUND)
    assert model == pytest.approx(MODEL)
    assert model.seconds(SOME, 2, engines.CORES) == pytest.approx(FOUND[SOME, 2].wall)


def test_more_workers_help_until_the_caller_has_most_to_do():
    """Then a million members take the time of the calling process."""
    assert MODEL.limit(10) == "workers"
    assert MODEL.limit(1000) == "caller"
    assert MODEL.seconds(1_000_000, 1000) == pytest.approx(MODEL.call + 1e6 * (MODEL.before + MODEL.meanwhile))


def test_parts_of_a_day_make_one_page(tmp_path, monkeypatch, capsys):
    """What was measured today is not measured again, unless it is named."""
    asked = []
    monkeypatch.setattr(engines, "KEPT", tmp_path / "kept" / "engines.json")
    monkeypatch.setattr(engines, "NEEDS", dict.fromkeys(["threads", "loky"], "fastnn") | {"ray": "not_installed"})
    monkeypatch.setattr(engines, "of_part", lambda name: asked.append(name) or {name: FOUND})
    monkeypatch.setattr(engines, "sent", lambda: (40.0, 26_000.0, 60.0))
    engines.main(["threads"])
    engines.main([])
    engines.main([])
    engines.main(["loky"])
    assert asked == ["threads", "loky", "loky"]
    out, err = capsys.readouterr()
    assert "ray is left out: not_installed is not installed" in err
    row = f"| loky | 2 | {SOME:,} | {FOUND[SOME, 2].wall:.2f} | {FOUND[SOME, 2].wall:.2f} (+0 %) | 0 | 1.00 |"
    assert row in out.splitlines()
    monkeypatch.setattr(engines, "circumstances", lambda: ["another day"])
    assert engines.kept_today() == {}
