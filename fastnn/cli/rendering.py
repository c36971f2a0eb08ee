"""The tables that ``fastnn demo`` and ``fastnn bench`` print (rich)."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from fastnn.backends import BACKENDS
from fastnn.cli import demo_report as work
from fastnn.cli.bench_report import Report, TrainingTimes, ratios, speed_ratios
from fastnn.cli.console import new_table
from fastnn.gate.report import with_unit
from fastnn.measuring import tutorial
from fastnn.measuring.timing import Timing

# ---------------------------------------------------------------------------------------------------------------- demo

TITLES = {"loop": "tutorial's loop", "numpy": "numpy", "numba": "numba"}


def demo_seed(report: work.SeedReport) -> Table:
    """Return the table of the tutorial's numbers and speeds, by the loop and by each back end."""
    columns = (work.LOOP, *BACKENDS)
    iterations = report.workload.epochs
    table = _demo_table(columns)
    table.add_row(f"final error (iteration {iterations - 1})", *(f"{report.errors[name][-1]:.10f}" for name in columns))
    for i, (row, target) in enumerate(zip(tutorial.X_TEST, tutorial.Y_TEST, strict=True)):
        bits = ",".join(f"{bit:.0f}" for bit in row)
        outputs = (f"{report.outputs[name][i, 0]:.10f}" for name in columns)
        table.add_row(rf"output for \[{bits}], target {target[0]:.0f}", *outputs)
    table.add_section()
    _add_rates(table, report.iteration, "iterations a second", columns)
    table.add_row(
        f"all {iterations} iterations, one call", *(with_unit(report.whole_call[name].median) for name in columns)
    )
    return table


def demo_digits(report: work.DigitsReport) -> Table:
    """Return the table of what each back end learned, and how fast."""
    workload, columns = report.workload, BACKENDS
    assert workload.Y_test is not None
    table = _demo_table(columns)
    table.add_row(
        f"accuracy on {len(workload.Y_test)} held-out digits", *(f"{report.accuracy[name]:.4f}" for name in columns)
    )
    table.add_row("training loss, last epoch", *(f"{report.losses[name][-1]:.6f}" for name in columns))
    table.add_section()
    table.add_row("time an epoch", *(with_unit(report.epoch[name].median) for name in columns))
    slowest = report.epoch["numpy"].median
    table.add_row("times numpy", *(f"{slowest / report.epoch[name].median:.1f}" for name in columns))
    table.add_row("spread of the samples", *(f"{report.epoch[name].spread:.0%}" for name in columns))
    return table


def _demo_table(columns: tuple[str, ...]) -> Table:
    return new_table("", *(TITLES[name] for name in columns), texts=("",), wrapped=("",))


def _add_rates(table: Table, timings: dict[str, Timing], title: str, columns: tuple[str, ...]) -> None:
    """Add iterations a second, the ratios to the first column, and how far the samples spread."""
    base = timings[columns[0]].median
    table.add_row(title, *(f"{timings[name].per_second:,.0f}" for name in columns))
    table.add_row(f"times the {TITLES[columns[0]]}", *(f"{base / timings[name].median:.2f}" for name in columns))
    table.add_row("spread of the samples", *(f"{timings[name].spread:.0%}" for name in columns))


# --------------------------------------------------------------------------------------------------------------- bench


def bench_trainings(report: Report) -> Table:
    """Return a table with a row for each workload and dtype: the speed of each back end, their ratio, and spreads."""
    backends = list(dict.fromkeys(training.backend for training in report.trainings))
    ratio = [f"{backends[1]} / {backends[0]}"] if len(backends) == 2 else []
    table = new_table("workload", *backends, *ratio, texts=("workload",))
    for row in by_workload(report).values():
        first = next(iter(row.values()))
        shape = f"{first.unit}s a second"
        if first.sizes:
            shape = f"{'-'.join(map(str, first.sizes))}, {first.batch_size} row{'s' * (first.batch_size != 1)}"
        cells = [f"{first.workload}, {first.dtype}\n[dim]{shape}[/]"]
        cells += [f"{t.timing.per_second:,.0f}\n[dim]±{t.timing.spread / 2:.1%}[/]" for t in row.values()]
        if ratio:
            cells.append(_ratio_text(ratios(*(row[name].timing for name in backends))))
        table.add_row(*cells)
    return table


def bench_starts(report: Report) -> Table:
    """Return the table of start-up times: of what is done once before the first iteration, in fresh processes."""
    several = any(len(start.seconds) > 1 for start in report.starts)
    columns = ("median", "least", "most") if several else ("once",)
    table = new_table("what", *columns, texts=("what",), wrapped=("what",))
    for start in report.starts:
        numbers = (start.timing.median, min(start.seconds), max(start.seconds))
        table.add_row(start.what, *(f"{seconds:.3f}" for seconds in (numbers if several else numbers[:1])))
    return table


def bench_comparison(new: Report, old: Report, fail_below: float | None) -> Table:
    """Return a table with a row for each training that both reports hold: the new speed as a multiple of the old."""
    texts = ("workload", "dtype", "back end")
    table = new_table(*texts, "ratio", texts=texts)
    for key, ratio in speed_ratios(new, old).items():
        slower = fail_below is not None and ratio < fail_below
        table.add_row(*key, f"{ratio:.2f}" + (" too slow" if slower else ""), style="red" if slower else None)
    return table


def _ratio_text(ratio: Timing) -> str:
    """Return a ratio and the middle half of its samples, with two or three digits."""
    low, high = ratio.quartiles
    return f"{digits(ratio.median)}\n[dim]{digits(low)} to {digits(high)}[/]"


def digits(number: float) -> str:
    """Return a number with two or three digits."""
    return f"{number:.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def by_workload(report: Report) -> Mapping[tuple[str, str], Mapping[str, TrainingTimes]]:
    """Return the trainings by workload and dtype, and of each by back end."""
    found: dict[tuple[str, str], dict[str, TrainingTimes]] = {}
    for training in report.trainings:
        found.setdefault((training.workload, training.dtype), {})[training.backend] = training
    return found
