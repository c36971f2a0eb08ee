"""A training result as one .npz file, or its network alone, without pickle: `save`, and readers.

The file is a zip archive of .npy arrays, uncompressed, so that `numpy.load` reads it too:

    header           uint8: JSON of the format, versions and the entries of
                     `fastnn.files.description`
    params           (n_params,): the result's parameters; all that follows is of the state
    vectors          (1 + n_slots, n_params): parameters, then the optimizer's vectors
    order            uint8: the rows for validation, if they were split off, and then those to train
                     on, in their order: see `fastnn.files.description`
    random_state     (624,) uint32: key of the generator
    loss, validation_loss, learning_rate, measured
                     (n_epochs,) float64: the history
    best_params      (n_params,), where there are any
    feature_names    uint8: JSON of the names of the columns of X, where it was a data frame

Format 1, of version 0.1, has ``index`` and ``validation_rows`` (int64) in place of ``order``, and
may lack ``learning_rate`` and ``measured``.
"""

import os
from typing import Any, cast

import numpy as np

from fastnn.backends import get_backend
from fastnn.checking.arguments import check_flag, class_of, shown
from fastnn.checking.values import Names
from fastnn.errors import ModelFileError
from fastnn.files import description
from fastnn.files.archive import (
    Arrays,
    Format,
    Header,
    check_arrays,
    json_array,
    write_archive,
)
from fastnn.files.export import check_not_exported
from fastnn.memory import Array, Integers
from fastnn.network import Network
from fastnn.training.history import History
from fastnn.training.inputs import check_network, check_params
from fastnn.training.results import TrainingResult
from fastnn.training.state import (
    WRONG_ROW_ORDER,
    TrainingState,
    holds_each_row_once,
    network_counters,
)
from fastnn.training.stopping import STOP_REASONS, StopReason

_STATE = ("params", "vectors", "random_state", "loss", "validation_loss")
_OPTIONAL = ("best_params", "learning_rate", "measured", "feature_names")

HISTORY = ("loss", "validation_loss", "learning_rate", "measured")
"""The arrays of a history, of which the last two may be lacking."""

CHECKPOINT_1 = Format("fastnn", 1, (*_STATE, "index"), (*_OPTIONAL, "validation_rows"))
CHECKPOINT = Format("fastnn", 2, (*_STATE, "order"), _OPTIONAL)
MODEL = Format("fastnn model", 1, ("params",), ("feature_names",))
ESTIMATOR = Format(
    "fastnn estimator",
    1,
    ("params",),
    ("classes", "feature_names", "loss_curve", "scores", "losses"),
)
"""What `fastnn.estimators.saving` writes."""
_TABLE = ("columns", "numbers", "imputation", "params", "losses", "out_of_bag", "truth")
_OF_TABLE = ("classes", "targets", "residual_params", "residual_scores", "residual_mean")

TABLE_1 = Format("fastnn table", 1, _TABLE, _OF_TABLE)
TABLE = Format(
    "fastnn table",
    2,
    (*_TABLE, "imputation_steps", "gap_patterns"),
    (*_OF_TABLE, "donors", "ramps"),
)
"""What `fastnn.tabular.saving` writes."""
MANY = Format("fastnn many", 1, ("values", "which"), ("params", "order", *_STATE[1:], *_OPTIONAL))
"""What `fastnn.files.many` writes."""

# --------------------------------------------------------------------------------------------- save


def save(path: str | os.PathLike[str], result: TrainingResult, *, state: bool = True) -> None:
    """Write a training result to one .npz file; `load` reads it, and ``train(..., resume=...)``
    goes on from it.

    The file is written beside its place and moved there when it is complete and on the disk: a
    crash leaves the old file. Data, callbacks and stop rules are not part of it, nor is a learning
    rate that is a function of your own.

    Parameters
    ----------
    path : str or path
        Taken as it is: no ".npz" is added. An existing file is replaced.
    result : TrainingResult
    state : bool
        False writes the network alone, some 1 kB more than its weights: it predicts, and cannot be
        resumed. The state is the optimizer's vectors, the generator (2.5 kB), the order of the rows
        (up to 2.6 bytes per row for a million) and the history (24 bytes per epoch or more).

    Raises
    ------
    TypeError
        When `result` is not a training result.
    OSError
        When the file cannot be written.
    ValueError
        When the result has no state to write, for parts that do not fit one another, and for a
        suffix of a format of `export`, such as ".onnx".
    """
    if not isinstance(result, TrainingResult):
        raise TypeError(f"save takes a training result, not {class_of(result)}")
    check_not_exported(path, "result.export({})")
    _check(result, check_flag("state", state))
    header, arrays = content_of(result, state)
    if state:
        arrays["order"] = description.pack_order(rows_of(result.state))
    write_archive(path, CHECKPOINT if state else MODEL, header, arrays)


