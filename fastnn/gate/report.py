"""What the gate found, as a table (rich), as JSON, and as a picture."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from fastnn import plotting
from fastnn.gate.compare import Comparison, Outcome
from fastnn.gate.statistics import CONFIDENCE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMAT = 1
"""Of the JSON file."""

_COLOURS = {"slower": "red", "undecided": "yellow", "faster": "green"}
_UNITS = {"seconds": (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)), "bytes": (("MB", 1e6), ("kB", 1e3))}


def table(outcome: Outcome) -> Table:
    """A line a quantity and a count: base, head, ratio with its interval, verdict."""
    found = Table(title="Head against base", title_justify="left", title_style="bold")
    found.add_column("what")
    for title in ("base", "head", "head / base"):
        found.add_column(title, justify="right", no_wrap=True)
    found.add_column("verdict")
    for comparison in outcome.comparisons:
        medians = (_amount(number, comparison.quantity.kind) for number in comparison.medians)
        low, middle, high = comparison.ratio
        ratio = f"{middle:.3f} [dim]{low:.3f}–{high:.3f}[/]"
        verdict = verdict_of(comparison)
        found.add_row(escape(comparison.quantity.name), *medians, ratio, verdict, style=_COLOURS.get(verdict))
    found.add_section()
    for count in outcome.counts:
        base = "-" if count.base is None else str(count.base)
        style = "red" if count.worse else None
        found.add_row(escape(count.name), base, str(count.head), "", count.verdict, style=style)
    return found


def verdict_of(comparison: Comparison) -> str:
    """The verdict of both rounds in a few words."""
    if comparison.verdicts[0] == "slower" and not comparison.slower:
        return "slower once, not again"
    return comparison.verdicts[-1]


def conclusion(outcome: Outcome) -> str:
    """One sentence: what fails, by name, or that nothing does; and what each verdict needs."""
    worse = [f"{count.name}: {count.base} to {count.head}" for count in outcome.counts if count.worse]
    if worse:
        return f"FAILED, more than before, and so nothing was timed: {'; '.join(worse)}."
    slower = [f"{c.quantity.name} ({c.ratio.middle - 1:+.1%})" for c in outcome.comparisons if c.slower]
    if slower:
        return f"FAILED, slower in two rounds: {'; '.join(slower)}."
    if not outcome.comparisons:
        return "Passed: no count is worse. Nothing was timed."
    n_undecided = sum(verdict_of(c) == "undecided" for c in outcome.comparisons)
    return f"Passed: nothing is shown to be slower{f', {n_undecided} undecided' if n_undecided else ''}."


def notes(outcome: Outcome) -> str:
    """How to read the table, and what it took."""
    base, head = outcome.first_runs
    said = f"First runs, which may compile: base {base:.1f} s, head {head:.1f} s. All took {outcome.seconds:.0f} s."
    if not outcome.comparisons:
        return said
    thresholds = sorted({c.threshold for c in outcome.comparisons})
    most = max(len(c.rounds[0]) for c in outcome.comparisons)
    return (
        f"Medians of {most} pairs of processes, run in turn, and the {CONFIDENCE:.0%} interval of the ratio. Slower: "
        f"all of it above {' or '.join(f'{t:g}' for t in thresholds)}, twice. {said}"
    )


def save(outcome: Outcome, path: Path) -> None:
    """Write all that was found as JSON: each pair, interval and verdict, and whether the gate passed."""
    found = {"format": FORMAT, "passed": outcome.passed, "confidence": CONFIDENCE} | asdict(outcome)
    found["comparisons"] = [
        {
            "kind": c.quantity.kind,
            "name": c.quantity.name,
            "base": c.medians[0],
            "head": c.medians[1],
            "ratio": c.ratio._asdict(),
            "threshold": c.threshold,
            "verdict": verdict_of(c),
            "slower": c.slower,
            "rounds": c.rounds,
        }
        for c in outcome.comparisons
    ]
    found["counts"] = [asdict(count) | {"verdict": count.verdict} for count in outcome.counts]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def draw(outcome: Outcome) -> Figure:
    """Each ratio with its interval, and the line above which it is slower."""
    rows = {c.quantity.name: c.ratio for c in outcome.comparisons}
    wrong = {c.quantity.name for c in outcome.comparisons if c.slower}
    limits = sorted({c.threshold for c in outcome.comparisons if c.quantity.kind == "trainings"})
    return plotting.ratios(rows, wrong, limits, "Head against base", f"head / base, {outcome.cpu}, {outcome.date}")


def _amount(number: float, kind: str) -> str:
    """Return seconds or bytes with three digits and a unit that suits."""
    units = _UNITS["bytes" if kind == "memory" else "seconds"]
    name, size = next((unit for unit in units if number >= unit[1]), units[-1])
    return f"{number / size:#.3g}".rstrip(".") + f" {name}"
