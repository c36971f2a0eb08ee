"""The command ``fastnn fit``: fits a model to a table file, and says how good it is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from fastnn import plotting
from fastnn.checking.arguments import cut, listed
from fastnn.cli.console import File, check_names, check_output, count_of, err, option, say, tell
from fastnn.cli.tables import (
    NA,
    TABLE,
    TableError,
    about_table,
    are_names,
    begin_with_zero,
    check_columns,
    check_numbers,
    columns_with_zeros,
    read_table,
    tell_blanks,
    words_read_as_gaps,
)
from fastnn.memory import Array

if TYPE_CHECKING:
    from pandas import DataFrame, Series

MOST_CLASSES = 10
"""Different whole numbers of a target up to which they are classes."""

MOST_COLUMNS = 100
"""Columns that are listed."""

FEWEST_TO_JUDGE = 40
"""Rows left out from which on their error says something of other rows."""

STANDARD_ERRORS = 2.0
"""Of a mean difference of log losses, from which on it is taken for more than chance."""

MOST_EXACT = 2**53
"""Up to which float64 has all whole numbers."""

_TASK = option(
    "classes|numbers",
    "What to predict. By default classes, if the target has words or up to "
    f"{MOST_CLASSES} different whole numbers.",
)
_PRESET = option("fast|good|best", "How long to train, for how small an error.")
_GROUPS = option("NAME", "The column that says which rows belong together, such as a patient.")
_DROP = option("NAME", "A column to leave out; repeat the option for several.")
_CATEGORY = option("NAME", "A column of numbers that are names; repeat the option for several.")
_SEED = option("N", "Seed of all that is drawn.", min=0, max=2**32 - 1)
_PLOT = option("FILE", "Draw losses and errors into a .png, .svg or .pdf file.")


def _refuse_interval(probability: str | None) -> None:
    if probability is not None:
        fault = "a model of numbers has intervals of each probability: say it to fastnn predict"
        raise typer.BadParameter(fault)


_INTERVAL = typer.Option(hidden=True, callback=_refuse_interval)


def fit(
    table: Annotated[Path, TABLE],
    target: Annotated[str, option("NAME", "The column to predict.")],
    out: Annotated[Path, option("FILE.npz", "The file to write the model to.")],
    *,
    task: Annotated[str | None, _TASK] = None,
    preset: Annotated[str, _PRESET] = "good",
    groups: Annotated[str | None, _GROUPS] = None,
    drop: Annotated[list[str] | None, _DROP] = None,
    category: Annotated[list[str] | None, _CATEGORY] = None,
    na: Annotated[list[str] | None, NA] = None,
    seed: Annotated[int, _SEED] = 0,
    plot: Annotated[File, _PLOT] = None,
    interval: Annotated[str | None, _INTERVAL] = None,
) -> None:
    """Fit a model to a table.

    TABLE is a CSV file, compressed or not, or a Parquet file; it may have numbers, words and gaps.
    The command prints how it read each column, and the error on rows that the networks left out
    beside that of always saying the mean or the commonest class. `fastnn predict` uses the model.
    """
    from fastnn.tabular import TabularClassifier, TabularRegressor
    from fastnn.tabular.members import PRESETS

    estimators: dict[str, Any] = {"classes": TabularClassifier, "numbers": TabularRegressor}
    check_names("--preset", [preset], PRESETS)
    check_names("--task", [task] if task else None, estimators)
    check_output(out, "--out", ".npz")
    check_output(plot, "--plot")
    columns = {"--target": [target], "--groups": [groups] if groups else []}
    columns |= {"--drop": drop or [], "--category": category or []}
    frame = _read(table, na)
    check_columns(frame, table, columns)
    _check_target_stays(target, columns)
    frame, X = _rows_and_inputs(frame, table, columns, task)
    task, y = _as_task(frame[target], task, table)
    tell(f"fitting {preset!r} to {count_of(len(y), 'row')}")
    with about_table(table, frame.index, target, groups):
        model = estimators[task](preset, random_state=seed, verbose=err.is_terminal)
        model.fit(X, y, groups=frame[groups] if groups else None)
        model.save(out)
    _print_columns(model, list(X.columns))
    _print_error(model, np.asarray(y))
    say(f"Model: {out}")
    if plot:
        say(f"Picture: {plotting.save(model.plot(), plot)}")


def _read(table: Path, na: list[str] | None) -> "DataFrame":
    """Read the table; say how large it is, and which words are gaps."""
    frame = read_table(table, na)
    say(f"{table}: {count_of(len(frame), 'row')}, {count_of(frame.shape[1], 'column')}")
    if na is None and (words := words_read_as_gaps(table, frame)):
        say(f"Read as gaps: {words} (--na says which words are gaps)")
    return frame


def _rows_and_inputs(
    frame: "DataFrame", table: Path, columns: dict[str, list[str]], task: str | None
) -> tuple["DataFrame", "DataFrame"]:
    """Return the rows of a table that have a target, and their inputs; `columns` are those of each
    option. Say which columns are names, and which are left out.
    """
    (target,) = columns["--target"]
    groups = columns["--groups"]
    categories = columns["--category"]
    no_inputs = [target, *groups, *columns["--drop"]]
    classes = [target] if task == "classes" else []
    amounts = [target] if task == "numbers" else []
    frame = _without_row_numbers(frame, [*no_inputs, *categories])
    names = [*classes, *groups, *categories]
    _read_names(frame, table, target, names, [*amounts, *columns["--drop"]])
    for name in categories:
        frame[name] = frame[name].astype("category")
    inputs = frame.columns.difference(no_inputs, sort=False)
    if inputs.empty:
        raise TableError("no column is left to predict from")
    frame = _with_target(frame, table, target)
    X = frame[inputs]
    for name in groups:
        _check_groups(frame[name], table)
    check_numbers(X, table)
    tell_blanks(frame[[*inputs, target]], table)
    return frame, X


def _read_names(
    frame: "DataFrame", table: Path, target: str, names: list[str], others: list[str]
) -> None:
    """Put texts into columns of numbers that begin with 0 and are names, such as codes of towns:
    those of `names`, and further ones, but for `others`, by their cells. Say which columns have
    such numbers.
    """
    texts = columns_with_zeros(frame.drop(columns=others), table)
    of_names = [name for name in texts if name in names or are_names(texts[name])]
    for name in of_names:
        frame[name] = texts[name]
    of_amounts = list(texts.columns.difference(of_names, sort=False))
    if of_names:
        of_target = f", or say --task numbers for {target!r}" if target in of_names else ""
        read = f"Read as names, since numbers in them begin with 0: {_with_zeros(texts[of_names])}"
        say(f"{read}: write amounts without zeros before them{of_target}")
    if of_amounts:
        of_target = f", --task classes in {target!r}" if target in of_amounts else ""
        read = f"Read as numbers, though a few begin with 0: {_with_zeros(texts[of_amounts])}"
        say(f"{read}: --category reads names{of_target}")


def _with_zeros(texts: "DataFrame") -> str:
    """Return the names of columns, each with its first number that begins with 0."""
    parts = []
    for name, column in texts.items():
        row = begin_with_zero(column).idxmax()
        parts.append(f"{name!r} ({cut(column[row])!r} in row {row + 1:,})")
    return cut(", ".join(parts))


def _check_target_stays(target: str, columns: dict[str, list[str]]) -> None:
    """Raise an error if an option that is for other columns names the target."""
    for name in ("--groups", "--drop", "--category"):
        if target in columns[name]:
            fault = f"{target!r} is the target, not a column to predict from"
            raise typer.BadParameter(f"{fault}; --task says what it holds", param_hint=name)


def _with_target(frame: "DataFrame", table: Path, target: str) -> "DataFrame":
    """Return the rows that have a target, and say how many have none."""
    has_target = frame[target].notna()
    if not has_target.any():
        raise TableError(f"column {target!r} is empty: there is nothing to learn")
    infinite = frame[target].isin([np.inf, -np.inf])
    if infinite.any():
        fault = f"column {target!r} is infinite in row {infinite.idxmax() + 1:,}"
        way = "write a number there, or leave the cell empty, to leave out the row"
        raise TableError(f"{table}: {fault}: {way}")
    if not has_target.all():
        say(f"Rows without {target!r}, not used: {(~has_target).sum():,}")
    return frame[has_target]


def _check_groups(groups: "Series", table: Path) -> None:
    """Raise TableError for rows of no group."""
    is_gap = groups.isna()
    if is_gap.any():
        rows = f"{count_of(int(is_gap.sum()), 'row')}, such as row {is_gap.idxmax() + 1:,}"
        way = "fill in the groups, or leave out these rows"
        raise TableError(f"{table}: column {groups.name!r} of groups is empty in {rows}: {way}")


def _without_row_numbers(frame: "DataFrame", others: list[str]) -> "DataFrame":
    """Return the columns, without those of no name that hold a whole number for each row, in any
    order; warn of others whose numbers rise from row to row, but for `others`.
    """
    whole = frame.drop(columns=others).select_dtypes("integer")
    unnamed = [name for name in whole if name.startswith("Unnamed: ")]  # as pandas calls it
    unnamed = [name for name in unnamed if whole[name].is_unique]
    if unnamed:
        say("Left out: a column without a name, which numbers the rows")
        whole = whole.drop(columns=unnamed)
    if named := [name for name in whole if (np.diff(whole[name]) > 0).all()]:
        fault = f"column {listed(named)} numbers the rows"
        tell(f"{fault}: leave it out by --drop, unless it says something of new rows")
    return frame.drop(columns=unnamed)


def _task_of(y: "Series") -> str:
    """Return what a target holds, and say why; raise TableError for words that are no classes."""
    from fastnn.tabular.doubts import reading_of

    n = y.nunique()
    if y.dtype.kind in "iuf":
        if n > MOST_CLASSES or (y % 1 != 0).any():
            say(f"{y.name!r} has {count_of(n, 'different number')}: numbers")
            return "numbers"
        numbers = count_of(n, "different whole number")
        say(f"{y.name!r} has {numbers}: classes (--task numbers: numbers)")
        return "classes"
    if n > len(y) / 2 or reading_of(y.value_counts().to_dict()):
        fault = f"column {y.name!r} has {count_of(n, 'different word')}, such as {y.iloc[0]!r}"
        way = "write amounts as plain numbers, or say --task classes if these are classes"
        raise TableError(f"{fault}: {way}")
    say(f"{y.name!r} has {count_of(n, 'different word')}: classes")
    return "classes"


def _as_task(y: "Series", task: str | None, table: Path) -> tuple[str, "Series"]:
    """Return what a target holds, as the caller says or as it seems, and its labels or numbers."""
    if task != "classes":
        check_numbers(y.to_frame(), table)
    task = task or _task_of(y)
    return task, _as_classes(y, table) if task == "classes" else y


def _as_classes(y: "Series", table: Path) -> "Series":
    """Return whole numbers as integers, which are floats where other rows had a gap; raise
    TableError for decimals.
    """
    if y.dtype.kind != "f":
        return y
    decimals = y[y % 1 != 0]
    if len(decimals):
        fault = f"column {y.name!r} holds decimals ({decimals.iloc[0]} in row "
        fault += f"{decimals.index[0] + 1:,}), which are no classes"
        raise TableError(f"{table}: {fault}: say --task numbers, or leave out --task")
    return y.astype("int64") if y.abs().max() <= MOST_EXACT else y


def _print_columns(model: Any, names: list[str]) -> None:
    """Print how each column was read."""
    from fastnn.tabular.base import column_in_words

    width = max(map(len, names[:MOST_COLUMNS])) + 2
    for j, name in enumerate(names[:MOST_COLUMNS]):
        say(f"  {name:<{width}}{column_in_words(model.preparation_, j)}", indent=width)
    if len(names) > MOST_COLUMNS:
        say(f"  ... and {count_of(len(names) - MOST_COLUMNS, 'other column')}")


def _print_error(model: Any, y: Array) -> None:
    """Print the error on rows left out beside that of a guess that looks at no column."""
    tells_more = False
    if hasattr(model, "classes_"):
        p = model.oob_decision_function_
        left_out = ~np.isnan(p[:, 0])
        labels, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
        guess = labels[counts.argmax()]
        ours = np.mean((model.classes_[p.argmax(axis=1)] != y)[left_out])
        theirs = np.mean((guess != y)[left_out])
        of_model = f"{ours:.1%} are wrong"
        of_guess = f"{guess!s}: {theirs:.1%}"
        tells_more = _tells_more(p[left_out], counts / len(y), codes[left_out])
    else:
        left_out = ~np.isnan(model.oob_prediction_)
        guess = y.mean()
        ours = np.sqrt(np.mean((model.oob_prediction_ - y)[left_out] ** 2))
        theirs = np.sqrt(np.mean((guess - y)[left_out] ** 2))
        of_model = f"root mean squared error {_digits(ours)}"
        of_guess = f"the mean, {_digits(guess)}: {_digits(theirs)}"
    n_left_out = int(left_out.sum())
    rows = count_of(n_left_out, "row")
    if n_left_out < FEWEST_TO_JUDGE:
        verb = "was" if n_left_out == 1 else "were"
        say(f"Only {rows} {verb} left out: too few to judge the model by", "yellow")
        return
    say(f"Judged on {rows} left out of training: {of_model}")
    say(f"Always saying {of_guess}")
    if ours >= theirs and tells_more:
        more = "but the probabilities tell more than the shares of classes: see fastnn predict"
        say(f"That is no better, {more}")
    elif ours >= theirs:
        say("That is no better: the model has learned nothing of use", "yellow")


def _tells_more(probabilities: Array, shares: Array, codes: Array) -> bool:
    """Return whether the log loss of rows of the classes `codes` is less than that of the shares
    of the classes by more than chance.
    """
    of_truth = np.take_along_axis(probabilities, codes[:, np.newaxis], axis=1)[:, 0]
    smallest = np.finfo(probabilities.dtype).tiny
    gains = np.log(np.maximum(of_truth, smallest)) - np.log(shares[codes])
    return bool(gains.mean() > STANDARD_ERRORS * gains.std() / np.sqrt(len(gains)))


def _digits(number: float) -> str:
    """Return a number with four digits or more."""
    return f"{number:,.4g}" if abs(number) < 1000 else f"{number:,.0f}"