def _check(result: TrainingResult, state: bool) -> None:
    """Raise TypeError or ValueError for a part of a result, exchanged since, with which no file
    would load.
    """
    check_network(result.network)
    if check_params(result.network, result.params) is not result.params:
        raise TypeError(
            f"params must be an array of float32 or float64, not {shown(result.params)}"
        )
    if result.stop_reason not in STOP_REASONS:
        raise ValueError(
            f"stop_reason must be one of {', '.join(STOP_REASONS)}, not {shown(result.stop_reason)}"
        )
    if not isinstance(result.backend, str):
        get_backend(result.backend)
    if not state:
        return
    if not isinstance(result.state, TrainingState) or not isinstance(result.history, History):
        raise TypeError(
            "state and history must be those of a training: say save(path, state=False)"
        )
    result.state.check()
    n = result.state.n_params
    dtype = result.state.storage.dtype
    if n != result.network.n_params or dtype != result.params.dtype:
        of_result = f"{result.network.n_params} of {result.params.dtype}"
        what = f"the state has {n} parameters of {dtype}, the result {of_result}"
        raise ValueError(f"{what}: say save(path, state=False)")


def content_of(result: TrainingResult, state: bool) -> tuple[Header, Arrays]:
    """Return the entries that a result adds to a file's header, and its arrays, all but the order
    of the rows.
    """
    header = description.shared_header(result.network, result.params, result.backend)
    header["stop_reason"] = result.stop_reason
    arrays = {"params": result.params}
    if state:
        if result.state.random_state is None or result.state.index is None:
            what = "this result holds a network alone, no state of a training"
            raise ValueError(f"{what}: say save(path, state=False)")
        header |= _state_header(result)
        arrays = _state_arrays(result)
    if result.feature_names is not None:
        arrays["feature_names"] = json_array(result.feature_names)
    return header, arrays


def rows_of(state: TrainingState) -> Integers:
    """Return the rows that were split off for validation, if any, and then those to train on."""
    index = cast(Integers, state.index)
    return (
        index if state.validation_rows is None else np.concatenate([state.validation_rows, index])
    )


def _state_arrays(result: TrainingResult) -> Arrays:
    state = result.state
    history = result.history
    arrays = {
        "params": result.params,
        "vectors": state.vectors,
        "random_state": cast(dict[str, Any], state.random_state)["state"]["key"],
        "loss": history.loss,
        "validation_loss": history.validation_loss,
        "best_params": state.best_params,
        "learning_rate": history.learning_rate,
        "measured": history.measured,
    }
    return {name: array for name, array in arrays.items() if array is not None}


def _state_header(result: TrainingResult) -> Header:
    state = result.state
    split = state.validation_rows
    generator = cast(dict[str, Any], state.random_state)
    of_network = network_counters(result.network).keys()  # the entry "network" says these
    return {
        "n_vectors": len(state.vectors),
        "n_rows": cast(Array, state.index).size,
        "n_validation": None if split is None else split.size,
        **{name: getattr(state, name) for name in ("optimizer", "t", "batch")},
        "beta_products": state.beta_products.tolist(),
        "random_state": {
            "pos": int(generator["state"]["pos"]),
            "has_gauss": int(generator["has_gauss"]),
            "gauss": float(generator["gauss"]),
        },
        "counters": {
            name: value for name, value in state.counters.items() if name not in of_network
        },
        "seconds": result.history.seconds,
        "monitor": result.history.monitor,
    }


# --------------------------------------------------------------------------------------------- load


def read_network(header: Header, arrays: Arrays) -> TrainingResult:
    """Build the result of a file of a network alone."""
    description.check_facts(description.leaves(header))
    return checked_model(header, arrays)


