"""The tables that ``fastnn bench`` prints (rich)."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from fastnn.bench import Report, Training, ratios, speed_ratios
from fastnn.timing import Timing


def trainings(report: Report) -> Table:
    """A row for each workload and dtype: iterations a second of each back end, and their ratio, with spreads."""
    backends = list(dict.fromkeys(training.backend for training in report.trainings))
    table = _table("Training: iterations a second, median ± half the interquartile range")
    table.add_column("workload", no_wrap=True)
    for name in backends:
        table.add_column(name, justify="right", no_wrap=True)
    if len(backends) == 2:
        table.add_column(f"{backends[1]} / {backends[0]}", justify="right", no_wrap=True)
    for row in _by_problem(report).values():
        first = next(iter(row.values()))
        cells = [f"{first.workload}, {first.dtype}\n[dim]{'-'.join(map(str, first.sizes))}, {first.batch_size} rows[/]"]
        cells += [f"{t.timing.per_second:,.0f}\n[dim]±{t.timing.spread / 2:.1%}[/]" for t in row.values()]
        if len(backends) == 2:
            cells.append(_ratio_text(ratios(*(row[name].timing for name in backends))))
        table.add_row(*cells)
    return table


def starts(report: Report) -> Table:
    """What happens once, before the first iteration, each in fresh processes."""
    table = _table("Starting: seconds in a fresh process")
    for title in ("what", "median", "least", "most"):
        table.add_column(title, justify="left" if title == "what" else "right")
    for start in report.starts:
        numbers = (start.timing.median, min(start.seconds), max(start.seconds))
        table.add_row(start.what, *(f"{seconds:.3f}" for seconds in numbers))
    return table


def comparison(new: Report, old: Report, fail_below: float | None) -> Table:
    """One line a training that both reports hold: the new speed as a multiple of the old."""
    table = _table(f"Against the report of {old.date}: new speed / old speed")
    for title in ("workload", "dtype", "back end", "ratio"):
        table.add_column(title, justify="right" if title == "ratio" else "left")
    for key, ratio in speed_ratios(new, old).items():
        slower = fail_below is not None and ratio < fail_below
        table.add_row(*key, f"{ratio:.2f}" + (" too slow" if slower else ""), style="red" if slower else None)
    return table


def _ratio_text(ratio: Timing) -> str:
    """Return a ratio and the middle half of its samples, with two or three digits."""
    low, high = ratio.quartiles
    return f"{_digits(ratio.median)}\n[dim]{_digits(low)} to {_digits(high)}[/]"


def _digits(number: float) -> str:
    return f"{number:.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def _by_problem(report: Report) -> Mapping[tuple[str, str], Mapping[str, Training]]:
    found: dict[tuple[str, str], dict[str, Training]] = {}
    for training in report.trainings:
        found.setdefault((training.workload, training.dtype), {})[training.backend] = training
    return found


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold")
