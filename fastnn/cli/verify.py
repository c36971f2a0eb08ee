"""The command ``fastnn verify``: runs the conformance suite and prints how near it comes to each
bound.
"""

import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from rich.table import Table

from fastnn.cli.console import (
    BOTH,
    File,
    check_output,
    chosen_dtypes,
    new_table,
    option,
    progress,
    say,
    show,
)
from fastnn.losses import HIDDEN, LOSSES
from fastnn.testing import Outcome, Report, check_backend, conformance_checks, find_backend
from fastnn.testing.conformance import BOUNDS

_NAME = option(
    "NAME", "The name of a back end, or package.module:attribute, which is one or returns one."
)


def verify(
    backend: Annotated[str, _NAME] = "numba",
    dtype: Annotated[str, option("DTYPE", "float32, float64 or both.")] = BOTH,
    json: Annotated[File, option("FILE", "Write each check with its verdict to a file.")] = None,
) -> None:
    """Check a back end against the reference.

    The checks cover every activation, loss and optimizer, and the properties that a back end must
    have. They take half a minute; the first time, kernels are compiled before. The exit code is 1
    if a check fails, or if all checks of a kind are skipped because the back end supports nothing
    that they can compare.
    """
    dtypes = chosen_dtypes(dtype)
    check_output(json, "--json")
    sys.path.insert(0, os.getcwd())  # a module of the user's own is in the current folder
    try:
        implementation = find_backend(backend)
        with progress("verifying", len(list(conformance_checks(dtypes)))) as advance:
            report = check_backend(
                implementation,
                dtypes=dtypes,
                raises=False,
                progress=lambda check: advance(check.kind),
            )
    except (ValueError, TypeError) as error:
        raise typer.BadParameter(str(error), param_hint="--backend") from error
    _print(report, dtypes)
    if json:
        report.save(json)
        say(f"All checks: {json}")
    if report.failed:
        raise typer.Exit(1)


def _print(report: Report, dtypes: tuple[str, ...]) -> None:
    both = " and ".join(dtypes)
    cell = f"worst difference in {both}, as a part of what is allowed"
    gradients = _of_kind(report, "gradient")
    trainings = _of_kind(report, "training")
    optimizers = list(
        dict.fromkeys(outcome.check.optimizer for outcome in trainings if outcome.check.optimizer)
    )
    title = f"Gradients of back end {report.backend}: {cell}, {BOUNDS['gradient']}"
    show(title, _by_loss(gradients, [("activation", HIDDEN)], dtypes))
    title = f"Trainings: {cell}, {BOUNDS['training']}"
    show(title, _by_loss(trainings, [("activation", HIDDEN), ("optimizer", optimizers)], dtypes))
    show("All checks", _by_kind(report))
    say(report.summary(), "red" if report.failed else "green")


def _of_kind(report: Report, kind: str) -> list[Outcome]:
    return [outcome for outcome in report.outcomes if outcome.check.kind == kind]


def _by_loss(
    outcomes: list[Outcome], sections: Iterable[tuple[str, Sequence[str]]], dtypes: tuple[str, ...]
) -> Table:
    """Return a table with a column for each loss, and sections of rows by a field of the check."""
    table = Table()
    table.add_column()
    for loss in LOSSES:
        table.add_column(loss.replace("_", "\n"), justify="right", vertical="bottom", no_wrap=True)
    for field, names in sections:
        table.add_section()
        in_cell = defaultdict(list)
        for outcome in outcomes:
            check = outcome.check
            in_cell[getattr(check, field), check.loss, check.dtype].append(outcome)
        for name in names:
            cells = []
            for loss in LOSSES:
                words = (_worst(in_cell[name, loss, dtype], names_failure=True) for dtype in dtypes)
                cells.append(" ".join(words))
            table.add_row(name, *cells)
    return table


def _by_kind(report: Report) -> Table:
    """Return a table with a row for each kind of check: the bound, how many passed, and the worst
    deviation.
    """
    texts = ("kind", "what is allowed")
    numbers = ("checks", "skipped", "worst")
    table = new_table(
        *texts, *numbers, "verdict", texts=(*texts, "verdict"), wrapped=("what is allowed",)
    )
    for kind, bound in BOUNDS.items():
        outcomes = _of_kind(report, kind)
        n_of = Counter(outcome.verdict for outcome in outcomes)
        verdict = "pass" if n_of["skipped"] < len(outcomes) else "[red]none ran[/]"
        if n_of["failed"]:
            verdict = f"[red]{n_of['failed']} fail[/]"
        counts = str(len(outcomes)), str(n_of["skipped"])
        table.add_row(kind, bound, *counts, _worst(outcomes), verdict)
    return table


def _worst(outcomes: Iterable[Outcome], names_failure: bool = False) -> str:
    """Return the worst deviation of the passed checks as text, a dash if there is none; if
    `names_failure`, "fails".
    """
    if names_failure and any(outcome.verdict == "failed" for outcome in outcomes):
        return "[red]fails[/]"
    worst = max(
        (outcome.deviation for outcome in outcomes if outcome.deviation is not None), default=None
    )
    if worst is None:
        return "-"
    return f"{worst:.2f}".removeprefix("0") if worst >= 0.005 else "<.01"
