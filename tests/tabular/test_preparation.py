"""TablePreparation: numbers of all kinds of columns, gaps, unknown words; errors that name the column."""

import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from small_tables import FRAME, mixed

from fastnn import TablePreparation


def test_equal_quartiles_and_numbers_far_off():
    """Half the range scales such a column; what the fuzzer compares, `matrix_due`, has quartiles that differ."""
    preparation = TablePreparation().fit([[0.0]] * 9 + [[4.0]])
    made = preparation.transform([[0.0], [4.0], [1e150], [-1e150]])
    assert_allclose(made[:, 0], [0, 2 / np.sqrt(1 + 4 / 9), 3, -3], rtol=1e-6)


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
    assert TablePreparation().fit_transform(np.array(rows, object)).tobytes() == expected.tobytes()
    assert TablePreparation().fit_transform(frame).tobytes() == expected.tobytes()
    assert TablePreparation().fit(rows).transform(frame).tobytes() == expected.tobytes()


def test_polars_frames_are_the_same_table():
    polars = pytest.importorskip("polars", reason="needs polars")
    columns = {"a": [1, None, 3], "b": ["x", None, "y"], "c": [True, False, None], "d": [1.5, 2.5, 3.5]}
    made = TablePreparation().fit_transform(polars.DataFrame(columns))
    assert made.tobytes() == TablePreparation().fit_transform(pd.DataFrame(columns)).tobytes()


A, B, C, NONE = np.eye(4, 3, dtype=int).tolist()
WORDS = {  # at most so many categories, words of fit, words of transform, before one that is missing, numbers of these
    "one column a level": (255, "baca", "abc?", [A, B, C, NONE]),
    "two levels are one column": (255, "ba", "abc", [[-1], [1], [0]]),
    "unless words are missing": (255, ["b", "a", None], "ba", [[0, 1], [1, 0]]),
    "rare levels are one": (3, "aaaaabbbbccd", "acd?", [A, C, C, C]),
}


@pytest.mark.parametrize("case", WORDS)
@pytest.mark.filterwarnings("ignore:column 0 has 4 levels")
@pytest.mark.filterwarnings("ignore:X has gaps in columns that had no gap in fit")
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


def test_a_copy_has_more_gaps_and_the_same_words():
    frame, *_ = mixed(500)
    preparation = TablePreparation()
    matrix, *copies = preparation.fit_with_gaps(frame, np.random.RandomState(0))
    k = len(preparation.number_columns_)
    indicators = slice(k, k + preparation.has_gaps_.sum())
    assert len(copies) == 3
    assert matrix.tobytes() == preparation.transform(frame).tobytes()
    for copy in copies:
        assert (copy[:, indicators] >= matrix[:, indicators]).all()
        assert 1.5 < copy[:, indicators].mean() / matrix[:, indicators].mean() < 2.1
        assert (copy[:, indicators.stop :] == matrix[:, indicators.stop :]).all()
    few = frame.dropna().reset_index(drop=True)
    for share in (0.0, np.nan):  # none is missing, or fewer than 1 % of the numbers
        few.loc[0, "size"] = share
        assert len(TablePreparation().fit_with_gaps(few, np.random.RandomState(0))) == 1


