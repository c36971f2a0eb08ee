"""Many training results in one file, which holds once what several of them have in common.

The file is a table. A column holds the different values that there are, and which of them each
member has:

    header    uint8: JSON of the format, members, whether there are states, and the columns that
              differ
    values    uint8: JSON of {column: values}, the entries of a result's header (see
              `fastnn.files.model`), such as "counters.epoch"; and {array: the sizes of the
              different ones}
    which     (columns that differ, members) unsigned: 0 for none, else the number of the value,
              counted from 1
    params, vectors, order, random_state, loss ...
              of each the different ones, one after the other, flat

Parameters are left out where they are those of the state, and orders of rows are not deflated.
"""

import functools
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from fastnn.backends import Backend, get_backend
from fastnn.cached import cached_property
from fastnn.checking.arguments import check_flag, cut, shown
from fastnn.checking.values import Names
from fastnn.errors import ModelFileError
from fastnn.files import description
from fastnn.files.archive import (
    Arrays,
    Header,
    is_too_much,
    table_of,
    text_of,
    texts_of,
    write_archive,
)
from fastnn.files.export import check_not_exported
from fastnn.files.model import (
    HISTORY,
    MANY,
    checked_model,
    checked_result,
    content_of,
    history_of,
    result_of,
    rows_of,
    split_rows,
)
from fastnn.many.results import ManyResult, Rows
from fastnn.memory import Array, Flags, Integers
from fastnn.network import Network
from fastnn.training.history import History
from fastnn.training.results import Store, TrainingResult
from fastnn.training.stopping import StopReason

FLOATS = ("params", "vectors", "best_params")
"""Arrays of the training's dtype: where members have both, they are kept in float64, which holds
both exactly."""

DTYPES: dict[str, tuple[Any, ...]] = dict.fromkeys(("order", "feature_names"), (np.uint8,))
DTYPES |= {"random_state": (np.uint32,), **dict.fromkeys(FLOATS, (np.float32, np.float64))}
"""The dtypes of arrays; others, those of the history, are float64."""

OF_EACH = {
    False: ("params",),
    True: ("vectors", "random_state", "loss", "validation_loss", "order"),
}
"""The arrays that each member has, without and with a state."""

REQUIRED = {state: (*description.OF_NETWORK, *arrays) for state, arrays in OF_EACH.items()}
REQUIRED[True] += tuple(description.OF_STATE)
"""The entries and arrays that each member has."""

STRIDE = 1 << 14
"""Members that are checked together."""

Places = dict[str, NDArray[Any]]
"""The number of each member's value in each column, counted from 1; 0 where it has none."""


