"""Where the commands print (rich): answers on stdout, progress on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

out = Console(highlight=False)
err = Console(stderr=True)


def say(sentence: str, style: str | None = None) -> None:
    """Print a sentence; the terminal wraps it, a pipe gets one line."""
    out.print(sentence, style=style, soft_wrap=True, markup=False)


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
