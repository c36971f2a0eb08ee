"""The measurement of methods on a split of a table, and the file that keeps what was measured."""

import importlib.metadata
import json
import pathlib
import time
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.tables.data import CLASSES, Table
from benchmarks.tables.methods import METHODS, by_preset
from fastnn.measuring import machine
from fastnn.measuring.timing import interleaved, seconds_of
from fastnn.whole_files import write_whole

ROUNDS = 3
"""Fits of a method that take less than `LONG` seconds, and predictions after each fit: the least of
them counts."""
LONG = 1.0
LEAST_PROBABILITY = 1e-6
"""What a method has to give to a class at least, for its logarithm; to one that it has never seen
too."""

Record = dict[str, Any]


def measured(table: Table, split: int, names: list[str]) -> tuple[list[Record], list[str]]:
    """Return a record of each method on a split of a table, and what failed. The methods take
    turns.
    """
    X, X_test, y, y_test = table.split(split)
    classes, y = np.unique(y, return_inverse=True) if table.kind == CLASSES else (None, y)
    about = {
        "table": table.name,
        "split": split,
        "rows": len(X),
        "test_rows": len(X_test),
        "columns": X.shape[1],
    }
    about["classes"] = 0 if classes is None else len(classes)
    found: dict[str, Record] = {}
    failed: dict[str, str] = {}
    for _ in range(ROUNDS):
        for name in names:
            if name in failed or (name in found and min(found[name]["fit"]) > LONG):
                continue
            try:
                start = time.process_time()
                predict = METHODS[name].fit(table.kind, X, y, split)
                fit = time.process_time() - start
                samples = [
                    seconds_of(partial(predict, X_test), time.process_time) for _ in range(ROUNDS)
                ]
                errors = losses(predict(X_test), y_test, classes)
                if getattr(predict, "is_cut_off", False):
                    errors["is_cut_off"] = True
                record = found.setdefault(
                    name, about | {"method": name, **errors, "fit": [], "predict": []}
                )
            except Exception as error:  # one that fails must not end a run of hours
                failed[name] = (
                    f"{METHODS[name].title} on {table.name}, split {split}: "
                    f"{type(error).__name__}: {error}"
                )
                continue
            record["fit"].append(fit)
            record["predict"].append(min(samples))
    return [record for name, record in found.items() if name not in failed], list(failed.values())


def losses(outputs: np.ndarray, y: np.ndarray, classes: np.ndarray | None) -> Record:
    """1 - R2 of numbers; 1 - accuracy and the log loss of classes, whose outputs are the
    probabilities of `classes`.
    """
    outputs = np.asarray(outputs, float)
    if not np.isfinite(outputs).all():
        raise ValueError("predictions are not finite")
    if classes is None:
        return {
            "error": float(
                ((y - outputs.reshape(y.shape)) ** 2).sum() / ((y - y.mean()) ** 2).sum()
            )
        }
    # 0 of a class that was never seen
    right = np.where(classes == y[:, None], outputs, 0.0).sum(axis=1)
    error = float((classes[outputs.argmax(axis=1)] != y).mean())
    return {"error": error, "log_loss": float(-np.log(right.clip(LEAST_PROBABILITY)).mean())}


LEAST_ROWS = 5000  # Tables of fewer rows are not fitted by two threads


def thread_seconds(table: Table, presets: list[str]) -> dict[str, Any]:
    """Return wall seconds of fits on one and two threads, in turn, {table: {preset: {n_jobs:
    seconds}}}.
    """
    X, X_test, y, _ = table.split(0)
    if len(X) + len(X_test) < LEAST_ROWS:
        return {}
    y = np.unique(y, return_inverse=True)[1] if table.kind == CLASSES else y
    found = {}
    for preset in presets:
        fits = {str(n): partial(by_preset, table.kind, X, y, 0, preset, n_jobs=n) for n in (1, 2)}
        one, two = (fit()(X_test) for fit in fits.values())
        if not np.array_equal(one, two):
            raise RuntimeError(
                f"{preset} on {table.name}: another answer by two threads, so nothing was timed"
            )
        found[preset] = interleaved(fits, rounds=ROUNDS)
    return {table.name: found}


def about_here(names: list[str]) -> dict[str, Any]:
    found = machine.circumstances()
    packages = {METHODS[name].package for name in names} - {"fastnn", "sklearn"}
    found["versions"] |= {
        package: importlib.metadata.version(package) for package in sorted(packages)
    }
    return found


class Results:
    """What was measured, with the file that keeps it, if there is one: of this machine and of these
    versions.
    """

    def __init__(
        self,
        path: pathlib.Path | None,
        about: dict[str, Any],
        tables: Iterable[Table] = (),
        again: Iterable[str] = (),
    ) -> None:
        self.path = path
        self.about = about
        self.records: list[Record] = []
        self.threads: dict[str, Any] = {}
        if path is None or not path.exists():
            return
        kept = json.loads(path.read_text("utf-8"))
        names = {table.name for table in tables}
        again = set(again)
        there = kept["about"]
        self.records = [
            r for r in kept["records"] if r["table"] not in names or r["method"] not in again
        ]
        both = there["versions"].keys() & about["versions"].keys()
        other = {name for name in both if there["versions"][name] != about["versions"][name]}
        if not any(METHODS[r["method"]].package == "fastnn" for r in self.records):
            other -= {"fastnn"}  # another version has measured nothing that stays
        if there["cpu"] != about["cpu"] or other:
            what = (
                ", ".join(f"{name} {there['versions'][name]}" for name in sorted(other))
                or there["cpu"]
            )
            raise ValueError(
                f"{path} was measured with {what}, which is not what is here: give another file"
            )
        self.about = there
        if there["versions"]["fastnn"] == about["versions"]["fastnn"]:
            self.threads = kept["threads"]

    def lacks(self, table: Table, split: int, names: list[str]) -> list[str]:
        there = {
            r["method"] for r in self.records if (r["table"], r["split"]) == (table.name, split)
        }
        return [name for name in names if name not in there]

    def add(
        self, about: dict[str, Any], records: list[Record], threads: dict[str, Any] | None = None
    ) -> None:
        self.about = about | {"versions": self.about["versions"] | about["versions"]}
        self.records += records
        self.threads |= threads or {}
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            head = f'"about": {json.dumps(self.about)},\n"threads": {json.dumps(self.threads)}'
            # a line each: a file that a diff can show
            lines = ",\n".join(map(json.dumps, self.records))
            text = f'{{{head},\n"records": [\n{lines}\n]}}\n'
            write_whole({self.path: lambda file: file.write(text.encode())})
