"""The command ``fastnn export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fastnn.cli.console import say
from fastnn.files import export as files
from fastnn.files.model import kind_of, load


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
    """Write a saved model for programs without fastnn.

    MODEL is a file that `save` wrote, of a result or an estimator, of tables too. The suffix of FILE is the format.
    """
    saved, formats = _saved(model)
    form = formats.get(to)
    path, name = (to, None) if form is None else (Path(model).with_suffix(form.suffix), to)
    try:
        written = files.export(saved, path, name, formats)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--to") from error
    for path in written:
        say(f"{path}  {path.stat().st_size:,} bytes")
    if note := files.note(saved, written[0], name, formats):
        say(note)


def _saved(path: str) -> tuple[Any, dict[str, files.Format]]:
    """Read a training result or an estimator; return what is exported of it, and the formats that there are."""
    kind = kind_of(path)
    if kind == "result":
        result = load(path)
        return files.Model(result.network, result.params), files.FORMATS
    if kind.startswith("table"):
        from fastnn.tabular import TabularClassifier, TabularRegressor, export

        loaded = (TabularClassifier if kind.endswith("classifier") else TabularRegressor).load(path)
        return export.model_of(loaded), export.FORMATS
    from fastnn.estimators import MLPClassifier, MLPRegressor
    from fastnn.estimators.saving import model_of

    return model_of((MLPClassifier if kind == "classifier" else MLPRegressor).load(path)), files.FORMATS
