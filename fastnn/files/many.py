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
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastnn.backends import Backend, get_backend
from fastnn.checking.arguments import check_flag
from fastnn.errors import ModelFileError
from fastnn.files.archive import write_archive
from fastnn.files.description import network_of
from fastnn.files.export import check_not_exported
from fastnn.files.model import MANY, content_of, model_of, result_of_rows, rows_of
from fastnn.files.row_order import are_orders, planes, unpack
from fastnn.many.entries import Entry, Stored
from fastnn.many.results import ManyResult
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.training.history import History
from fastnn.training.results import TrainingResult
from fastnn.training.stopping import StopReason

FLOATS = ("params", "vectors", "best_params")
"""Arrays of the training's dtype: where members have both, they are kept in float64, which holds both exactly."""


FREE: dict[str, Callable[[Any], bool]] = {
    "seconds": lambda value: type(value) is float,
    "random_state.pos": lambda value: type(value) is int and 0 <= value <= 624,
}
"""Facts in which nearly all members differ, and which values are legal, whatever the others are."""


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
    m, dtype = len(many), np.result_type(*{entry.params.dtype for entry in many._entries})
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
    many = _Stored(columns, which, {name: name.split(".") for name in facts}, header["state"])
    first = many.first_of_kinds(set(facts), arrays)
    entries: list[Entry] = []
    for i in range(header["members"]):
        is_checked = first is not None and not first[i]
        entries.append(Stored(many, i) if is_checked else many.result(i))
    return ManyResult(entries)


class _Stored:
    """The results of a file, by their numbers."""

    def __init__(
        self, columns: dict[str, list[Any]], which: dict[str, list[int]], paths: dict[str, list[str]], state: bool
    ) -> None:
        self._columns, self._which, self._paths, self._state = columns, which, paths, state
        self._same = {name for name, values in columns.items() if len(values) == 1}
        self._rows: dict[tuple[int, int], NDArray[np.int64]] = {}  # an order that all have, unpacked

    def _value(self, name: str, i: int) -> Any:
        """Return member i's value of a column; None where it has none."""
        place = self._which[name][i] if name in self._which else 0
        return self._columns[name][place - 1] if place else None

    def network(self, i: int) -> Network:
        """Return member i's network."""
        return cast(Network, self._value("network", i))

    def backend(self, i: int) -> Backend:
        """Return what it predicts with; ValueError for a name that is not known here."""
        return get_backend(self._value("backend", i))

    def params(self, i: int) -> Array:
        """Return its parameters (n_params,), read-only."""
        own = self._value("params", i) if "params" in self._columns else None
        return self._value("vectors", i)[: self.network(i).n_params] if own is None else own

    def history(self, i: int) -> History:
        """Return its history."""
        if not self._state:
            return self.result(i).history
        more = {name: found for name in ("learning_rate", "measured") if (found := self._value(name, i)) is not None}
        losses = self._value("loss", i), self._value("validation_loss", i)
        return History(*losses, float(self._value("seconds", i)), **more, monitor=self._value("monitor", i))

    def stop_reason(self, i: int) -> StopReason:
        """Return why its training ended."""
        return cast(StopReason, self._value("stop_reason", i))

    def result(self, i: int) -> TrainingResult:
        """Build the whole result; ModelFileError with the member's number where it is damaged."""
        member = {name: self._columns[name][places[i] - 1] for name, places in self._which.items() if places[i]}
        held = {name: member.pop(name) for name in (*member,) if name not in self._paths}
        build = _result if self._state else _model
        try:
            return build(_nested(member, self._paths), held, self._rows if "order" in self._same else {})
        except Exception as error:
            raise ModelFileError(f"member {i}: {error}") from error

    def first_of_kinds(self, facts: set[str], arrays: dict[str, Array]) -> list[bool] | None:
        """Return which members are the first with their facts and sizes; None where others may still be damaged.

        What is right of the first is so of others that differ in numbers alone, if these are finite, in the dtype
        that the facts say, and their orders of rows are permutations.
        """
        if not self._state:
            return None
        kinds = self._columns.get("dtype", [])
        whole = all(np.isfinite(arrays[name]).all() for name in FLOATS if name in arrays)
        as_trained = len(kinds) == 1 and all(arrays[name].dtype == kinds[0] for name in FLOATS if name in arrays)
        free = [name for name in FREE if name in facts]
        are_legal = all(all(map(FREE[name], self._columns[name])) and all(self._which[name]) for name in free)
        if not (whole and as_trained and are_legal) or "best_params" in arrays:
            return None
        orders, n_rows = self._columns.get("order", []), self._columns.get("n_rows", [])
        if orders and not (
            self._columns["n_validation"] == [None] and len(n_rows) == 1 and are_orders(orders, n_rows[0])
        ):
            return None
        sizes = {n: [0, *(value.size for value in self._columns[n])] for n in arrays}
        keys = [places for name, places in self._which.items() if name in facts and name not in free]
        keys += [[sizes[name][place] for place in self._which[name]] for name in sizes if name in self._which]
        seen: set[tuple[int, ...]] = set()
        return [key not in seen and not seen.add(key) for key in zip(*keys, strict=True)]  # type: ignore[func-returns-value]


def _which(header: dict[str, Any], which: Array, columns: dict[str, list[Any]]) -> dict[str, list[int]]:
    """Return {column: the number of each member's value, from 1; 0 for none}."""
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


def _nested(member: dict[str, Any], paths: dict[str, list[str]]) -> dict[str, Any]:
    """Return the header of a result, in the place of its `_leaves`."""
    header: dict[str, Any] = {}
    for name, value in member.items():
        inner = header
        *path, last = paths[name]
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return header


def _model(header: dict[str, Any], arrays: dict[str, Array], rows: Any) -> TrainingResult:
    return model_of(header, {"params": _as_trained(arrays["params"], header)})


def _result(
    header: dict[str, Any], arrays: dict[str, Array], rows: dict[tuple[int, int], NDArray[np.int64]]
) -> TrainingResult:
    """Build a result; `rows` are orders that are unpacked already."""
    for name in FLOATS:
        if name in arrays:
            arrays[name] = _as_trained(arrays[name], header)
    arrays["vectors"] = arrays["vectors"].reshape(header["n_vectors"], header["n_params"])
    arrays.setdefault("params", arrays["vectors"][0])
    n, packed = header["n_rows"] + (header["n_validation"] or 0), arrays.pop("order")
    key = id(packed), n
    if key not in rows:
        rows[key] = unpack(packed.reshape(-1, n), n)
        rows[key].flags.writeable = False
    return result_of_rows(header, arrays, rows[key])


def _as_trained(array: Array, header: dict[str, Any]) -> Array:
    if header["dtype"] not in ("float32", "float64") or array.dtype.kind != "f":
        raise ModelFileError(f"damaged: dtype is {header['dtype']!r:.50} in its header")
    return array.astype(header["dtype"], copy=False)
