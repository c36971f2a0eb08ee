"""Files that hold arrays and a JSON header: one .npz archive, without pickle, written whole or not at all.

The file is a zip archive of .npy arrays, uncompressed, so that `numpy.load` reads it too; ``header`` is JSON as uint8.
"""

from __future__ import annotations

import io
import json
import math
import os
import stat
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from fastnn import __version__
from fastnn.checking.arguments import cut
from fastnn.errors import ModelFileError
from fastnn.files.json_texts import MAX_HEADER_BYTES, header_of, text_of
from fastnn.files.whole import name_of, write_whole
from fastnn.memory import Array

T = TypeVar("T")

Builder = Callable[[dict[str, Any], dict[str, Array]], T]
"""A function of a file's header and arrays."""

MAX_MEMBERS, MAX_DIRECTORY_BYTES = 16, 1 << 17
"""Most arrays of a file, and most bytes of its directory: the zip reader makes Python objects of all of it."""

MAX_MESSAGE = 300
"""Most characters of an error's text, which may quote the file."""


class Format(NamedTuple):
    """A kind of file: its name, and the arrays that it holds besides the header."""

    name: str
    version: int
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


# --------------------------------------------------------------------------------------------------------------- write


def write_archive(
    path: str | os.PathLike[str], form: Format, header: Mapping[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Write a header and arrays to one file, in place of what is there.

    Raises
    ------
    OSError
        When the file cannot be written.
    ValueError
        When the header is longer than would be read again.
    """
    said = {"format": form.name, "format_version": form.version, **header, "arrays": list(arrays)}
    text = json.dumps(said, separators=(",", ":")).encode()
    if len(text) > MAX_HEADER_BYTES:
        raise ValueError(f"a file holds at most {MAX_HEADER_BYTES:,} bytes of layers and options, not {len(text):,}")
    write_whole(
        {name_of(path): lambda file: np.savez(file, allow_pickle=False, header=np.frombuffer(text, np.uint8), **arrays)}
    )


# ---------------------------------------------------------------------------------------------------------------- read


def read_archive(path: str | os.PathLike[str], builders: Mapping[Format, Builder[T]]) -> T:
    """Read a file of one of some formats, and return the object that its builder makes of header and arrays.

    Nothing in the file is executed, and nothing is allocated that is larger than the file.

    Raises
    ------
    OSError
        When there is no such file or it cannot be read.
    ModelFileError
        When it is not such a file, is damaged, or was written by a later version, and where the builder fails.
    """
    name, kind = name_of(path), next(iter(builders)).name
    with open_bounded(name) as file:
        try:
            form, header, arrays = _content(file, list(builders))
            return builders[form](header, arrays)
        except ModelFileError as error:
            raise ModelFileError(f"{cut(name)}: {_short(error)}") from None
        except Exception as error:  # any error that the zip, NumPy and JSON readers raise for a damaged file
            raise ModelFileError(f"{cut(name)}: damaged, or no {kind} file at all ({_short(error)})") from error


def open_bounded(path: str | os.PathLike[str]) -> Bounded:
    """Open a file to read, which may be anything, of any size."""
    return Bounded(io.FileIO(name_of(path), opener=_open))


def _open(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait for its other end


class Bounded(io.BufferedReader):
    """A file that refuses to read more than `limit` bytes at once, first of all the directory of the zip archive."""

    limit = MAX_DIRECTORY_BYTES

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
        return super().read(size)


def _short(message: object) -> str:
    text = str(message)
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]} ..."


def _content(file: Bounded, forms: Sequence[Format]) -> tuple[Format, dict[str, Any], dict[str, Array]]:
    """Read header and arrays of the expected names; their sizes are checked before anything is allocated."""
    kind = forms[0].name
    if not file.is_regular or file.read(2) != b"PK":
        raise ModelFileError(f"not a {kind} file (it is no .npz archive)")
    with zipfile.ZipFile(file) as archive:
        file.limit = file.size
        members = archive.infolist()
        names = [member.filename.removesuffix(".npy") for member in members]
        if "header" not in names or len(set(names)) < len(names) or len(names) > MAX_MEMBERS:
            raise ModelFileError(f"not a {kind} file (an .npz archive of something else)")
        array = _array(archive, members[names.index("header")], MAX_HEADER_BYTES + 128)
        header = header_of(text_of(array, "header"))
        if not isinstance(header, dict):
            raise ModelFileError(f"not a {kind} file (its header is no JSON object)")
        form = _form_of(header, forms)
        unknown = [name for name in names if name not in ("header", *form.required, *form.optional)]
        missing = [name for name in form.required if name not in names]
        lost = [name for name in header.get("arrays", ()) if name not in names]  # an optional one: checksums miss that
        if unknown or missing or lost:
            raise ModelFileError(
                f"damaged: it lacks {cut(missing or lost or 'nothing')} and has the unexpected "
                f"{cut(unknown or 'nothing')}"
            )
        found = {n: _array(archive, m, file.size) for n, m in zip(names, members, strict=True) if n != "header"}
    return form, header, found


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> Array:
    """Read one array and test its checksum; the size in its own header must be the size of the archive's entry."""
    if member.compress_type != zipfile.ZIP_STORED or member.file_size > limit:
        raise ModelFileError(f"damaged: {member.filename} is not stored as fastnn stores it")
    stream = io.BytesIO(archive.read(member))
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ModelFileError(f"damaged: {member.filename} is of another .npy version")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.kind not in "fiu" or math.prod(shape) * dtype.itemsize != member.file_size - stream.tell():
        raise ModelFileError(f"damaged: {member.filename} holds {dtype} {shape}: no numbers, or another size than that")
    stream.seek(0)
    array: Array = np.lib.format.read_array(stream, allow_pickle=False)
    return array.astype(array.dtype.newbyteorder("="), order="C", copy=False)


def _form_of(header: dict[str, Any], forms: Sequence[Format]) -> Format:
    """Return the format that a file's header names, if it is one of these."""
    name, version = header.get("format"), header.get("format_version")
    of_name = [form for form in forms if form.name == name]
    if not of_name:
        raise ModelFileError(f"not a {forms[0].name} file (its header says that it is {name!r:.50})")
    for form in of_name:
        if form.version == version:
            return form
    written_by = header.get("versions", {}).get("fastnn", "of another version")
    known = " and ".join(sorted(str(form.version) for form in of_name))
    raise ModelFileError(
        f"written by fastnn {written_by} in format {version}; this is fastnn {__version__}, which reads format {known}"
    )


def check_arrays(arrays: Mapping[str, Array], expected: Mapping[str, tuple[Any, tuple[int, ...]]]) -> None:
    """Raise ModelFileError unless each array that is there has its dtype and shape."""
    for name, (kind, shape) in expected.items():
        if name in arrays and (arrays[name].dtype != kind or arrays[name].shape != shape):
            is_, should = arrays[name], f"{np.dtype(kind).name} {shape}"
            raise ModelFileError(f"damaged: {name} is {is_.dtype.name} {is_.shape} where its header asks for {should}")
