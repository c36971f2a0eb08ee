"""The fuzzer's doors of tables: their preparation, estimators, intervals, exports and files."""

import os
import tempfile

import numpy as np
import pandas as pd
from fuzz_oracle import (
    REFUSED,
    UNKNOWN,
    Wrong,
    done,
    judge,
    quietly,
    same_bits,
)
from fuzz_values import SCALARS
from numpy.random import RandomState

import fastnn
from fastnn import TablePreparation

N = 30

COLUMNS = {
    "numbers": lambda r: r.standard_normal(N) * 10.0 ** r.randint(-9, 9),
    "integers": lambda r: r.randint(0, 9, N),
    "single": lambda r: r.standard_normal(N).astype(np.float32),
    "booleans": lambda r: r.rand(N) < 0.5,
    "words": lambda r: r.choice(["red", "blue", "größe", "4"], N),
    "two words": lambda r: np.resize(["yes", "no"], N),
    "some words": lambda r: [
        None if r.rand() < 0.3 else word for word in np.resize(["a", "b", "c"], N)
    ],
    "constant": lambda r: np.ones(N),
}
"""{a kind of column: one drawn}, which every table may have."""

ODD = {
    "numbers and words": lambda r: [1.0, "a"] * (N // 2),
    "infinite": lambda r: np.where(r.rand(N) < 0.1, np.inf, 1.0),
    "huge": lambda r: r.standard_normal(N) * 1e300,
    "tiny": lambda r: r.standard_normal(N) * 1e-310,
    "dates": lambda r: pd.date_range("2020", periods=N),
    "complex": lambda r: r.standard_normal(N) * 1j,
    "lists": lambda r: [[1, 2]] * N,
    "dicts": lambda r: [{}] * N,
    "bytes": lambda r: [b"a", b"b"] * (N // 2),
    "long words": lambda r: [letter * 3000 for letter in "abcde"] * (N // 5),
    "all different": lambda r: [f"row {i}" for i in range(N)],
    "large integers": lambda r: [10**400 + i for i in range(N)],
    "odd values": lambda r: [SCALARS[i] for i in r.randint(0, len(SCALARS), N)],
}
"""The same of columns that may be refused; those of gaps and categories are in `fuzz_ways`."""


def columns(draw):
    """The columns of a table, and whether it may be refused."""
    random = RandomState(draw.seed)
    odd = draw.chance(0.4)
    kinds = [draw.of(sorted(COLUMNS)) for _ in range(1 + draw.integer(4))]
    drawn = [list(COLUMNS[kind](random)) for kind in kinds]
    if odd:
        drawn.insert(draw.integer(len(drawn) + 1), list(ODD[draw.of(sorted(ODD))](random)))
    return drawn, odd


def frame_of(drawn):
    """A data frame of columns."""
    return pd.DataFrame(
        {name: pd.Series(values) for name, values in zip("abcdefgh", drawn, strict=False)}
    )


def rows_of(drawn):
    """The same as an array of objects."""
    rows = np.empty((N, len(drawn)), object)
    for j, values in enumerate(drawn):
        rows[:, j] = pd.Series(values, dtype=object)
    return rows


def prepared(draw):
    """The numbers that a network takes of a table: those of a few lines of NumPy, in whatever the
    table is."""
    drawn, odd = columns(draw)
    table = quietly(lambda: frame_of(drawn))[0]
    preparation = TablePreparation()
    if table is None or draw.chance(0.15):
        odd = True
        table = draw.like(rows_of(drawn))
    if draw.chance(0.1):
        odd = True
        preparation = TablePreparation(draw.of([2, 3, draw.like(4)]))
    found = done(lambda: preparation.fit(table).transform(table), may_be_refused=odd)
    if found.dtype != np.float32 or not np.isfinite(found).all() or abs(found).max() > 3:
        raise Wrong(f"{found[:3]}")
    if not odd:
        return judge(lambda: found, matrix_due(drawn), 1e-5)
    if isinstance(table, pd.DataFrame):  # columns by their names, and rows by themselves
        return same_bits(
            lambda: [preparation.transform(table[table.columns[::-1]].iloc[::-1])[::-1]],
            lambda: [found],
        )
    return UNKNOWN


def matrix_due(drawn):
    """The numbers of columns that are right, by the notes of `TablePreparation`."""
    numbers = []
    words = []
    for values in drawn:
        known = [value for value in values if value is not None]
        if isinstance(known[0], (str, np.str_, bool, np.bool_)):
            levels = sorted(set(known))
            if len(levels) == 2 and len(known) == N:
                words.append([2.0 * (value == levels[1]) - 1 for value in values])
            elif len(levels) > 1 or len(known) < N:
                words += [[1.0 * (value == level) for value in values] for level in levels]
        elif len(set(known)) > 1:
            x = np.array(values, np.float64)
            low, center, high = np.quantile(x, (0.25, 0.5, 0.75))
            spread = high - low
            others = x[x != center]
            if len(others) < 0.75 * N and spread < np.diff(np.quantile(others, (0.25, 0.75))) / 8:
                spread = 0.0
            s = (x - center) / (spread or np.ptp(x) / 2)
            numbers.append(s / np.sqrt(1 + (s / 3) ** 2))
    return np.transpose(numbers + words or [np.zeros(N)])


ESTIMATORS = {"classifier": fastnn.TabularClassifier, "regressor": fastnn.TabularRegressor}
SMALL = {"epochs": 2, "n_members": 2, "hidden_layer_sizes": (4,), "n_jobs": 1, "random_state": 0}


def table(draw):
    """A table that may be anything, fitted with any settings: it predicts, and its file to the bit.

    What right ones predict by other ways: `fuzz_ways`.
    """
    (drawn, odd), kind = columns(draw), draw.of(sorted(ESTIMATORS))
    frame = quietly(lambda: frame_of(drawn))[0]
    if frame is None:
        return REFUSED
    random = RandomState(draw.seed)
    y = random.choice(["a", "b", "c"], N) if kind == "classifier" else random.standard_normal(N)
    y[:3] = ["a", "b", "c"] if kind == "classifier" else y[:3]
    model = ESTIMATORS[kind](**SMALL)
    given = {"X": frame, "y": y, "sample_weight": None}
    if draw.chance(0.3):
        odd = True
        name = draw.of(sorted(given))
        given[name] = draw.like(
            np.ones(N) if name == "sample_weight" else rows_of(drawn) if name == "X" else y
        )
    if draw.chance(0.3):
        odd = True
        name = draw.of(sorted(model.get_params()))
        model.set_params(**{name: draw.other(name, draw.of([getattr(model, name), 0.5, 3]))})
    done(lambda: model.fit(**given), may_be_refused=odd)
    rows = given["X"]
    outputs = "predict" if kind == "regressor" else draw.of(["predict", "predict_proba"])
    right = done(lambda: getattr(model, outputs)(rows), may_be_refused=False)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "table.npz")
        done(lambda: model.save(path))
        return same_bits(lambda: [getattr(type(model).load(path), outputs)(rows)], lambda: [right])


DOORS = [prepared] * 3 + [table] * 3
