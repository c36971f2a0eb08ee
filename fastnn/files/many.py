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
from typing import Any

import numpy as np

from fastnn.checking.arguments import check_flag, shown
from fastnn.errors import ModelFileError
from fastnn.files.archive import write_archive
from fastnn.files.columns import DTYPES, FLOATS, OF_EACH, Columns, Parts, Places
from fastnn.files.description import network_of
from fastnn.files.export import check_not_exported
from fastnn.files.facts import MOST_FACTS, OF_NETWORK, OF_STATE, check_facts, is_fact, leaves
from fastnn.files.json_texts import is_too_much, table_of, text_of
from fastnn.files.model import MANY, content_of, rows_of
from fastnn.files.row_order import planes
from fastnn.files.stored import StoredResults
from fastnn.many.results import ManyResult
from fastnn.many.store import AllStored
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
        for name, value in leaves(said):
            if name not in facts:
                if not is_fact(name, state) or len(facts) == MOST_FACTS:
                    raise ValueError(f"member {i}: there is no place in a file for {shown(name)} of its state")
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
    text = json.dumps(values, separators=(",", ":")).encode()
    kinds = {name: dtypes[0] for name, dtypes in DTYPES.items()} | dict.fromkeys(FLOATS, dtype)
    content = {
        "values": np.frombuffer(text, np.uint8),
        "which": np.array([columns[name].which for name in differ], width),
        **{n: np.frombuffer(b"".join(c.values), kinds.get(n, np.float64)) for n, c in arrays.items()},
    }
    if is_too_much(text, sum(array.nbytes for array in content.values())):
        raise ValueError(f"{m:,} members differ in too many ways for one file: save them in several")
    write_archive(path, MANY, {"members": m, "state": state, "differ": differ, "versions": versions}, content)


# ---------------------------------------------------------------------------------------------------------------- load


def many_of(header: dict[str, Any], arrays: dict[str, Array]) -> ManyResult:
    """Build the results of a file's header and arrays; any error means that the file is damaged."""
    n_numbers, n_bytes = (sum(getattr(array, what) for array in arrays.values()) for what in ("size", "nbytes"))
    table = table_of(text_of(arrays.pop("values"), "table"), n_bytes)
    facts, sizes, has_states = table["facts"], table["sizes"], header["state"]
    which = arrays.pop("which")
    _check_names(facts, sizes, arrays, has_states)
    check_facts((name, value) for name, values in facts.items() for value in values)
    columns = Columns(
        facts,
        [network_of(values, n_numbers) for values in facts["network"]],
        {name: Parts(name, arrays[name], sizes[name]) for name in sizes},
        _places(header, which, facts | sizes),
        has_states,
    )
    many, damaged = StoredResults(columns), columns.first_damaged()
    if damaged is not None:
        many.check(damaged)  # which says what is wrong
        raise ModelFileError(f"member {damaged}: damaged")
    return ManyResult(AllStored(many))


def _check_names(facts: dict[str, Any], sizes: dict[str, Any], arrays: dict[str, Array], has_states: bool) -> None:
    """Raise ModelFileError unless the columns are such as `save` writes, no others."""
    unknown = [name for name in facts if not is_fact(name, has_states)] + [*(sizes.keys() ^ arrays.keys())]
    if not has_states:
        unknown += [*(sizes.keys() - {*OF_EACH[False], "feature_names"})]
    missing = [name for name in (*OF_NETWORK, *(OF_STATE if has_states else ())) if name not in facts]
    missing += [name for name in OF_EACH[has_states] if name not in sizes]
    if unknown or missing or len(facts) > MOST_FACTS or any(type(values) is not list for values in facts.values()):
        raise ModelFileError(
            f"damaged: its table has {len(facts)} columns, lacks {missing or 'none'} and has the unexpected "
            f"{unknown[:3] or 'none'}"
        )


def _places(header: dict[str, Any], which: Array, columns: dict[str, list[Any]]) -> Places:
    """Return the numbers (m,) of the members' values in each column, where all have the same one a view of one."""
    m, differ = header["members"], header["differ"]
    if type(m) is not int or not differ or which.dtype.kind != "u" or which.shape != (len(differ), m) or not m:
        raise ModelFileError(
            f"damaged: its table is {which.dtype.name} {which.shape}, its header says {m!r:.50} members"
        )
    for name, places in zip(differ, which, strict=True):
        if places.max() > len(columns[name]):
            raise ModelFileError(f"damaged: a member has value {places.max()} of {len(columns[name])} of {name!s:.50}")
    if len({*differ}) < len(differ) or any(len(columns[name]) != 1 for name in columns.keys() - {*differ}):
        raise ModelFileError("damaged: its table lacks a column")
    return {name: np.broadcast_to(np.uint8(1), m) for name in columns} | dict(zip(differ, which, strict=True))
