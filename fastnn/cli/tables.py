"""Table files of `fit` and `predict`: CSV and Parquet, read by pandas."""

import csv
import operator
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fastnn.checking.arguments import cut, did_you_mean, listed
from fastnn.checking.hints import missing_package
from fastnn.cli import console
from fastnn.errors import FastnnError
from fastnn.whole_files import write_whole

if TYPE_CHECKING:
    from pandas import DataFrame, Index, Series

TABLE = typer.Argument(metavar="TABLE", hidden=True)

NA = console.option(
    "WORD",
    "A word that is a gap, as an empty cell is; repeat the option for several. It replaces the "
    "words that pandas reads as gaps, such as NA and None.",
)

PARQUET = ".parquet", ".pq"

SEPARATORS = ",;\t|"

ENCODING = {"encoding": "utf-8-sig"}

GAPS = (
    *("NA", "N/A", "n/a", "<NA>", "#N/A", "#N/A N/A", "#NA", "None", "NULL", "null"),
    *("NaN", "nan", "-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)
"""The words that pandas reads as gaps."""

ROWS_TO_LOOK_AT = 1_000
"""Rows by which a column of numbers is doubted."""

THOUSANDS = {
    ".": r"[-+]?[1-9]\d{0,2}(?:\.\d{3})+",
    ",": r"[-+]?[1-9]\d{0,2}(?:,\d{3})+",
}
"""{the decimal sign of a column: a number in which it may separate thousands instead}."""

SIGNS = {".": "point", ",": "comma"}

MOST_WORDS = 0.1
"""The share of words up to which a column is taken for one of numbers with mistakes."""

ROWS_AT_A_TIME = 10_000
"""Rows that are searched for zeros at once."""

_SOME_ZERO = re.compile(r"\s0\d")
"""In lines, of which each is a cell."""

MOST_ZEROS = 0.05
"""The share of cells that begin with 0 up to which a column is taken for one of amounts."""

IN_COMMANDS = {
    'say .astype("category")': "say --category",
    "drop the column if it only numbers the rows": (
        "leave it out by --drop if it only numbers the rows, write plain numbers if it has amounts"
    ),
    "drop it, or": "leave it out by --drop, or",
    'make booleans of them, by .map({"True": True, "False": False})': "write True or False there",
    "make words of them, by .astype(str)": "write words there",
    "say NaN where a number is unknown, or": "leave the cell empty, or write",
    "put numbers in its place": "leave it out by --drop, or put numbers in its place",
}
"""{remedy in Python: the remedy for a command}."""

IN_PYTHON = re.compile("make numbers of them.*?(?=, or say| if texts|; the same|$)", re.MULTILINE)
"""The remedy in Python for words that read as numbers."""

_QUOTED = r"""(?<!\w)(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
ROW_IN_PYTHON = re.compile(rf"{_QUOTED}|((?:in|such as) row )(\d+)")
"""The place of a row in the messages of Python, whose first row is row 0; or a text in quotes, such
as a name or a cell, which may speak of a row, too."""


class TableError(FastnnError):
    """A file that is no table, or a table that a model does not take."""


def read_table(
    path: Path, na: Sequence[str] | None = None, words: Mapping[str, Sequence[str]] | None = None
) -> "DataFrame":
    """Read a table of one row or more.

    Of a CSV file, `na` are the words of gaps, in place of `GAPS`. In the columns of {name: words},
    digits stay texts, and these words are no gaps.

    Raises
    ------
    OSError
        Where there is no such file, or it must not be read.
    TableError
        Where it is no table.
    """
    try:
        import pandas
    except ImportError as error:
        raise missing_package("pandas", "a table needs") from error
    with path.open("rb"):  # a name that pandas takes for an address is refused, too
        pass
    try:
        if _is_parquet(path):
            frame = pandas.read_parquet(path).reset_index(drop=True)
        else:
            frame = _read_csv(path, GAPS if na is None else na, words or {})
    except ImportError as error:
        raise missing_package("pyarrow", "a Parquet file needs") from error
    except UnicodeDecodeError as error:
        raise TableError(f"{path} is no text in UTF-8: save it as CSV in UTF-8") from error
    except Exception as error:  # pandas and what it unpacks by raise any for a damaged file
        raise TableError(f"{path} cannot be read as a table: {cut(error)}") from error
    if not len(frame):
        raise TableError(f"{path} has no rows")
    frame.columns = frame.columns.map(str)
    return frame


def _is_parquet(path: Path) -> bool:
    """Return whether a table is a Parquet file, by its name; all others are CSV."""
    return path.suffix.lower() in PARQUET


def _read_csv(path: Path, na: Sequence[str], words: Mapping[str, Sequence[str]]) -> "DataFrame":
    """Read a CSV file, whose first line names the columns and shows what separates them."""
    import pandas

    layout = _layout(path)
    _check_names(path, layout)
    names = pandas.read_csv(path, nrows=0, **layout).columns
    options: dict[str, Any] = {
        "dtype": dict.fromkeys(words, str),
        "na_values": {name: {"", *na}.difference(words.get(name, ())) for name in names},
        "keep_default_na": False,
        "low_memory": False,  # else digits may be numbers in one part of a column, texts in others
        **layout,
    }
    if int(pandas.__version__.partition(".")[0]) < 3:  # which errs in the last bit else
        options["float_precision"] = "round_trip"
    frame = pandas.read_csv(path, **options)
    if not frame.index.equals(pandas.RangeIndex(len(frame))):  # of a field before the first name
        fault = "its rows have more fields than its first line has names"
        raise ValueError(f"{fault}: {_first_line(path)!r} must hold the name of each column")
    with_comma: list[str] = []
    if layout["sep"] != ",":
        other = pandas.read_csv(path, decimal=",", **options)
        is_number = other.columns.isin(other.select_dtypes("number").columns)
        with_comma = list(
            other.columns[is_number].difference(frame.select_dtypes("number").columns)
        )
        frame[with_comma] = other[with_comma]
    _tell_thousands(path, frame, with_comma)
    return frame


def _layout(path: Path) -> dict[str, Any]:
    """Return the options of `read_csv` that say what separates the columns of a CSV file, by its
    first line, which may be one for Excel, such as sep=;, before that of the names.
    """
    import pandas

    first_line = ",".join(pandas.read_csv(path, nrows=0, **ENCODING).columns)
    if said := re.match(r"sep=([,;\t|])", first_line):
        return {"sep": said[1], "skiprows": 1, **ENCODING}
    return {"sep": max(SEPARATORS, key=first_line.count), **ENCODING}


def _first_line(path: Path) -> str:
    """Return the line of names of a CSV file, for a message."""
    import pandas

    whole = {"header": None, "sep": "\0", "quoting": csv.QUOTE_NONE, "dtype": str}
    return cut(pandas.read_csv(path, nrows=1, **_layout(path) | whole).iloc[0, 0])


def _check_names(path: Path, layout: Mapping[str, Any]) -> None:
    """Raise ValueError for a name that is there twice, of which pandas makes another one."""
    import pandas

    first = pandas.read_csv(path, nrows=1, header=None, dtype=str, **layout)
    names = first.iloc[0].dropna()
    twice = list(names[names.duplicated()].unique())
    if twice:
        raise ValueError(f"several columns have the name {listed(twice)}: rename them")


def read_texts(path: Path, names: Sequence[str], n_rows: int | None = None) -> "DataFrame":
    """Read columns of a CSV file as the cells stand there, texts without gaps, of the first rows or
    of all.
    """
    return _texts_of(path, names, nrows=n_rows)[[*names]]


def _texts_of(path: Path, names: Sequence[str], **rows: int | None) -> Any:
    """Return what pandas reads of columns as texts, all of these rows or some at a time."""
    import pandas

    options: dict[str, Any] = {"usecols": names, "dtype": str, "na_filter": False}
    return pandas.read_csv(path, **rows, **options, **_layout(path))


def columns_with_zeros(frame: "DataFrame", path: Path) -> "DataFrame":
    """Return as texts, with gaps, the columns of a CSV file that were read as numbers and may be
    names, such as 0101: all cells are digits alone, some with a 0 before others.
    """
    numbers = frame.select_dtypes("number")
    whole = [name for name, column in numbers.items() if (column.dropna() % 1 == 0).all()]
    if _is_parquet(path) or not whole:
        return frame[[]]
    with_zero = _with_some_zero(path, whole)
    some = [name for name in whole if name in with_zero]
    if not some:
        return frame[[]]
    texts = read_texts(path, some).where(frame[some].notna())
    return texts[[name for name in some if _has_zeros(texts[name])]]


def _with_some_zero(path: Path, names: Sequence[str]) -> set[str]:
    """Return which columns of a CSV file have a cell with a 0 before other digits, by a few rows at
    a time: as texts, a column takes many times the memory of its numbers.
    """
    some = set()
    for texts in _texts_of(path, names, chunksize=ROWS_AT_A_TIME):
        for name in names:
            if _SOME_ZERO.search("\n" + "\n".join(texts[name].to_numpy())):
                some.add(name)
    return some


def _has_zeros(column: "Series") -> bool:
    """Return whether all texts are digits alone, some with a 0 before others."""
    cells = column.drop_duplicates().dropna().str.strip()
    return cells.str.fullmatch(r"\d+").all() and begin_with_zero(cells).any()


def begin_with_zero(column: "Series") -> "Series":
    """Return for each text whether it is digits with a 0 before others; a gap is not."""
    return column.str.fullmatch(r"\s*0\d+\s*", na=False)


def are_names(column: "Series") -> bool:
    """Return whether texts of digits, some with a 0 before others, are names: all have equally many
    digits, or more of them begin with 0 than mistakes do.
    """
    cells = column.dropna().str.strip()
    return cells.str.len().nunique() == 1 or begin_with_zero(cells).mean() > MOST_ZEROS


def as_written(frame: "DataFrame", path: Path, names: Sequence[str]) -> "DataFrame":
    """Return columns of a table that was read: of a CSV file as the cells stand there."""
    return frame[[*names]] if _is_parquet(path) or not names else read_texts(path, names)


def _tell_thousands(path: Path, frame: "DataFrame", with_comma: list[str]) -> None:
    """Warn of columns of numbers whose decimal sign seems to separate thousands, by the first rows:
    whole numbers below 1,000 have none, or the other sign is surely the decimal one elsewhere.
    """
    numbers = list(frame.select_dtypes("float").columns)
    if not numbers:
        return
    texts = read_texts(path, numbers, ROWS_TO_LOOK_AT)
    doubted: list[tuple[str, str, str, list[str]]] = []
    decimal: dict[str, str] = {}  # {sign: the first column whose decimal sign it surely is}
    for name in numbers:
        sign = "," if name in with_comma else "."
        text = texts[name][frame[name].head(ROWS_TO_LOOK_AT).notna()].str.strip()
        with_sign = text[text.str.contains(sign, regex=False)]
        if with_sign.empty:
            continue
        if with_sign.str.fullmatch(THOUSANDS[sign]).all():
            without = text[text.str.fullmatch(r"[-+]?\d{1,3}")]
            doubted.append((name, sign, with_sign.iloc[0], list(without)))
        else:
            decimal.setdefault(sign, name)
    for name, sign, example, small in doubted:
        other = "," if sign == "." else "."
        if other in decimal:
            beside = f"column {decimal[other]!r} has decimal {SIGNS[other]}s"
        elif small:
            beside = f"{small[0]} without a {SIGNS[sign]}"
        else:
            continue
        fault = f"{path}: column {name!r} has {example}, and {beside}"
        right = f"if the {SIGNS[sign]}s separate thousands, write numbers without them"
        console.tell(f"{fault}: {right}")


def words_read_as_gaps(path: Path, frame: "DataFrame") -> str:
    """Return how many cells of which words are gaps in each column of words of a CSV file."""
    with_gaps = frame.columns[frame.isna().any()].difference(frame.select_dtypes("number").columns)
    if with_gaps.empty or _is_parquet(path):
        return ""
    parts = []
    for name, column in read_texts(path, list(with_gaps)).items():
        counts = column[frame[name].isna()].value_counts()
        parts += [f"{n:,} {word!r} in {name!r}" for word, n in counts.items() if word]
    return cut(", ".join(parts))


def tell_blanks(frame: "DataFrame", path: Path) -> None:
    """Warn of words that differ by the blanks around them alone, by two words of each column."""
    pairs = []
    for name, column in frame.select_dtypes(exclude="number").items():
        first: dict[str, str] = {}  # {word without blanks around it: the first such word}
        words = [word for word in column.unique() if isinstance(word, str)]
        for word in words:
            other = first.setdefault(word.strip(), word)
            if other != word:
                pairs.append(f"column {name!r} has {cut(repr(word))} beside {cut(repr(other))}")
                break
    if pairs:
        fault = f"{path}: {cut('; '.join(pairs))}, which are two words"
        console.tell(f"{fault}: write them alike if they mean the same")


def write_csv(frame: "DataFrame", path: Path) -> None:
    """Write a table, whole or not at all."""
    write_whole({path: operator.methodcaller("write", frame.to_csv(index=False).encode())})


def check_columns(frame: "DataFrame", path: Path, names: Mapping[str, Sequence[str]]) -> None:
    """End the command with 2 if a table lacks a column of {option: names of columns}."""
    there = list(frame.columns)
    for option, columns in names.items():
        for name in columns:
            if name not in there:
                fault = f"{path} has no column {name!r}{did_you_mean(name, there)}"
                raise typer.BadParameter(f"{fault}; it has {listed(there)}", param_hint=option)


def check_numbers(frame: "DataFrame", path: Path) -> None:
    """End the command with 2 where columns hold numbers but for a few words; name one of each."""
    import pandas

    faults = []
    for name, column in frame.items():
        if isinstance(column.dtype, pandas.CategoricalDtype):
            continue
        cells = column.dropna()
        words = cells[pandas.to_numeric(cells, errors="coerce").isna()]
        if 0 < len(words) <= MOST_WORDS * len(cells):
            fault = f"column {name!r} holds numbers but for {len(words):,} of its "
            fault += f"{len(cells):,} cells, such as {cut(words.iloc[0])!r} in row "
            faults.append(f"{fault}{words.index[0] + 1:,}")
    if faults:
        right = "write numbers there, leave the cells empty, or say by --na which words are gaps"
        raise TableError(f"{path}: {'; '.join(faults)}: {right}")


def check_words(frame: "DataFrame", path: Path, words: Mapping[str, Sequence[str]]) -> None:
    """End the command with 2 where a column of texts holds numbers alone, and its `words` in `fit`
    read as numbers that were written otherwise, such as with a unit.
    """
    from fastnn.tabular.columns import is_number
    from fastnn.tabular.doubts import reading_of

    for name in frame.columns.intersection([*words]):
        cells = frame[name].dropna()
        levels = words[name]
        if not len(cells) or not all(map(is_number, cells)) or any(map(is_number, levels)):
            continue
        if reading := reading_of(dict.fromkeys(levels, 1)):
            fault = f"column {name!r} holds numbers ({cut(cells.iloc[0])!r} in row "
            fault += f"{cells.index[0] + 1:,}) and held words in fit ({reading.example})"
            right = "write them as in the table of fit, or fit again on a table of numbers"
            raise TableError(f"{path}: {fault}: {right}")


def _plain_numbers(remedy: re.Match[str]) -> str:
    """Return the remedy for a command in place of one in Python for words that read as numbers."""
    right = "write plain numbers, such as 1234.5, without units"
    return right + ", and say by --na which words are gaps" * ('errors="coerce"' in remedy[0])


@contextmanager
def about_table(
    path: Path, rows: "Index", target: str = "", groups: str | None = None
) -> Iterator[None]:
    """Print warnings as lines on stderr, and end the command by an error in a line, with the names
    of file and columns for X, y and groups, and the options of commands for remedies in Python.

    `rows` are the numbers of these rows in the file, from 0; people count them from 1.
    """
    arguments = {"X": str(path), "y": f"column {target!r}", "groups": f"column {groups!r}"}

    def in_file(row: re.Match[str]) -> str:
        if row[2] is None or int(row[2]) >= len(rows):  # a text of the table
            return row[0]
        return f"{row[1]}{rows[int(row[2])] + 1:,}"

    def in_commands(message: object) -> str:
        text = ROW_IN_PYTHON.sub(in_file, str(message))
        text = IN_PYTHON.sub(_plain_numbers, text)
        for remedy, of_command in IN_COMMANDS.items():
            text = text.replace(remedy, of_command)
        first, _, rest = text.partition(" ")
        return f"{arguments.get(first, first)} {rest}"

    told: list[str] = []

    def show(message: object, *_: object, **__: object) -> None:
        text = in_commands(message)
        if text not in told:  # by the first of several predictions
            told.append(text)
            console.tell(text)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        try:
            yield
        except (ValueError, TypeError) as error:
            text = in_commands(error)
            place = f"{path}: " if text.startswith("column") else ""
            raise TableError(place + text) from error
