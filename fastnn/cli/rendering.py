"""The tables that ``fastnn demo`` and ``fastnn bench`` print (rich)."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from fastnn.cli import demo as work
from fastnn.cli.bench import Report, Training, ratios, speed_ratios
from fastnn.measuring import tutorial
from fastnn.measuring.timing import Timing

# ---------------------------------------------------------------------------------------------------------------- demo

TITLES = {"loop": "tutorial's loop", "numpy": "numpy", "numba": "numba"}


def demo_seed(report: work.SeedReport) -> Table:
    """Return the tutorial's numbers and the speeds, by the loop and by each back end."""
    columns = (work.LOOP, *work.BACKENDS)
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
        f"all {iterations} iterations, one call", *(seconds_text(report.whole_call[name].median) for name in columns)
    )
    return table


def demo_digits(report: work.DigitsReport) -> Table:
    """Return what each back end learned, and how fast."""
    workload, columns = report.workload, work.BACKENDS
    assert workload.Y_test is not None
    table = _demo_table(columns)
    table.add_row(
        f"accuracy on {len(workload.Y_test)} held-out digits", *(f"{report.accuracy[name]:.4f}" for name in columns)
    )
    table.add_row("training loss, last epoch", *(f"{report.losses[name][-1]:.6f}" for name in columns))
    table.add_section()
    table.add_row("time an epoch", *(seconds_text(report.epoch[name].median) for name in columns))
    slowest = report.epoch["numpy"].median
    table.add_row("times numpy", *(f"{slowest / report.epoch[name].median:.1f}" for name in columns))
    table.add_row("spread of the samples", *(f"{report.epoch[name].spread:.0%}" for name in columns))
    return table


def _demo_table(columns: tuple[str, ...]) -> Table:
    table = Table()
    table.add_column()
    for name in columns:
        table.add_column(TITLES[name], justify="right", no_wrap=True)
    return table


def _add_rates(table: Table, timings: dict[str, Timing], title: str, columns: tuple[str, ...]) -> None:
    """Add iterations a second, the ratios to the first column, and how far the samples spread."""
    base = timings[columns[0]].median
    table.add_row(title, *(f"{timings[name].per_second:,.0f}" for name in columns))
    table.add_row(f"times the {TITLES[columns[0]]}", *(f"{base / timings[name].median:.2f}" for name in columns))
    table.add_row("spread of the samples", *(f"{timings[name].spread:.0%}" for name in columns))


def seconds_text(seconds: float) -> str:
    """Return a duration with three digits and a unit that suits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:#.3g}".rstrip(".") + f" {unit}"
    return f"{seconds / 1e-6:#.3g}".rstrip(".") + " µs"


# --------------------------------------------------------------------------------------------------------------- bench


def bench_trainings(report: Report) -> Table:
    """A row for each workload and dtype: iterations a second of each back end, and their ratio, with spreads."""
    backends = list(dict.fromkeys(training.backend for training in report.trainings))
    table = Table()
    table.add_column("workload", no_wrap=True)
    for name in backends:
        table.add_column(name, justify="right", no_wrap=True)
    if len(backends) == 2:
        table.add_column(f"{backends[1]} / {backends[0]}", justify="right", no_wrap=True)
    for row in by_problem(report).values():
        first = next(iter(row.values()))
        shape = f"{'-'.join(map(str, first.sizes))}, {first.batch_size} row{'s' * (first.batch_size > 1)}"
        cells = [f"{first.workload}, {first.dtype}\n[dim]{shape}[/]"]
        cells += [f"{t.timing.per_second:,.0f}\n[dim]±{t.timing.spread / 2:.1%}[/]" for t in row.values()]
        if len(backends) == 2:
            cells.append(_ratio_text(ratios(*(row[name].timing for name in backends))))
        table.add_row(*cells)
    return table


def bench_starts(report: Report) -> Table:
    """What happens once, before the first iteration, each in fresh processes."""
    several = any(len(start.seconds) > 1 for start in report.starts)
    table = Table()
    for title in ("what", "median", "least", "most") if several else ("what", "once"):
        table.add_column(title, justify="left" if title == "what" else "right", no_wrap=title != "what")
    for start in report.starts:
        numbers = (start.timing.median, min(start.seconds), max(start.seconds))
        table.add_row(start.what, *(f"{seconds:.3f}" for seconds in (numbers if several else numbers[:1])))
    return table


def bench_comparison(new: Report, old: Report, fail_below: float | None) -> Table:
    """One line a training that both reports hold: the new speed as a multiple of the old."""
    table = Table()
    for title in ("workload", "dtype", "back end", "ratio"):
        table.add_column(title, justify="right" if title == "ratio" else "left", no_wrap=True)
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


def by_problem(report: Report) -> Mapping[tuple[str, str], Mapping[str, Training]]:
    """Return the trainings by workload and dtype, and of each by back end."""
    found: dict[tuple[str, str], dict[str, Training]] = {}
    for training in report.trainings:
        found.setdefault((training.workload, training.dtype), {})[training.backend] = training
    return found
