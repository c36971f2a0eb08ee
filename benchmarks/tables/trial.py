"""A trial of changes of the presets: ``python -m benchmarks.tables.trial FILE``.

It is on forty real tables that decided nothing before. This file, the tables and their splits
(`unseen`) and the changes (`variants`) were written before the first run. The file of results is
only appended to, so a run that ends early goes on.

"fast" fits each variant on five splits of each table, "good" the preset as it was and the steps on
two. The order is splits 0 to 3 of "fast", split 0 of "good", split 4 of "fast", split 1 of "good":
a run that ends early lacks the last ones. Variants take turns on a split, and another one begins
each time. An error is 1 - accuracy, of one test row at least, or 1 - R2; those of a
table are averaged over splits, and divided by those of the preset as it is. Seconds are the
processor's, on one thread.

A variant is accepted for a preset if, over the tables,

1. the geometric mean of its errors is at most 0.985, and less than 1 if it is multiplied by
   exp(1.28 standard errors of the logarithms' mean). For the squash alone, which is meant for
   tables with heavy tails and is free, 1.00 is enough;
2. the geometric mean of the seconds of fit is at most 1.15;
3. the geometric mean of the log losses is at most 1.00, and the coverages of 90 % intervals are on
   average no more than 0.002 farther from 0.90;
4. the squash does not run away: with all numbers of the test rows 10 and 200 times out of range,
   predictions are within the range of the training targets. `beyond` is how far the ensemble's
   outputs lie outside before they are clipped to that range, as a part of it.

What is not accepted is not added to fastnn; the page of decisions tells the numbers. The records of
the variants were made by prototypes outside of fastnn (commit 30ac6d58), those of "library" by the
ramps that are in fastnn since.
"""

import argparse
import json
import math
import pathlib
import sys
import time
import warnings
from collections.abc import Iterable
from statistics import mean, median, stdev
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.tables.data import CLASSES, NUMBERS, Table
from benchmarks.tables.measure import losses
from benchmarks.tables.methods import METHODS, warm_up
from benchmarks.tables.unseen import TABLES
from benchmarks.tables.variants import VARIANTS, fitted
from fastnn.measuring.timing import markdown
from fastnn.tabular.members import mean_outputs

PRESETS = ("fast", "good")
COVERAGE = 0.9
TIMES_OUT_OF_RANGE = (10, 200)
MOST_ERROR, MOST_SQUASH_ERROR, STANDARD_ERRORS = 0.985, 1.0, 1.28
MOST_SECONDS, MOST_LOG_LOSS, MOST_FARTHER = 1.15, 1.0, 0.002
TREES = "lightgbm"
"""Fitted on the same splits of "fast", to be printed beside the variants."""

Record = dict[str, Any]


def out_of_range(X: pd.DataFrame, times: float) -> pd.DataFrame:
    """Return the rows with all numbers so many ranges away from the middle, on their side."""
    numbers = X.select_dtypes("number")
    middle = (numbers.max() + numbers.min()) / 2
    side = 2.0 * (numbers > middle) - 1.0
    spread = numbers.max() - numbers.min()
    return X.assign(**(middle + side * times * spread).where(numbers.notna()))


def beyond(model: Any, X: pd.DataFrame) -> float:
    """Return how far outputs lie outside of the range of training targets, as a part of it."""
    center, deviation, low, high = model._scaling[:, 0]
    farthest = 0.0
    for times in TIMES_OUT_OF_RANGE:
        inputs = model.preparation_.transform(out_of_range(X, times))
        y = mean_outputs(model.estimators_, inputs)[:, 0] * deviation + center
        farthest = max(farthest, (y.max() - high) / (high - low), (low - y.min()) / (high - low))
    return float(farthest)


def measured(table: Table, split: int, preset: str, variant: str) -> Record:
    """Fit a variant on a split of a table, and return its errors and seconds."""
    X, X_test, y, y_test = table.split(split)
    classes = None
    if table.kind == CLASSES:
        classes, y = np.unique(y, return_inverse=True)
    record: Record = {"table": table.name, "split": split, "preset": preset, "variant": variant}
    record["test_rows"] = len(X_test)
    start = time.process_time()
    if variant == TREES:
        predict = METHODS[TREES].fit(table.kind, X, y, split)
        return (
            record | {"fit": time.process_time() - start} | losses(predict(X_test), y_test, classes)
        )
    model = fitted(variant, preset, table.kind, X, y, split)
    record["fit"] = time.process_time() - start
    start = time.process_time()
    outputs = model.predict_proba(X_test) if table.kind == CLASSES else model.predict(X_test)
    record["predict"] = time.process_time() - start
    if table.kind == NUMBERS:
        low, high = model.predict_interval(X_test, COVERAGE).T
        record["coverage"] = float(((low <= y_test) & (y_test <= high)).mean())
        if split == 0:
            record["beyond"] = beyond(model, X_test)
    return record | losses(outputs, y_test, classes)


