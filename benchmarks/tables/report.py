"""The printed tables: errors, seconds, geometric means of the ratios to LightGBM, and aims; a chart
of these means.
"""

from collections.abc import Iterable, Iterator
from statistics import mean, median
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.drawing import BLUE, ORANGE, log_scale, panels, style
from benchmarks.readme import Aim, shown_ratio
from benchmarks.tables import data, unseen
from benchmarks.tables.data import CLASSES, NUMBERS, TABLES, Table
from benchmarks.tables.measure import Record
from benchmarks.tables.methods import (
    BASELINE,
    BEST,
    CATBOOST_SECONDS,
    FLOOR,
    METHODS,
    OURS,
)
from fastnn.measuring.timing import Interval, digits, markdown

EIGHT = "report half, the eight first tables"
NEW = "report half, new tables"
TITLES = {
    data.DESIGN: "design half",
    data.HOLES_AT_RANDOM: "15 % of the numbers missing at random",
    data.HOLES_BY_VALUE: "15 % of the numbers missing, the larger the more often",
    data.LOW_SIGNAL: (
        "low signal, where 1 is the error of the mean and 0.9 the least that is possible"
    ),
    data.DRAWN: "drawn tables",
    data.FLIGHTS: "flights",
    unseen.UNSEEN: "forty tables that decided nothing",
    unseen.NEWCOMER: "five tables of a newcomer",
}
OF_FILES = (data.DESIGN, data.REPORT, unseen.UNSEEN, unseen.NEWCOMER)
"""The halves of real tables as they are."""
WHAT = {
    "error": "error",
    "log_loss": "log loss",
    "fit": "CPU seconds of fit",
    "predict": "CPU seconds of predict",
}
N_RESAMPLES = 10_000


def group(table: Table) -> str:
    return (NEW if table.is_new else EIGHT) if table.half == data.REPORT else TITLES[table.half]


class Found:
    """The records that were measured, by table and method, and the tables and methods that have
    some.
    """

    def __init__(self, records: Iterable[Record], tables: Iterable[Table]) -> None:
        self._records: dict[tuple[str, str], dict[int, Record]] = {}
        for record in records:
            self._records.setdefault((record["table"], record["method"]), {})[record["split"]] = (
                record
            )
        # A record of each table, for its sizes.
        self.sizes = {
            name: next(iter(by_split.values())) for (name, _), by_split in self._records.items()
        }
        self.tables = [table for table in tables if table.name in self.sizes]
        names = {table.name for table in self.tables}
        self.methods = [
            m
            for m in METHODS
            if any(method == m and name in names for name, method in self._records)
        ]

    def of(self, table: Table, method: str) -> dict[int, Record]:
        return self._records.get((table.name, method), {})

    def groups(self) -> dict[str, list[Table]]:
        names = dict.fromkeys(map(group, self.tables))
        return {name: [table for table in self.tables if group(table) == name] for name in names}


def value(records: Iterable[Record], what: str) -> float:
    """Return the mean error or log loss of the splits, or the median of their seconds."""
    if what in ("fit", "predict"):
        return median(min(record[what]) for record in records)
    return mean(record[what] for record in records)


def ratio(
    found: Found, table: Table, method: str, what: str, baseline: str = BASELINE
) -> float | None:
    """A method's value by the baseline's on the splits that both have; an error is of one wrong row
    at least.
    """
    ours = found.of(table, method)
    theirs = found.of(table, baseline)
    splits = [split for split in ours if what in ours[split] and what in theirs.get(split, {})]
    if not splits or (what == "log_loss" and table.kind != CLASSES):
        return None
    values = [value([by_split[split] for split in splits], what) for by_split in (ours, theirs)]
    if what == "error" and table.kind == CLASSES:
        values = [max(error, 1 / found.sizes[table.name]["test_rows"]) for error in values]
    return values[0] / values[1]


def ratios(
    found: Found, tables: Iterable[Table], method: str, what: str, baseline: str = BASELINE
) -> dict[str, float]:
    pairs = {table.name: ratio(found, table, method, what, baseline) for table in tables}
    return {name: number for name, number in pairs.items() if number is not None}


def geometric(numbers: Iterable[float]) -> Interval | None:
    """Return the geometric mean, with the middle 95 % of those of tables drawn with replacement;
    None of none.
    """
    if not len(logs := np.log(list(numbers))):
        return None
    drawn = np.random.default_rng(0).integers(len(logs), size=(N_RESAMPLES, len(logs)))
    low, high = np.percentile(logs[drawn].mean(axis=1), [2.5, 97.5])
    return Interval(*np.exp([low, logs.mean(), high]).tolist())


