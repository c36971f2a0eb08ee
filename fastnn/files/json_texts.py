"""JSON texts in files: each is parsed only if that takes little memory against the size of the file.

Python's objects are far larger than the text that they come from: `[]` becomes 64 bytes.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from fastnn.errors import ModelFileError
from fastnn.memory import Array

MAX_HEADER_BYTES = 1 << 16
"""Longest header, more than any model needs: a longer one is neither written nor parsed."""

MOST_BRACKETS = MAX_HEADER_BYTES // 4
"""Lists and objects that a header may begin, as many as lists of a number each: more of them hold nothing."""

MOST_VALUES, BYTES_A_VALUE = 1 << 17, 10
"""Values of a table: so many, some 10 MB, and one more for so many bytes of the file."""


def json_array(value: Any) -> Array:
    """Return the text of a value as an array (any,) of a file; `text_of` takes it out."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def text_of(array: Array, what: str) -> bytes:
    """Return the text that an array (any,) holds; ModelFileError for one of numbers."""
    if array.dtype != np.uint8 or array.ndim != 1:
        raise ModelFileError(f"damaged: its {what} is no text")
    return array.tobytes()


def header_of(text: bytes) -> Any:
    """Parse a text of a header's size; ModelFileError for a longer one, or with more brackets."""
    if len(text) > MAX_HEADER_BYTES:
        raise ModelFileError("damaged: its header is longer than a header of fastnn's")
    if text.count(b"[") + text.count(b"{") > MOST_BRACKETS:
        raise ModelFileError("damaged: its header is nested as no header of fastnn's is")
    return json.loads(text)


def table_of(text: bytes, n_bytes: int) -> Any:
    """Parse a text as long as it may be; ModelFileError where it `is_too_much` for a file of so many bytes."""
    if is_too_much(text, n_bytes):
        raise ModelFileError("damaged: it has more values than a file of its size may have")
    return json.loads(text.decode("ascii"))  # else each character might take four bytes


def is_too_much(text: bytes, n_bytes: int) -> bool:
    """Return whether a text holds more values than a file of so many bytes may have; names of values count too."""
    return sum(map(text.count, (b"[", b"{", b",", b":"))) > MOST_VALUES + n_bytes // BYTES_A_VALUE


def list_of(text: bytes, most: int) -> list[Any]:
    """Parse a list of one or more numbers and texts, up to so many; ModelFileError for any other text."""
    said, place, opening = text.decode("ascii"), 0, "["
    found: list[Any] = []
    while said.startswith(opening, place):
        place += len(opening)
        if len(found) == most or said.startswith(("[", "{"), place):
            raise ModelFileError(f"damaged: one of its lists has more values than {most}, or other ones within them")
        value, place = json.JSONDecoder().raw_decode(said, place)
        found.append(value)
        opening = ", "  # as `json.dumps` writes it
    if said[place:] != "]":
        raise ModelFileError("damaged: one of its lists has no end")
    return found


def texts_of(array: Array, what: str, most: int) -> tuple[str, ...]:
    """Return the texts of the list that an array holds, one or more, up to so many; ModelFileError for any other."""
    found = list_of(text_of(array, what), most)
    if not all(isinstance(text, str) for text in found):
        raise ModelFileError(f"damaged: its {what} has more than texts")
    return tuple(found)
