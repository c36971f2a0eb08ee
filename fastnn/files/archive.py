"""Files that hold arrays and a JSON header: one .npz archive, without pickle.

The file is a zip archive of .npy arrays, uncompressed, so that `numpy.load` reads it too;
``header`` is JSON as uint8. A text of JSON is parsed only if that takes little memory against the
size of the file, for Python's objects are far larger than the text that they come from: `[]`
becomes 64 bytes.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import stat
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from fastnn import __version__, losses
from fastnn.checking.arguments import class_of, cut, shortened
from fastnn.errors import ModelFileError
from fastnn.memory import Array
from fastnn.whole_files import name_of, write_whole

# --------------------------------------------------------------------------------------- JSON texts


MAX_HEADER_BYTES = 1 << 16
"""Longest header, more than any model needs: a longer one is neither written nor parsed."""

MOST_BRACKETS = MAX_HEADER_BYTES // 4
"""Lists and objects that a header may begin, as many as lists of a number each: more of them hold
nothing."""

MOST_VALUES = 1 << 17
BYTES_A_VALUE = 10
"""Values of a table: so many, some 10 MB, and one more for so many bytes of the file."""


def json_array(value: Any) -> Array:
    """Return a value as JSON in an array (any,) of a file; `text_of` returns that text."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def text_of(array: Array, what: str) -> bytes:
    """Return the text that an array (any,) holds; ModelFileError for one of numbers."""
    if array.dtype != np.uint8 or array.ndim != 1:
        raise ModelFileError(f"damaged: its {what} is no text")
    return array.tobytes()


def header_of(text: bytes) -> Any:
    """Parse the text of a header; ModelFileError for one that is too long or has too many
    brackets.
    """
    if len(text) > MAX_HEADER_BYTES:
        raise ModelFileError("damaged: its header is longer than a header of fastnn's")
    if text.count(b"[") + text.count(b"{") > MOST_BRACKETS:
        raise ModelFileError("damaged: its header is nested too deeply")
    return json.loads(text)


_MARKS = b"[", b"{", b",", b":"
"""What stands before values."""

_TEXT_OR_MARK = re.compile(rb'"(?:[^"\\]|\\.)*"?|([\[{,:])', re.DOTALL)
"""A text, in which marks mean nothing, to the end where it has none of its own; or a mark, in a
group."""


def table_of(text: bytes, n_bytes: int) -> Any:
    """Parse the text of a table in a file of so many bytes; ModelFileError where it
    `is_too_much`.
    """
    if is_too_much(text, n_bytes):
        raise ModelFileError("damaged: it has more values than a file of its size may have")
    return json.loads(text.decode("ascii"))  # else each character might take four bytes


def is_too_much(text: bytes, n_bytes: int) -> bool:
    """Return whether a text holds more values than a file of so many bytes may have; names of
    values count too.
    """
    most = MOST_VALUES + n_bytes // BYTES_A_VALUE
    if sum(map(text.count, _MARKS)) <= most:  # as in nearly all files
        return False
    return sum(match.lastindex is not None for match in _TEXT_OR_MARK.finditer(text)) > most


def list_of(text: bytes, most: int) -> list[Any]:
    """Parse a list of one or more numbers and texts, up to so many; ModelFileError for any other
    text.
    """
    listed = text.decode("ascii")
    place = 0
    opening = "["
    values: list[Any] = []
    while listed.startswith(opening, place):
        place += len(opening)
        if len(values) == most or listed.startswith(("[", "{"), place):
            raise ModelFileError(
                f"damaged: one of its lists has more values than {most}, or other ones within them"
            )
        value, place = json.JSONDecoder().raw_decode(listed, place)
        values.append(value)
        opening = ", "  # as `json.dumps` writes it
    if listed[place:] != "]":
        raise ModelFileError("damaged: one of its lists has no end")
    return values


def texts_of(array: Array, what: str, most: int) -> tuple[str, ...]:
    """Return the texts of the list that an array holds, one or more, up to so many; ModelFileError
    for any other.
    """
    texts = list_of(text_of(array, what), most)
    if not all(isinstance(text, str) for text in texts):
        raise ModelFileError(f"damaged: its {what} has more than texts")
    return tuple(texts)


# ----------------------------------------------------------------------------------------- archives


T = TypeVar("T")

Header = dict[str, Any]
"""The header of a file, a JSON object."""

Arrays = dict[str, Array]
"""The arrays of a file by their names."""

Builder = Callable[[Header, Arrays], T]
"""A function that makes an object of a file's header and arrays."""

MAX_MEMBERS = 16
MAX_DIRECTORY_BYTES = 1 << 17
"""Most arrays of a file, and most bytes of its directory: the zip reader makes Python objects of
all of it."""

