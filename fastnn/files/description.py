"""The description of a result in a file: the entries of its header, its network, and its order of
rows.

A name such as "counters.epoch" is of an entry within another one.
"""

import functools
import platform
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import __version__
from fastnn.backends import Backend
from fastnn.checking.values import Names
from fastnn.errors import ModelFileError
from fastnn.files.archive import (
    Arrays,
    Header,
    check_arrays,
    json_array,
    list_of,
    text_of,
    texts_of,
)
from fastnn.files.export import label_list
from fastnn.memory import Array, Integers
from fastnn.network import Network
from fastnn.state import make_storage
from fastnn.training.history import History
from fastnn.training.results import TrainingResult
from fastnn.training.state import (
    COUNTERS,
    COUNTS,
    GENERATOR,
    TrainingState,
    is_count,
    is_text,
    network_counters,
)
from fastnn.training.stopping import STOP_REASONS, StopReason

MOST_ROWS = 1 << 48
"""A number of rows or parameters that no file has: beyond, arithmetic might overflow."""

MOST_FACTS = 128
"""Most names of entries that the results of a file have together, thrice as many as fastnn's own
optimizers need."""

OPTIMIZER = "counters.optimizer."
"""The begin of the names of an optimizer's settings, which are any, for optimizer and schedule may
be the user's."""


def _is_size(value: Any, low: int = 1) -> bool:
    return is_count(value, low) and value < MOST_ROWS


Checks = dict[str, Callable[[Any], bool]]
"""{name of an entry: whether a value is legal}."""

OF_NETWORK: Checks = {
    "network": lambda value: isinstance(value, dict),  # `network_of` checks it
    "dtype": lambda value: value in ("float32", "float64"),
    "n_params": _is_size,
    "backend": is_text,
    "stop_reason": lambda value: value in STOP_REASONS,
}
"""{entry of each result: its check}"""

OF_STATE: Checks = {
    "n_vectors": _is_size,
    "n_rows": _is_size,
    "n_validation": lambda value: value is None or _is_size(value, 0),
    "optimizer": is_text,
    **COUNTS,
    "beta_products": lambda value: (
        isinstance(value, list)
        and len(value) == 2
        and all(type(b) in (int, float) and 0 <= b <= 1 for b in value)
    ),
    **{f"random_state.{name}": fits for name, fits in GENERATOR.items()},
    "seconds": lambda value: type(value) in (int, float),
    "monitor": is_text,
}
"""{entry that each result with a state has besides: its check}"""

_ELSEWHERE = {"optimizer", *network_counters(Network((1, 1)))}
"""Counters that are no entries of their own: settings of the optimizer are several, others follow
from the network."""

OF_SOME: Checks = {
    **{f"counters.{name}": fits for name, fits in COUNTERS.items() if name not in _ELSEWHERE},
    "counters": lambda value: value == {},
    f"{OPTIMIZER}name": is_text,
}
"""{entry that some results with a state have: its check}"""

_CHECKS = OF_NETWORK | OF_STATE | OF_SOME

_WHOLE = _CHECKS.keys() - {"counters"}
"""Entries that have none within them, as far as `leaves` goes: their checks see objects, too."""


