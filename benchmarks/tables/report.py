"""The printed tables: errors, seconds, and geometric means of the ratios to LightGBM, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import mean, median
from typing import Any

import numpy as np

from benchmarks.peers.aims import Ratio, digits
from benchmarks.peers.tables import row, separator
from benchmarks.tables.data import CLASSES, DESIGN, DRAWN, HOLES_AT_RANDOM, HOLES_BY_VALUE, LOW_SIGNAL, REPORT, Table
from benchmarks.tables.measure import Record
from benchmarks.tables.methods import BASELINE, METHODS, OURS

EIGHT, NEW = "report half, the eight first tables", "report half, new tables"
TITLES = {
    DESIGN: "design half",
    HOLES_AT_RANDOM: "15 % of the numbers missing at random",
    HOLES_BY_VALUE: "15 % of the numbers missing, the larger the more often",
    LOW_SIGNAL: "low signal, where 1 is the error of the mean and 0.9 the least that is possible",
    DRAWN: "drawn tables",
}
WHAT = {"error": "error", "log_loss": "log loss", "fit": "CPU seconds of fit", "predict": "CPU seconds of predict"}
N_RESAMPLES = 10_000


def group(table: Table) -> str:
    """Return the title of the tables that a table is summed up with."""
    if table.half == REPORT:
        return NEW if table.is_new else EIGHT
    return TITLES[table.half]


class Found:
    """The records by table and method."""

    def __init__(self, records: Iterable[Record], tables: Iterable[Table]) -> None:
        self._records: dict[tuple[str, str], dict[int, Record]] = {}
        for record in records:
            self._records.setdefault((record["table"], record["method"]), {})[record["split"]] = record
        self.sizes = {name: next(iter(by_split.values())) for (name, _), by_split in self._records.items()}
        """A record of each table, for its sizes."""
        self.tables = [table for table in tables if table.name in self.sizes]
        names = {table.name for table in self.tables}
        self.methods = [m for m in METHODS if any(method == m and name in names for name, method in self._records)]

    def of(self, table: Table, method: str) -> dict[int, Record]:
        """Return the records of a method on a table by its splits."""
        return self._records.get((table.name, method), {})

    def groups(self) -> dict[str, list[Table]]:
        """Return the tables by the title of their group."""
        groups: dict[str, list[Table]] = {}
        for table in self.tables:
            groups.setdefault(group(table), []).append(table)
        return groups


def value(records: Iterable[Record], what: str) -> float:
    """Return the mean error or log loss of the splits, or the median of their seconds."""
    if what in ("fit", "predict"):
        return median(min(record[what]) for record in records)
    return mean(record[what] for record in records)


def ratio(found: Found, table: Table, method: str, what: str, baseline: str = BASELINE) -> float | None:
    """Return a method's value by the baseline's on the splits that both have; None where there is none.

    An error of classes counts as that of one test row at least.
    """
    ours, theirs = found.of(table, method), found.of(table, baseline)
    splits = ours.keys() & theirs.keys()
    if not splits or (what == "log_loss" and table.kind != CLASSES):
        return None
    values = [value([by_split[split] for split in splits], what) for by_split in (ours, theirs)]
    if what == "error" and table.kind == CLASSES:
        values = [max(error, 1 / found.sizes[table.name]["test_rows"]) for error in values]
    return values[0] / values[1]


def ratios(found: Found, tables: Iterable[Table], method: str, what: str, baseline: str = BASELINE) -> dict[str, float]:
    """Return the ratios of a method by the names of the tables that have one."""
    pairs = {table.name: ratio(found, table, method, what, baseline) for table in tables}
    return {name: number for name, number in pairs.items() if number is not None}


def geometric(numbers: Iterable[float]) -> Ratio | None:
    """Return the geometric mean, with the middle 95 % of those of tables drawn with replacement; None of none."""
    logs = np.log(list(numbers))
    if not len(logs):
        return None
    drawn = np.random.default_rng(0).integers(len(logs), size=(N_RESAMPLES, len(logs)))
    low, high = np.percentile(logs[drawn].mean(axis=1), [2.5, 97.5])
    return Ratio(*np.exp([low, logs.mean(), high]).tolist())


# ------------------------------------------------------------------------------------------------------------ Markdown


def about(a: Mapping[str, Any]) -> str:
    """Where, when and with what."""
    versions = ", ".join(f"{name} {version}" for name, version in a["versions"].items())
    load = "" if a["load"] is None else f" Load before: {a['load']}."
    return (
        f"Measured on {a['date']} by `python -m benchmarks.tables` on one {a['cpu']}, {a['cores']} cores ({versions})."
        f"{load}"
    )


def heads(found: Found, *first: str) -> list[str]:
    """Return the first two lines of a table with a column for each method."""
    cells = [*first, *(METHODS[method].title for method in found.methods)]
    return [row(cells), separator(len(cells))]


def by_table(found: Found, what: str, form: str) -> str:
    """A line for each table, a column for each method; in brackets the splits, where there are fewer than of others."""
    tables = [table for table in found.tables if what != "log_loss" or table.kind == CLASSES]
    lines = heads(found, "table")
    for table in tables:
        n_splits = max(len(found.of(table, method)) for method in found.methods)
        cells = [label(found.sizes[table.name]) if what == "error" else table.name]
        for method in found.methods:
            records = found.of(table, method)
            few = f" ({len(records)})" if len(records) < n_splits else ""
            cells.append(f"{value(records.values(), what):{form}}{few}" if records else "")
        lines.append(row(cells))
    return "\n".join(lines) if tables else ""


def label(record: Record) -> str:
    """Return a table's name and its sizes: rows to fit and to test on, columns, classes."""
    classes = f", {record['classes']} classes" if record["classes"] else ""
    return f"{record['table']}: {record['rows']:,} + {record['test_rows']:,} rows, {record['columns']} columns{classes}"


