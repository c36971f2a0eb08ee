"""Checks of arrays: shapes, dtypes, finiteness. What passes here may go to a back end.

float32 stays float32, everything else that is real becomes float64. An array is copied only where its dtype, byte
order, layout (C order) or alignment asks for it; the caller's arrays are never written.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn.backends import Backend
from fastnn.network import LOSSES, Network
from fastnn.state import Data

Array = NDArray[Any]

_NATIVE = (np.dtype(np.float64), np.dtype(np.float32))

MEMORY_LIMIT_FRACTION = 0.9
"""Of the machine's memory: what parameters, an optimiser's state and the neurons of a block of rows may take."""
MEMORY_ROWS = 256
"""Rows of a block: what a back end looks at together, unless it takes whole batches."""


def check_network(network: Any) -> None:
    """TypeError unless it is one."""
    if not isinstance(network, Network):
        raise TypeError(f"network must be a fastnn Network, not {network!r:.200}")


def check_inputs(network: Network, X: Any, dtype: DTypeLike | None = None, assume_finite: bool = False) -> Array:
    """X as (n, n_inputs): real, finite, C order, of `dtype` or else float32 or float64; a read-only view or a copy."""
    return _check_matrix("X", X, network.sizes[0], "inputs", dtype, assume_finite)


def check_dtype(dtype: DTypeLike | None) -> np.dtype[Any] | None:
    """The dtype float32 or float64 from what NumPy takes for it; None stays None."""
    if dtype is None:
        return None
    if isinstance(dtype, (str, type, np.dtype)):
        with contextlib.suppress(TypeError):  # NumPy knows no such dtype
            if (found := np.dtype(dtype)) in _NATIVE:
                return found
    raise ValueError(f"dtype must be 'float32' or 'float64', not {dtype!r:.100}")


def check_data(
    network: Network,
    X: Any,
    Y: Any,
    sample_weight: Any = None,
    assume_finite: bool = False,
    dtype: DTypeLike | None = None,
) -> Data:
    """Inputs, targets and weights in one dtype: `dtype`, or that of X if it is float32, else float64.

    Parameters
    ----------
    X : array-like (n, n_inputs)
    Y : array-like (n, n_outputs); (n,) for one output; integer labels (n,) for cross_entropy
    sample_weight : array-like (n,), optional
        Not negative; 0, or so large that one divided by it does not overflow.
    assume_finite : bool
        Whether to skip the search for NaN and infinity.

    Raises
    ------
    ValueError, TypeError
        For shapes that do not fit (both numbers are named), values that are not finite (the first index is named),
        targets that the loss cannot take, weights that are negative, too small or all 0, object or complex arrays.
    """
    X = check_inputs(network, X, dtype, assume_finite)
    n = len(X)
    Y = _check_targets(network, Y, n, X.dtype, assume_finite)
    if sample_weight is None:
        weight = np.ones(n, X.dtype)
    else:
        weight = _as_float("sample_weight", sample_weight, X.dtype, (1,))
        if len(weight) != n:
            raise ValueError(f"sample_weight has {len(weight)} numbers, X has {n} rows")
        _check_finite("sample_weight", weight)
        if (weight < 0).any():
            raise ValueError(f"sample_weight must not be negative; {_first('sample_weight', weight < 0, weight)}")
        _check_not_tiny(weight, np.asarray(sample_weight))
        if not weight.any():
            raise ValueError("sample_weight must not be 0 for all rows: nothing would be learnt")
    return Data(*(_read_only(a) for a in (X, Y, weight)))


def _check_not_tiny(weight: Array, given: Array) -> None:
    """Refuse what is too small for the dtype of `weight`: one divided by it overflows, or it was rounded to 0."""
    smallest = np.finfo(weight.dtype).tiny
    tiny = (given > 0) & (weight < smallest)
    if tiny.any():
        raise ValueError(
            f"sample_weight must be 0 or at least {smallest:g}, the smallest number that {weight.dtype} holds with all "
            f"digits; {_first('sample_weight', tiny, given)}: multiply all weights by the same number"
        )


def check_params(network: Network, params: Any, dtype: DTypeLike) -> Array:
    """Parameters as a finite vector (n_params,) of `dtype`; a copy where need be."""
    params = _as_float("params", params, dtype, (1,))
    if params.size != network.n_params:
        raise ValueError(f"params has {params.size} numbers, the network has {network.n_params} parameters")
    _check_finite("params", params)
    return params


def check_memory(
    network: Network, n_vectors: int, rows: int, dtype: DTypeLike, backend: Backend, sequential: bool = False
) -> None:
    """MemoryError, before anything is allocated, when a calculation would not fit the machine.

    It takes `n_vectors` vectors of parameters, and four numbers for each neuron and each row of a block: of the `rows`
    at most `MEMORY_ROWS`, all of them where `sequential`. A back end with ``whole_batches`` holds at least z and a of
    the other rows too.
    """
    block = rows if sequential else min(rows, MEMORY_ROWS)
    others = rows - block if getattr(backend, "whole_batches", False) else 0
    of_rows = 4 * sum(network.sizes) * block + 2 * sum(network.sizes[1:]) * others
    needed = (network.n_params * n_vectors + of_rows) * np.dtype(dtype).itemsize
    if needed > _memory() * MEMORY_LIMIT_FRACTION:
        raise MemoryError(
            f"a network of sizes {_shortened(network.sizes)} has {network.n_params:,} parameters; with {n_vectors} "
            f"vectors of them and {block + others:,} rows at a time it takes {needed:,} bytes, this machine has "
            f"{_memory():,}"
        )


def _shortened(sizes: tuple[int, ...]) -> str:
    return str(sizes) if len(sizes) <= 10 else f"({', '.join(map(str, sizes[:5]))}, ..., {sizes[-1]})"


def _memory() -> int:
    """Bytes of the machine's memory; where the system does not say, what can be addressed."""
    import os

    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**47