MAX_MESSAGE = 300
"""Most characters of an error's text, which may quote the file."""


class Format(NamedTuple):
    """A kind of file: its name, and the arrays that it holds besides the header."""

    name: str
    version: int
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


# -------------------------------------------------------------------------------------------- write


def write_archive(
    path: str | os.PathLike[str],
    form: Format,
    header: Header,
    arrays: Arrays,
    builder: Builder[Any] | None = None,
) -> None:
    """Write a header and arrays to one file, in place of what is there.

    Raises
    ------
    OSError
        When the file cannot be written.
    ValueError
        When the header is longer than would be read again, and where the builder that would read
        the file fails.
    """
    entries = {
        "format": form.name,
        "format_version": form.version,
        **header,
        "arrays": list(arrays),
    }
    text = json.dumps(entries, separators=(",", ":")).encode()
    if len(text) > MAX_HEADER_BYTES:
        raise ValueError(
            f"a file holds at most {MAX_HEADER_BYTES:,} bytes of layers and options, not "
            f"{len(text):,}"
        )
    if builder is not None:
        try:
            builder(header_of(text), dict(arrays))
        except MemoryError:
            raise
        except Exception as error:  # any error of a damaged file
            why = shortened(str(error).removeprefix("damaged: "), MAX_MESSAGE)
            raise ValueError(
                f"this cannot be saved, for no file of it would load: {why}"
            ) from error
    content = {"header": np.frombuffer(text, np.uint8), **arrays}
    write_whole({name_of(path): lambda file: np.savez(file, allow_pickle=False, **content)})


# --------------------------------------------------------------------------------------------- read


def read_archive(path: str | os.PathLike[str], builders: Mapping[Format, Builder[T]]) -> T:
    """Read a file of one of some formats, and return the object that its builder makes of header
    and arrays.

    Nothing in the file is executed, and nothing is allocated that is larger than the file.

    Raises
    ------
    OSError
        When there is no such file or it cannot be read.
    ModelFileError
        When it is not such a file, is damaged, or was written by a later version, and where the
        builder fails.
    """
    name = name_of(path)
    kind = next(iter(builders)).name
    with open_bounded(name) as file:
        try:
            form, header, arrays = _content(file, list(builders))
            return builders[form](header, arrays)
        except ModelFileError as error:
            raise ModelFileError(f"{cut(name)}: {shortened(str(error), MAX_MESSAGE)}") from None
        except Exception as error:  # which the zip, NumPy and JSON readers raise for a damaged file
            file.raise_what_failed(error)
            message = shortened(str(error), MAX_MESSAGE)
            raise ModelFileError(
                f"{cut(name)}: damaged, or no {kind} file at all ({message})"
            ) from error


def open_bounded(path: str | os.PathLike[str]) -> Bounded:
    """Open a file to read, of any kind and size."""
    return Bounded(io.FileIO(name_of(path), opener=_open))


def _open(name: str, flags: int) -> int:
    # a pipe would wait for its other end
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


