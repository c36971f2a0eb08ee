"""Doubts about columns: texts that read as numbers, whole numbers that may be names."""

import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from numpy.random import RandomState
from small_tables import unfitted

from fastnn import TablePreparation, TabularRegressor
from fastnn.tabular.doubts import may_be_names, reading_of

RNG = RandomState(0)
NUMBERS = RNG.uniform(0, 30, 60)
READ = {  # texts, and what is said to make numbers of them
    "decimals": ([f"{x:.2f}" for x in NUMBERS], "pandas.to_numeric"),
    "whole numbers": ([str(k) for k in range(60)], "pandas.to_numeric"),
    "words beside a unit": (
        [f"{k}.5 km" for k in range(58)] + ["none", "n/a"],
        '.str.removesuffix("km") and pandas.to_numeric(..., errors="coerce"), or say',
    ),
    "some words": (
        [str(k) for k in range(58)] + ["none", "n/a"],
        'by pandas.to_numeric(..., errors="coerce"), or say',
    ),
    "some words with digits": (
        [str(k) for k in range(58)] + ["none", "no 3"],
        "by pandas.to_numeric, or say",
    ),
    "signs behind some": (
        [f"{k}.5" for k in range(40)] + [f"{k}.5-" for k in range(20)],
        "by pandas.to_numeric, or say",
    ),
    "a unit": ([f"{x:.1f} ct" for x in NUMBERS], '.str.removesuffix("ct")'),
    "an area": ([f"{x:.1f} m2" for x in NUMBERS], '.str.removesuffix("m2")'),
    "a unit of two words": ([f"{x:.1f} sq ft" for x in NUMBERS], '.str.removesuffix("sq ft")'),
    "percent": ([f"{x:.0f} %" for x in NUMBERS], '.str.removesuffix("%")'),
    "few percent": (["5 %", "7 %", "25 %"] * 20, '.str.removesuffix("%")'),
    "a currency": ([f"${x:.2f}" for x in NUMBERS], '.str.replace("$", "")'),
    "thousands": ([f"{k:,}" for k in range(1000, 61000, 1000)], ".str.replace"),
    "times": (
        [f"{k % 24}:{k:02}" for k in range(60)],
        'by pandas.to_timedelta(... + ":00").dt.total_seconds(), or say',
    ),
}
NOT_READ = {
    "leading zeros": [f"{k:05}" for k in range(60)],
    "letters before": [f"A{k}" for k in range(60)],
    "several units": [f"{k}{unit}" for k in range(12) for unit in "ABCDE"],
    "few whole numbers": ["1", "2", "3"] * 20,
    "ordinals": ["1st", "2nd", "3rd"] * 20,
    "few labels": ["171a", "171b", "172b", "221b"] * 15,
    "quarters": [f"{2000 + k // 4}Q{k % 4}" for k in range(60)],
    "mostly words": [*["none"] * 40, *(str(k) for k in range(20))],
    "versions": [f"1.{k}.0" for k in range(60)],
    "sizes": [f"{k}x{k % 3}" for k in range(60)],
    "addresses": [f"{k} {street} Street" for k in range(20) for street in ("Elm", "Oak", "Ash")],
    "long ones, which match slowly": [f"{'1' * 50_000}{k}!" for k in range(60)],
    "signs behind": [f"{k}.5-" for k in range(60)],
    "blanks behind signs": [f"- {k}.5" for k in range(60)],
    "digits of another script": [f"\u0661.{chr(0x660 + k % 10)} km" for k in range(60)],
    "ranges": [f"{k}-{k + 5}" for k in range(60)],
    "numbers": list(range(60)),
    "gaps alone": [],
}


@pytest.mark.parametrize("case", READ)
def test_texts_that_read_as_numbers_are_named_with_the_remedy(case):
    texts, way = READ[case]
    frame = pd.DataFrame({"b": NUMBERS, "c": texts})
    with pytest.warns(UserWarning, match="column 'c'") as caught:
        TablePreparation().fit(frame)
    (warning,) = map(str, (one.message for one in caught))
    example = max(texts, key=texts.count)
    fault = f"column 'c' holds words that read as numbers ({example!r}): make numbers of them, "
    assert warning.startswith(fault)
    assert way in warning
    assert warning.endswith(', or say .astype("category") if they are names')
    TablePreparation().fit(frame.astype({"c": "category"}))  # without a warning


def remedied(texts):
    """What the remedy for a column of texts makes of a series, carried out as it is written."""
    steps, _, call = reading_of(Counter(texts)).remedy.partition(" by ")[2].rpartition(" and ")
    call = call if "..." in call else f"{call}(...)"
    code = call.replace("...", f"series{steps}")
    return lambda series: eval(code, {"series": series, "pandas": pd})


GERMAN = str.maketrans(",.", ".,")
FRENCH = str.maketrans(",.", "\u202f,")
SWISS = str.maketrans(",", "’")


