"""Results that lie in a file of many, each of which is built when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastnn.backends import Backend, get_backend
from fastnn.errors import ModelFileError
from fastnn.files.model import model_of, result_of_rows
from fastnn.files.row_order import are_orders, unpack
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


class StoredResults:
    """The results of a file, by their numbers: a `Source` of `Stored` ones."""

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
        """Return the back end that it predicts with; ValueError for a name that is not registered here."""
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
        """Return the reason why its training ended."""
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
        """Return the members that are the first of their facts and sizes; None where others may still be damaged.

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