def read_result(header: Header, arrays: Arrays) -> TrainingResult:
    """Unpack the order of rows, which is packed since format 2, and build the result."""
    if "order" not in arrays and "learning_rate" not in arrays:  # written by version 0.1
        header = {"monitor": "loss"} | header
    description.check_facts(description.leaves(header))
    if "order" in arrays:
        n_validation = header["n_validation"]
        n = header["n_rows"] + (n_validation or 0)
        arrays |= split_rows(description.unpack_order(arrays["order"], n), n_validation)
    return checked_result(header, arrays)


def split_rows(rows: Integers, n_validation: int | None) -> dict[str, Integers]:
    """Split the rows of `rows_of` into those to train on and those for validation."""
    if n_validation is None:
        return {"index": rows}
    return {"index": rows[n_validation:], "validation_rows": rows[:n_validation]}


def checked_model(header: Header, arrays: Arrays) -> TrainingResult:
    """Check the arrays of a network alone and build its result; the entries of its header are
    checked already.
    """
    network = description.checked_network(header, arrays)
    names = description.names_of(arrays.get("feature_names"), network.n_inputs)
    facts = header["backend"], header["stop_reason"]
    return description.without_state(network, arrays["params"], *facts, feature_names=names)


def checked_result(header: Header, arrays: Arrays) -> TrainingResult:
    """Check the arrays of a result with a state and build it; the entries of its header are checked
    already.
    """
    network = description.checked_network(header, arrays)
    _check_arrays(arrays, header)
    names = description.names_of(arrays.get("feature_names"), network.n_inputs)
    result = result_of(network, header, arrays, description.storage_of(arrays["vectors"]), names)
    result.state.check()
    return result


def result_of(
    network: Network,
    header: Header,
    arrays: Arrays,
    storage: Array,
    feature_names: Names | None,
) -> TrainingResult:
    """Build a result of parts that are checked already; `storage` and `feature_names` are those of
    its state.
    """
    state = TrainingState(storage, network.n_params)
    state.t = header["t"]
    state.batch = header["batch"]
    state.optimizer = header["optimizer"]
    state.beta_products = np.array(header["beta_products"], np.float64)
    generator = header["random_state"]
    state.random_state = {
        "bit_generator": "MT19937",
        "state": {"key": arrays["random_state"], "pos": generator["pos"]},
        "has_gauss": generator["has_gauss"],
        "gauss": generator["gauss"],
    }
    state.index = arrays["index"]
    state.counters = network_counters(network) | header["counters"]
    state.validation_rows = arrays.get("validation_rows")
    state.best_params = arrays.get("best_params")
    state.feature_names = feature_names
    params = arrays["params"]
    params.flags.writeable = False
    reason = cast(StopReason, header["stop_reason"])
    history = history_of(header, arrays)
    return TrainingResult(network, params, state, history, reason, header["backend"])


def history_of(header: Header, arrays: Arrays) -> History:
    """Build the history of a result with a state."""
    return History(
        **{name: arrays[name] for name in HISTORY if name in arrays},
        seconds=float(header["seconds"]),
        monitor=header["monitor"],
    )


def _check_arrays(arrays: Arrays, header: Header) -> None:
    """Check dtypes and shapes against the header, that parameters are finite and row numbers a
    permutation.
    """
    dtype = np.dtype(header["dtype"])
    n = header["n_params"]
    n_epochs = arrays["loss"].size
    of_epochs = [
        name for name in ("validation_loss", "learning_rate", "measured") if name in arrays
    ]
    expected: dict[str, tuple[Any, tuple[int, ...]]] = {
        "vectors": (dtype, (header["n_vectors"], n)),
        "best_params": (dtype, (n,)),
        "index": (np.int64, (arrays["index"].size,)),
        "validation_rows": (np.int64, (arrays.get("validation_rows", arrays["index"]).size,)),
        "random_state": (np.uint32, (624,)),
        "loss": (np.float64, (n_epochs,)),
        **{name: (np.float64, (n_epochs if arrays[name].size else 0,)) for name in of_epochs},
    }
    check_arrays(arrays, expected)
    if "best_params" in arrays and not np.isfinite(arrays["best_params"]).all():
        raise ModelFileError("damaged: best_params must be finite")
    if not np.isfinite(arrays["vectors"][0]).all():
        raise ModelFileError("damaged: the state's parameters must be finite")
    if not holds_each_row_once(arrays["index"], arrays.get("validation_rows")):
        raise ModelFileError(f"damaged: {WRONG_ROW_ORDER}")
