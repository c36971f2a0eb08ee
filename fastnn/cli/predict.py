"""The command ``fastnn predict``: predicts the rows of a table file by a saved model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastnn.checking.arguments import listed
from fastnn.cli.console import File, check_output, count_of, option, say, tell
from fastnn.cli.saved import MODEL, read_model
from fastnn.cli.tables import (
    NA,
    TABLE,
    TableError,
    about_table,
    as_written,
    check_columns,
    check_numbers,
    check_words,
    read_table,
    write_csv,
)
from fastnn.memory import Array

if TYPE_CHECKING:
    from pandas import DataFrame

_OUT = option("FILE.csv", "Where to write; by default the predictions are printed.")
_INTERVAL = option("P", "Add the interval in which a number lies with this probability, as .9.")
_KEEP = option("NAME", "A column of TABLE to write too; repeat the option for several.")


def predict(
    model: Annotated[str, MODEL],
    table: Annotated[Path, TABLE],
    out: Annotated[File, _OUT] = None,
    interval: Annotated[float | None, _INTERVAL] = None,
    keep: Annotated[list[str] | None, _KEEP] = None,
    na: Annotated[list[str] | None, NA] = None,
) -> None:
    """Predict the rows of a table.

    MODEL is a file that `fastnn fit` wrote, or `save` of a result of `train`, an MLP estimator or a
    table estimator. TABLE has the columns that it was fitted on, in any order, and may have others.
    The predictions are CSV, a line for each row; classes have their probabilities beside.
    """
    check_output(out, "--out", ".csv")
    if out is not None and out.resolve() == table.resolve():
        raise typer.BadParameter(f"{out} is the table: name another file", param_hint="--out")
    saved = read_model(model)
    if interval is not None and not hasattr(saved, "predict_interval"):
        fault = "it takes a model of numbers by `fastnn fit`"
        raise typer.BadParameter(fault, param_hint="--interval")
    words = _words(saved)
    frame = read_table(table, na, words)
    check_columns(frame, table, {"--keep": keep or []})
    X = _of_fit(frame, table, saved, keep or [])
    check_numbers(X[X.columns.difference([*words], sort=False)], table)
    check_words(X, table, words)
    with about_table(table, frame.index):
        predictions = _predictions(saved, X, interval)
        for name in predictions.columns.intersection(keep or []):
            fault = f"{name!r} is also a column of the predictions: rename it in the table"
            raise typer.BadParameter(fault, param_hint="--keep")
        predictions = as_written(frame, table, keep or []).join(predictions)
    if out is None:
        typer.echo(predictions.to_csv(index=False), nl=False)
        return
    write_csv(predictions, out)
    say(f"{out}  {count_of(len(frame), 'row')}")


def _words(model: Any) -> dict[str, list[str]]:
    """Return the words of each column that held texts in `fit`, in which digits are texts, too."""
    preparation: Any = getattr(model, "preparation_", None)
    if not hasattr(preparation, "feature_names_in_"):
        return {}
    names = preparation.feature_names_in_
    of_texts = (one for one in preparation.levels_ if isinstance(one.levels[0], str))
    return {names[one.column]: one.levels for one in of_texts}


def _of_fit(frame: "DataFrame", path: Path, model: Any, keep: list[str]) -> "DataFrame":
    """Return the columns that a model was fitted on, if it knows their names; warn of others, but
    for those to keep; raise TableError where one is lacking.
    """
    names = getattr(model, "feature_names_in_", getattr(model, "feature_names", None))
    if names is None:
        return frame
    others = list(frame.columns.difference([*names], sort=False))
    lacking = [name for name in names if name not in frame.columns]
    if lacking:
        column = "column" if len(lacking) == 1 else "columns"
        raise TableError(f"{path} lacks the {column} {listed(lacking, others)}, which fit saw")
    not_kept = [name for name in others if name not in keep]
    if not_kept:
        tell(f"{path} has columns that the model does not use: {listed(not_kept)}")
    return frame[list(names)]


def _predictions(model: Any, frame: "DataFrame", interval: float | None) -> "DataFrame":
    """Return the predictions of rows, with an interval if it is asked for, and probabilities."""
    import pandas

    columns = _named("predicted", model.predict(frame))
    if interval is not None:
        bounds = model.predict_interval(frame, interval)
        columns |= _named("low", bounds[..., 0]) | _named("high", bounds[..., 1])
    if hasattr(model, "predict_proba"):
        labels = (f"probability_{label}" for label in model.classes_)
        columns |= zip(labels, model.predict_proba(frame).T, strict=True)
    return pandas.DataFrame(columns)


def _named(name: str, values: Array) -> dict[str, Array]:
    """Return the columns of predictions (n,) or (n, k) by their names, numbered if k > 1."""
    if values.ndim == 1 or values.shape[1] == 1:
        return {name: values.ravel()}
    return {f"{name}_{k}": column for k, column in enumerate(values.T)}
