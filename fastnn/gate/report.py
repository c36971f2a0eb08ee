"""The gate's result as a table (rich), as Markdown, as JSON, and as a picture."""

import functools
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from fastnn import plotting
from fastnn.gate.compare import CONFIDENCE, Comparison, Outcome, Sides
from fastnn.measuring import timing
from fastnn.measuring.timing import with_unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMAT = 1  # of the JSON file
TITLE = "Head against base"
_COLORS = {
    "slower": "red",
    "more": "red",
    "undecided": "yellow",
    "gone": "yellow",
    "faster": "green",
}
_TITLES = ("what", "base", "head", "head / base", "verdict")


def _rows(outcome: Outcome) -> Iterator[tuple[str, str, str, str, str, str]]:
    """Iterate over name, base, head, ratio and its interval, or "", and verdict of each quantity
    and count.
    """
    rows: list[Comparison | Sides] = [*outcome.comparisons, *outcome.alone, *outcome.counts]
    for one in rows:
        kind, name = one.quantity
        text = str if kind == "counts" else functools.partial(with_unit, kind=kind)
        base, head = ("-" if number is None else text(number) for number in (one.base, one.head))
        ratio = one.ratio if isinstance(one, Comparison) else None
        cells = (f"{ratio.middle:.3f}", f"{ratio.low:.3f}–{ratio.high:.3f}") if ratio else ("", "")
        yield name, base, head, *cells, one.verdict


def table(outcome: Outcome) -> Table:
    """Return the table for the terminal."""
    rich_table = Table()
    for title in _TITLES:
        number = title not in ("what", "verdict")
        rich_table.add_column(title, justify="right" if number else "left", no_wrap=number)
    for what, base, head, ratio, between, verdict in _rows(outcome):
        ratio = f"{ratio} [dim]{between}[/]" if ratio else ""
        rich_table.add_row(escape(what), base, head, ratio, verdict, style=_COLORS.get(verdict))
    return rich_table


def markdown(outcome: Outcome) -> str:
    """Return the table and its conclusion as Markdown, for a page such as the summary of a job on
    GitHub.
    """
    rows = []
    for what, base, head, ratio, between, verdict in _rows(outcome):
        what = what.replace("|", "\\|").replace("\n", " ")
        verdict = f"**{verdict}**" if _COLORS.get(verdict) == "red" else verdict
        rows.append([what, base, head, f"{ratio} {between}".strip(), verdict])
    table = timing.markdown(_TITLES, rows, right="123")
    return "\n\n".join([f"### {TITLE}", table, f"**{conclusion(outcome)}**", notes(outcome)]) + "\n"


def conclusion(outcome: Outcome) -> str:
    """Say by name what fails, or that nothing does, and what to do about each verdict."""
    if outcome.worse:
        worse = [f"{count.quantity.name}: {count.base} to {count.head}" for count in outcome.worse]
        return f"FAILED, more than before, and so nothing was timed: {'; '.join(worse)}."
    slower = [
        f"{c.quantity.name} ({c.ratio.middle - 1:+.1%})" for c in outcome.comparisons if c.slower
    ]
    if slower:
        return f"FAILED, slower in two rounds: {'; '.join(slower)}."
    gone = ""
    if outcome.gone:
        gone = f" Not compared, for head does not measure it: {'; '.join(outcome.gone)}."
    if not outcome.comparisons:
        return f"Passed: no count is worse. Nothing was timed.{gone}"
    n_undecided = sum(c.verdict == "undecided" for c in outcome.comparisons)
    return (
        f"Passed: nothing is shown to be "
        f"slower{f', {n_undecided} undecided' if n_undecided else ''}.{gone}"
    )


def notes(outcome: Outcome) -> str:
    """Explain how to read the table, and how many runs it took."""
    base, head = outcome.first_runs
    said = (
        f"First runs, which may compile: base {base:.1f} s, head {head:.1f} s. All took "
        f"{outcome.seconds:.0f} s."
    )
    if not outcome.comparisons:
        return said
    thresholds = sorted({c.threshold for c in outcome.comparisons})
    most = max(len(c.rounds[0]) for c in outcome.comparisons)
    return (
        f"Medians of {most} pairs of processes, run in turn, and the {CONFIDENCE:.0%} interval of "
        f"the ratio. Slower: the whole interval above {' or '.join(f'{t:g}' for t in thresholds)}, "
        f"in two rounds. {said}"
    )


def save(outcome: Outcome, path: Path) -> None:
    """Write the outcome as JSON: each pair, interval and verdict, and whether the gate passed."""
    report: dict[str, Any] = {
        "format": FORMAT,
        "passed": outcome.passed,
        "confidence": CONFIDENCE,
    } | outcome._asdict()
    for name in ("comparisons", "alone", "counts"):
        report[name] = [
            one.quantity._asdict() | {"base": one.base, "head": one.head, "verdict": one.verdict}
            for one in getattr(outcome, name)
        ]
    for facts, c in zip(report["comparisons"], outcome.comparisons, strict=True):
        facts |= {
            "ratio": c.ratio._asdict(),
            "threshold": c.threshold,
            "slower": c.slower,
            "rounds": c.rounds,
        }
    path.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


def draw(outcome: Outcome) -> "Figure":
    """Draw each ratio with its interval, and the limit above which it is slower; where nothing was
    timed, say why.
    """
    if not outcome.comparisons:
        figure, axes = plotting.empty_figure(TITLE, "", "")
        figure.set_figheight(2.0)
        axes.set_axis_off()
        axes.annotate(
            textwrap.fill(conclusion(outcome), 80), (0, 0.4), xycoords="axes fraction", fontsize=13
        )
        return figure
    rows = {c.quantity.name: c.ratio for c in outcome.comparisons}
    wrong = {c.quantity.name for c in outcome.comparisons if c.slower}
    limits = sorted({c.threshold for c in outcome.comparisons if c.quantity.kind == "trainings"})
    return plotting.ratios(
        rows, wrong, limits, TITLE, f"head / base, {outcome.cpu}, {outcome.date}"
    )