@pytest.mark.parametrize("form", ["{:,.2f}", "{:,.2f} ct", "{:,.1f}%", "${:,.2f}", "{:,.1f} m2"])
@pytest.mark.parametrize("language", [{}, GERMAN, FRENCH, SWISS], ids=["us", "de", "fr", "ch"])
def test_the_remedy_keeps_signs_decimals_and_thousands(form, language):
    numbers = np.r_[-NUMBERS[:30], 1e5 * NUMBERS[30:]]
    written = [form.format(x).translate(language).replace("$-", "-$") for x in numbers]
    texts = pd.Series(written)
    if (form, language) == ("{:,.2f}", {}):
        assert reading_of(Counter(texts)).remedy.endswith(
            'by .str.replace(",", "") and pandas.to_numeric'
        )
    assert np.allclose(remedied(texts)(texts), numbers, atol=0.051)


CARRIED_OUT = {  # texts, and the numbers that the remedy makes of them
    "blanks around a unit": ([f" {k}.5 km " for k in range(60)], np.arange(60) + 0.5),
    "signs before a currency": (["-$5.50", "+$6.50", "$7.50"], [-5.5, 6.5, 7.5]),
    "signs behind a currency": (["$-5.50", "$6.50", "$ -7.50"], [-5.5, 6.5, -7.5]),
    "times": (["9:05", "12:30", "-01:00"], [32_700, 45_000, -3600]),
    "times with a unit": (["9:05 h", "12:30 h ", " 23:15 h"], [32_700, 45_000, 83_700]),
    "times with seconds": (["9:05:01", "12:30:00", "23:15:00"], [32_701, 45_000, 83_700]),
    "times and a word": (["9:05", "12:30", "23:15", "none"], [32_700, 45_000, 83_700, np.nan]),
    "words": (["1.5 km", "2.5 km", "3.5 km", "none"], [1.5, 2.5, 3.5, np.nan]),
}


@pytest.mark.parametrize("case", CARRIED_OUT)
def test_the_remedy_can_be_carried_out(case):
    texts, numbers = CARRIED_OUT[case]
    assert np.array_equal(remedied(texts)(pd.Series(texts)), numbers, equal_nan=True)


@pytest.mark.parametrize("other", ["13-", "13.1 -", "- 13.1", "no 3", "\u0663.5", "-$ 5", "12:30"])
def test_a_text_with_digits_that_is_no_number_is_an_error_for_the_remedy(other):
    """A gap in its place would say nothing of it."""
    texts = ["1.5", "2.5", "3.5", "4.5", "none", other]
    with pytest.raises(ValueError, match="Unable to parse"):
        remedied(texts)(pd.Series(texts[-1:]))


def test_times_with_and_without_seconds_are_of_two_units():
    reading = reading_of(Counter(["9:05", "12:30", "23:15", "12:30:10"]))
    assert reading.example == "'9:05' and, in another unit, '12:30:10'"
    assert reading.remedy.startswith("make numbers of them, once all are in one unit, by pandas")


def test_a_number_of_another_unit_is_an_error_for_the_remedy():
    """It is told beside the example, and a unit that new rows have is not cut off in silence."""
    texts = [f"{x:.1f} km" for x in NUMBERS[:40]]
    make = remedied(texts)
    for unit in ("mi", "dkm", "k"):
        with pytest.raises(ValueError, match="Unable to parse string"):
            make(pd.Series(["12.5 km", f"12.5 {unit}"]))
    reading = reading_of(Counter([*texts, *texts[:1], *[f"{x:.1f} mi" for x in NUMBERS[40:]]]))
    assert reading.example.startswith(f"{texts[0]!r} and, in another unit, '")
    assert reading.example.endswith(" mi'")
    first = "make numbers of them, once all are in one unit, by .str.removesuffix"
    assert reading.remedy.startswith(first)


@pytest.mark.parametrize(
    ("texts", "asked"),
    [
        (["1,234", "2,900", "5"], "the comma separates thousands"),
        (["0,310", "2,900", "5"], ""),
        (["1,234.5", "2,900", "5"], ""),
    ],
)
def test_a_comma_that_may_separate_thousands_is_asked_about(texts, asked):
    remedy = reading_of(Counter(texts)).remedy
    assert asked in remedy
    assert ("thousands" in remedy) == bool(asked)


@pytest.mark.parametrize("form", ["{}", "{} €"])
def test_a_point_that_may_separate_thousands_is_asked_about(form):
    """2.900 is 2.9 in one language and 2,900 in another; 0.310 and 2.95 are numbers of one kind."""
    told = '.str.replace(".", "") if the point separates thousands'
    for numbers, is_asked in (
        (["2.900", "12.305", "1.100"], True),
        (["0.310", "2.900", "1.100"], False),
        (["2.95", "12.300", "1.100"], False),
    ):
        assert (told in reading_of(Counter(map(form.format, numbers))).remedy) == is_asked