def gain(seconds: dict[str, list[float]]) -> float:
    return min(seconds["1"]) / min(seconds["2"])


def by_table(found: Found, what: str, form: str) -> str:
    """A line for each table, a column for each method; in brackets the splits, where there are
    fewer than of others.
    """
    methods = [method for method in found.methods if method != FLOOR]
    rows = []
    for table in found.tables:
        if what == "log_loss" and table.kind != CLASSES:
            continue
        n_splits = max(len(found.of(table, method)) for method in methods)
        cells = [label(found.sizes[table.name]) if what == "error" else table.name]
        for method in methods:
            records = found.of(table, method)
            few = f" ({len(records)})" if len(records) < n_splits else ""
            cells.append(f"{value(records.values(), what):{form}}{few}" if records else "")
        rows.append(cells)
    if rows:
        return markdown(["table", *(METHODS[method].title for method in methods)], rows)
    return ""


MEASURES = {CLASSES: "log loss", NUMBERS: "1 - R2"}


def beside(found: Found, method: str) -> str:
    """A line for each table: seconds and error of the baseline and of a method, and the ratio of
    the seconds.
    """
    both = (BASELINE, method)
    measure = " or ".join(dict.fromkeys(MEASURES[table.kind] for table in found.tables))
    titles = [f"{METHODS[name].title}, {what}" for what in ("CPU s", measure) for name in both]
    rows = []
    for table in found.tables:
        if (times := ratio(found, table, method, "fit")) is None:
            continue
        records = [found.of(table, name).values() for name in both]
        seconds = [f"{value(of, 'fit'):.3g}" for of in records]
        errors = [
            f"{value(of, 'log_loss' if table.kind == CLASSES else 'error'):.3f}" for of in records
        ]
        rows.append([table.name, *seconds, *errors, digits(times)])
    return markdown(["table", *titles, "times the CPU s"], rows)


def label(record: Record) -> str:
    classes = f", {record['classes']} classes" if record["classes"] else ""
    return (
        f"{record['table']}: {record['rows']:,} + {record['test_rows']:,} rows, "
        f"{record['columns']} columns{classes}"
    )


def summary(found: Found, tables: list[Table]) -> str:
    """A line for each method: the geometric means of its ratios to the baseline, and its worst
    table.
    """
    has_classes = any(table.kind == CLASSES for table in tables)
    shown = {what: title for what, title in WHAT.items() if what != "log_loss" or has_classes}
    rows = []
    for method in found.methods:
        if errors := ratios(found, tables, method, "error"):
            means = (geometric(ratios(found, tables, method, what).values()) for what in shown)
            cells = ["" if number is None else shown_ratio(number) for number in means]
            name = max(errors, key=errors.get)
            rows.append(
                [METHODS[method].title, str(len(errors)), *cells, f"{digits(errors[name])}, {name}"]
            )
    return markdown(["× LightGBM", "tables", *shown.values(), "largest error"], rows)


def wins_and_losses(found: Found) -> str:
    """The tables of files where a preset errs less than the baseline, and those where it errs more,
    by name; and those on which a method was cut off.
    """
    parts = []
    tables = [table for table in found.tables if table.half in OF_FILES]
    for method in OURS:
        errors = ratios(found, tables, method, "error")
        if method == BEST or not errors:
            continue
        ascending = sorted((number, name) for name, number in errors.items())
        less = [(name, number) for number, name in ascending if number < 1]
        more = [(name, number) for number, name in ascending[::-1] if number > 1]
        parts.append(
            f"{METHODS[method].title} errs less than LightGBM on {len(less)} of {len(errors)} "
            f"tables: {listed(less)}. It errs more on {len(more)}: {listed(more)}."
        )
    records = [r for table in tables for r in found.of(table, "catboost").values()]
    if records:
        cut_off = list(dict.fromkeys(r["table"] for r in records if r.get("is_cut_off")))
        n_tables = len({r["table"] for r in records})
        parts.append(
            f"CatBoost adds no more trees after {CATBOOST_SECONDS:g} seconds of the processor: it "
            f"was cut off on {len(cut_off)} of {n_tables} tables"
            f"{': ' + ', '.join(cut_off) if cut_off else ''}."
        )
    return "\n\n".join(parts)