class Bounded(io.BufferedReader):
    """A file that refuses to read more than `limit` bytes at once, first of all the directory of
    the zip archive.
    """

    limit = MAX_DIRECTORY_BYTES
    failure: OSError | None = None
    """What kept a part of the file from being read; the zip reader takes it for a damaged file."""

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return os.fstat(self.fileno()).st_size

    @property
    def is_regular(self) -> bool:
        """Whether it is no device, pipe or folder."""
        return stat.S_ISREG(os.fstat(self.fileno()).st_mode)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read bytes; ModelFileError for more than `limit`."""
        left = self.size - self.tell()
        if (left if size is None or size < 0 else min(size, left)) > self.limit:
            raise ModelFileError("not a file of fastnn's (its list of arrays is too long)")
        try:
            return super().read(size)
        except OSError as error:
            self.failure = error
            raise

    def raise_what_failed(self, error: Exception) -> None:
        """Raise an error that says nothing of the file: it could not be read, or memory is full."""
        if self.failure is not None:
            raise self.failure
        if isinstance(error, MemoryError):
            raise error


def _content(file: Bounded, forms: Sequence[Format]) -> tuple[Format, Header, Arrays]:
    """Read header and arrays of the expected names; their sizes are checked before anything is
    allocated.
    """
    kind = forms[0].name
    if not file.is_regular or file.read(2) != b"PK":
        raise ModelFileError(f"not a {kind} file (it is no .npz archive)")
    with zipfile.ZipFile(file) as archive:
        file.limit = file.size
        members = archive.infolist()
        names = [member.filename.removesuffix(".npy") for member in members]
        if "header" not in names or len(set(names)) < len(names) or len(names) > MAX_MEMBERS:
            raise ModelFileError(f"not a {kind} file (an .npz archive of something else)")
        member = members[names.index("header")]
        header = header_of(text_of(_array(archive, member, MAX_HEADER_BYTES + 128), "header"))
        if not isinstance(header, dict):
            raise ModelFileError(f"not a {kind} file (its header is no JSON object)")
        form = _form_of(header, forms)
        unknown = [name for name in names if name not in ("header", *form.required, *form.optional)]
        missing = [name for name in form.required if name not in names]
        # no checksum misses an optional one
        lost = [name for name in header.get("arrays", ()) if name not in names]
        if unknown or missing or lost:
            lacks = cut(missing or lost or "nothing")
            more = cut(unknown or "nothing")
            raise ModelFileError(f"damaged: it lacks {lacks} and has the unexpected {more}")
        arrays = {
            name: _array(archive, member, file.size)
            for name, member in zip(names, members, strict=True)
            if name != "header"
        }
    return form, header, arrays


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> Array:
    """Read one array and test its checksum; the size in its own header must be the size of the
    archive's entry.
    """
    if member.compress_type != zipfile.ZIP_STORED or member.file_size > limit:
        raise ModelFileError(f"damaged: {member.filename} is not stored as fastnn stores it")
    stream = io.BytesIO(archive.read(member))
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ModelFileError(f"damaged: {member.filename} is of another .npy version")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if (
        dtype.kind not in "fiu"
        or math.prod(shape) * dtype.itemsize != member.file_size - stream.tell()
    ):
        raise ModelFileError(
            f"damaged: {member.filename} holds {dtype} {shape}: no numbers, or another size than "
            "that"
        )
    stream.seek(0)
    array: Array = np.lib.format.read_array(stream, allow_pickle=False)
    return array.astype(array.dtype.newbyteorder("="), order="C", copy=False)


def _form_of(header: Header, forms: Sequence[Format]) -> Format:
    """Return the format that a file's header names, if it is one of these."""
    name = header.get("format")
    version = header.get("format_version")
    of_name = [form for form in forms if form.name == name]
    if not of_name:
        raise ModelFileError(
            f"not a {forms[0].name} file (its header says that it is {name!r:.50})"
        )
    for form in of_name:
        if form.version == version:
            return form
    written_by = header.get("versions", {}).get("fastnn", "of another version")
    known = " and ".join(sorted(str(form.version) for form in of_name))
    this = f"this is fastnn {__version__}, which reads format {known}"
    raise ModelFileError(f"written by fastnn {written_by} in format {version}; {this}")


def check_arrays(arrays: Arrays, expected: Mapping[str, tuple[Any, tuple[int, ...]]]) -> None:
    """Raise ModelFileError unless each array that is there has its dtype and shape."""
    for name, (kind, shape) in expected.items():
        if name in arrays and (arrays[name].dtype != kind or arrays[name].shape != shape):
            is_ = arrays[name]
            should = f"{np.dtype(kind).name} {shape}"
            raise ModelFileError(
                f"damaged: {name} is {is_.dtype.name} {is_.shape} where its header asks for "
                f"{should}"
            )


# ------------------------------------------------------------------------- parameters of estimators


_BY_FUNCTIONS: dict[str, Callable[[Any], losses.Value]] = {
    "activation": losses.CustomActivation,
    "loss": losses.CustomLoss,
}
"""{parameter that may be a function: what is stored of that}."""


def plain(name: str, value: Any) -> Any:
    """Return a parameter in JSON's types; a tuple and a dictionary as an object that says so."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        inner = [plain(name, each) for each in value]
        return inner if isinstance(value, list) else {"tuple": inner}
    if isinstance(value, dict):
        return {"dict": [[plain(name, key), plain(name, each)] for key, each in value.items()]}
    if callable(value) and name in _BY_FUNCTIONS:
        value = _BY_FUNCTIONS[name](value)
    if isinstance(value, losses.Value):
        return losses.plain(value)
    raise TypeError(
        f"{name} cannot be saved: it holds {class_of(value)}, which is neither number nor text"
    )


def value_of(parameter: Any) -> Any:
    """Return the parameter that `plain` turned into JSON's types."""
    if isinstance(parameter, list):
        return [value_of(each) for each in parameter]
    if isinstance(parameter, dict):
        if "tuple" in parameter:
            return tuple(map(value_of, parameter["tuple"]))
        if "name" in parameter:
            return losses.from_plain(parameter, losses.ACTIVATIONS | losses.LOSSES)
        return {value_of(key): value_of(each) for key, each in parameter["dict"]}
    return parameter