class Parts:
    """The different arrays of a column, read-only, which lie one after the other in `flat`."""

    def __init__(self, name: str, flat: Array, sizes: list[int]) -> None:
        dtypes = DTYPES.get(name, (np.float64,))
        if flat.dtype not in dtypes:
            right = " or ".join(np.dtype(dtype).name for dtype in dtypes)
            raise ModelFileError(f"damaged: {name} is {flat.dtype.name}, not {right}")
        are_sizes = all(type(size) is int and size >= 0 for size in sizes)
        if flat.ndim != 1 or not are_sizes or sum(sizes) != flat.size:
            raise ModelFileError(
                f"damaged: {name} has {flat.shape} numbers, not those of its sizes"
            )
        flat.flags.writeable = False
        self.flat = flat
        self.ends = np.cumsum([0, *sizes])

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, k: int) -> Array:
        return self.flat[self.ends[k] : self.ends[k + 1]]

    def n_finite(self, dtype: str) -> Integers:
        """Return how many numbers of each array come before the first that is not finite in a
        dtype.
        """
        with np.errstate(over="ignore"):
            is_finite = np.isfinite(self.flat.astype(dtype, copy=False))
        stops = np.append(np.flatnonzero(~is_finite), self.flat.size)
        begins = self.ends[:-1]
        first_stops = stops[np.searchsorted(stops, begins)]
        return np.minimum(first_stops, self.ends[1:]) - begins


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
        """Return the first member whose values do not go together; None where those of all members
        do.
        """
        tables = self._tables()
        within = [(a, b) for a in self.facts for b in self.facts if b.startswith(f"{a}.")]
        for begin in range(0, len(self.which["network"]), STRIDE):
            places = {name: which[begin : begin + STRIDE] for name, which in self.which.items()}
            checks = [*self._names_fit(places, within), *self._sizes_fit(places, tables)]
            whole = np.logical_and.reduce(checks)
            if not whole.all():
                return begin + int(whole.argmin())
        return None

    def _tables(self) -> dict[str, Integers]:
        """Return the numbers on which sizes depend, by the numbers of their values: -1 where there
        is no value.
        """
        facts = self.facts
        parts = self.parts
        numbers: dict[str, Any] = {
            "network": [min(network.n_params, description.MOST_ROWS) for network in self.networks],
            "n_params": facts["n_params"],
            "is_single": [dtype == "float32" for dtype in facts["dtype"]],
        }
        numbers |= {name: np.diff(array.ends) for name, array in parts.items()}
        if (names := parts.get("feature_names")) is not None:
            n_inputs = [min(network.n_inputs, description.MOST_ROWS) for network in self.networks]
            n_weights = parts[OF_EACH[self.has_states][0]].flat.size
            most = min(max(n_inputs, default=0), n_weights)  # each input has one
            numbers["network inputs"] = n_inputs
            numbers["feature_names"] = [_n_names(names[k], most) for k in range(len(names))]
        for dtype in set(facts["dtype"]):
            numbers |= {
                f"{name} {dtype}": parts[name].n_finite(dtype) for name in FLOATS if name in parts
            }
        if self.has_states:
            numbers |= {name: facts[name] for name in ("n_vectors", "n_rows")}
            numbers["n_validation"] = [n or 0 for n in facts["n_validation"]]
            numbers["order"] = description.n_rows_of(parts["order"].flat, parts["order"].ends)
        return {
            name: np.concatenate([[-1], values]).astype(np.int64)
            for name, values in numbers.items()
        }

    def _sizes_fit(self, places: Places, tables: dict[str, Integers]) -> Iterator[Flags]:
        """Iterate over checks of the members in `places`, each of which says who passes it."""
        size = dict[str, Integers]()
        for name, table in tables.items():
            if name != "is_single":
                size[name] = table[places[name.split()[0]]]
        is_single = tables["is_single"][places["dtype"]] == 1
        n = size["n_params"]
        yield size["network"] == n
        if "feature_names" in size:
            has_none = places["feature_names"] == 0
            yield has_none | (size["feature_names"] == size["network inputs"])
        for name in (name for name in FLOATS if name in size):
            n_vectors, rest = np.divmod(size[name], n)
            n_due = size["n_vectors"] if name == "vectors" else 1
            single, double = (size.get(f"{name} {dtype}", 0) for dtype in ("float32", "float64"))
            n_finite = np.where(is_single, single, double)
            fits = (rest == 0) & (n_vectors == n_due) & (n_finite >= n)
            yield (places[name] == 0) | fits
        if self.has_states:
            yield size["random_state"] == 624
            yield size["order"] == size["n_rows"] + size["n_validation"]
            for name in ("validation_loss", "learning_rate", "measured"):
                if name in size:
                    yield (size[name] <= 0) | (size[name] == size["loss"])

    def _names_fit(self, places: Places, within: list[tuple[str, str]]) -> Iterator[Flags]:
        """Iterate over checks of which columns members have; of two names `within`, one is an entry
        of the other.
        """

        def has(*names: str) -> Flags:
            """Return which members have a value in one of some columns."""
            any_of = [places[name] > 0 for name in names if name in places]
            return np.zeros(len(places["network"]), bool) | np.any(any_of, axis=0)

        for name in REQUIRED[self.has_states]:
            yield has(name)
        if self.has_states:
            begin = description.OPTIMIZER
            counters = [name for name in self.facts if name.startswith("counters")]
            optimizer = [name for name in self.facts if name.startswith(begin)]
            rate = [name for name in optimizer if f"{name}.".startswith(f"{begin}learning_rate.")]
            yield has(*counters)
            yield ~has(*optimizer) | (has(f"{begin}name") & has(*rate))
            has_rule = has("counters.rule_best") & has("counters.rule_stale")
            yield ~has("counters.rule_on") | has_rule
            for name, inner in within:
                yield ~(has(name) & has(inner))


