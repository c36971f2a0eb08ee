"""TablePreparation: numbers of all kinds of columns, gaps, unknown words; errors that name the
column."""

import datetime
from enum import StrEnum

import numpy as np
import pandas as pd
import pytest
from bits import assert_same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import RandomState
from numpy.testing import assert_allclose
from small_tables import (
    FRAME,
    ignores_far,
    ignores_new_gaps,
    ignores_new_words,
    mixed,
    unfitted,
)

from fastnn import TablePreparation


@ignores_far
def test_equal_quartiles_and_numbers_far_off():
    """Half the range scales such a column; what the fuzzer compares, `matrix_due`, has quartiles
    that differ."""
    preparation = TablePreparation().fit([[0.0]] * 9 + [[4.0]])
    made = preparation.transform([[0.0], [4.0], [1e150], [-1e150]])
    assert_allclose(made[:, 0], [0, 2 / np.sqrt(1 + 4 / 9), 3, -3], rtol=1e-6)


@pytest.mark.parametrize("signs", [[1], [-1, 1]], ids=["one side", "both sides"])
def test_many_equal_numbers_do_not_squash_the_others(signs):
    """Where zeros are nearly so many that the quartiles are equal, it is as where they are: the
    others keep their distances."""
    others = np.resize(signs, 2000) * (1.0 + np.arange(2000) // len(signs))
    n_zeros = 5990 if len(signs) == 1 else 1990
    column = np.r_[np.zeros(n_zeros), others]
    preparation = TablePreparation().fit(column[:, None])
    assert preparation.factors_ == 2 / np.ptp(column)
    half, largest = preparation.transform(column.max() * np.array([[0.5], [1]]))
    assert largest - half > 0.4


def test_a_number_far_away_does_not_flatten_the_others_beside_many_zeros():
    """Of 1,000 numbers 740 are zeros: 1 to 259 are scaled by 16 of their interquartile ranges, not
    by half of 1e9."""
    column = np.r_[np.zeros(740), np.arange(1, 260), 1e9]
    low, high = np.quantile(column[740:], (0.25, 0.75))
    preparation = TablePreparation().fit(column[:, None])
    assert_same_bits(preparation.factors_, 1 / (16 * (high - low)).reshape(1))


@pytest.mark.parametrize(("distance", "spread"), [(7.9, 1), (8.1, 4.55)])
def test_many_equal_numbers_are_scaled_by_quartiles_down_to_an_eighth_of_the_others(
    distance, spread
):
    """The quartiles are 0 and 1, those of the numbers that are not 0 are 1 and 1 + distance."""
    column = np.repeat([0, 1, 1 + distance], [600, 200, 200])
    preparation = TablePreparation().fit(column[:, None])
    assert preparation.factors_ == 1 / spread


def test_quartiles_scale_numbers_of_which_few_or_many_are_equal():
    """Numbers none of which repeats, however far the ends lie, and zeros beside a range that is
    that of the others to an eighth."""
    rs = RandomState(0)
    zeros = np.where(np.arange(1000) < 600, 0, rs.exponential(size=1000))
    columns = np.stack([rs.standard_cauchy(1000), rs.lognormal(0, 3, 1000), zeros], axis=1)
    low, high = np.quantile(columns, (0.25, 0.75), axis=0)
    assert_same_bits(TablePreparation().fit(columns).factors_, 1 / (high - low))


TABLES = [  # their columns
    [["a", "b", "a", None]],
    [[1.0, np.nan, 3.0, 4.0], ["a", "b", "c", "a"]],
    [[True, False, True, True], [5, 5, 5, 5], [None, None, None, None]],
    [[0, 1, 2, 3], ["x", "x", "x", "x"], [None, "x", "x", "x"]],
]


@pytest.mark.parametrize("columns", TABLES)
def test_arrays_lists_and_frames_are_the_same_table(columns):
    rows = [list(row) for row in zip(*columns, strict=True)]
    frame = pd.DataFrame({f"c{i}": column for i, column in enumerate(columns)})
    expected = TablePreparation().fit_transform(rows)
    assert_same_bits(TablePreparation().fit_transform(np.array(rows, object)), expected)
    assert_same_bits(TablePreparation().fit_transform(frame), expected)
    with pytest.warns(
        UserWarning,
        match="X has feature names, but TablePreparation was fitted without feature names",
    ):
        assert_same_bits(TablePreparation().fit(rows).transform(frame), expected)


def test_polars_frames_are_the_same_table():
    polars = pytest.importorskip("polars", reason="needs polars")
    columns = {
        "a": [1, None, 3],
        "b": ["x", None, "y"],
        "c": [True, False, None],
        "d": [1.5, 2.5, 3.5],
    }
    made = TablePreparation().fit_transform(polars.DataFrame(columns))
    assert_same_bits(made, TablePreparation().fit_transform(pd.DataFrame(columns)))


A, B, C, NONE = np.eye(4, 3, dtype=int).tolist()
# at most so many categories, words of fit, words of transform, before one that is missing, numbers
# of these
WORDS = {
    "one column a level": (255, "baca", "abc?", [A, B, C, NONE]),
    "two levels are one column": (255, "ba", "abc", [[-1], [1], [0]]),
    "unless words are missing": (255, ["b", "a", None], "ba", [[0, 1], [1, 0]]),
    "rare levels are one": (3, "aaaaabbbbccd", "acd?", [A, C, C, C]),
}


@pytest.mark.parametrize("case", WORDS)
@pytest.mark.filterwarnings("ignore:column 0 has 4 levels")
@ignores_new_gaps
@ignores_new_words
def test_words(case):
    most, words, others, numbers = WORDS[case]
    preparation = TablePreparation(max_categories=most).fit([[word] for word in words])
    made = preparation.transform([[word] for word in (*others, None)]).tolist()
    assert made == [*numbers, [0] * len(numbers[0])]


def test_the_order_of_named_columns_does_not_matter_and_others_are_passed_over():
    preparation = TablePreparation().fit(FRAME)
    expected = preparation.transform(FRAME).tobytes()
    assert preparation.transform(FRAME[FRAME.columns[::-1]]).tobytes() == expected
    with pytest.warns(UserWarning, match="did not see, not used here: 'other'"):
        assert preparation.transform(FRAME.assign(other=3)).tobytes() == expected
    with pytest.raises(ValueError, match="X lacks the columns 'size', 'color', which fit saw"):
        preparation.transform(FRAME.drop(columns=["size", "color"]))
    with pytest.raises(ValueError, match=r"'size' \(did you mean 'Size'\?\), which fit saw"):
        preparation.transform(FRAME.rename(columns={"size": "Size"}))


def test_a_copy_has_more_gaps_and_the_same_words():
    frame, *_ = mixed(500)
    preparation = TablePreparation()
    matrix, *copies = preparation.fit_with_gaps(frame, RandomState(0))
    k = len(preparation.number_columns_)
    indicators = slice(k, k + preparation.has_gaps_.sum())
    assert len(copies) == 3
    assert_same_bits(matrix, preparation.transform(frame))
    for copy in copies:
        assert (copy[:, indicators] >= matrix[:, indicators]).all()
        assert 1.5 < copy[:, indicators].mean() / matrix[:, indicators].mean() < 2.1
        assert (copy[:, indicators.stop :] == matrix[:, indicators.stop :]).all()
    few = frame.dropna().reset_index(drop=True)
    for share in (0.0, np.nan):  # none is missing, or fewer than 1 % of the numbers
        few.loc[0, "size"] = share
        assert len(TablePreparation().fit_with_gaps(few, RandomState(0))) == 1


TEXTS = [f"a text of its own, for row {i}" for i in range(300)]
BAD = {
    "dates": ([datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)], "column 'c' holds dates"),
    "timestamps": (pd.to_datetime(["2020-01-01", "2020-01-02"]), "column 'c' holds dates"),
    "spans of time": (
        pd.to_timedelta([1, 2]),
        r"column 'c' holds spans of time: .* by .dt.total_seconds\(\)",
    ),
    "times with gaps": ([pd.Timestamp("2020"), pd.NaT], "column 'c' holds dates"),
    "dates as text": (["2020-01-01", "2020-01-02"], "column 'c' holds dates"),
    "infinity": ([1.0, np.inf], "column 'c' holds infinity in row 1: say NaN"),
    "too large numbers": (
        [1.0, -1e200],
        "column 'c' holds -1e\\+200 in row 1: say NaN where a number is unknown",
    ),
    "words beside numbers": (
        [1, "x"],
        r"column 'c' holds numbers \(1 in row 0\) and words \('x' in row 1\)",
    ),
    "categories of both": (
        pd.Categorical([1, "x"]),
        r"column 'c' holds numbers \(1 in row 0\) and words",
    ),
    "lists": (
        [[1], [2]],
        (
            r"column 'c' holds objects of type list \(\[1\] in row 0\), which are neither numbers "
            r"nor "
            r"words"
        ),
    ),
    "complex": ([1j, 2j], "column 'c' holds complex numbers"),
    "complex beside numbers": (
        pd.Series([1.0, 2j], dtype=object),
        "column 'c' holds 2j in row 1, which no float64 is",
    ),
    "large integers": (
        pd.Series([1, 10**400], dtype=object),
        "column 'c' holds 1000.* in row 1, which no float64 is",
    ),
    "arrays beside words": (
        ["a", np.array([1, 2])],
        r"column 'c' holds objects of type ndarray \(.*\) and words",
    ),
    "categories of dates": (
        pd.Categorical(pd.to_datetime(["2020-01-01", "2020-01-02"])),
        "column 'c' holds dates",
    ),
    "intervals": (
        pd.cut([1.0, 2.0], 2),
        r"column 'c' holds objects of type Interval .* texts of them, by .astype\(str\)",
    ),
    "no time beside words": (["a", pd.NaT], r"column 'c' holds dates \(NaT in row 1\) and words"),
    "free text": (TEXTS, "column 'c' holds free text: drop it, or .* skrub"),
    "two columns of a name": (
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        "X has two columns of the name 'a': re",
    ),
    "no table": ("x" * 10_000, "Expected 2D array"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_number_and_no_word_is_named(case):
    values, message = BAD[case]
    table = (
        values if isinstance(values, (pd.DataFrame, str)) else pd.DataFrame({"b": 1.0, "c": values})
    )
    with pytest.raises(
        TypeError if case in ("lists", "intervals") else ValueError, match=message
    ) as caught:
        TablePreparation().fit(table)
    assert len(str(caught.value)) < 1000


@ignores_new_gaps
def test_numbers_and_words_that_change_places_are_named():
    preparation = TablePreparation().fit(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
    of_booleans = TablePreparation().fit(pd.DataFrame({"a": [True, False]}))
    with pytest.raises(
        ValueError,
        match=r"'a' held booleans \(False\) in fit and holds words \('True'\) now: make booleans",
    ):
        of_booleans.transform(pd.DataFrame({"a": ["True"]}))
    held = r"column 'a' held numbers in fit and holds words \('1,5 km'\) now: make numbers "
    with pytest.raises(ValueError, match=held + "of them, by pandas.to_numeric"):
        preparation.transform(pd.DataFrame({"a": ["1,5 km"], "b": ["x"]}))
    distances = pd.DataFrame({"a": ["1,5 km", "2 km", "3 km"], "b": ["x"] * 3})
    with pytest.raises(
        ValueError, match=held + r'of them, by .str.removesuffix\("km"\).str.replace'
    ):
        preparation.transform(distances)
    held = r"column 'b' held words \('x'\) in fit and holds numbers \(3\) now"
    with pytest.raises(ValueError, match=held):
        preparation.transform(pd.DataFrame({"a": [1, 2], "b": [3, 4]}))
    numbers = TablePreparation().fit(pd.DataFrame({"a": [1, 2], "b": [3, 4]}))
    with pytest.raises(ValueError, match=r"'a' .*\('x'\).*; the same in 'b'"):
        numbers.transform(pd.DataFrame({"a": ["x"], "b": ["x"]}))
    gaps = pd.DataFrame({"a": [None, None], "b": [np.nan, None]})  # which are neither
    assert preparation.transform(gaps).tolist() == [[0, 0], [0, 0]]


IDS = 1_700_000_000_000_000_000 + np.arange(3)  # float64 has none of them


@ignores_new_gaps
def test_whole_numbers_are_looked_up_to_the_last_digit():
    """Also where the new rows have them as numbers, not as a category."""
    preparation = TablePreparation().fit(pd.DataFrame({"a": pd.Categorical(IDS)}))
    expected = np.eye(3, dtype=np.float32)
    for values in (
        IDS,
        pd.array([*IDS[:2], None], dtype="Int64"),
        pd.Series([*IDS.tolist()[:2], None], dtype=object),
    ):
        n = 3 if isinstance(values, np.ndarray) else 2
        assert (preparation.transform(pd.DataFrame({"a": values}))[:n] == expected[:n]).all()


WHOLE = {  # a category, and its levels
    "a gap": (pd.Categorical([11.0, 22.0, np.nan]), [11, 22]),
    "floats": (pd.Categorical([-0.0, 22.0, 2.0**53]), [0, 22, 2**53]),
    "beside an integer": (pd.Categorical([11, 22.0, None]), [11, 22]),
    "beside a fraction": (pd.Categorical([11.0, 22.5, np.nan]), [11.0, 22.5]),
    "huge ones": (pd.Categorical([11.0, 1e17, np.nan]), [11.0, 1e17]),
    "infinite ones": (pd.Categorical([11.0, np.inf, np.nan]), [11.0, np.inf]),
    "beside a boolean": (pd.Categorical([True, 22.0, np.nan]), [True, 22.0]),
}


@pytest.mark.parametrize("case", WHOLE)
def test_whole_numbers_of_categories_are_integers(case):
    """A gap makes floats of them in pandas, and a model in ONNX would want "11.0" as text."""
    values, levels = WHOLE[case]
    (one,) = TablePreparation().fit(pd.DataFrame({"a": values})).levels_
    assert [(type(level), level) for level in one.levels] == [
        (type(level), level) for level in levels
    ]


def test_integers_and_whole_floats_are_one_level():
    """Also in models whose levels are floats, as files of fastnn 0.3 have them."""
    column = pd.Series([11.0, 22.0, 33.0, np.nan])
    preparation = TablePreparation().fit(pd.DataFrame({"a": column.astype("category")}))
    (one,) = preparation.levels_
    for levels in (one.levels, [float(level) for level in one.levels]):
        preparation.levels_ = [one._replace(levels=levels)]
        for rows in (column, column.astype("Int64"), column.astype("category"), column[:1]):
            made = preparation.transform(pd.DataFrame({"a": rows}))
            assert (made == np.eye(4, 3, dtype=np.float32)[: len(rows)]).all()


@ignores_new_gaps
@pytest.mark.parametrize("dtype", ["Int64", "float64", "object", "category"])
def test_a_column_of_gaps_alone_is_of_any_kind(dtype):
    preparation = TablePreparation().fit(pd.DataFrame({"a": ["x", "y", "z"]}))
    gaps = pd.DataFrame({"a": pd.Series([None, None], dtype=dtype)})
    assert (preparation.transform(gaps) == 0).all()


class Odd(str):
    """A text whose representation is code."""

    def __repr__(self):
        return "print('run')"

    __str__ = __repr__


def test_levels_are_plain_texts_and_numbers():
    """Of enums, of classes derived from text and of NumPy's scalars, too."""
    color = StrEnum("Color", ["RED", "BLUE"])
    columns = {
        "a": pd.Series([color.RED, color.BLUE, "green"], dtype=object),
        "b": pd.Series([Odd("x"), Odd("y"), Odd("x")], dtype=object),
        "c": pd.Series([np.True_, np.False_, True], dtype=object),
        "d": pd.Series([np.str_("p"), np.str_("q"), "p"], dtype=object),
    }
    preparation = TablePreparation().fit(pd.DataFrame(columns))
    levels = [one.levels for one in preparation.levels_]
    assert levels == [["blue", "green", "red"], ["x", "y"], [False, True], ["p", "q"]]
    assert {type(level) for one in levels for level in one} == {str, bool}
    assert preparation.transform(pd.DataFrame(columns)).any(axis=0).all()


@pytest.mark.parametrize(
    "values", [[[1.0, 2], [-999, 4], [5, 7]], [["a", "b"], ["?", "b"], ["c", "d"]]]
)
def test_a_mask_is_a_gap(values):
    masked = np.ma.masked_array(values, mask=[[0, 0], [1, 0], [0, 0]])
    rows = np.array(values, object)
    rows[1, 0] = None
    made = TablePreparation().fit_transform(masked)
    assert_same_bits(made, TablePreparation().fit_transform(rows))
    whole = TablePreparation().fit_transform(np.ma.masked_array(values))
    assert_same_bits(whole, TablePreparation().fit_transform(values))


def test_what_numpy_cannot_read_of_polars_is_named():
    polars = pytest.importorskip("polars", reason="needs polars")
    pair = {"x": 1, "y": 2.0}
    number = polars.Series([1, 2], dtype=polars.Int128)
    with pytest.raises(
        TypeError, match=r"^column 'c' has the dtype Int128, which NumPy lacks: cast it to floats$"
    ):
        TablePreparation().fit(polars.DataFrame({"b": [1, 2], "c": number}))
    with pytest.raises(
        TypeError,
        match=r"column 'c' holds several values a row \(dtype Struct.*: make a column of each",
    ):
        TablePreparation().fit(polars.DataFrame({"c": [pair, pair]}))
    lazy = polars.DataFrame({"c": [1, 2]}).lazy()
    with pytest.raises(TypeError, match=r"^X is a LazyFrame: collect\(\) it first$"):
        TablePreparation().fit(lazy)
    with pytest.raises(TypeError, match=r"^y is a LazyFrame: collect\(\) it first$"):
        unfitted("regressor").fit([[1.0], [2.0]], lazy)


def test_all_columns_that_are_refused_are_named_at_once():
    days = pd.date_range("2020-01-01", periods=2)
    bad = {f"day {k}": days for k in range(9)} | {"far": [1.0, np.inf], "list": [[1], [2]]}
    with pytest.raises(ValueError, match="column 'day 0' holds dates") as caught:
        TablePreparation().fit(pd.DataFrame({"a": [1.0, 2.0]} | bad))
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert lines[0].endswith("; the same in " + ", ".join(f"'day {k}'" for k in range(1, 9)))
    assert lines[1].startswith("column 'far' holds infinity")
    assert lines[2].startswith("column 'list' holds objects of type list")
    with pytest.raises(ValueError, match=r"^column 'day 0' holds dates") as caught:
        TablePreparation().fit(pd.DataFrame({f"day {k}": days for k in range(999)}))
    assert len(str(caught.value)) < 1000


KINDS = st.floats(-1e150, 1e150), st.sampled_from("abc"), st.booleans()
columns = st.one_of(st.lists(st.one_of(st.none(), kind), min_size=6, max_size=6) for kind in KINDS)


@settings(max_examples=60, deadline=None)
@given(st.lists(columns, min_size=1, max_size=5), st.permutations(range(6)))
def test_rows_are_independent_and_finite(drawn, order):
    """Whatever the table, all numbers are finite, and those of a row do not depend on the
    others."""
    rows = [list(row) for row in zip(*drawn, strict=True)]
    preparation = TablePreparation().fit(rows)
    made = preparation.transform(rows)
    assert np.isfinite(made).all()
    assert_same_bits(preparation.transform([rows[i] for i in order]), made[list(order)])
    assert all(
        preparation.transform([row]).tobytes() == own.tobytes()
        for row, own in zip(rows, made, strict=True)
    )


def test_one_warning_names_the_columns_of_words_that_fit_did_not_see():
    """With the number of rows; of the rarest of many levels, which are one, no word is new."""
    words = [[word, grade] for word in ("red", "blue") for grade in (1, 2, 3)]
    preparation = TablePreparation().fit(
        pd.DataFrame(words, columns=["color", "grade"]).astype({"grade": "category"})
    )
    new = pd.DataFrame({"color": ["pink", "red", "gray"], "grade": [2, 7, 1]})
    with pytest.warns(UserWarning, match="^X has words") as caught:
        preparation.transform(new)
    assert [str(one.message) for one in caught] == [
        "X has words that fit did not see, in column 'color' (2 rows, such as 'pink'), column "
        "'grade' (1 row, such as 7): they are of no level"
    ]
    with pytest.warns(UserWarning, match="has 4 levels"):
        rare = TablePreparation(max_categories=3).fit([[word] for word in "aaaabbbccd"])
    rare.transform([["x"]])  # without a warning


def test_one_warning_names_the_columns_with_numbers_far_from_those_of_fit():
    """Three widths of the range of fit beyond its ends; gaps are none."""
    preparation = TablePreparation().fit(
        pd.DataFrame(
            {"color": [*"abab"], "km": [0.0, 20, 500, 40], "year": [2001, 2011, 2021, 2009]}
        )
    )
    near = pd.DataFrame({"color": "a", "km": [-1500.0, 2000, np.nan], "year": [1941, 2081, 2000]})
    preparation.transform(near.fillna(1))  # without a warning
    far = pd.DataFrame({"year": [2010, 2011, 2012, 24], "km": [10.0, 1e5, -1501, np.nan]})
    far["color"] = "b"
    with pytest.warns(UserWarning, match="^X has") as caught:
        preparation.transform(far)
    assert [str(one.message) for one in caught] == [
        "X has numbers far from those of fit, in column 'km' (2 rows, such as 100000; fit saw 0 to "
        "500), column 'year' (1 row, such as 24; fit saw 2001 to 2021): predictions and intervals "
        "do not hold there",
        "X has gaps in columns that had no gap in fit, 'km': numbers are estimated from the other "
        "columns, words belong to no level, and intervals are wider there",
    ]


def test_the_warning_of_many_levels_says_what_to_do():
    for word, remedy in (
        (
            "{}.5",
            r"make numbers of them, by pandas.to_numeric if texts such as '0.5' are amounts",
        ),
        ("id {}", "drop the column if it only numbers the rows"),
    ):
        with pytest.warns(
            UserWarning,
            match=rf"^column 0 has 9 levels: all but the 4 most frequent ones .*; {remedy}$",
        ):
            TablePreparation(max_categories=5).fit([[word.format(k)] for k in range(9)])