def summary(found: Found, tables: list[Table]) -> str:
    """A line for each method: the geometric means of its ratios to the baseline, and its worst table."""
    shown = {
        what: title for what, title in WHAT.items() if what != "log_loss" or any(t.kind == CLASSES for t in tables)
    }
    cells = ["× LightGBM", "tables", *shown.values(), "largest error"]
    lines = [row(cells), separator(len(cells))]
    for method in found.methods:
        errors = ratios(found, tables, method, "error")
        if not errors:
            continue
        means = (geometric(ratios(found, tables, method, what).values()) for what in shown)
        worst = max(errors, key=errors.__getitem__)
        cells = ["" if number is None else shown_ratio(number) for number in means]
        lines.append(row([METHODS[method].title, str(len(errors)), *cells, f"{digits(errors[worst])}, {worst}"]))
    return "\n".join(lines)


def shown_ratio(number: Ratio) -> str:
    """Return a ratio as text, of a single table without an interval."""
    return digits(number.median) if number.low == number.high else str(number)


def where_trees_win(found: Found) -> str:
    """The tables where the baseline has a smaller error than the middle one of our presets that were measured."""
    measured = [method for method in OURS if method in found.methods]
    if not measured:
        return ""
    ours = measured[len(measured) // 2]
    errors = ratios(found, found.tables, ours, "error")
    worse = sorted((number, name) for name, number in errors.items() if number > 1)[::-1]
    told = ", ".join(f"{name} ({digits(number)} times)" for number, name in worse)
    title = METHODS[ours].title
    return f"LightGBM errs less than {title} on {len(worse)} of {len(errors)} tables{': ' + told if told else ''}."


NOTES = (
    "One thread each, all by their defaults. Errors are 1 - accuracy and 1 - R2 on the rows to test on, means of the "
    "splits. Seconds are the processor's, medians of the splits; the preparation of the table counts, what a first "
    "call loads does not. fastnn, LightGBM, XGBoost, HistGradientBoosting and CatBoost take gaps and words as they "
    "are. For scikit-learn's MLP gaps are filled by means, numbers standardized and words one-hot; numbers to predict "
    "stay as they are."
)
RATIO_NOTES = (
    "Geometric means of the ratios to LightGBM, and in brackets the middle 95 % of those of tables that are drawn with "
    "replacement. An error of classes counts as one wrong test row at least, a probability as a millionth."
)


def report(found: Found) -> str:
    """Return all tables that the records fill."""
    parts = [NOTES, "Errors:", by_table(found, "error", ".4f"), "CPU seconds of fit:", by_table(found, "fit", ".3g")]
    if logs := by_table(found, "log_loss", ".3f"):
        parts += ["Log loss:", logs]
    if BASELINE in found.methods:
        parts.append(RATIO_NOTES)
        for title, tables in found.groups().items():
            parts += [f"{title[0].upper()}{title[1:]}:", summary(found, tables)]
        parts.append(where_trees_win(found))
    return "\n\n".join(part for part in parts if part)
