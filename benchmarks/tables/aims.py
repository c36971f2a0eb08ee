"""What the presets are meant to reach: numbers that were set before they were measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks.peers.aims import Ratio
from benchmarks.peers.tables import row, separator
from benchmarks.tables.data import CLASSES, DRAWN, HOLES, LOW_SIGNALS, TABLES, Table
from benchmarks.tables.methods import BASELINE, METHODS
from benchmarks.tables.report import EIGHT, WHAT, Found, geometric, group, ratios, shown_ratio, value

OF_THE_EIGHT = (  # preset, what, beside which method, at most
    ("fast", "error", BASELINE, 0.58),
    ("fast", "fit", BASELINE, 1.0),
    ("fast", "predict", BASELINE, 0.3),
    ("good", "error", BASELINE, 0.50),
    ("good", "fit", BASELINE, 4.5),
    ("good", "predict", BASELINE, 1.0),
    ("good", "error", "catboost", 1.0),
    ("good", "fit", "catboost", 0.1),
    ("good", "error", "realmlp", 1.0),
    ("good", "fit", "realmlp", 0.1),
    ("best", "error", BASELINE, 0.49),
    ("best", "fit", BASELINE, 15),
)
WORST, ENOUGH_WRONG, ENOUGH_ROWS = 1.15, 100, 1000
WITH_HOLES, OF_THE_MEAN, OF_DRAWN = 1.05, 0.98, 2.0
BY_TWO_THREADS = 1.6


class Aim(NamedTuple):
    """A line of the table."""

    what: str
    bound: float
    found: Ratio
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the number is what it should be."""
        return self.found.median >= self.bound if self.at_least else self.found.median <= self.bound


def aims(found: Found) -> Iterator[Aim]:
    """Each number that is meant to be reached, of whole groups of tables that were measured."""
    eight = [table for table in TABLES.values() if group(table) == EIGHT]
    for preset, what, rival, most in OF_THE_EIGHT:
        what_of = f"{METHODS[preset].title}: {WHAT[what]} × {METHODS[rival].title}, the eight tables"
        yield from mean_of_all(what_of, most, ratios(found, eight, preset, what, rival), len(eight))
    judged = [table for table in found.tables if is_judged(found, table)]
    if errors := ratios(found, judged, "good", "error"):
        worst = max(errors, key=errors.__getitem__)
        yield Aim(f"`good`: largest error × LightGBM of {len(errors)} tables, {worst}", WORST, exactly(errors[worst]))
    for preset in ("fast", "good"):
        title = METHODS[preset].title
        of_holes = ratios(found, HOLES, preset, "error")
        yield from mean_of_all(f"{title}: error × LightGBM, with holes", WITH_HOLES, of_holes, len(HOLES))
        for table in LOW_SIGNALS:
            if records := found.of(table, preset).values():
                mean = exactly(value(records, "error"))
                yield Aim(f"{title}: error × that of the mean, {len(records)} draws of low signal", OF_THE_MEAN, mean)
    for table in found.tables:
        if table.half == DRAWN and (seconds := ratios(found, [table], "fast", "fit")):
            yield Aim(f"`fast`: CPU seconds of fit × LightGBM, {table.name}", OF_DRAWN, exactly(seconds[table.name]))


def mean_of_all(what: str, most: float, numbers: dict[str, float], n: int) -> Iterator[Aim]:
    """The aim of a geometric mean, if all tables have a number."""
    number = geometric(numbers.values())
    if number is not None and len(numbers) == n:
        yield Aim(what, most, number)


def is_judged(found: Found, table: Table) -> bool:
    """Return whether a ratio of a table of the files says something: of enough wrong rows, or enough test rows."""
    records = found.of(table, BASELINE).values()
    if table.name not in TABLES or not records:
        return False
    if table.kind == CLASSES:
        return sum(record["error"] * record["test_rows"] for record in records) > ENOUGH_WRONG - 0.5
    return min(record["test_rows"] for record in records) >= ENOUGH_ROWS


def exactly(number: float) -> Ratio:
    """Return a number that has no interval."""
    return Ratio(number, number, number)


def aims_table(found: Found, threads: dict[str, Any]) -> str:
    """A line for each aim; "" where none was measured."""
    lines = []
    for aim in [*aims(found), *of_threads(threads)]:
        bound = f"{'at least' if aim.at_least else 'at most'} {aim.bound:g}"
        lines.append(row([aim.what, bound, shown_ratio(aim.found), "" if aim.met else "missed"]))
    return "\n".join([row(["aim", "", "measured", ""]), separator(4), *lines]) if lines else ""


def of_threads(threads: dict[str, Any]) -> Iterator[Aim]:
    """What two threads gain over one."""
    for preset in METHODS:
        gains = [gain(by_method[preset]) for by_method in threads.values() if preset in by_method]
        number = geometric(gains)
        if number is not None:
            yield Aim(f"{METHODS[preset].title}: two threads, times as fast as one", BY_TWO_THREADS, number, True)


def gain(seconds: dict[str, list[float]]) -> float:
    """How many times as fast two threads are, by the least times of both."""
    return min(seconds["1"]) / min(seconds["2"])
