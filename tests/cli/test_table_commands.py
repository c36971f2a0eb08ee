"""The commands ``fastnn fit`` and ``fastnn predict``: models of table files."""

import os
import pathlib
import re

import numpy as np
import pandas as pd
import pytest
from bits import assert_same_bits
from exported import NETWORKS, trained
from numpy.random import RandomState
from numpy.testing import assert_array_equal
from small_tables import mixed
from terminal import uninstall

import fastnn

pytest.importorskip("sklearn")

N = 120
FRAME, LABELS, NUMBERS = mixed(N)
TABLE = FRAME.assign(grade=FRAME["grade"].astype(int))
SIZES = TABLE["size"].dropna()
GAPS = np.flatnonzero(TABLE["size"].isna())


def of_fit(file="table.csv", target="y", out="model.npz"):
    """The arguments of a short fit."""
    return ("fit", file, "--target", target, "--out", out, "--preset", "fast")


@pytest.fixture
def fit(succeed):
    """Write a table with a target "y" and fit it; return what the command prints and says."""

    def fit(table, y, *options):
        table.assign(y=y).to_csv("table.csv", index=False)
        return succeed(*of_fit(), *options)

    return fit


def read_exactly(path):
    """Read a table to the last bit, which pandas before 3 does by an option alone."""
    is_old = int(pd.__version__.partition(".")[0]) < 3
    return pd.read_csv(path, **{"float_precision": "round_trip"} if is_old else {})


def files():
    """{the name of each file in this folder: its content}"""
    return {path: pathlib.Path(path).read_bytes() for path in os.listdir()}


def test_classes_and_their_probabilities_are_those_of_the_estimator(succeed, fit):
    out, _ = fit(TABLE, LABELS, "--seed", 3)
    model = fastnn.TabularClassifier("fast", random_state=3)
    model.fit(read_exactly("table.csv").drop(columns="y"), LABELS)
    loaded = fastnn.TabularClassifier.load("model.npz")
    assert_same_bits(loaded.predict_proba(TABLE), model.predict_proba(TABLE))
    assert "table.csv: 120 rows, 8 columns\n'y' has 2 different words: classes\n" in out
    for read in ("size    number, with gaps", "color   3 levels, with gaps: blue, green, red"):
        assert f"\n  {read}\n" in out
    assert "\n  always  always the same, left out\n" in out
    assert out.endswith("\nModel: model.npz\n")
    TABLE[::-1].to_csv("new.csv", index=False)
    told = succeed("predict", "model.npz", "new.csv", "--out", "predicted.csv")
    assert told == ("predicted.csv  120 rows\n", "")
    predicted = read_exactly("predicted.csv")
    assert list(predicted) == ["predicted", "probability_high", "probability_low"]
    assert predicted["predicted"].tolist() == model.predict(TABLE[::-1]).tolist()
    assert_array_equal(predicted.iloc[:, 1:], model.predict_proba(TABLE[::-1]))


def test_numbers_and_their_intervals_are_those_of_the_estimator(succeed, fit):
    """They are printed where no file is named; in any order of columns."""
    fit(TABLE, NUMBERS)
    model = fastnn.TabularRegressor.load("model.npz")
    new = TABLE.assign(id=np.arange(N) % 7, y=NUMBERS)
    new[["id", "y", *TABLE.columns[::-1]]].to_csv("new.csv", index=False)
    out, err = succeed("predict", "model.npz", "new.csv", "--interval", ".8", "--keep", "id")
    assert err == "fastnn: new.csv has columns that the model does not use: 'y'\n"
    head, *lines = out.splitlines()
    assert head == "id,predicted,low,high"
    numbers = np.array([line.split(",") for line in lines], float)
    low, high = model.predict_interval(TABLE, 0.8).T
    columns = [np.arange(N) % 7, model.predict(TABLE), low, high]
    assert_array_equal(numbers, np.column_stack(columns))


@pytest.mark.parametrize("separator", [",", ";"])
def test_columns_to_keep_are_written_as_they_stand(succeed, classifier, separator):
    """Whatever the other rows hold; in the order of the options."""
    pathlib.Path("model.npz").write_bytes(classifier)
    row = pd.DataFrame({"size": [1.5], "count": [1], "color": ["red"]})
    cells = ["007", "9007199254740993", "TRUE", "NA", "", " 1.50", '"1,50"', "1e3", 'a "b"; c']
    new = row.loc[[0] * len(cells)].assign(id=cells, no=cells[::-1])
    for rows in (slice(None), slice(1), slice(1, 2), slice(4, 5)):
        new[rows].to_csv("new.csv", index=False, sep=separator)
        keep = ("--keep", "no", "--keep", "id", "--keep", "size")
        succeed("predict", "model.npz", "new.csv", *keep, "--out", "p.csv")
        written = pd.read_csv("p.csv", dtype=str, keep_default_na=False)
        assert list(written)[:3] == ["no", "id", "size"]
        assert written["id"].tolist() == new["id"][rows].tolist()
        assert written["no"].tolist() == new["no"][rows].tolist()
        assert set(written["size"]) == {"1.5"}


def test_the_error_is_that_of_rows_left_out_beside_a_guess(fit):
    out, _ = fit(TABLE, LABELS)
    model = fastnn.TabularClassifier.load("model.npz")
    left_out = ~np.isnan(model.oob_decision_function_[:, 0])
    guess = max(("high", "low"), key=LABELS.tolist().count)
    wrong = (LABELS[left_out] != guess).mean()
    said = f"{1 - model.oob_score_:.1%} are wrong\nAlways saying {guess}: {wrong:.1%}\n"
    assert f"Judged on {left_out.sum()} rows left out of training: {said}" in out
    out, _ = fit(TABLE, NUMBERS)
    model = fastnn.TabularRegressor.load("model.npz")
    left_out = ~np.isnan(model.oob_prediction_)
    error = np.sqrt(np.mean((model.oob_prediction_ - NUMBERS)[left_out] ** 2))
    of_mean = np.sqrt(np.mean((NUMBERS.mean() - NUMBERS)[left_out] ** 2))
    said = f"root mean squared error {error:.4g}\nAlways saying the mean, "
    assert f"{said}{NUMBERS.mean():.4g}: {of_mean:.4g}\n" in out