def listed(of_tables: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {digits(number)}" for name, number in of_tables) or "none"


NOTES = (
    "One thread each, all by their defaults. Errors are 1 - accuracy and 1 - R2 on the rows to "
    "test on, means of the splits. Seconds are the processor's, medians of the splits; the "
    "preparation of the table counts, what a first call loads does not. fastnn, LightGBM, XGBoost, "
    "HistGradientBoosting and CatBoost take gaps and words as they are. For scikit-learn's MLP "
    "gaps are filled by means, numbers standardized and words one-hot; numbers to predict stay as "
    "they are."
)
RATIO_NOTES = (
    "Geometric means of the ratios to LightGBM, and in brackets the middle 95 % of those of tables "
    "that are drawn with replacement. An error of classes counts as one wrong test row at least, a "
    "probability as a millionth."
)


def report(found: Found) -> str:
    if not found.tables:
        return ""
    parts = [
        NOTES,
        "Errors:",
        by_table(found, "error", ".4f"),
        "CPU seconds of fit:",
        by_table(found, "fit", ".3g"),
    ]
    if logs := by_table(found, "log_loss", ".3f"):
        parts += ["Log loss:", logs]
    if BASELINE in found.methods:
        parts.append(RATIO_NOTES)
        for title, tables in found.groups().items():
            parts += [f"{title[0].upper()}{title[1:]}:", summary(found, tables)]
        parts += ["Errors over those of LightGBM, table by table:", wins_and_losses(found)]
    return "\n\n".join(part for part in parts if part)


def threads_table(found: dict[str, Any]) -> str:
    """A line for each table: seconds of one thread, and how many times as fast two are; "" where
    there is none.
    """
    presets = [
        preset for preset in METHODS if any(preset in by_preset for by_preset in found.values())
    ]
    heads = [
        head
        for p in presets
        for head in (f"{METHODS[p].title}, one thread, s", "two threads, times as fast")
    ]
    rows = []
    for name, seconds in found.items():
        pairs = (
            [f"{min(of['1']):.3g}", f"{gain(of):.2f}"] if of else ["", ""]
            for of in map(seconds.get, presets)
        )
        rows.append([name, *(cell for pair in pairs for cell in pair)])
    return markdown(["wall time of fit", *heads], rows) if presets else ""


OF_THE_EIGHT = (  # preset, what, beside which method, at most: set before it was measured
    *(
        ("fast", "error", BASELINE, 0.58),
        ("fast", "fit", BASELINE, 1.0),
        ("fast", "predict", BASELINE, 0.3),
    ),
    *(
        ("good", "error", BASELINE, 0.50),
        ("good", "fit", BASELINE, 4.5),
        ("good", "predict", BASELINE, 1.0),
    ),
    *(("good", "error", "catboost", 1.0), ("good", "fit", "catboost", 0.1)),
    *(("good", "error", "realmlp", 1.0), ("good", "fit", "realmlp", 0.1)),
    *(("best", "error", BASELINE, 0.49), ("best", "fit", BASELINE, 15)),
)
WORST = 1.15
ENOUGH_WRONG = 100
ENOUGH_ROWS = 1000
WITH_HOLES = 1.05
OF_THE_MEAN = 0.98
OF_DRAWN = 2.0
BY_TWO_THREADS = 1.6


def aims(found: Found, threads: dict[str, Any]) -> Iterator[Aim]:
    """Each number that is meant to be reached, of whole groups of tables that were measured."""
    eight = [table for table in TABLES.values() if group(table) == EIGHT]
    for preset, what, rival, most in OF_THE_EIGHT:
        what_of = (
            f"{METHODS[preset].title}: {WHAT[what]} × {METHODS[rival].title}, the eight tables"
        )
        yield from of_all(what_of, most, ratios(found, eight, preset, what, rival), len(eight))
    judged = [table for table in found.tables if is_judged(found, table)]
    if errors := ratios(found, judged, "good", "error"):
        name = max(errors, key=errors.get)
        yield exactly(
            f"`good`: largest error × LightGBM of {len(errors)} tables, {name}", WORST, errors[name]
        )
    for preset in ("fast", "good"):
        title = METHODS[preset].title
        of_holes = ratios(found, data.HOLES, preset, "error")
        yield from of_all(
            f"{title}: error × LightGBM, with holes", WITH_HOLES, of_holes, len(data.HOLES)
        )
        for table in data.LOW_SIGNALS:
            if records := found.of(table, preset).values():
                what_of = f"{title}: error × that of the mean, {len(records)} draws of low signal"
                yield exactly(what_of, OF_THE_MEAN, value(records, "error"))
    for table in found.tables:
        if table.half == data.DRAWN and (seconds := ratios(found, [table], "fast", "fit")):
            yield exactly(
                f"`fast`: CPU seconds of fit × LightGBM, {table.name}",
                OF_DRAWN,
                seconds[table.name],
            )
    for preset in METHODS:
        gains = [gain(by_method[preset]) for by_method in threads.values() if preset in by_method]
        if (number := geometric(gains)) is not None:
            yield Aim(
                f"{METHODS[preset].title}: two threads, times as fast as one",
                BY_TWO_THREADS,
                number,
            )


def of_all(what: str, most: float, numbers: dict[str, float], n: int) -> Iterator[Aim]:
    """The aim of a geometric mean, if all tables have a number."""
    number = geometric(numbers.values())
    if number is not None and len(numbers) == n:
        yield Aim(what, most, number, at_least=False)


def exactly(what: str, most: float, number: float) -> Aim:
    """The aim of a number that has no interval."""
    return Aim(what, most, Interval(number, number, number), at_least=False)


def is_judged(found: Found, table: Table) -> bool:
    """Return whether a ratio of a table of the files says something: of enough wrong rows, or
    enough test rows.
    """
    records = found.of(table, BASELINE).values() if table.name in TABLES else ()
    if table.kind == CLASSES:
        return sum(record["error"] * record["test_rows"] for record in records) > ENOUGH_WRONG - 0.5
    return min((record["test_rows"] for record in records), default=0) >= ENOUGH_ROWS


def aims_table(found: Found, threads: dict[str, Any]) -> str:
    words = {True: "at least", False: "at most"}
    rows = [
        [aim.what, f"{words[aim.at_least]} {aim.bound:g}", *aim.cells]
        for aim in aims(found, threads)
    ]
    return markdown(["aim", "", "measured", ""], rows) if rows else ""


LEAST_SHOWN, MOST_SHOWN = 0.25, 2.0
"""Errors over the baseline's that have their place; others are drawn at the edge."""
MARKS = {"good": ("o", BLUE), "fast": ("o", "#9ecae1"), "catboost": ("d", ORANGE)}
"""{method: its mark in the chart}"""


def chart(found: Found, source: str) -> Figure:
    """Draw the errors of each table of files over the baseline's, a panel for each kind; `source`
    is written below.
    """
    note = f"{LEAST_SHOWN:g} stands for less as well, {MOST_SHOWN:g} for more. {source}"
    tables = [table for table in found.tables if table.half in OF_FILES]
    by_kind = {kind: [t for t in tables if t.kind == kind] for kind in (CLASSES, NUMBERS)}
    height = 2.2 + 0.21 * max(map(len, by_kind.values()))
    figure, drawn = panels(2, (12.0, height), note)
    for axes, (kind, of_kind) in zip(drawn, by_kind.items(), strict=True):
        draw_panel(axes, found, kind, of_kind)
    drawn[0].legend(loc="center left", fontsize=11)
    return figure


def draw_panel(axes: Axes, found: Found, kind: str, tables: list[Table]) -> None:
    """Draw a line of marks for each table, the largest error of the presets on top."""
    errors = {method: ratios(found, tables, method, "error") for method in MARKS}
    order = sorted(errors["fast"], key=lambda name: (errors["good"] | errors["fast"])[name])
    for method, (marker, color) in MARKS.items():
        places = [
            (errors[method][name], k) for k, name in enumerate(order) if name in errors[method]
        ]
        x, y = np.array(places).reshape(-1, 2).T
        label = METHODS[method].title.replace("`", "")
        axes.plot(
            np.clip(x, LEAST_SHOWN, MOST_SHOWN), y, marker, color=color, label=label, zorder=3
        )
    counts = [
        f"{METHODS[method].title.replace('`', '')} {sum(n < 1 for n in errors[method].values())}"
        for method in ("fast", "good")
        if errors[method]
    ]
    title = f"{kind.capitalize()}: {len(order)} tables, less error: {', '.join(counts)}"
    style(axes, title, "error / LightGBM's: less is better")
    axes.axvline(1, color="0.5", linewidth=1, zorder=1)
    log_scale(axes, "x", ticks=(0.25, 0.5, 0.7, 1, 1.4, 2))
    axes.set_yticks(range(len(order)), order, fontsize=9)
    axes.margins(y=0.02)
