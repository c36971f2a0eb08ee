"""The command ``fastnn gate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastnn import plotting
from fastnn.cli.console import check_output, progress, say, show
from fastnn.gate import report
from fastnn.gate.compare import PAIRS, THRESHOLD, GateSettings, compare

_COMMAND = "CMD"


def gate(
    base: Annotated[str, typer.Option(metavar=_COMMAND, help="Command that measures the program before the change.")],
    head: Annotated[str, typer.Option(metavar=_COMMAND, help="Command that measures the program after it.")],
    pairs: Annotated[int, typer.Option(min=2, metavar="N", help="Runs of each command at most, in a round.")] = PAIRS,
    threshold: Annotated[
        float, typer.Option(min=1.0, metavar="RATIO", help="Ratio head / base above which head is slower.")
    ] = THRESHOLD,
    counts: Annotated[bool, typer.Option("--counts", help="Compare the counts alone, and time nothing.")] = False,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all samples, ratios and verdicts to a file.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the ratios into a .png, .svg or .pdf.")
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Append the table as Markdown to a file, such as $GITHUB_STEP_SUMMARY."),
    ] = None,
) -> None:
    """Fail where one program is slower than another.

    A gate for continuous integration. The shell runs each command, which measures and prints JSON in the format of
    fastnn bench --json -. The two are run in turn, pair by pair, each run in a process of its own.
    The command ends with 1 if a count is worse, or if the whole interval of a ratio is above the threshold in two
    rounds; with 2 if nothing could be compared.
    """
    for option, path in (("--json", json), ("--plot", plot), ("--summary", summary)):
        check_output(path, option)
    if plot:
        import matplotlib  # noqa: F401  a missing one is reported before anything is run
    settings = GateSettings(pairs=pairs, threshold=threshold, timed=not counts)
    with progress("first runs", 4 if counts else None) as advance:
        outcome = compare(base, head, settings, advance)
    show(report.TITLE, report.table(outcome))
    say(report.notes(outcome), "dim")
    say(report.conclusion(outcome), "red" if not outcome.passed else "yellow" if outcome.gone else "green")
    if json:
        report.save(outcome, json)
        say(f"All samples: {json}")
    if plot:
        say(f"Ratios: {plotting.save(report.draw(outcome), plot)}")
    if summary:
        with summary.open("a", encoding="utf-8") as file:
            file.write(report.markdown(outcome))
    if not outcome.passed:
        raise typer.Exit(1)