def test_a_model_that_learned_nothing_and_few_rows_are_told(fit):
    noise = RandomState(5).randint(0, 2, N)
    assert "no better: the model has learned nothing of use" in fit(TABLE[["count"]], noise)[0]
    out, _ = fit(TABLE[:12], NUMBERS[:12])
    assert re.search(r"Only \d+ rows were left out: too few to judge the model by", out)


def test_probabilities_of_a_rare_class_are_of_use_where_no_row_is_given_it(fit):
    """The commonest class is right in most rows."""
    rs = RandomState(0)
    risk = rs.rand(600)
    fault = np.where(rs.rand(600) < 0.3 * (risk > 0.8), "fault", "fine")
    out, _ = fit(pd.DataFrame({"risk": risk}), fault)
    assert (
        "no better, but the probabilities tell more than the shares of classes: see fastnn predict"
        in out
    )
    assert "nothing of use" not in out


def test_probabilities_of_noise_are_of_no_use(fit):
    """By chance their log loss on the rows left out may be less than that of the shares."""
    rs = RandomState(4)
    noise = pd.DataFrame(rs.normal(size=(400, 4)).round(3), columns=[*"abcd"])
    fault = np.where(rs.rand(400) < 0.1, "fault", "fine")
    out, _ = fit(noise, fault, "--seed", 4)
    assert "no better: the model has learned nothing of use" in out