@pytest.mark.parametrize("case", NOT_READ)
def test_names_with_digits_are_not_said_to_be_numbers(case):
    texts = NOT_READ[case]
    assert reading_of({text: texts.count(text) for text in texts}) is None


def places(n, seed=0):
    """A table whose targets go up and down with a place, which has a number, and with an amount."""
    rs = RandomState(seed)
    place = rs.randint(0, 60, n)
    effects = rs.randn(60)
    numbers = np.sort(rs.choice(np.arange(1001, 9505), 60, replace=False))
    frame = pd.DataFrame({"size": rs.randn(n), "place": numbers[place]})
    frame["age"] = rs.randint(18, 90, n)
    frame["rating"] = rs.randint(1, 11, n)
    frame["year"] = rs.randint(1950, 2020, n)
    frame["count"] = rs.poisson(20, n)
    y = frame["size"] + effects[place] + rs.randn(n)
    y += 0.03 * abs(frame["age"] - 50) + 0.2 * frame["rating"] + 0.1 * frame["count"]
    return frame, (y + 0.05 * (frame["year"] % 30)).to_numpy()


def test_whole_numbers_that_may_be_names_are_named_once():
    """By the jumps of the targets; ages, ratings, years and counts are none. The card says so."""
    frame, y = places(1500)
    with pytest.warns(UserWarning, match="may be names") as caught:
        model = unfitted("regressor").fit(frame, y)
    assert [str(one.message) for one in caught] == [
        "whole numbers of column 'place' may be names, for their targets do not lie between those "
        'of neighboring numbers: if they are, say .astype("category")'
    ]
    facts = model._facts()
    assert facts["column place"] == "number, but may be names"
    assert facts["column age"] == facts["column year"] == "number"
    unfitted("regressor").fit(frame.astype({"place": "category"}), y)  # without a warning


def test_numbers_of_places_of_an_array_are_named_for_classes_too():
    frame, y = places(1500)
    X = frame[["size", "place"]].assign(store=frame["place"] * 7 % 97).to_numpy(float)
    X[::9, 1] = np.nan
    with pytest.warns(UserWarning, match="^whole numbers of columns 1, 2 may be names, for"):
        unfitted("classifier").fit(X, y > np.median(y))


def test_as_words_they_are_learned_better():
    """Which is what the warning is for: less than 0.8 of the error that numbers have."""
    frame, y = places(2400)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = TabularRegressor("fast", random_state=0).fit(frame[:1800], y[:1800])
    words = frame.astype({"place": "category"})
    of_words = TabularRegressor("fast", random_state=0).fit(words[:1800], y[:1800])
    error = 1 - model.score(frame[1800:], y[1800:])
    assert 1 - of_words.score(words[1800:], y[1800:]) < 0.8 * error


def test_jumps_that_noise_explains_are_none():
    """Places without an effect, of few rows each, few places, and amounts however bent."""
    rs = RandomState(0)
    x = rs.randint(0, 60, 3000).astype(float)
    effects = 3 * rs.randn(60)
    jumps = (effects[x.astype(int)] + rs.randn(3000))[:, None]
    assert may_be_names(x, jumps)
    assert not may_be_names(x, rs.randn(3000, 1))
    assert not may_be_names(x[:120], jumps[:120])
    assert not may_be_names(x % 12, jumps)
    assert not may_be_names(x + 0.5, jumps)
    assert not may_be_names(x + 1950, jumps)
    assert not may_be_names(np.where(x < 50, 0, x), jumps)
    for bent in (np.sin(x / 5), np.exp(x / 15), abs(x - 30), x > 25):
        assert not may_be_names(x, (bent + 0.1 * rs.randn(3000))[:, None])


@pytest.mark.parametrize("seed", range(4))
def test_noise_that_grows_with_an_amount_makes_no_names_of_it(seed):
    """The totals of quantities whose prices differ, and the claims of months insured."""
    rs = RandomState(seed)
    quantity = rs.geometric(0.05, 10_000).astype(float)
    assert not may_be_names(quantity, (quantity * rs.lognormal(0, 1, 10_000))[:, None])
    months = rs.geometric(0.06, 3000)
    claims = rs.poisson(months * rs.gamma(1, 1, 3000))
    assert not may_be_names(months.astype(float), claims[:, None])
    store = rs.randint(0, 60, 3000)
    sales = rs.lognormal(0, 1, 60)[store] * rs.lognormal(0, 1, 3000)
    assert may_be_names(store.astype(float), sales[:, None])


@pytest.mark.parametrize(("n_stores", "n"), [(30, 10_000), (40, 40_000)])
def test_names_that_stand_in_turn_are_all_looked_at(n_stores, n):
    """Every second or eighth row would hold half of them, or five."""
    rs = RandomState(0)
    store = np.arange(n) % n_stores
    sales = rs.randn(n_stores)[store] + rs.randn(n)
    assert may_be_names(store.astype(float), sales[:, None])
    assert not may_be_names(store.astype(float), (store / 9 + rs.randn(n))[:, None])
