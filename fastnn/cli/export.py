"""The command ``fastnn export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastnn.cli.console import say
from fastnn.files import export as files
from fastnn.files.model import load


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", hidden=True)],
    to: Annotated[
        str,
        typer.Option(
            metavar="FILE|FORMAT",
            help=f"The file to write, or the format of one beside the model: {', '.join(files.FORMATS)}.",
        ),
    ],
) -> None:
    """Write a saved network for programs without fastnn.

    MODEL is a file that `save` wrote. The format is that of the suffix of FILE.
    """
    result, form = load(model), files.FORMATS.get(to)
    path, name = (to, None) if form is None else (Path(model).with_suffix(form.suffix), to)
    try:
        written = result.export(path, name)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--to") from error
    for path in written:
        say(f"{path}  {path.stat().st_size:,} bytes")
    if note := files.note(files.Model(result.network, result.params), written[0], name):
        say(note)