TARGETS = {
    "words": (LABELS, "'y' has 2 different words: classes"),
    "truth": (NUMBERS > 0.4, "'y' has 2 different words: classes"),
    "few": (np.arange(N) % 5, "5 different whole numbers: classes (--task numbers: numbers)"),
    "many": (np.arange(N) // 2, "'y' has 60 different numbers: numbers\n"),
    "fractions": (np.arange(N) % 5 / 2, "5 different numbers: numbers\n"),
}


@pytest.mark.parametrize("case", TARGETS)
def test_the_target_says_whether_it_holds_classes(fit, case):
    y, said = TARGETS[case]
    out, _ = fit(TABLE[["size", "color"]], y)
    assert said in out
    kind = fastnn.TabularClassifier if ": classes" in said else fastnn.TabularRegressor
    kind.load("model.npz")


def test_a_task_that_is_named_is_done(fit):
    few = np.arange(N) % 3
    assert "different" not in fit(TABLE[["size"]], few, "--task", "numbers")[0]
    fastnn.TabularRegressor.load("model.npz")
    fit(TABLE[["size"]], few + 0.0, "--task", "classes")
    assert fastnn.TabularClassifier.load("model.npz").classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("options", [(), ("--task", "classes")])
def test_whole_numbers_beside_rows_without_a_target_stay_whole(succeed, fit, options):
    """pandas makes floats of whole numbers with gaps."""
    fit(TABLE[["size"]], np.resize(["0", "", "1"], N), *options)
    classes = fastnn.TabularClassifier.load("model.npz").classes_
    assert classes.dtype.kind == "i"
    printed, _ = succeed("predict", "model.npz", "table.csv")
    assert printed.startswith("predicted,probability_0,probability_1\n")


def test_columns_that_are_no_inputs_and_numbers_that_are_names(fit):
    """Groups are left out whole, and are no input; rows without a target are told and left out."""
    table = TABLE.assign(patient=np.arange(N) // 6, id=np.arange(N), code=np.arange(N) % 4 + 7)
    y = np.where(np.arange(N) < 6, np.nan, NUMBERS)
    options = ("--groups", "patient", "--drop", "size", "--drop", "count", "--category", "code")
    out, err = fit(table, y, *options)
    assert "Rows without 'y', not used: 6\n" in out
    assert "fastnn: column 'id' numbers the rows: leave it out by --drop, unless" in err
    model = fastnn.TabularRegressor.load("model.npz")
    names = ["color", "grade", "new", "age", "always", "id", "code"]
    assert model.feature_names_in_.tolist() == names
    assert "\n  code    4 levels: 7, 8, 9, 10\n" in out
    left_out = ~np.isnan(model.oob_prediction_)
    assert {len(set(group)) for group in left_out.reshape(-1, 6).tolist()} == {1}


ROWS = {  # that are left in a table, in the order of the file
    "all": np.arange(N),
    "some dropped": np.flatnonzero(np.arange(N) % 7),
    "shuffled": RandomState(0).permutation(N),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_column_without_a_name_that_numbers_the_rows_is_left_out(succeed, case):
    """As pandas and R write it, in any order and where rows have no target: a table that is sorted
    would give away the target by it.
    """
    y = np.sort(NUMBERS)
    y[20:23] = np.nan
    TABLE.assign(y=y).iloc[ROWS[case]].to_csv("table.csv")
    out, _ = succeed(*of_fit())
    assert "Left out: a column without a name, which numbers the rows\n" in out
    model = fastnn.TabularRegressor.load("model.npz")
    assert model.feature_names_in_.tolist() == list(TABLE)
    assert model.oob_score_ < 0.5


def test_a_named_column_that_numbers_the_rows_is_told_with_gaps_in_it(fit):
    """Rows without a target, and rows that are not in the file, leave gaps."""
    y = np.where(np.arange(N) % 9 == 4, np.nan, NUMBERS)
    table = TABLE.assign(id=np.arange(N) + 5 * (np.arange(N) > 60))
    _, err = fit(table, y)
    assert "fastnn: column 'id' numbers the rows: leave it out by --drop, unless" in err


@pytest.mark.parametrize("name", ["id", ""])
def test_row_numbers_with_zeros_before_them_are_row_numbers(succeed, name):
    """A column without a name is left out, and one with a name is told."""
    numbers = [f"{k:04}" for k in range(N)]
    TABLE.assign(y=NUMBERS, **{name: numbers}).to_csv("table.csv", index=False)
    out, err = succeed(*of_fit())
    assert ("column 'id' numbers the rows: leave it out by --drop, unless" in err) == bool(name)
    assert ("Left out: a column without a name, which numbers the rows\n" in out) != bool(name)
    names = fastnn.TabularRegressor.load("model.npz").feature_names_in_.tolist()
    assert names == [*TABLE, *filter(None, [name])]


CELLARS = np.where(np.arange(N) % 4 == 0, "None", np.where(NUMBERS > 0.4, "Full", "Half"))


def test_words_that_are_read_as_gaps_are_named(fit):
    """In a column with a word, and in the target; not empty cells, nor those of numbers."""
    pool = np.where(np.arange(N) % 3 == 0, "yes", np.where(np.arange(N) % 3 == 1, "NA", ""))
    size = TABLE["size"].astype(object).where(np.arange(N) % 5 > 0, "NA")
    out, _ = fit(TABLE[["count"]].assign(size=size, pool=pool), CELLARS)
    assert "Read as gaps: 40 'NA' in 'pool', 30 'None' in 'y' (--na says which" in out
    assert "Rows without 'y', not used: 30\n'y' has 2 different words: classes\n" in out
    assert "\n  size   number, with gaps\n  pool   1 level, with gaps: yes\n" in out
    assert "Read as gaps" not in fit(TABLE, NUMBERS)[0]


def test_a_terminal_obeys_nothing_that_stands_in_a_file(fit):
    """As the escape sequence of a color, or one that names the window."""
    words = np.where(np.arange(N) % 2 == 0, "\x1b]0;named\x07", "\x1b[31mred")
    out, err = fit(TABLE[["count"]].assign(words=words), NUMBERS)
    assert "\x1b" not in out + err
    assert "2 levels: \ufffd[31mred, \ufffd]0;named\ufffd" in out


def test_na_says_which_words_are_gaps(succeed, fit):
    """Others, such as None, are words then, in the file of new rows too; empty cells are gaps."""
    size = TABLE["size"].astype(object).where(np.arange(N) % 5 > 0, "-999")
    table = TABLE[["count"]].assign(size=size, cellar=CELLARS)
    out, _ = fit(table, NUMBERS, "--na", "?", "--na", "-999")
    assert "Read as gaps" not in out
    assert "\n  size    number, with gaps\n  cellar  3 levels: Full, Half, None\n" in out
    table.to_csv("new.csv", index=False)
    out, err = succeed("predict", "model.npz", "new.csv", "--na", "-999")
    assert err == ""
    model = fastnn.TabularRegressor.load("model.npz")
    rows = table.assign(size=pd.to_numeric(size).replace(-999, np.nan))
    printed = np.array(out.splitlines()[1:], float)
    assert_array_equal(printed, model.predict(rows))


def test_words_that_differ_by_blanks_alone_are_told(fit):
    """Of inputs and of the target; not those that differ in other characters, or of no input."""
    seat = np.resize(["front", " back", "back", "back "], N)
    table = TABLE[["count", "color"]].assign(seat=seat, late=seat, plain=np.resize(["a", "A"], N))
    _, err = fit(table, np.resize(["no", "yes", "yes", "no", " no"], N), "--drop", "late")
    said = "column 'seat' has 'back' beside ' back'; column 'y' has ' no' beside 'no'"
    way = "which are two words: write them alike if they mean the same"
    assert f"fastnn: table.csv: {said}, {way}\n" in err
    assert "two words" not in fit(table[["plain", "color"]], LABELS)[1]


def test_the_picture_is_written(fit):
    pytest.importorskip("matplotlib")
    out, _ = fit(TABLE, LABELS, "--plot", "model.png")
    assert out.endswith("Picture: model.png\n")
    assert pathlib.Path("model.png").read_bytes().startswith(b"\x89PNG")


def write_separated(separator, decimal="."):
    def write(frame, path):
        frame.to_csv(path, index=False, sep=separator, decimal=decimal)

    return write


def write_for_excel(separator):
    def write(frame, path):
        text = frame.to_csv(index=False, sep=separator)
        pathlib.Path(path).write_text(f"sep={separator}\n{text}")

    return write


def write_from_a_spreadsheet(frame, path):
    frame.to_csv(path, index=False, encoding="utf-8-sig")


FILES = {
    "semicolons.csv": write_separated(";"),
    "commas.csv": write_separated(";", ","),
    "tabs.tsv": write_separated("\t"),
    "excel.csv": write_for_excel(";"),
    "excel commas.csv": write_for_excel(","),
    "excel tabs.csv": write_for_excel("\t"),
    "mark.csv": write_from_a_spreadsheet,
    **dict.fromkeys(["a.csv.gz", "a.csv.zip", "a.csv.bz2", "a.csv.xz"], write_separated(",")),
}


def assert_same_models(*paths):
    """Assert that these files hold models of the same predictions."""
    models = map(fastnn.TabularRegressor.load, paths)
    assert_same_bits(*(model.predict(TABLE) for model in models))


@pytest.mark.parametrize("file", FILES)
def test_files_of_all_kinds_are_the_same_table(succeed, fit, file):
    fit(TABLE, NUMBERS)
    FILES[file](TABLE.assign(y=NUMBERS), file)
    succeed(*of_fit(file, out="other.npz"))
    assert_same_models("model.npz", "other.npz")


def test_a_decimal_comma_is_that_of_a_column(succeed, fit):
    """Others of the file may have a point."""
    fit(TABLE, NUMBERS)
    size = TABLE["size"].astype(str).str.replace(".", ",").where(TABLE["size"].notna())
    TABLE.assign(size=size, y=NUMBERS).to_csv("mixed.csv", index=False, sep=";")
    _, err = succeed(*of_fit("mixed.csv", out="other.npz"))
    assert_same_models("model.npz", "other.npz")
    assert "point" not in err


THOUSANDS = {  # {case: separator, area, prices, and what is told of the price}
    "decimal commas": (";", "100,7", ["1.234"], "1.234, and column 'area' has decimal commas"),
    "decimal points": ("\t", "100.7", ["1,234"], "1,234, and column 'area' has decimal points"),
    "no point": (";", "100.7", ["1.234", "900"], "1.234, and 900 without a point"),
    "no point, commas": (",", "100.7", ["900", "1.234"], "1.234, and 900 without a point"),
    "no comma": ("|", "100,7", ["1,234", "900"], "1,234, and 900 without a comma"),
    "no evidence": (",", "100.7", ["1.234", "2.900"], ""),
    "commas, no evidence": (";", "100,7", ["2,544", "7,125"], ""),
    "both may be": (";", "7.858", ["2,544", "1,125"], ""),
    "a decimal": (",", "100.7", ["1.234", "900", "1.5"], ""),
    "a fraction": (",", "100.7", ["1.234", "900", "0.125"], ""),
    "a decimal comma": ("\t", "100.7", ["1,234", "900", "1,5"], ""),
    "a large number": (",", "100.7", ["1.234", "1900"], ""),
    "a gap with a point": (
        ";",
        "100.7",
        ["n.a.", "1.234", "900"],
        "1.234, and 900 without a point",
    ),
    "both are decimal": (";", "100,7", ["1.5", "2.25"], ""),
}


@pytest.mark.parametrize("case", THOUSANDS)
def test_decimal_signs_that_may_separate_thousands_are_told(capsys, tmp_path, case):
    """The numbers stay those with a decimal sign."""
    from fastnn.cli.tables import read_table

    separator, area, prices, told = THOUSANDS[case]
    path = tmp_path / "homes.csv"
    rows = [separator.join((area, price)) for price in prices]
    path.write_text("\n".join([f"area{separator}price", *rows]))
    frame = read_table(path, ["n.a."])
    err = " ".join(capsys.readouterr().err.split())
    sign = "point" if "." in told.split(" ")[0] else "comma"
    right = f"if the {sign}s separate thousands, write numbers without them"
    assert err == (f"fastnn: {path}: column 'price' has {told}: {right}" if told else "")
    numbers = [float(price.replace(",", ".")) for price in prices if price != "n.a."]
    assert frame["price"].dropna().tolist() == numbers
    assert set(frame["area"]) == {float(area.replace(",", "."))}


@pytest.mark.parametrize("text", ["1.{:03},5", "{}.5 m2", "2 {:03}"])
def test_words_that_read_as_numbers_are_told(run, fit, text):
    """A command has no remedy in Python; a target of them is refused."""
    texts = [text.format(k) for k in range(N)]
    _, err = fit(TABLE[["count"]].assign(price=texts), NUMBERS)
    fault = f"column 'price' holds words that read as numbers ({texts[0]!r}): "
    right = "write plain numbers, such as 1234.5, without units, or say --category if"
    assert fault + right in " ".join(err.split())
    TABLE[["count"]].assign(y=texts[:40] * 3).to_csv("table.csv", index=False)
    code, _, err = run(*of_fit())
    fault = f"column 'y' has 40 different words, such as {texts[0]!r}: write amounts as plain"
    assert code == 2
    assert fault in " ".join(err.split())


def test_parquet_is_read_where_pandas_reads_it(succeed, refused, fit, monkeypatch):
    fit(TABLE, NUMBERS)

    def read_parquet(path):
        raise ImportError("Unable to find a usable engine")

    pathlib.Path("table.parquet").touch()
    monkeypatch.setattr(pd, "read_parquet", read_parquet)
    command = of_fit("table.parquet", out="other.npz")
    assert refused(*command) == (
        "fastnn: a Parquet file needs pyarrow, which is not installed: python -m pip install "
        "pyarrow"
    )
    monkeypatch.setattr(pd, "read_parquet", lambda path: TABLE.assign(y=NUMBERS))
    succeed(*command)
    assert_same_models("model.npz", "other.npz")


def test_rows_of_a_parquet_file_are_numbered_anew(succeed, fit, monkeypatch):
    """A frame of which rows were taken keeps their index in the file."""
    fit(TABLE, NUMBERS)
    new = TABLE.iloc[10:15]
    pathlib.Path("new.parquet").touch()
    monkeypatch.setattr(pd, "read_parquet", lambda path: new)
    succeed("predict", "model.npz", "new.parquet", "--out", "p.csv", "--keep", "size")
    predicted = read_exactly("p.csv")
    assert_array_equal(predicted["size"], new["size"])
    model = fastnn.TabularRegressor.load("model.npz")
    assert_array_equal(predicted["predicted"], model.predict(new))


def test_digits_in_a_column_of_words_stay_words(succeed, fit):
    """A new file may have no other ones in it; a word that is new is told."""
    size = np.where(FRAME["new"], "38", "large")
    fit(TABLE[["count"]].assign(size=size), NUMBERS)
    for words, told in (("38", ""), ("40", "'size' (3 rows, such as '40')")):
        pathlib.Path("new.csv").write_text(f"count,size\n1,{words}\n2,{words}\n3,{words}\n")
        _, err = succeed("predict", "model.npz", "new.csv")
        assert bool(told) == bool(err)
        assert told in err


AMOUNTS_OF_DIGITS = {
    "zero": ["0", "5", "10"],
    "fractions": ["0.5", "007", "3"],
    "negative": ["-01", "05", "10"],
    "words in quotes": ["0", "", "NA"],
}


def test_numbers_with_leading_zeros_are_names(succeed, fit):
    """Their levels, classes and groups keep the zeros, and gaps stay gaps; other numbers stay
    numbers.
    """
    codes = np.resize(["0101", "0901", "", "1101", " 0201"], N)
    times = np.resize(["00", "15", "NA", "45"], N)
    others = {name: np.resize(cells, N) for name, cells in AMOUNTS_OF_DIGITS.items()}
    table = pd.DataFrame({"code": codes, "time": times, "team": codes, "late": codes, **others})
    options = ("--drop", "late", "--groups", "team")
    table["team"] = np.resize(["01", "1", "02", "2", "03"], N)
    y = np.resize(["007", "011", ""], N)
    out, _ = fit(table, y, *options)
    said = (
        "'code' ('0101' in row 1), 'time' ('00' in row 1), 'team' ('01' in row 1), 'y' ('007' in "
        "row 1): write amounts without zeros before them, or say --task numbers for 'y'"
    )
    assert f"Read as names, since numbers in them begin with 0: {said}" in " ".join(out.split())
    assert "\n  code             4 levels, with gaps: 0201, 0101, 0901, 1101\n" in out
    assert "\n  time             3 levels, with gaps: 00, 15, 45\n" in out
    for name in AMOUNTS_OF_DIGITS:
        assert not re.search(rf"\n  {name} .*level", out)
    model = fastnn.TabularClassifier.load("model.npz")
    assert model.classes_.tolist() == ["007", "011"]
    succeed("predict", "model.npz", "table.csv", "--keep", "y", "--out", "p.csv")
    predicted = pd.read_csv("p.csv", dtype=str)
    assert (predicted["predicted"] == predicted["y"])[y != ""].mean() > 0.9
    out, _ = fit(table[["zero"]], np.resize(["05", "10", "15"], N), "--task", "numbers")
    assert "Read as names" not in out


AREAS = np.arange(N).astype(str).astype(object)
AREAS[17] = "017"


@pytest.mark.parametrize("row", [0, 6, 7, 118, 119])
@pytest.mark.parametrize("cell", ["017", " 017"])
def test_a_zero_is_found_in_each_row(monkeypatch, tmp_path, row, cell):
    """Texts are read a few rows at a time; a part may have gaps alone, or no row."""
    from fastnn.cli import tables

    monkeypatch.setattr(tables, "ROWS_AT_A_TIME", 7)
    cells = np.where(np.arange(N) == row, cell, np.where(np.arange(N) % 20 < 10, "", "170"))
    path = tmp_path / "codes.csv"
    pd.DataFrame({"other": "100", "code": cells, "zero": "0"}).to_csv(path, index=False)
    texts = tables.columns_with_zeros(tables.read_table(path), path)
    assert list(texts) == ["code"]
    assert texts["code"].fillna("").tolist() == cells.tolist()


DIGITS = {  # {case: cells, and how they are read}
    "one 0 among amounts": (AREAS, "number"),
    "all as wide": (np.resize(["01067", *np.arange(10_000, 10_030).astype(str)], N), "31 levels"),
    "ids": ([f"{k % 40 + 1:03}" for k in range(N)], "40 levels"),
    "all begin with 0": (np.resize(["030", "0351", "06221"], N), "3 levels"),
    "several begin with 0": (np.resize(["1067", "01067", *["10115"] * 8], N), "3 levels"),
}


@pytest.mark.parametrize("case", DIGITS)
def test_a_few_zeros_make_no_names_of_amounts(fit, case):
    """Digits are names where all are as wide, or where more than a few begin with 0."""
    cells, read = DIGITS[case]
    out, _ = fit(TABLE[["count"]].assign(area=cells), NUMBERS)
    assert f"\n  area   {read}" in out
    assert ("Read as names" in out) == (read != "number")


def test_a_line_names_a_cell_that_begins_with_0_and_the_way_to_read_it_otherwise(fit):
    table = TABLE[["count"]].assign(area=AREAS)
    out, _ = fit(table, NUMBERS)
    said = "Read as numbers, though a few begin with 0: 'area' ('017' in row 18): --category reads"
    assert said in " ".join(out.split())
    out, _ = fit(table, NUMBERS, "--category", "area")
    assert "\n  area   120 levels: " in out
    out, _ = fit(TABLE, AREAS)
    assert "--task classes in 'y'" in " ".join(out.split())
    fit(TABLE, np.where(AREAS == "017", "017", np.arange(N) % 3), "--task", "classes")
    assert fastnn.TabularClassifier.load("model.npz").classes_.tolist() == ["0", "017", "1", "2"]
    out, _ = fit(table.assign(area=table["area"].str.zfill(3)), NUMBERS)
    said = "'area' ('000' in row 1): write amounts without zeros before them"
    assert f"Read as names, since numbers in them begin with 0: {said}" in " ".join(out.split())


MANY = "name,y\n" + "".join(f"word{k},{k % 2}\n" for k in range(60))
BROKEN = {  # the file's content, the target, and what is said
    "nothing": (None, "y", "No such file or directory: 'bad.csv'"),
    "empty": ("", "y", "bad.csv cannot be read as a table: No columns to parse from file"),
    "no rows": ("x,y\n", "y", "bad.csv has no rows"),
    "more fields": ("x,y\n1,2,\n3,4,\n", "y", "its rows have more fields than its first line"),
    "a title": (
        "# export, 2024\nx,y,z\n1,2,3\n",
        "y",
        "first line has names: '# export, 2024' must hold the name of each column",
    ),
    "more fields for Excel": ("sep=;\nx;y\n1;2;\n", "y", "line has names: 'x;y' must hold"),
    "ragged": ("x,y\n1,2\n3,4,5\n", "y", "Expected 2 fields in line 3, saw 3"),
    "names": ("x,y,x,y\n1,2,3,4\n5,6,7,8\n", "y", "several columns have the name 'x', 'y': rename"),
    "latin": ("x,y\nü,1\n".encode("latin-1"), "y", "bad.csv is no text in UTF-8: save it as CSV"),
    "another target": (MANY, "z", "bad.csv has no column 'z'; it has 'name', 'y'"),
    "a near target": ("sold,x\n1,2\n", "slod", "(did you mean 'sold'?); it has 'sold', 'x'"),
    "no target": ("x,y\n1,\n2,\n", "y", "column 'y' is empty: there is nothing to learn"),
    "an infinite target": ("x,y\n1,2\n2,-inf\n", "y", "column 'y' is infinite in row 2: write"),
    "no column": ("y\n1\n2\n", "y", "no column is left to predict from"),
    "words of rows": (MANY, "name", "column 'name' has 60 different words, such as 'word0'"),
    "amounts": ("x,y\n" + "1,$5\n2,$6\n3,$7.5\n" * 20, "y", "write amounts as plain numbers"),
    "a word among numbers": (
        "x,y\n" + "1,no\n2,yes\n" * 20 + "n.a.,yes\n",
        "y",
        "column 'x' holds numbers but for 1 of its 41 cells, such as 'n.a.' in row 41",
    ),
    "a word in the target": (
        "x,y\n" + "1,2.5\n2,3.5\n" * 20 + "3,unknown\n",
        "y",
        "column 'y' holds numbers but for 1 of its 41 cells, such as 'unknown' in row 41",
    ),
    "words in two columns": (
        "a,b,y\n" + "1,2,no\n2,3,yes\n" * 20 + "?,x,yes\n",
        "y",
        "in row 41; column 'b' holds numbers but for 1 of its 41 cells, such as 'x' in row 41: "
        "write numbers there, leave the cells empty, or say by --na which words are gaps",
    ),
    "one class": ("x,y\n" + "1,no\n2,no\n" * 20, "y", "column 'y' has only one class, 'no'"),
    "dates": ("x,y\n" + "2020-01-01,1\n2020-01-02,2\n" * 20, "y", "leave it out by --drop, or put"),
    "free text": (
        "x,y\n" + "".join(f"so many words {k},{k % 2}\n" for k in range(300)),
        "y",
        "column 'x' holds free text: leave it out by --drop, or turn it",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_table_that_cannot_be_fitted_ends_with_2_and_a_line(run, case):
    content, target, said = BROKEN[case]
    if content is not None:
        data = content if isinstance(content, bytes) else content.encode()
        pathlib.Path("bad.csv").write_bytes(data)
    before = os.listdir()
    code, _, err = run(*of_fit("bad.csv", target))
    assert code == 2
    assert said in err
    assert "Traceback" not in err
    assert os.listdir() == before


def test_rows_are_counted_from_1_in_the_file(run, fit):
    """Also where rows before have no target."""
    table = TABLE[["count"]].assign(size=np.where(np.arange(N) == 40, np.inf, 1.5))
    table.assign(y=np.where(np.arange(N) < 20, np.nan, NUMBERS)).to_csv("new.csv", index=False)
    said = (
        "new.csv: column 'size' holds infinity in row 41: leave the cell empty, or write a number"
    )
    code, out, err = run(*of_fit("new.csv"))
    assert "Rows without 'y', not used: 20\n" in out
    assert (code, said in err) == (2, True)
    fit(table.assign(size=NUMBERS), NUMBERS)
    code, _, err = run("predict", "model.npz", "new.csv")
    assert (code, said in err) == (2, True)


@pytest.mark.parametrize(
    "text", ["seat in row 3", "it's in row 3", "'in row 3' or \"such as row 3\""]
)
def test_names_and_cells_that_speak_of_rows_are_shown_as_they_stand(run, succeed, fit, text):
    rows = np.arange(N)
    fit(TABLE[["count"]].assign(**{text: np.where(rows % 2, "front", "back")}), NUMBERS)
    new = TABLE[["count"]].assign(**{text: np.where(rows == 4, text, "front")})
    new.to_csv("new.csv", index=False)
    _, err = succeed("predict", "model.npz", "new.csv", "--out", "p.csv")
    assert f"in column {text!r} (1 row, such as {text!r})" in err
    new.assign(count=np.where(rows == 4, np.inf, 1)).to_csv("new.csv", index=False)
    code, _, err = run("predict", "model.npz", "new.csv")
    assert code == 2
    assert "column 'count' holds infinity in row 5" in err
    fit(TABLE[["size"]].assign(**{text: np.where(rows % 2, 1.5, 2)}), NUMBERS)
    new = TABLE[["size"]].assign(**{text: np.where(rows == 4, np.inf, 1)})
    new.to_csv("new.csv", index=False)
    code, _, err = run("predict", "model.npz", "new.csv")
    assert code == 2
    assert f"column {text!r} holds infinity in row 5" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--preset", "quick"), "--preset: 'quick' is none of: fast; good; best"),
        (("--task", "class"), "--task: 'class' (did you mean 'classes'?) is none of"),
        (("--task", "numbers"), "column 'y' holds text, such as"),
        (
            ("--task", "classes", "--target", "size"),
            f"table.csv: column 'size' holds decimals ({SIZES.iloc[0]} in row {SIZES.index[0] + 1}"
            "), which are no classes: say --task numbers, or leave out --task",
        ),
        (("--out", "model.csv"), "--out: model.csv does not end in .npz"),
        (("--plot", "model.gif"), "--plot: a picture's name must end in one of .png, .svg, .pdf"),
        (("--groups", "patient"), "--groups: table.csv has no column 'patient'"),
        (("--drop", "cuont"), "--drop: table.csv has no column 'cuont' (did you mean 'count'?)"),
        (("--category", "z"), "--category: table.csv has no column 'z'"),
        (("--seed", "-1"), "--seed"),
        (("--drop", "y"), "--drop: 'y' is the target, not a column to predict from"),
        (("--category", "y"), "--category: 'y' is the target, not a column to predict from"),
        (("--groups", "y"), "--groups: 'y' is the target, not a column to predict from"),
        (("--out", "new/m.npz"), "--out: there is no folder new; make it first"),
        (
            ("--groups", "size"),
            f"table.csv: column 'size' of groups is empty in {len(GAPS)} rows, such as row "
            f"{GAPS[0] + 1}: fill in the groups, or leave out these rows",
        ),
        (
            ("--interval", ".9"),
            "a model of numbers has intervals of each probability: say it to fastnn predict",
        ),
    ],
)
def test_wrong_options_of_fit_end_with_2_and_say_why(run, options, said):
    pytest.importorskip("matplotlib")
    TABLE.assign(y=LABELS).to_csv("table.csv", index=False)
    code, _, err = run(*of_fit(), *options)
    assert code == 2
    assert said in " ".join(err.split())
    assert os.listdir() == ["table.csv"]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """The content of a file of a model."""
    model = fastnn.TabularClassifier("fast", epochs=4, random_state=0)
    path = tmp_path_factory.mktemp("model") / "model.npz"
    model.fit(TABLE[["size", "count", "color"]], LABELS).save(path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("new", "options", "said"),
    [
        (None, (), "No such file or directory: 'new.csv'"),
        (
            "Size,count, color\n1,1,red\n",
            (),
            "new.csv lacks the columns 'size' (did you mean 'Size'?), 'color' (did you mean "
            "' color'?), which fit saw",
        ),
        ("count,color\n1,red\n", (), "new.csv lacks the column 'size', which fit saw"),
        (
            "size,count,color\nlarge,1,red\n",
            (),
            "column 'size' held numbers in fit and holds words",
        ),
        (
            "size,count,color\nlost in row 9,1,red\n",
            (),
            "column 'size' held numbers in fit and holds words ('lost in row 9'",
        ),
        (
            "size,count,color\n" + "1,1,red\n" * 20 + "abc,1,red\n",
            (),
            "column 'size' holds numbers but for 1 of its 21 cells, such as 'abc' in row 21",
        ),
        ("size,count,color\n1,1,red\n", ("--keep", "id"), "--keep: new.csv has no column 'id'"),
        (
            "size,count,color,predicted\n1,1,red,0\n",
            ("--keep", "predicted"),
            "--keep: 'predicted' is also a column of the predictions",
        ),
        ("size,count,color\n1,1,red\n", ("--interval", ".9"), "it takes a model of numbers"),
        ("size,count,color\n1,1,red\n", ("--out", "new.csv"), "--out: new.csv is the table"),
        ("size,count,color\n1,1,red\n", ("--out", "p.npz"), "--out: p.npz does not end in .csv"),
        ("size,count,color\n1,1,red\n", ("--out", "new/p.csv"), "--out: there is no folder new;"),
        ("size,count,color\n", (), "new.csv has no rows"),
    ],
)
def test_what_cannot_be_predicted_ends_with_2_and_says_why(refused, classifier, new, options, said):
    pathlib.Path("model.npz").write_bytes(classifier)
    if new is not None:
        pathlib.Path("new.csv").write_text(new)
    before = files()
    assert said in refused("predict", "model.npz", "new.csv", *options)
    assert files() == before


def test_an_interval_takes_a_probability_and_enough_rows(refused, fit):
    fit(TABLE, NUMBERS)
    said = "coverage must be greater than 0 and less than 1, such as 0.9, not 90.0"
    assert refused("predict", "model.npz", "table.csv", "--interval", "90") == (
        f"fastnn: table.csv has columns that the model does not use: 'y' fastnn: {said}"
    )
    fit(TABLE[:30], NUMBERS[:30])
    assert "too few to say" in refused("predict", "model.npz", "table.csv", "--interval", ".9")


def test_other_models_predict_tables_too(succeed):
    X = pd.DataFrame(RandomState(0).uniform(-1, 1, (20, 3)), columns=list("abc"))
    X.to_csv("new.csv", index=False)
    result = trained(NETWORKS["tanh"], "float64")
    result.save("result.npz")
    n = result.network.sizes[0]
    wide = pd.DataFrame(RandomState(0).uniform(-1, 1, (20, n)))
    wide.to_csv("wide.csv", index=False)
    succeed("predict", "result.npz", "wide.csv", "--out", "p.csv")
    assert_array_equal(read_exactly("p.csv"), result.predict(read_exactly("wide.csv")))
    mlp = fastnn.MLPClassifier((3,), solver="lbfgs", max_iter=20, tol=1.0, random_state=0)
    mlp.fit(X, np.where(X["a"] > 0, "yes", "no")).save("mlp.npz")
    succeed("predict", "mlp.npz", "new.csv", "--out", "p.csv")
    predicted = read_exactly("p.csv")
    assert predicted["predicted"].tolist() == mlp.predict(X).tolist()
    assert_array_equal(predicted["probability_yes"], mlp.predict_proba(X)[:, 1])


def test_other_models_pass_over_columns_and_take_any_order(succeed):
    """The target stands in most tables of new rows, too."""
    X = pd.DataFrame(RandomState(0).uniform(-1, 1, (20, 2)), columns=["a", "b"])
    result = fastnn.train(fastnn.Network((2, 1)), X, X["a"], epochs=1, seed=0)
    result.save("result.npz")
    X.assign(y=X["a"])[["b", "y", "a"]].to_csv("new.csv", index=False)
    out, err = succeed("predict", "result.npz", "new.csv")
    assert err == "fastnn: new.csv has columns that the model does not use: 'y'\n"
    assert_array_equal(np.array(out.split()[1:], float), result.predict(X)[:, 0])


AMOUNTS = {
    "?": "without units, and say by --na which words are gaps if texts such as",
    " m2": "write plain numbers, such as 1234.5, without units if texts such as",
    "%": "write plain numbers, such as 1234.5, without units if texts such as",
}


@pytest.mark.parametrize("unit", AMOUNTS)
def test_advice_on_amounts_is_in_the_words_of_the_command(fit, unit):
    rows = np.arange(300)
    numbers = (rows * 7919 % 1009).astype(str).astype(object)
    amounts = np.where(rows % 4 > 0, numbers, "?") if unit == "?" else numbers + unit
    _, err = fit(pd.DataFrame({"count": rows % 7, "amount": amounts}), rows * 1.5)
    assert AMOUNTS[unit] in err
    assert "pandas" not in err
    assert "str.replace" not in err


def test_a_column_written_otherwise_than_in_fit_is_refused(refused, fit):
    """Of the words of a column of many levels, none is unknown."""
    numbers = np.arange(300) * 7919 % 1009
    table = pd.DataFrame({"count": numbers / 7, "amount": [f"{k} km" for k in numbers]})
    fit(table, numbers * 1.5)
    right = ": write them as in the table of fit, or fit again on a table of numbers"
    fault = "table.csv: column 'amount' holds numbers ('0' in row 1) and held words in fit ('"
    table.assign(amount=numbers).to_csv("table.csv", index=False)
    message = refused("predict", "model.npz", "table.csv")
    assert fault in message
    assert right in message
    table.assign(count=[f"{k},5 km" for k in numbers]).to_csv("table.csv", index=False)
    message = refused("predict", "model.npz", "table.csv")
    fault = "table.csv: column 'count' held numbers in fit and holds words ('0,5 km') now: "
    assert fault + "write plain numbers, such as 1234.5, without units" in message
    assert "pandas" not in message


CODES = pd.DataFrame({"code": [f"A{k:03}" for k in range(205)] * 2 + [*range(10_000, 10_040)]})
WORDS_OF_DIGITS = {  # {case: rows of fit, and a cell of new rows}
    "a rare level": (CODES, "10039"),
    "a new code": (CODES, "77"),
    "a gap elsewhere": (pd.DataFrame({"code": ["yes", "no"] * 100}), "NaN"),
    "infinity": (pd.DataFrame({"code": ["yes", "no"] * 100}), "inf"),
}


@pytest.mark.parametrize("case", WORDS_OF_DIGITS)
def test_words_that_are_numbers_are_predicted_where_fit_had_words(succeed, fit, case):
    """Of a column of many levels, a model knows the most frequent ones alone."""
    table, cell = WORDS_OF_DIGITS[case]
    fit(table.assign(size=np.arange(len(table)) % 7 / 2), np.arange(len(table)) % 7, "--na", "?")
    pathlib.Path("new.csv").write_text(f"size,code\n1.5,{cell}\n")
    out, _ = succeed("predict", "model.npz", "new.csv", "--na", "?")
    assert len(out.splitlines()) == 2


def test_one_row_and_one_column_are_no_plural(run, succeed, classifier):
    pathlib.Path("model.npz").write_bytes(classifier)
    pathlib.Path("new.csv").write_text("size,count,color\n1,1,red\n")
    out, _ = succeed("predict", "model.npz", "new.csv", "--out", "p.csv")
    assert out == "p.csv  1 row\n"
    pathlib.Path("new.csv").write_text("y\nred\n")
    assert run(*of_fit("new.csv"))[1] == "new.csv: 1 row, 1 column\n"
    pathlib.Path("new.csv").write_text("x,y\n" + "1,red\n" * 1000)
    out = run(*of_fit("new.csv"))[1]
    assert out == "new.csv: 1,000 rows, 2 columns\n'y' has 1 different word: classes\n"


def test_a_file_that_would_run_code_is_not_read(refused, fit):
    fit(TABLE, LABELS)
    np.save("code.npz", np.array([os.getcwd], object), allow_pickle=True)
    os.replace("code.npz.npy", "code.npz")
    assert "not a fastnn file" in refused("predict", "code.npz", "table.csv")


def test_what_is_written_is_whole_or_not_there(run, succeed, fit, monkeypatch):
    """A disk that is full leaves the old file, and no other one."""
    fit(TABLE, LABELS)
    prediction = ("predict", "model.npz", "table.csv", "--out", "predicted.csv")
    succeed(*prediction)
    before = files()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for command in ([*of_fit(), "--seed", 7], prediction):
        code, _, err = run(*command)
        assert code == 2
        assert "No space left on device" in err
        assert files() == before


def test_a_missing_pandas_is_named_with_its_extra(refused, monkeypatch):
    uninstall(monkeypatch, "pandas")
    assert refused(*of_fit()) == (
        "fastnn: a table needs pandas, which is not installed: python -m pip install "
        '"fastnn-numba[tables]"'
    )