TEXTS = [f"a text of its own, for row {i}" for i in range(300)]
BAD = {
    "dates": ([datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)], "column 'c' holds dates"),
    "timestamps": (pd.to_datetime(["2020-01-01", "2020-01-02"]), "column 'c' holds dates"),
    "spans of time": (pd.to_timedelta([1, 2]), r"column 'c' holds spans of time: .* by .dt.total_seconds\(\)"),
    "times with gaps": ([pd.Timestamp("2020"), pd.NaT], "column 'c' holds dates"),
    "dates as text": (["2020-01-01", "2020-01-02"], "column 'c' holds dates"),
    "infinity": ([1.0, np.inf], "column 'c' holds infinity in row 1: say NaN"),
    "too large numbers": ([1.0, -1e200], "column 'c' holds -1e\\+200 in row 1: say NaN where a number is unknown"),
    "words beside numbers": ([1, "x"], r"column 'c' holds numbers \(1 in row 0\) and words \('x' in row 1\)"),
    "categories of both": (pd.Categorical([1, "x"]), r"column 'c' holds numbers \(1 in row 0\) and words"),
    "lists": ([[1], [2]], "column 'c' holds things .* neither a number nor a word"),
    "complex": ([1j, 2j], "column 'c' holds complex numbers"),
    "complex beside numbers": (pd.Series([1.0, 2j], dtype=object), "column 'c' holds 2j in row 1, which no float64 is"),
    "large integers": ([1, 10**400], "column 'c' holds 1000.* in row 1, which no float64 is"),
    "arrays beside words": (["a", np.array([1, 2])], r"column 'c' holds things \(.*\) and words \('a' in row 0\)"),
    "no time beside words": (["a", pd.NaT], r"column 'c' holds dates \(NaT in row 1\) and words"),
    "free text": (TEXTS, "column 'c' holds free text: drop it, or .* skrub"),
    "two columns of a name": (pd.DataFrame([[1, 2]], columns=["a", "a"]), "X has two columns of the name 'a': re"),
    "no table": ("x" * 10_000, "Expected 2D array"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_number_and_no_word_is_named(case):
    values, message = BAD[case]
    table = values if isinstance(values, (pd.DataFrame, str)) else pd.DataFrame({"b": 1.0, "c": values})
    with pytest.raises(TypeError if case == "lists" else ValueError, match=message) as caught:
        TablePreparation().fit(table)
    assert len(str(caught.value)) < 1000


@pytest.mark.filterwarnings("ignore:X has gaps in columns that had no gap in fit")
def test_numbers_and_words_that_change_places_are_named():
    preparation = TablePreparation().fit(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
    of_booleans = TablePreparation().fit(pd.DataFrame({"a": [True, False]}))
    with pytest.raises(ValueError, match="'a' held booleans in fit and holds words now: make booleans of them"):
        of_booleans.transform(pd.DataFrame({"a": ["True"]}))
    with pytest.raises(ValueError, match="column 'a' held numbers in fit and holds words now"):
        preparation.transform(pd.DataFrame({"a": ["1", "2"], "b": ["x", "y"]}))
    with pytest.raises(ValueError, match="column 'b' held words in fit and holds numbers now"):
        preparation.transform(pd.DataFrame({"a": [1, 2], "b": [3, 4]}))
    assert preparation.transform([[None, None]] * 2).tolist() == [[0, 0], [0, 0]]  # gaps are neither


@pytest.mark.parametrize("names", [[2020, 2021], ["a", 1], [0, 1], pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])])
def test_columns_are_taken_by_names_of_any_kind(names):
    frame = pd.DataFrame([[1.0, 9.0], [2.0, 7.0], [4.0, 8.0]], columns=names)
    preparation = TablePreparation().fit(frame)
    matrix = preparation.transform(frame)
    assert np.array_equal(preparation.transform(frame[[names[1], names[0]]]), matrix)
    assert np.array_equal(preparation.transform(frame.to_numpy()), matrix)
    if names[0] != 0:
        with pytest.raises(ValueError, match="X lacks the column"):
            preparation.transform(frame.set_axis([names[0], "new"], axis=1))


def test_the_callers_table_is_never_written():
    before = FRAME.copy()
    TablePreparation().fit_with_gaps(FRAME, np.random.RandomState(0))
    pd.testing.assert_frame_equal(FRAME, before)
    TablePreparation().fit_transform(np.broadcast_to(np.random.RandomState(0).randn(9, 2), (9, 2)))  # read-only


KINDS = st.floats(-1e150, 1e150), st.sampled_from("abc"), st.booleans()
columns = st.one_of(st.lists(st.one_of(st.none(), kind), min_size=6, max_size=6) for kind in KINDS)


@settings(max_examples=60, deadline=None)
@given(st.lists(columns, min_size=1, max_size=5), st.permutations(range(6)))
def test_rows_are_independent_and_finite(drawn, order):
    """Whatever the table, all numbers are finite, and those of a row do not depend on the others."""
    rows = [list(row) for row in zip(*drawn, strict=True)]
    preparation = TablePreparation().fit(rows)
    made = preparation.transform(rows)
    assert np.isfinite(made).all()
    assert preparation.transform([rows[i] for i in order]).tobytes() == made[list(order)].tobytes()
    assert all(preparation.transform([row]).tobytes() == own.tobytes() for row, own in zip(rows, made, strict=True))


def test_the_warning_of_many_levels_says_what_to_do():
    for word, remedy in (
        ("{}.5", "make numbers of them, by pandas.to_numeric if these texts are amounts"),
        ("id {}", "drop the column if it only numbers the rows"),
    ):
        with pytest.warns(
            UserWarning, match=rf"^column 0 has 9 levels: all but the 4 most frequent ones .*; {remedy}$"
        ):
            TablePreparation(max_categories=5).fit([[word.format(k)] for k in range(9)])