class Results:
    """The records so far, with the file that each new one is appended to."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        self.records: list[Record] = [json.loads(line) for line in lines]

    def have(self, table: Table, split: int, preset: str, variant: str) -> bool:
        names = (table.name, split, preset, variant)
        return any(
            (r["table"], r["split"], r["preset"], r["variant"]) == names for r in self.records
        )

    def add(self, record: Record) -> None:
        self.records.append(record)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def by_split(self, preset: str, variant: str, table: str) -> dict[int, Record]:
        names = (preset, variant, table)
        return {
            r["split"]: r for r in self.records if (r["preset"], r["variant"], r["table"]) == names
        }


def run(results: Results, preset: str, variants: list[str], splits: Iterable[int]) -> None:
    """Measure what the results lack: a split of all tables, then the next one."""
    for split in splits:
        for table in TABLES:
            begin = split % len(variants)
            for variant in variants[begin:] + variants[:begin]:
                if not results.have(table, split, preset, variant):
                    results.add(measured(table, split, preset, variant))
            print(f"{preset}, split {split}, {table.name}", file=sys.stderr)


def value(records: Iterable[Record], what: str) -> float:
    numbers = [record[what] for record in records]
    return median(numbers) if what == "fit" else mean(numbers)


def ratios(
    results: Results, preset: str, variant: str, what: str, base: str = "base"
) -> dict[str, float]:
    """Return {table: the ratio of a variant to the preset as it is}, on the splits of both."""
    by_table = {}
    for table in TABLES:
        ours, theirs = (results.by_split(preset, name, table.name) for name in (variant, "base"))
        splits = [split for split in ours if split in theirs and what in ours[split]]
        if not splits:
            continue
        numbers = [value([of[split] for split in splits], what) for of in (ours, theirs)]
        if what == "error" and table.kind == CLASSES:
            least = 1 / ours[splits[0]]["test_rows"]
            numbers = [max(number, least) for number in numbers]
        by_table[table.name] = numbers[0] / numbers[1]
    return by_table


def mean_and_error(numbers: Iterable[float]) -> tuple[float, float]:
    """Return the geometric mean, and the standard error of the logarithms' mean."""
    logs = [math.log(number) for number in numbers]
    return math.exp(mean(logs)), stdev(logs) / math.sqrt(len(logs))


def farther_from_nominal(results: Results, preset: str, variant: str) -> float:
    """Return how much farther from 0.90 coverages are than those of the preset as it was, the mean
    over tables, on the splits of both.
    """
    distances = []
    for table in TABLES:
        ours, theirs = (results.by_split(preset, name, table.name) for name in (variant, "base"))
        splits = ours.keys() & theirs.keys()
        if table.kind == NUMBERS and splits:
            far = [
                abs(value([of[k] for k in splits], "coverage") - COVERAGE) for of in (ours, theirs)
            ]
            distances.append(far[0] - far[1])
    return mean(distances)


def verdict(results: Results, preset: str, variant: str) -> tuple[list[str], bool]:
    """Return the cells of a variant's line, and whether it is accepted."""
    errors = ratios(results, preset, variant, "error")
    error, standard_error = mean_and_error(errors.values())
    of_kinds = [
        mean_and_error(errors[t.name] for t in TABLES if t.kind == kind and t.name in errors)[0]
        for kind in (CLASSES, NUMBERS)
    ]
    seconds, _ = mean_and_error(ratios(results, preset, variant, "fit").values())
    log_loss, _ = mean_and_error(ratios(results, preset, variant, "log_loss").values())
    farther = farther_from_nominal(results, preset, variant)
    largest = max(errors, key=errors.__getitem__)
    least = min(errors, key=errors.__getitem__)
    is_better = error * math.exp(STANDARD_ERRORS * standard_error) < 1 and error <= MOST_ERROR
    if variant == "squash":
        is_better = error <= MOST_SQUASH_ERROR
    is_free = seconds <= MOST_SECONDS and log_loss <= MOST_LOG_LOSS and farther <= MOST_FARTHER
    cells = [preset, variant, str(len(errors)), f"{error:.3f} ± {standard_error:.3f}"]
    cells += [f"{number:.3f}" for number in of_kinds]
    cells += [f"{number:.3f}" for number in (seconds, log_loss)]
    cells += [f"{farther:+.4f}", f"{largest} {errors[largest]:.2f}", f"{least} {errors[least]:.2f}"]
    return cells, is_better and is_free


TITLES = (
    "preset, variant, tables, error, classes, numbers, seconds, log loss, "
    "coverage farther from 0.90, largest, least, accepted"
)


def report(results: Results) -> str:
    """Return the means of each variant, and the errors of each table."""
    rows: list[list[str]] = []
    parts: list[str] = []
    for preset in PRESETS:
        there = {r["variant"] for r in results.records if r["preset"] == preset}
        for variant in VARIANTS[1:]:
            if variant in there:
                cells, accepted = verdict(results, preset, variant)
                rows.append([*cells, "yes" if accepted else "no"])
    parts.append(markdown(TITLES.split(", "), rows))
    for preset in PRESETS:
        names = [*VARIANTS, TREES]
        there = [name for name in names if results.by_split(preset, name, TABLES[0].name)]
        lines = []
        for table in TABLES:
            of = [results.by_split(preset, name, table.name) for name in there]
            if all(of):
                errors = (f"{value(records.values(), 'error'):.4f}" for records in of)
                lines.append([table.name, *errors])
        if there:
            parts.append(markdown([f"{preset}, error", *there], lines))
    lines = []
    for table in TABLES:
        of = [results.by_split("fast", name, table.name) for name in VARIANTS]
        if table.kind == NUMBERS and all(of):
            lines.append([table.name, *(f"{r[0]['beyond']:.2f}" for r in of)])
    if lines:
        parts.append(markdown(["fast, beyond", *VARIANTS], lines))
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables.trial", description=__doc__)
    parser.add_argument("file", type=pathlib.Path, help="the results, which are appended to")
    parser.add_argument("--report", action="store_true", help="print them, and measure nothing")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    results = Results(options.file)
    if not options.report:
        for name in ("fast", TREES):
            warm_up(name)
        of_fast = [*VARIANTS, TREES]
        run(results, "fast", of_fast, range(4))
        of_good = ["base", "steps"]
        run(results, "good", of_good, [0])
        run(results, "fast", of_fast, [4])
        run(results, "good", of_good, [1])
    print(report(results))


if __name__ == "__main__":
    sys.exit(main())
