"""Results that lie in a file of many: each is built when it is asked for, what several have in common once.

A file of a megabyte may name a million members, all of which refer to the same arrays.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from fastnn.backends import Backend, get_backend
from fastnn.checking.arguments import cut
from fastnn.checking.values import Names
from fastnn.errors import ModelFileError
from fastnn.files.columns import FLOATS, Columns
from fastnn.files.description import names_of, no_history, storage_of, without_state
from fastnn.files.facts import nested
from fastnn.files.model import checked_model, checked_result, parts_of_rows, result_of
from fastnn.files.row_order import unpack
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.training.history import History
from fastnn.training.results import TrainingResult
from fastnn.training.stopping import StopReason

T = TypeVar("T")


class StoredResults:
    """The results of a file, by their numbers: a `Source` of `Stored` ones."""

    def __init__(self, columns: Columns) -> None:
        self._which, self._parts, self.has_states = columns.which, columns.parts, columns.has_states
        self._facts = columns.facts | {"network": columns.networks}
        self._made: dict[tuple[Any, ...], Any] = {}

    def __len__(self) -> int:
        return len(self._which["network"])

    def _value(self, name: str, i: int) -> Any:
        """Return member i's value of a column; None where it has none."""
        place = int(self._which[name][i]) if name in self._which else 0
        return (self._facts if name in self._facts else self._parts)[name][place - 1] if place else None

    def _once(self, make: Callable[[], T], name: str, i: int, *of: Any) -> T:
        """Return what `make` makes of member i's array of a column.

        It is made once, an array read-only, where other members have the same array; `of` says what else it depends on.
        """
        place = int(self._which[name][i])
        if self._n_members[name][place] < 2:
            return make()
        key = name, place, *of
        if key not in self._made:
            made = make()
            if isinstance(made, np.ndarray):
                made.flags.writeable = False
            self._made.setdefault(key, made)
        return self._made[key]

    @functools.cached_property
    def _n_members(self) -> dict[str, NDArray[np.int64]]:
        """How many members have each value of the columns of arrays, by its number."""
        return {name: np.bincount(self._which[name]) for name in self._parts}

    def network(self, i: int) -> Network:
        """Return member i's network."""
        return cast(Network, self._value("network", i))

    def backend(self, i: int) -> Backend:
        """Return the back end that it predicts with; ValueError for a name that is not registered here."""
        return get_backend(self._value("backend", i))

    def params(self, i: int) -> Array:
        """Return its parameters (n_params,), read-only."""
        own = self._floats("params", i)
        return self._floats("vectors", i)[: self.network(i).n_params] if own is None else own

    def feature_names(self, i: int) -> Names | None:
        """Return the names of the columns of its X."""
        array, n = self._value("feature_names", i), self.network(i).n_inputs
        return None if array is None else self._once(lambda: names_of(array, n), "feature_names", i)

    def history(self, i: int) -> History:
        """Return its history."""
        if not self.has_states:
            return no_history()
        more = {name: found for name in ("learning_rate", "measured") if (found := self._value(name, i)) is not None}
        losses = self._value("loss", i), self._value("validation_loss", i)
        return History(*losses, float(self._value("seconds", i)), **more, monitor=self._value("monitor", i))

    def stop_reason(self, i: int) -> StopReason:
        """Return the reason why its training ended."""
        return cast(StopReason, self._value("stop_reason", i))

    def result(self, i: int) -> TrainingResult:
        """Return the whole result."""
        header, arrays = self._content(i)
        vectors = arrays["vectors"] if self.has_states else arrays["params"][None]
        column = "vectors" if self.has_states else "params"
        storage = self._once(lambda: storage_of(vectors), column, i, "storage", header["dtype"], *vectors.shape)
        if self.has_states:
            return result_of(header["network"], header, arrays, storage, self.feature_names(i))
        more = header["backend"], header["stop_reason"], storage, self.feature_names(i)
        return without_state(header["network"], arrays["params"], *more)

    def check(self, i: int) -> None:
        """Raise ModelFileError with member i's number where it is damaged, as of a result in a file of its own."""
        try:
            header, arrays = self._content(i)
            (checked_result if self.has_states else checked_model)(header, arrays)
        except Exception as error:
            raise ModelFileError(f"member {i}: {cut(error)}") from error

    def _content(self, i: int) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the header and the arrays of member i's result."""
        header = nested({name: self._value(name, i) for name in self._facts if self._which[name][i]})
        arrays = {name: self._value(name, i) for name in self._parts if self._which[name][i]}
        arrays |= {name: self._floats(name, i) for name in FLOATS if name in arrays}
        if self.has_states:
            n, n_validation = header["n_rows"], header["n_validation"]
            n += n_validation or 0
            packed = arrays.pop("order").reshape(-1, n)
            arrays |= parts_of_rows(self._once(lambda: unpack(packed, n), "order", i, n), n_validation)
            arrays["vectors"] = arrays["vectors"].reshape(header["n_vectors"], header["n_params"])
            arrays.setdefault("params", arrays["vectors"][0])
        return header, arrays

    def _floats(self, name: str, i: int) -> Any:
        """Return member i's array of a column of numbers of the training's dtype, read-only; None where it has none."""
        array, dtype = self._value(name, i), self._value("dtype", i)
        if array is None or array.dtype == dtype:
            return array
        trained = self._once(lambda: array.astype(dtype), name, i, dtype)
        trained.flags.writeable = False
        return trained
