"""Many training results in one file, in which what several of them have in common stands once.

The file is a table. A column holds the different values that there are, and which of them each member has:

    header     uint8          JSON: format, members, whether there are states, and the columns that differ
    values     uint8          JSON: {column: values}, the entries of a result's header (see `fastnn.files.model`), such
                              as "counters.epoch"; and {array: the sizes of the different ones}
    which      (columns that differ, members)    unsigned: 0 for none, else the number of the value, counted from 1
    params, vectors, order, random_state, loss ...    of each the different ones, one after the other, flat

Parameters are left out where they are those of the state, and orders of rows are not deflated.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn.checking.arguments import check_flag
from fastnn.errors import ModelFileError
from fastnn.files.archive import write_archive
from fastnn.files.description import network_of
from fastnn.files.export import check_not_exported
from fastnn.files.model import MANY, content_of, rows_of
from fastnn.files.row_order import planes
from fastnn.files.stored import FLOATS, StoredResults
from fastnn.many.member_results import MemberResult, Stored
from fastnn.many.results import ManyResult
from fastnn.memory import Array


class _Column:
    """The different values of a column, and which of them each member has."""

    def __init__(self, m: int) -> None:
        self.values: dict[Any, Any] = {}
        self._places: dict[Any, int] = {}
        self.which = np.zeros(m, np.uint32)

    def put(self, i: int, key: Any, value: Any) -> None:
        """Give member i a value, which the key tells from others."""
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self._places) + 1
            self.values[key] = value
        self.which[i] = place

    @property
    def differs(self) -> bool:
        """Whether members have different values, or some have none."""
        return len(self.values) > 1 or not self.which.all()


# ---------------------------------------------------------------------------------------------------------------- save


def save(path: str | os.PathLike[str], many: ManyResult, *, state: bool = True) -> None:
    """Write many results to one .npz file; `fastnn.load` reads it.

    Parameters
    ----------
    path : str or path
        Taken as it is: no ".npz" is added. An existing file is replaced, when the new one is complete.
    many : ManyResult
    state : bool
        False writes the networks alone: they predict, and cannot be resumed.

    Raises
    ------
    OSError
        When the file cannot be written.
    ValueError
        For no member, for one that has no state to write, and for a suffix of a format of `export`.
    """
    check_flag("state", state)
    check_not_exported(path, "many[i].export({})")
    if not len(many):
        raise ValueError("there is no member to save")
    m, dtype = len(many), np.result_type(*{one.params.dtype for one in many._member_results})
    facts: dict[str, _Column] = {}
    arrays: dict[str, _Column] = {}
    versions: Any = None
    for i, result in enumerate(many):
        said, held = content_of(result, state)
        versions = said.pop("versions")
        if state:
            held["order"] = planes(rows_of(result.state))
            if held["params"].tobytes() == held["vectors"][0].tobytes():
                del held["params"]
        for name, value in _leaves(said):
            if name not in facts:
                facts[name] = _Column(m)
            facts[name].put(i, repr(value), value)  # which tells 1 from True, and 0.0 from -0.0
        for name, array in held.items():
            if name not in arrays:
                arrays[name] = _Column(m)
            arrays[name].put(i, (array.astype(dtype) if name in FLOATS else array).tobytes(), array.size)
    columns = facts | arrays
    differ = [name for name, column in columns.items() if column.differs] or [next(iter(columns))]
    width = np.min_scalar_type(max(len(columns[name].values) for name in differ))
    values = {
        "facts": {name: [*column.values.values()] for name, column in facts.items()},
        "sizes": {name: [*column.values.values()] for name, column in arrays.items()},
    }
    kinds = dict.fromkeys(FLOATS, dtype) | {"order": np.uint8, "random_state": np.uint32}
    write_archive(
        path,
        MANY,
        {"members": m, "state": state, "differ": differ, "versions": versions},
        {
            "values": np.frombuffer(json.dumps(values, separators=(",", ":")).encode(), np.uint8),
            "which": np.array([columns[name].which for name in differ], width),
            **{n: np.frombuffer(b"".join(c.values), kinds.get(n, np.float64)) for n, c in arrays.items()},
        },
    )


def _leaves(said: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Iterate over the entries of a header, those of dictionaries in it by names such as "counters.epoch"."""
    for name, value in said.items():
        if isinstance(value, dict) and value and name != "network":
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


# ---------------------------------------------------------------------------------------------------------------- load


def many_of(header: dict[str, Any], arrays: dict[str, Array]) -> ManyResult:
    """Build the results of a file's header and arrays; any error means that the file is damaged."""
    table = json.loads(arrays.pop("values").tobytes())
    facts, sizes = table["facts"], table["sizes"]
    which = _which(header, arrays.pop("which"), facts | sizes)
    networks = [network_of(values, sum(array.size for array in arrays.values())) for values in facts["network"]]
    columns: dict[str, list[Any]] = {**facts, "network": networks}
    columns |= {name: _parts(arrays[name], sizes[name], name) for name in sizes}
    many = StoredResults(columns, which, {name: name.split(".") for name in facts}, header["state"])
    first = many.first_of_kinds(set(facts), arrays)
    member_results: list[MemberResult] = []
    for i in range(header["members"]):
        is_checked = first is not None and not first[i]
        member_results.append(Stored(many, i) if is_checked else many.result(i))
    return ManyResult(member_results)


def _which(header: dict[str, Any], which: Array, columns: dict[str, list[Any]]) -> dict[str, list[int]]:
    """Return {column: the number of each member's value, from 1; 0 where it has none}."""
    m, differ = header["members"], header["differ"]
    if type(m) is not int or not differ or which.dtype.kind != "u" or which.shape != (len(differ), m) or not m:
        raise ModelFileError(
            f"damaged: its table is {which.dtype.name} {which.shape}, its header says {m!r:.50} members"
        )
    for name, places in zip(differ, which, strict=True):
        if places.max() > len(columns[name]):
            raise ModelFileError(f"damaged: a member has value {places.max()} of {len(columns[name])} of {name!s:.50}")
    same = [name for name in columns if name not in differ]
    if any(len(columns[name]) != 1 for name in same):
        raise ModelFileError("damaged: its table lacks a column")
    return dict(zip(differ, which.tolist(), strict=True)) | {name: [1] * m for name in same}


def _parts(flat: Array, sizes: list[int], name: str) -> list[Array]:
    """Return the different arrays of a column, read-only."""
    if flat.ndim != 1 or not all(type(size) is int and size >= 0 for size in sizes) or sum(sizes) != flat.size:
        raise ModelFileError(f"damaged: {name!s:.50} has {flat.shape} numbers, not those of its sizes")
    flat.flags.writeable = False
    ends = np.cumsum(sizes).tolist()
    return [flat[end - size : end] for end, size in zip(ends, sizes, strict=True)]
