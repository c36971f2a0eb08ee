"""The description of a network in a file's header: written, and checked when it is read."""

from __future__ import annotations

import functools
import platform
from typing import Any

import numpy as np

from fastnn import __version__
from fastnn.backends import Backend
from fastnn.checking.values import Names
from fastnn.errors import ModelFileError
from fastnn.files.archive import check_arrays
from fastnn.files.json_texts import texts_of
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.state import make_storage
from fastnn.training.history import History
from fastnn.training.results import TrainingResult
from fastnn.training.state import TrainingState
from fastnn.training.stopping import StopReason


def description(network: Network, params: Array, backend: str | Backend) -> dict[str, Any]:
    """Return the part of the header that all formats share."""
    return {
        "network": _described(network),
        "dtype": params.dtype.name,
        "n_params": network.n_params,
        "backend": backend if isinstance(backend, str) else backend.name,
        "versions": {"fastnn": __version__, "numpy": np.__version__, "python": platform.python_version()},
    }


_described = functools.lru_cache(maxsize=100)(Network.to_dict)
"""What describes a network, only to be read: thousands of results may have the same one."""


def checked_network(header: dict[str, Any], arrays: dict[str, Array]) -> Network:
    """Return the network that a header describes; raise ModelFileError unless the parameters are its own."""
    network = header["network"]
    if not isinstance(network, Network):  # which many results have in common
        network = network_of(network, arrays["params"].size)
    legal = {
        "dtype": header["dtype"] in ("float32", "float64"),
        "n_params": header["n_params"] == network.n_params,
        "backend": isinstance(header["backend"], str),
    }
    check_legal(legal, header)
    check_arrays(arrays, {"params": (np.dtype(header["dtype"]), (network.n_params,))})
    if not np.isfinite(arrays["params"]).all():
        raise ModelFileError("damaged: params must be finite")
    return network


def network_of(values: dict[str, Any], n_params: int) -> Network:
    """Return the network that `Network.to_dict` described, which has at most so many parameters."""
    if len(values["sizes"]) > 1 + n_params:  # before a layer is made of each
        raise ModelFileError("damaged: its header has more layers than it has parameters")
    return Network.from_dict(values)


def check_legal(legal: dict[str, bool], header: dict[str, Any]) -> None:
    """Raise ModelFileError that names the first entry of a header which is not legal."""
    for name, fits in legal.items():
        if not fits:
            raise ModelFileError(f"damaged: {name} is {header[name]!r:.200} in its header")


def without_state(
    network: Network,
    params: Array,
    backend: str | Backend,
    stop_reason: StopReason = "epochs",
    storage: Array | None = None,
    feature_names: Names | None = None,
) -> TrainingResult:
    """Return a result that predicts and cannot be resumed; `storage` is that of its state, if that is made."""
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