def _n_names(array: Array, most: int) -> int:
    """Return how many names an array of a file has; 0 where it is no list of names, or one of more
    than `most`.
    """
    try:
        return len(texts_of(array, "list of names", most))
    except ValueError:
        return 0


# ---------- results that are built when they are asked for: a file of a megabyte may name a million


T = TypeVar("T")


class StoredResults(Store):
    """The results of a file, by their numbers."""

    def __init__(self, columns: Columns) -> None:
        self._which = columns.which
        self._parts = columns.parts
        self._has_states = columns.has_states
        self._facts = columns.facts | {"network": columns.networks}
        self._made: dict[tuple[Any, ...], Any] = {}

    def __len__(self) -> int:
        return len(self._which["network"])

    def _has(self, name: str, i: int) -> bool:
        """Return whether member i has a value in a column, which may not be there."""
        return name in self._which and bool(self._which[name][i])

    def _value(self, name: str, i: int) -> Any:
        """Return member i's value of a column; None where it has none."""
        if not self._has(name, i):
            return None
        column: Any = self._facts[name] if name in self._facts else self._parts[name]
        return column[int(self._which[name][i]) - 1]

    def _once(self, make: Callable[[], T], name: str, i: int, *of: Any) -> T:
        """Return what `make` makes of member i's array of a column.

        It is made once, an array read-only, where other members have the same array; `of` says what
        else it depends on.
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

    @cached_property
    def _n_members(self) -> dict[str, Integers]:
        """How many members have each value of the columns of arrays, by its number."""
        return {name: np.bincount(self._which[name]) for name in self._parts}

    def network(self, i: int) -> Network:
        """Return member i's network."""
        return cast(Network, self._value("network", i))

    def backend(self, i: int) -> Backend:
        """Return the back end that it predicts with; ValueError for a name that is not registered
        here.
        """
        return get_backend(self._value("backend", i))

    def params(self, i: int) -> Array:
        """Return member i's parameters (n_params,), read-only."""
        stored = self._floats("params", i)
        return self._floats("vectors", i)[: self.network(i).n_params] if stored is None else stored

    def feature_names(self, i: int) -> Names | None:
        """Return the names of the columns of member i's X."""
        array = self._value("feature_names", i)
        n = self.network(i).n_inputs
        if array is None:
            return None
        return self._once(lambda: description.names_of(array, n), "feature_names", i)

    def history(self, i: int) -> History:
        """Return member i's history."""
        if not self._has_states:
            return description.no_history()
        header = {name: self._value(name, i) for name in ("seconds", "monitor")}
        arrays = {name: self._value(name, i) for name in HISTORY if self._has(name, i)}
        return history_of(header, arrays)

    def stop_reason(self, i: int) -> StopReason:
        """Return the reason why member i's training ended."""
        return cast(StopReason, self._value("stop_reason", i))

    def has_state(self, i: int) -> bool:
        """Return whether the members have states."""
        return self._has_states

    def result(self, i: int) -> TrainingResult:
        """Return member i's result."""
        header, arrays = self._content(i)
        vectors = arrays["vectors"] if self._has_states else arrays["params"][None]
        column = "vectors" if self._has_states else "params"
        of = "storage", header["dtype"], *vectors.shape
        storage = self._once(lambda: description.storage_of(vectors), column, i, *of)
        if self._has_states:
            return result_of(header["network"], header, arrays, storage, self.feature_names(i))
        more = header["backend"], header["stop_reason"], storage, self.feature_names(i)
        return description.without_state(header["network"], arrays["params"], *more)

    def check(self, i: int) -> None:
        """Raise ModelFileError with member i's number where it is damaged, by the checks of a file
        of one result.
        """
        try:
            header, arrays = self._content(i)
            check = checked_result if self._has_states else checked_model
            check(header, arrays)
        except MemoryError:
            raise
        except Exception as error:
            raise ModelFileError(f"member {i}: {cut(error)}") from error

    def _content(self, i: int) -> tuple[Header, Arrays]:
        """Return the header and the arrays of member i's result."""
        header = description.nested(
            {name: self._value(name, i) for name in self._facts if self._has(name, i)}
        )
        arrays = {name: self._value(name, i) for name in self._parts if self._has(name, i)}
        arrays |= {name: self._floats(name, i) for name in FLOATS if name in arrays}
        if self._has_states:
            n_validation = header["n_validation"]
            n = header["n_rows"] + (n_validation or 0)
            packed = arrays.pop("order").reshape(-1, n)
            rows = self._once(lambda: description.unpack_order(packed, n), "order", i, n)
            arrays |= split_rows(rows, n_validation)
            arrays["vectors"] = arrays["vectors"].reshape(header["n_vectors"], header["n_params"])
            arrays.setdefault("params", arrays["vectors"][0])
        return header, arrays

    def _floats(self, name: str, i: int) -> Any:
        """Return member i's array of a column of numbers of the training's dtype, read-only; None
        where it has none.
        """
        array = self._value(name, i)
        dtype = self._value("dtype", i)
        if array is None or array.dtype == dtype:
            return array
        trained = self._once(lambda: array.astype(dtype), name, i, dtype)
        trained.flags.writeable = False
        return trained


