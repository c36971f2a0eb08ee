"""save and load: a training result as one .npz file, without pickle.

The file is a zip archive of .npy arrays, uncompressed, so that `numpy.load` reads it too:

    header            uint8            JSON: format, network, counters, versions; see `_header`
    params            (n_params,)      the result's parameters
    vectors           (1 + n_slots, n_params)    the state: parameters, then the optimizer's vectors
    index             (n_train,)       int64: row order
    random_state      (624,)           uint32: key of the generator
    loss, validation_loss              float64: the history
    learning_rate, measured            float64: the history too; version 0.1 did not write them
    validation_rows, best_params       where there are any
"""

from __future__ import annotations

import os
import platform
from typing import Any, cast

import numpy as np

from fastnn import __version__
from fastnn.errors import ModelFileError
from fastnn.files.archive import Format, check_arrays, read_archive, write_archive
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.training.options import network_counters
from fastnn.training.results import History, TrainingResult
from fastnn.training.state import TrainingState, holds_each_row_once
from fastnn.training.stopping import STOP_REASONS, StopReason

FORMAT = Format(
    "fastnn",
    1,
    required=("params", "vectors", "index", "random_state", "loss", "validation_loss"),
    optional=("validation_rows", "best_params", "learning_rate", "measured"),
)

# ---------------------------------------------------------------------------------------------------------------- save


def save(path: str | os.PathLike[str], result: TrainingResult) -> None:
    """Write a training result to one .npz file; `load` reads it, and ``train(..., resume=...)`` goes on from it.

    The file is written beside its place and moved there when it is complete and on the disk: a crash leaves the old
    file. Data, callbacks and stop rules are not part of it, nor is a learning rate that is a function of your own.

    Parameters
    ----------
    path : str or path
        Taken as it is: no ".npz" is added. An existing file is replaced.
    result : TrainingResult

    Raises
    ------
    TypeError
        When `result` is not a training result.
    OSError
        When the file cannot be written.
    """
    if not isinstance(result, TrainingResult):
        raise TypeError(f"save takes a training result, not {type(result).__name__}")
    state = result.state
    if state.random_state is None or state.index is None:
        raise ValueError("the result's state has no row order and no generator: it does not come from `train`")
    arrays: dict[str, Array] = {
        "params": result.params,
        "vectors": state.vectors,
        "index": state.index,
        "random_state": state.random_state["state"]["key"],
        "loss": result.history.loss,
        "validation_loss": result.history.validation_loss,
    }
    rest = [state.validation_rows, state.best_params, result.history.learning_rate, result.history.measured]
    arrays |= {name: array for name, array in zip(FORMAT.optional, rest, strict=True) if array is not None}
    write_archive(path, FORMAT, _header(result), arrays)


def _header(result: TrainingResult) -> dict[str, Any]:
    state = result.state
    generator = cast(dict[str, Any], state.random_state)
    said = network_counters(result.network).keys()  # by "network"
    return {
        "network": result.network.to_dict(),
        "dtype": state.storage.dtype.name,
        "n_params": state.n_params,
        "n_vectors": len(state.vectors),
        "optimizer": state.optimizer,
        "t": state.t,
        "batch": state.batch,
        "beta_products": state.beta_products.tolist(),
        "random_state": {
            "pos": int(generator["state"]["pos"]),
            "has_gauss": int(generator["has_gauss"]),
            "gauss": float(generator["gauss"]),
        },
        "counters": {name: value for name, value in state.counters.items() if name not in said},
        "stop_reason": result.stop_reason,
        "seconds": result.history.seconds,
        "monitor": result.history.monitor,
        "backend": result.backend if isinstance(result.backend, str) else result.backend.name,
        "versions": {"fastnn": __version__, "numpy": np.__version__, "python": platform.python_version()},
    }


# ---------------------------------------------------------------------------------------------------------------- load