def _check_targets(network: Network, Y: Any, n: int, dtype: DTypeLike, assume_finite: bool) -> Array:
    labels = np.asarray(Y)
    if np.ma.is_masked(Y):
        raise ValueError("Y has masked values: fill them in or leave their rows out")
    if network.loss == "cross_entropy" and labels.ndim == 1 and labels.dtype.kind in "iub":
        return _one_hot(labels, n, network.n_outputs, dtype)
    if labels.ndim == 1 and network.n_outputs == 1:
        Y = labels[:, None]
    Y = _check_matrix("Y", Y, network.sizes[-1], "outputs", dtype, assume_finite)
    if len(Y) != n:
        raise ValueError(f"X has {n} rows, Y has {len(Y)}")
    if not assume_finite:
        _check_range(network.loss, Y)
    return Y


def _one_hot(labels: Array, n: int, n_classes: int, dtype: DTypeLike) -> Array:
    if len(labels) != n:
        raise ValueError(f"X has {n} rows, Y has {len(labels)} labels")
    labels = labels.astype(np.int64)
    outside = (labels < 0) | (labels >= n_classes)
    if outside.any():
        raise ValueError(
            f"labels must be from 0 to {n_classes - 1}, the network has {n_classes} outputs; "
            f"{_first('Y', outside, labels)}"
        )
    Y = np.zeros((n, n_classes), dtype)
    Y[np.arange(n), labels] = 1
    return Y


def _check_range(loss: str, Y: Array) -> None:
    wrong = np.zeros(Y.shape, bool)
    if loss in ("log_loss", "cross_entropy"):
        wrong = (Y < 0) | (Y > 1)
    elif loss == "poisson":
        wrong = Y < 0
    if wrong.any():
        raise ValueError(f"loss {loss!r} takes {LOSSES[loss].targets}; {_first('Y', wrong, Y)}")
    if loss == "cross_entropy":
        sums = Y.sum(axis=1, dtype=np.float64)
        off = abs(sums - 1) > 1e-3
        if off.any():
            row = int(np.argmax(off))
            raise ValueError(f"loss {loss!r} takes {LOSSES[loss].targets}; row {row} of Y sums to {sums[row]:g}")


def _check_matrix(name: str, value: Any, n: int, what: str, dtype: DTypeLike | None, assume_finite: bool) -> Array:
    matrix = _as_float(name, value, dtype, (2,))
    if matrix.shape[1] != n:
        raise ValueError(f"{name} has {matrix.shape[1]} columns, the network has {n} {what}")
    if not len(matrix):
        raise ValueError(f"{name} has no rows")
    if not assume_finite:
        _check_finite(name, matrix)
    return _read_only(matrix)


def _as_float(name: str, value: Any, dtype: DTypeLike | None, ndims: tuple[int, ...]) -> Array:
    """`value` as an array of `dtype` (None: float32 stays, else float64) that a back end can read."""
    if (
        type(value) is np.ndarray
        and value.ndim in ndims
        and value.dtype in _NATIVE
        and (dtype is None or value.dtype == dtype)
        and value.flags.c_contiguous
        and value.flags.aligned
    ):
        return value  # as it should be: what a caller in a hurry hands over
    if type(value).__module__.startswith("scipy.sparse"):
        raise TypeError(f"{name} is sparse; fastnn's core takes dense arrays: use {name}.toarray()")
    if np.ma.is_masked(value):
        raise ValueError(f"{name} has masked values: fill them in or leave their rows out")
    try:
        array = np.asarray(value)
    except ValueError as ragged:
        raise ValueError(f"{name} is not a table of numbers: {ragged}") from None
    if array.dtype.kind not in "fiub":
        what = {"O": "objects", "c": "complex numbers", "U": "text", "S": "text"}.get(array.dtype.kind, "values")
        raise TypeError(f"{name} must hold real numbers, not {what} (dtype {array.dtype})")
    if array.ndim not in ndims:
        raise ValueError(f"{name} must have {ndims[0]} dimensions, not {array.ndim} (shape {array.shape})")
    if dtype is None:
        dtype = np.float32 if array.dtype.type is np.float32 else np.float64
    with np.errstate(over="ignore"):
        return np.require(array, np.dtype(dtype).newbyteorder("="), ["C", "A"]).view(np.ndarray)


def _check_finite(name: str, array: Array) -> None:
    squares = np.vdot(array, array)  # quick, and finite only if all numbers are
    if not math.isfinite(squares) and not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be finite; {_first(name, ~np.isfinite(array), array)} (assume_finite=True skips this check)"
        )


def _first(name: str, wrong: Array, array: Array) -> str:
    """Where the first wrong number is: "X[3, 0] is nan"."""
    index = np.unravel_index(int(np.argmax(wrong)), array.shape)
    return f"{name}[{', '.join(map(str, map(int, index)))}] is {array[index]}"


def _read_only(array: Array) -> Array:
    view = array.view()
    view.setflags(write=False)
    return view
