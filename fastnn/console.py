"""Where the commands print (rich): answers on stdout, progress on stderr."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

out = Console(highlight=False)
err = Console(stderr=True)


def say(sentence: str, style: str | None = None) -> None:
    """Print a sentence; the terminal wraps it, a pipe gets one line."""
    out.print(sentence, style=style, soft_wrap=True, markup=False)


def check_output(path: Path | None, option: str) -> None:
    """Refuse a file that could not be written, before the work that is to be written there; missing folders are made.

    Raises
    ------
    typer.BadParameter
        Which ends the command with 2.
    """
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise typer.BadParameter(f"{path} cannot be written", param_hint=option)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[..., None]]:
    """Show a bar on stderr while the body runs; it yields the function that moves the bar on, and may rename it."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    if not err.is_terminal:
        yield lambda what=None: None
        return
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda what=None: bar.update(task, advance=1, description=what)