def leaves(header: Header, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Iterate over names and values of a header's entries, of nested ones by names such as
    "counters.epoch".
    """
    for name, value in header.items():
        if isinstance(value, dict) and value and prefix + name not in _WHOLE:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def nested(facts: Header) -> Header:
    """Return the header of which these are the `leaves`."""
    header: Header = {}
    for name, value in facts.items():
        inner = header
        *path, last = name.split(".")
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return header


def is_fact(name: str, state: bool) -> bool:
    """Return whether results have an entry of this name, those without a state or those with
    one.
    """
    return name in OF_NETWORK or (
        state and (name in OF_STATE or name in OF_SOME or name.startswith(OPTIMIZER))
    )


def check_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """Raise ModelFileError that names the first entry with an illegal value; entries of unknown
    names pass.
    """
    for name, value in facts:
        if name in _CHECKS and not _CHECKS[name](value):
            raise ModelFileError(f"damaged: {name} is {value!r:.200} in its header")


# -------------------------------------------------------------------------------------- the network


def shared_header(network: Network, params: Array, backend: str | Backend) -> Header:
    """Return the part of the header that all formats share."""
    versions = {"fastnn": __version__, "numpy": np.__version__, "python": platform.python_version()}
    return {
        "network": _described(network),
        "dtype": params.dtype.name,
        "n_params": network.n_params,
        "backend": backend if isinstance(backend, str) else backend.name,
        "versions": versions,
    }


_described = functools.lru_cache(maxsize=100)(Network.to_dict)
"""Describe a network, by a dictionary that thousands of results may share: never change it."""


def checked_network(header: Header, arrays: Arrays) -> Network:
    """Return the network that a header describes; raise ModelFileError unless the parameters are
    its own.
    """
    network = header["network"]
    if not isinstance(network, Network):  # which many results have in common
        network = network_of(network, arrays["params"].size)
    check_facts((name, header[name]) for name in ("dtype", "n_params", "backend"))
    if header["n_params"] != network.n_params:
        raise ModelFileError(f"damaged: n_params is {header['n_params']} in its header")
    check_arrays(arrays, {"params": (np.dtype(header["dtype"]), (network.n_params,))})
    if not np.isfinite(arrays["params"]).all():
        raise ModelFileError("damaged: params must be finite")
    return network


def network_of(values: dict[str, Any], n_params: int) -> Network:
    """Return the network that `Network.to_dict` described, which has at most so many parameters."""
    if len(values["sizes"]) > 1 + n_params:  # before a layer is made of each
        raise ModelFileError("damaged: its header has more layers than it has parameters")
    return Network.from_dict(values)


def without_state(
    network: Network,
    params: Array,
    backend: str | Backend,
    stop_reason: StopReason = "epochs",
    storage: Array | None = None,
    feature_names: Names | None = None,
) -> TrainingResult:
    """Return a result that predicts and cannot be resumed; `storage` is that of its state, if that
    is made.
    """
    params.flags.writeable = False
    state = TrainingState(storage_of(params[None]) if storage is None else storage, params.size)
    state.feature_names = feature_names
    return TrainingResult(network, params, state, no_history(), stop_reason, backend)


def storage_of(vectors: Array) -> Array:
    """Return the storage of a state that has these vectors (1 + n_slots, n_params)."""
    storage = make_storage(vectors.shape[1], len(vectors) - 1, vectors.dtype)
    storage[:, : vectors.shape[1]] = vectors
    return storage


def no_history() -> History:
    """Return the history of a network alone."""
    return History(np.zeros(0), np.zeros(0), 0.0)


def names_of(array: Array | None, n: int) -> Names | None:
    """Return the names of the n columns of X, of the array of a file; None where it has none."""
    if array is None:
        return None
    names = texts_of(array, "list of names", n)
    if len(names) != n:
        raise ModelFileError(f"damaged: its feature_names are not the names of {n} columns")
    return names


# ---------------------------------------------------------------------------- a classifier's labels


MOST_CHARACTERS = 1 << 22
"""Of an array of texts, all of which take as much memory as the longest."""


def labels_array(classes: Array) -> Array:
    """Return labels as an array of a file: numbers as they are, others as JSON; ValueError for what
    does not load.
    """
    labels = label_list(classes)
    return classes if classes.dtype.kind in "iuf" else json_array(labels)


def labels_of(array: Array, kind: Any, most: int) -> Array:
    """Return the labels (n,), at most so many, of the array of a file; `kind` is that of their
    dtype.
    """
    if kind not in ("i", "u", "f"):
        values = list_of(text_of(array, "list of labels"), most)
        if len(values) * max(len(str(value)) for value in values) > MOST_CHARACTERS:
            raise ModelFileError("damaged: its labels are too long")
        array = np.array(values, object if kind == "O" else None)
    if array.ndim != 1 or array.dtype.kind != kind:
        raise ModelFileError(
            f"damaged: its labels are {array.dtype} {array.shape}, not (n,) of kind {kind!r:.50}"
        )
    label_list(array)  # raises ValueError for labels of another kind
    return array


# --------------- the order of rows: as many bytes as the row numbers need, deflated where that pays


MOST_DEFLATED = 1 << 24
"""Bytes of an order up to which it is deflated: a small file must not become a large array."""

MOST_CHECKED = 1 << 18
"""Bytes of several orders that are checked at once."""

LEVEL = 1
"""Of zlib: 6 saves one per cent more of a shuffled order, and takes twice as long."""


def pack_order(order: Integers) -> NDArray[np.uint8]:
    """Return a permutation of 0, 1, ... n - 1 as bytes: (n_bytes, n), the low bytes first, or
    (any,) deflated.

    A million rows in order take 23 kB, shuffled ones 2.6 MB, hardly more than the log2(n!) bits
    that say which of all orders it is; without them, all shuffles so far would have to be done
    again.
    """
    plain = planes(order)
    if plain.size <= MOST_DEFLATED:
        deflated = zlib.compress(plain.tobytes(), LEVEL)
        if len(deflated) < 0.9 * plain.size:
            return np.frombuffer(deflated, np.uint8)
    return plain


def planes(order: Integers) -> NDArray[np.uint8]:
    """Return a permutation of 0, 1, ... n - 1 as bytes (n_bytes, n), the low ones first."""
    n = order.size
    return np.ascontiguousarray(
        order.astype("<i8").view(np.uint8).reshape(n, 8)[:, : _n_bytes(n)].T
    )


def unpack_order(packed: Array, n: int) -> Integers:
    """Return the order (n,) that `pack_order` made bytes of; ModelFileError for other bytes."""
    shape = (_n_bytes(n), n)
    size = _n_bytes(n) * n
    if packed.dtype != np.uint8 or (packed.ndim == 1 and size > MOST_DEFLATED):
        raise ModelFileError("damaged: its row order is not stored as fastnn stores it")
    if packed.ndim == 1:
        plain = zlib.decompressobj().decompress(packed.tobytes(), size + 1)
        packed = np.frombuffer(plain, np.uint8).reshape(shape if len(plain) == size else -1)
    if packed.shape != shape:
        raise ModelFileError(f"damaged: its row order is not that of {n} rows")
    return _unpacked(packed)


def _unpacked(packed: Array) -> Integers:
    """Return the row numbers (..., n) of which these are the bytes (..., n_bytes, n), the low ones
    first.
    """
    *several, n_bytes, n = packed.shape
    rows = np.zeros((*several, n), "<i8")
    rows.view(np.uint8).reshape(*several, n, 8)[..., :n_bytes] = packed.swapaxes(-1, -2)
    return rows.astype(np.int64, copy=False)


def n_rows_of(flat: Array, ends: Integers) -> Integers:
    """Return the number of rows (k,) of each of k orders that `planes` packed, 0 for bytes that are
    no order.

    ``flat[ends[i]:ends[i + 1]]`` is the order of number i.
    """
    sizes = np.diff(ends)
    n_rows = np.zeros(len(ends) - 1, np.int64)
    by_size = np.argsort(sizes, kind="stable")
    for alike in np.split(by_size, np.flatnonzero(np.diff(sizes[by_size])) + 1):
        size = int(sizes[alike[0]]) if len(alike) else 0
        n = _n_of(size)
        step = max(1, MOST_CHECKED // max(size, 1))
        for begin in range(0, len(alike) if n else 0, step):
            some = alike[begin : begin + step]
            first = ends[some]
            if len(some) == 1:
                packed = flat[first[0] :][:size]
            else:
                packed = flat[first[:, None] + np.arange(size)]
            rows = _unpacked(packed.reshape(len(some), -1, n))
            are_less = rows.max(axis=1) < n
            seen = np.zeros(rows.shape, bool)
            np.put_along_axis(seen, np.minimum(rows, n - 1, out=rows), True, axis=1)
            n_rows[some[are_less & seen.all(axis=1)]] = n
    return n_rows


def _n_of(size: int) -> int:
    """Return the number of rows whose order takes so many bytes; 0 where there is no such
    number.
    """
    for n_bytes in range(1, 9):
        n, rest = divmod(size, n_bytes)
        if n and not rest and _n_bytes(n) == n_bytes:
            return n
    return 0


def _n_bytes(n: int) -> int:
    return max(1, ((n - 1).bit_length() + 7) // 8)