def load(path: str | os.PathLike[str]) -> TrainingResult:
    """Read a training result that `TrainingResult.save` wrote.

    Nothing in the file is executed, and nothing is allocated that is larger than the file.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    TrainingResult
        As it was saved; ``train(..., resume=result.state)`` goes on bit for bit.

    Raises
    ------
    OSError
        When there is no such file or it cannot be read.
    ModelFileError
        When it is not such a file, is damaged, or was written by a later version of fastnn. A ValueError too.
    """
    return read_archive(path, FORMAT, _result)


def _result(header: dict[str, Any], arrays: dict[str, Array]) -> TrainingResult:
    if len(header["network"]["sizes"]) > 1 + arrays["params"].size:  # before a layer is made of each
        raise ModelFileError("damaged: its header has more layers than it has parameters")
    network = Network.from_dict(header["network"])
    if "learning_rate" not in arrays:  # written by version 0.1
        header = {"monitor": "loss"} | header
    _check_header(header, network)
    _check_arrays(arrays, header)
    state = TrainingState.create(arrays["vectors"][0], header["n_vectors"] - 1)
    state.vectors[...] = arrays["vectors"]
    state.t, state.batch, state.optimizer = header["t"], header["batch"], header["optimizer"]
    state.beta_products = np.array(header["beta_products"], np.float64)
    generator = header["random_state"]
    state.random_state = {
        "bit_generator": "MT19937",
        "state": {"key": arrays["random_state"], "pos": generator["pos"]},
        "has_gauss": generator["has_gauss"],
        "gauss": generator["gauss"],
    }
    state.index, state.counters = arrays["index"], network_counters(network) | header["counters"]
    state.validation_rows, state.best_params = arrays.get("validation_rows"), arrays.get("best_params")
    state.check()
    params = arrays["params"]
    params.flags.writeable = False
    more = {name: arrays[name] for name in ("learning_rate", "measured") if name in arrays}
    losses = arrays["loss"], arrays["validation_loss"]
    history = History(*losses, float(header["seconds"]), **more, monitor=header["monitor"])
    return TrainingResult(network, params, state, history, cast(StopReason, header["stop_reason"]), header["backend"])


def _check_header(header: dict[str, Any], network: Network) -> None:
    """Check the parts of the header that `TrainingState.check` does not."""
    legal = {
        "dtype": header["dtype"] in ("float32", "float64"),
        "n_params": header["n_params"] == network.n_params,
        "n_vectors": isinstance(header["n_vectors"], int) and header["n_vectors"] >= 1,
        "stop_reason": header["stop_reason"] in STOP_REASONS,
        "backend": isinstance(header["backend"], str),
        "monitor": isinstance(header["monitor"], str),
    }
    for name, fits in legal.items():
        if not fits:
            raise ModelFileError(f"damaged: {name} is {header[name]!r:.200} in its header")


def _check_arrays(arrays: dict[str, Array], header: dict[str, Any]) -> None:
    """Check dtypes and shapes against the header, that parameters are finite and row numbers a permutation."""
    dtype, n, n_epochs = np.dtype(header["dtype"]), header["n_params"], arrays["loss"].size
    of_epochs = [name for name in ("validation_loss", "learning_rate", "measured") if name in arrays]
    expected: dict[str, tuple[Any, tuple[int, ...]]] = {
        "params": (dtype, (n,)),
        "vectors": (dtype, (header["n_vectors"], n)),
        "best_params": (dtype, (n,)),
        "index": (np.int64, (arrays["index"].size,)),
        "validation_rows": (np.int64, (arrays.get("validation_rows", arrays["index"]).size,)),
        "random_state": (np.uint32, (624,)),
        "loss": (np.float64, (n_epochs,)),
        **{name: (np.float64, (n_epochs if arrays[name].size else 0,)) for name in of_epochs},
    }
    check_arrays(arrays, expected)
    for name in ("params", "best_params"):
        if name in arrays and not np.isfinite(arrays[name]).all():
            raise ModelFileError(f"damaged: {name} must be finite")
    if not np.isfinite(arrays["vectors"][0]).all():
        raise ModelFileError("damaged: the state's parameters must be finite")
    if not holds_each_row_once(arrays["index"], arrays.get("validation_rows")):
        raise ModelFileError("damaged: its row order is not a permutation of the rows")