# --------------------------------------------------------------------------------------------- save


class _Column:
    """The different values of a column, and which of them each member has."""

    def __init__(self, m: int) -> None:
        self.values: dict[Any, Any] = {}
        self._places: dict[Any, int] = {}
        self.which = np.zeros(m, np.uint32)

    def put(self, i: int, key: Any, value: Any) -> None:
        """Give member i a value, which the key tells from others."""
        self.which[i] = self._places.setdefault(key, len(self._places) + 1)
        self.values.setdefault(key, value)

    @property
    def differs(self) -> bool:
        """Whether members have different values, or some have none."""
        return len(self.values) > 1 or not self.which.all()


def save(path: str | os.PathLike[str], many: ManyResult, *, state: bool = True) -> None:
    """Write many results to one .npz file; `fastnn.load` reads it.

    Parameters
    ----------
    path : str or path
        Taken as it is: no ".npz" is added. An existing file is replaced, when the new one is
        complete.
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
    dtype = many._dtype
    facts, arrays, versions = _columns_of(many, state, dtype)
    columns = facts | arrays
    differ = [name for name, column in columns.items() if column.differs] or [next(iter(columns))]
    width = np.min_scalar_type(max(len(columns[name].values) for name in differ))
    which = np.array([columns[name].which for name in differ], width)
    table = {"facts": _values_of(facts), "sizes": _values_of(arrays)}
    text = json.dumps(table, separators=(",", ":")).encode()
    content = {"values": np.frombuffer(text, np.uint8), "which": which}
    dtypes = {name: legal[0] for name, legal in DTYPES.items()}
    dtypes |= dict.fromkeys(FLOATS, dtype)
    for name, column in arrays.items():
        numbers = b"".join(column.values)
        content[name] = np.frombuffer(numbers, dtypes.get(name, np.float64))
    if is_too_much(text, sum(array.nbytes for array in content.values())):
        raise ValueError(
            f"{len(many):,} members differ in too many ways for one file: save them in several"
        )
    header = {"members": len(many), "state": state, "differ": differ, "versions": versions}
    write_archive(path, MANY, header, content)


def _columns_of(
    many: ManyResult, state: bool, dtype: np.dtype[Any]
) -> tuple[dict[str, _Column], dict[str, _Column], dict[str, str]]:
    """Return the columns of facts and of arrays, floats in `dtype`, and the versions that made the
    results.
    """
    m = len(many)
    facts = dict[str, _Column]()
    arrays = defaultdict[str, _Column](functools.partial(_Column, m))
    versions = dict[str, str]()
    for i, result in enumerate(many):
        header, of_member = content_of(result, state)
        versions = header.pop("versions")
        if state:
            of_member["order"] = description.planes(rows_of(result.state))
            if of_member["params"].tobytes() == of_member["vectors"][0].tobytes():
                del of_member["params"]
        for name, value in description.leaves(header):
            if name not in facts:
                if not description.is_fact(name, state) or len(facts) == description.MOST_FACTS:
                    raise ValueError(
                        f"member {i}: there is no place in a file for {shown(name)} of its state"
                    )
                facts[name] = _Column(m)
            facts[name].put(i, repr(value), value)  # which tells 1 from True, and 0.0 from -0.0
        for name, array in of_member.items():
            if name in FLOATS:
                array = array.astype(dtype)
            arrays[name].put(i, array.tobytes(), array.size)
    return facts, arrays, versions


def _values_of(columns: dict[str, _Column]) -> dict[str, list[Any]]:
    """Return the different values of each column."""
    return {name: [*column.values.values()] for name, column in columns.items()}


# --------------------------------------------------------------------------------------------- load


def many_of(header: Header, arrays: Arrays) -> ManyResult:
    """Build the results of a file's header and arrays; any error means that the file is damaged."""
    n_numbers, n_bytes = (
        sum(getattr(array, what) for array in arrays.values()) for what in ("size", "nbytes")
    )
    table = table_of(text_of(arrays.pop("values"), "table"), n_bytes)
    facts = table["facts"]
    sizes = table["sizes"]
    has_states = header["state"]
    which = arrays.pop("which")
    _check_names(facts, sizes, arrays, has_states)
    description.check_facts((name, value) for name, values in facts.items() for value in values)
    networks = [description.network_of(values, n_numbers) for values in facts["network"]]
    parts = {name: Parts(name, arrays[name], sizes[name]) for name in sizes}
    columns = Columns(facts, networks, parts, _places(header, which, facts | sizes), has_states)
    many = StoredResults(columns)
    damaged = columns.first_damaged()
    if damaged is not None:
        many.check(damaged)  # which says what is wrong
        raise ModelFileError(f"member {damaged}: damaged")
    return ManyResult._of(Rows(many, len(many)), [None] * len(many))


