"""The columns of a file of many results: by them one sees which members are damaged, without making their results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.errors import ModelFileError
from fastnn.files.facts import MOST_ROWS, OF_NETWORK, OF_STATE, OPTIMIZER
from fastnn.files.json_texts import texts_of
from fastnn.files.row_order import n_rows_of
from fastnn.memory import Array
from fastnn.network import Network

FLOATS = ("params", "vectors", "best_params")
"""Arrays of the training's dtype: where members have both, they are kept in float64, which holds both exactly."""

DTYPES = {
    **dict.fromkeys(("order", "feature_names"), (np.uint8,)),
    "random_state": (np.uint32,),
    **dict.fromkeys(FLOATS, (np.float32, np.float64)),
}
"""The dtypes of arrays; others, those of the history, are float64."""

OF_EACH = {False: ("params",), True: ("vectors", "random_state", "loss", "validation_loss", "order")}
"""The arrays that each member has, without and with a state."""

STRIDE = 1 << 14
"""Members that are looked at together."""

Places = dict[str, NDArray[Any]]
"""The number of each member's value in each column, counted from 1; 0 where it has none."""


class Parts:
    """The different arrays of a column, read-only; they lie one after the other in `flat`."""

    def __init__(self, name: str, flat: Array, sizes: list[int]) -> None:
        if flat.dtype not in (dtypes := DTYPES.get(name, (np.float64,))):
            right = " or ".join(np.dtype(dtype).name for dtype in dtypes)
            raise ModelFileError(f"damaged: {name} is {flat.dtype.name}, not {right}")
        if flat.ndim != 1 or not all(type(size) is int and size >= 0 for size in sizes) or sum(sizes) != flat.size:
            raise ModelFileError(f"damaged: {name} has {flat.shape} numbers, not those of its sizes")
        flat.flags.writeable = False
        self.flat, self.ends = flat, np.cumsum([0, *sizes])

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, k: int) -> Array:
        return self.flat[self.ends[k] : self.ends[k + 1]]

    def n_finite(self, dtype: str) -> NDArray[np.int64]:
        """Return how many numbers of each array come before the first that is not finite in a dtype."""
        with np.errstate(over="ignore"):
            stops = np.append(np.flatnonzero(~np.isfinite(self.flat.astype(dtype, copy=False))), self.flat.size)
        return np.minimum(stops[np.searchsorted(stops, self.ends[:-1])], self.ends[1:]) - self.ends[:-1]


class Columns(NamedTuple):
    """The columns of a file."""

    facts: dict[str, list[Any]]
    """The different values of the entries of headers, each of them legal."""
    networks: list[Network]
    """Those that the values of "network" describe."""
    parts: dict[str, Parts]
    which: Places
    """Of all members."""
    has_states: bool

    def first_damaged(self) -> int | None:
        """Return the first member whose values do not go together; None where those of all members do."""
        tables, within = self._tables(), [(a, b) for a in self.facts for b in self.facts if b.startswith(f"{a}.")]
        for begin in range(0, len(self.which["network"]), STRIDE):
            places = {name: which[begin : begin + STRIDE] for name, which in self.which.items()}
            whole = np.logical_and.reduce([*self._names_fit(places, within), *self._sizes_fit(places, tables)])
            if not whole.all():
                return begin + int(whole.argmin())
        return None

    def _tables(self) -> dict[str, NDArray[np.int64]]:
        """Return the numbers on which sizes depend, by the numbers of their values: -1 where there is no value."""
        facts, parts = self.facts, self.parts
        numbers: dict[str, Any] = {
            "network": [min(network.n_params, MOST_ROWS) for network in self.networks],
            "n_params": facts["n_params"],
            "is_single": [dtype == "float32" for dtype in facts["dtype"]],
        }
        numbers |= {name: np.diff(array.ends) for name, array in parts.items()}
        if (names := parts.get("feature_names")) is not None:
            n_inputs = [min(network.n_inputs, MOST_ROWS) for network in self.networks]
            most = min(max(n_inputs, default=0), parts[OF_EACH[self.has_states][0]].flat.size)  # inputs have weights
            numbers["network inputs"] = n_inputs
            numbers["feature_names"] = [_n_names(names[k], most) for k in range(len(names))]
        for dtype in set(facts["dtype"]):
            numbers |= {f"{name} {dtype}": parts[name].n_finite(dtype) for name in FLOATS if name in parts}
        if self.has_states:
            numbers |= {
                "n_vectors": facts["n_vectors"],
                "n_rows": facts["n_rows"],
                "n_validation": [n or 0 for n in facts["n_validation"]],
                "order": n_rows_of(parts["order"].flat, parts["order"].ends),
            }
        return {name: np.concatenate([[-1], values]).astype(np.int64) for name, values in numbers.items()}

    def _sizes_fit(self, places: Places, tables: dict[str, NDArray[np.int64]]) -> Iterator[NDArray[np.bool_]]:
        """Iterate over checks of the members in `places`, each of which says who passes it."""
        size = {name: table[places[name.split()[0]]] for name, table in tables.items() if name != "is_single"}
        is_single, n = tables["is_single"][places["dtype"]] == 1, size["n_params"]
        yield size["network"] == n
        if "feature_names" in size:
            yield (places["feature_names"] == 0) | (size["feature_names"] == size["network inputs"])
        for name in (name for name in FLOATS if name in size):
            n_vectors, rest = np.divmod(size[name], n)
            n_finite = [size.get(f"{name} {dtype}", 0) for dtype in ("float32", "float64")]
            fits = (rest == 0) & (n_vectors == (size["n_vectors"] if name == "vectors" else 1))
            yield (places[name] == 0) | (fits & (np.where(is_single, *n_finite) >= n))
        if self.has_states:
            yield size["random_state"] == 624
            yield size["order"] == size["n_rows"] + size["n_validation"]
            for name in ("validation_loss", "learning_rate", "measured"):
                if name in size:
                    yield (size[name] <= 0) | (size[name] == size["loss"])

    def _names_fit(self, places: Places, within: list[tuple[str, str]]) -> Iterator[NDArray[np.bool_]]:
        """Iterate over such checks of what a member must have; of two names `within`, one is an entry of the other."""

        def has(*names: str) -> NDArray[np.bool_]:
            """Return which members have a value in one of some columns."""
            found = np.zeros(len(places["network"]), bool)
            for name in names:
                if name in places:
                    found |= places[name] > 0
            return found

        for name in (*OF_NETWORK, *(OF_STATE if self.has_states else ()), *OF_EACH[self.has_states]):
            yield has(name)
        if self.has_states:
            optimizer = [name for name in self.facts if name.startswith(OPTIMIZER)]
            rate = [name for name in optimizer if f"{name}.".startswith(f"{OPTIMIZER}learning_rate.")]
            yield has(*(name for name in self.facts if name.startswith("counters")))
            yield ~has(*optimizer) | (has(f"{OPTIMIZER}name") & has(*rate))
            yield ~has("counters.rule_on") | (has("counters.rule_best") & has("counters.rule_stale"))
            for name, inner in within:
                yield ~(has(name) & has(inner))


def _n_names(array: Array, most: int) -> int:
    """Return how many names an array of a file has; 0 where it is no list of names, or one of more than `most`."""
    try:
        return len(texts_of(array, "list of names", most))
    except ValueError:
        return 0
