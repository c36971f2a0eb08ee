"""Printing by the commands (rich): answers on stdout, progress on stderr."""

import os
import textwrap
import time
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from fastnn import plotting
from fastnn.checking.arguments import did_you_mean
from fastnn.testing.cases import DTYPES

out = Console(highlight=False)
err = Console(stderr=True)
SILENCE = 5.0  # Seconds between two lines on how far a command is, where it draws no bar


def say(text: str, style: str | None = None, indent: int = 0) -> None:
    """Print the lines of a text, each wrapped to the terminal and then indented; a path stays in
    one piece.
    """
    wrapped = []
    for line in map(printable, text.splitlines()):
        indents = indent + len(line) - len(line.lstrip())
        text = textwrap.fill(
            line,
            max(out.width, 20 + indents),
            subsequent_indent=" " * indents,
            break_long_words=False,
            break_on_hyphens=False,
        )
        wrapped.append(text)
    out.print("\n".join(wrapped), style=style, soft_wrap=True, markup=False)


def tell(text: str) -> None:
    """Print a line on stderr: what is being done, or a warning."""
    err.print(f"fastnn: {printable(text)}", soft_wrap=True, markup=False, highlight=False)


def count_of(n: int, noun: str) -> str:
    """Return "1 row", "2,000 rows"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def printable(text: str) -> str:
    """Return a line without what a terminal would obey: a file may hold escape sequences."""
    return "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text)


def new_table(*titles: str, texts: Container[str] = (), wrapped: Container[str] = ()) -> Table:
    """Return a table whose columns hold numbers, those of `texts` text; only the cells of `wrapped`
    are wrapped.
    """
    table = Table()
    for title in titles:
        table.add_column(
            title, justify="left" if title in texts else "right", no_wrap=title not in wrapped
        )
    return table


def show(title: str, table: Table) -> None:
    """Print a table under its title. It grows beyond a narrow terminal rather than lose a digit or
    a part of a word.
    """
    say(title, "bold")
    wide = out.options.update(max_width=1000)
    least = 1
    for column in table.columns:  # as wide as its longest word, or line if it does not wrap
        sizes = [Measurement.get(out, wide, cell) for cell in (column.header, *column.cells)]
        least += 3 + max(size.maximum if column.no_wrap else size.minimum for size in sizes)
    if least > out.width:
        table.width = least
    out.print(table, crop=False)


BOTH = "both"
File = Path | None


def option(metavar: str, text: str, **more: Any) -> Any:
    """Return an option of a command by what stands for its value, and its help."""
    return typer.Option(metavar=metavar, help=text, **more)


def chosen_dtypes(dtype: str) -> tuple[str, ...]:
    """Return the dtypes that ``--dtype`` asks for: one by its name, or both."""
    if dtype not in (BOTH, *DTYPES):
        raise typer.BadParameter(
            f"it is float32, float64 or both, not {dtype!r}", param_hint="--dtype"
        )
    return DTYPES if dtype == BOTH else (dtype,)


def check_names(option: str, names: Iterable[str] | None, legal: Iterable[str]) -> None:
    """End the command with 2 if an option has a name that is not legal."""
    for name in names or ():
        if name not in legal:
            told = "; ".join(legal)  # commas are in the names
            raise typer.BadParameter(
                f"{name!r}{did_you_mean(name, legal)} is none of: {told}", param_hint=option
            )


def check_output(path: Path | None, option: str, ending: str = "") -> None:
    """End the command with 2 before the work begins if a file could not be written, or its name
    has not the ending.
    """
    if path is None:
        return
    try:
        if not path.name.lower().endswith(ending):
            raise ValueError(f"{path} does not end in {ending}")
        if not path.parent.is_dir():
            raise OSError(f"there is no folder {path.parent}; make it first")
        if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
            raise OSError(f"{path} cannot be written")
        if option == "--plot":
            plotting.format_of(path)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
    if option == "--plot":
        import matplotlib  # noqa: F401  a missing one is reported before anything is computed


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[..., None]]:
    """Show on stderr how far the body is, of `total` steps or None: yield what counts a step and
    may name the next.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    if not err.is_terminal:
        yield _lines(what, total)
        return
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda what=None: bar.update(task, advance=1, description=what)


def _lines(begin: str, total: int | None) -> Callable[..., None]:
    """Print a line on stderr each `SILENCE` seconds, in place of a bar, where stderr is not a
    terminal.
    """
    done = 0
    said = time.monotonic()

    def advance(what: str | None = None) -> None:
        nonlocal done, said
        done += 1
        if time.monotonic() - said >= SILENCE:
            said = time.monotonic()
            of_all = "steps done" if total is None else f"of {total} steps"
            tell(f"{what or begin}, {done} {of_all}")

    return advance