def _check_names(
    facts: dict[str, Any], sizes: dict[str, Any], arrays: Arrays, has_states: bool
) -> None:
    """Raise ModelFileError unless the columns are such as `save` writes, no others."""
    unknown = [name for name in facts if not description.is_fact(name, has_states)] + [
        *(sizes.keys() ^ arrays.keys())
    ]
    if not has_states:
        unknown += [*(sizes.keys() - {*OF_EACH[False], "feature_names"})]
    missing = [name for name in REQUIRED[has_states] if name not in facts | sizes]
    if not all(type(values) is list for values in facts.values()):
        unknown.append("values that are no list")
    if unknown or missing or len(facts) > description.MOST_FACTS:
        lacks = f"lacks {missing or 'none'} and has the unexpected {unknown[:3] or 'none'}"
        raise ModelFileError(f"damaged: its table has {len(facts)} columns, {lacks}")


def _places(header: Header, which: Array, columns: dict[str, list[Any]]) -> Places:
    """Return the numbers (m,) of the members' values in each column, where all have the same one a
    view of one.
    """
    m = header["members"]
    differ = header["differ"]
    if (
        type(m) is not int
        or not differ
        or which.dtype.kind != "u"
        or which.shape != (len(differ), m)
        or not m
    ):
        table = f"{which.dtype.name} {which.shape}"
        raise ModelFileError(f"damaged: its table is {table}, its header says {m!r:.50} members")
    for name, places in zip(differ, which, strict=True):
        if places.max() > len(columns[name]):
            raise ModelFileError(
                f"damaged: a member has value {places.max()} of {len(columns[name])} of "
                f"{name!s:.50}"
            )
    if len({*differ}) < len(differ) or any(
        len(columns[name]) != 1 for name in columns.keys() - {*differ}
    ):
        raise ModelFileError("damaged: its table lacks a column")
    return {name: np.broadcast_to(np.uint8(1), m) for name in columns} | dict(
        zip(differ, which, strict=True)
    )
