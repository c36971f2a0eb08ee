"""Functions that check arrays: shapes, dtypes, finiteness. A back end receives checked arrays only.

float32 stays float32, all other real numbers become float64. An array is copied only if its dtype,
byte order, layout (C order) or alignment requires it; the caller's arrays are never written.
"""

import contextlib
import functools
import math
import os
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn import kit
from fastnn.backends import Backend
from fastnn.checking.arguments import (
    MOST_WRITTEN,
    amount,
    class_of,
    counted,
    decimal,
    interval,
    shown,
)
from fastnn.checking.values import real_array, sum_of_squares
from fastnn.errors import ScaleWarning, warn
from fastnn.losses import Custom
from fastnn.memory import READABLE, ROW_BLOCK, Array, read_only
from fastnn.network import Network, as_made
from fastnn.optimizers import BUILT_IN, Method, Optimizer
from fastnn.sparse import SparseRows, is_sparse, pays, sparse_rows
from fastnn.state import Data
from fastnn.training.stopping import Stop

Rows = NDArray[np.int64]
"""Numbers of rows."""

_NATIVE = (np.dtype(np.float64), np.dtype(np.float32))

FEW_ROWS = 4096
"""Up to this many rows, weights stay in memory for the next training."""

SCALING_ERROR = 1e-5
"""Targets may exceed the range of an output by this much: the error of scaling to a range in
float32."""

SMALL = 1e-2
LARGE = 20.0
"""A warning is given if the largest number of inputs or targets lies outside these sizes."""

LARGE_LOSS = 50.0
"""A squared error above which a training may have got nowhere with targets that are not scaled:
that of outputs that are 10 off."""

FEWEST_EPOCHS = 10
"""Epochs from which on a last loss says something of what was learned."""

ROWS_TO_JUDGE_BY = 10_000
"""Rows by which a mean of Y is judged, about; of more rows evenly spaced ones."""

FEW = 24
"""Up to this many numbers, Python's sum is faster than NumPy's."""


def check_network(network: Any) -> None:
    """Raise TypeError unless `network` is a Network, and ValueError if it was changed after
    creation.
    """
    if type(network) is not Network:
        hint = "the network comes first"
        if isinstance(network, (tuple, list)) and all(isinstance(n, int) for n in network):
            hint = f"say Network({shown(network)})"
        elif isinstance(network, Network):
            hint = "an object of a subclass may say other sizes than those that it was made with"
        elif isinstance(getattr(network, "network", None), Network):
            hint = "say result.network, or result.resume(X, Y, epochs=...) to go on"
        raise TypeError(f"network must be a fastnn Network, not {shown(network)}: {hint}")
    as_made(network)


@functools.lru_cache(maxsize=64)
def check_in_float32(network: Network) -> None:
    """Raise ValueError where functions of the user are not finite in float32."""
    for function in (*network.activations, network.loss):
        if isinstance(function, Custom):
            function._check_in_float32(network)


def check_optimizer(
    optimizer: Any, argument: str = "optimizer", names: Iterable[str] = tuple(BUILT_IN)
) -> None:
    """Raise TypeError, with which of `names` to write, unless `optimizer` is an Optimizer."""
    if isinstance(optimizer, Optimizer):
        return
    written = optimizer if isinstance(optimizer, str) else getattr(optimizer, "__name__", "")
    meant = [name for name in names if written.lower() == name.lower()]
    hint = f"say {meant[0]}()" if meant else f"one of {', '.join(f'{name}()' for name in names)}"
    raise TypeError(f"{argument} must be a fastnn Optimizer, not {shown(optimizer)}: {hint}")


def check_method(method: Method, network: Network, dtype: np.dtype[Any]) -> None:
    """Raise ValueError, with a remedy, if a method cannot train this network with these options."""
    name = method.name
    other = "or take another optimizer, such as Adam()"
    if network.loss != "squared_error":
        raise ValueError(
            f"{name} minimizes the squared error, not the loss {network.loss!r}: {other[3:]}"
        )
    if network.bias_gradient != "exact":
        raise ValueError(f"{name} takes bias_gradient='exact', not {network.bias_gradient!r}")
    if network.n_params > method.most_params:
        raise ValueError(
            f"{name} solves a system of as many equations as there are parameters, of which it "
            f"takes up to "
            f"{method.most_params:,}, not {network.n_params:,}: make layers narrower, {other}"
        )
    if dtype != np.float64:
        raise ValueError(f"{name} computes in float64 only, not in {dtype}: say dtype='float64'")


def warn_of_scale(method: str, data: Data, rows: Rows | None) -> None:
    """Warn of inputs or targets far from the size of 1, with which a method of this name hardly
    learns; of `rows`, if only these are trained on.
    """
    used = data.sample_weight > 0
    if rows is not None:
        used &= np.isin(np.arange(len(used)), rows)
    sizes = {
        name: float(abs(array[used]).max())
        for name, array in (("inputs", data.X), ("targets", data.Y))
    }
    far = [
        f"{name} reach {size:.3g}"
        for name, size in sizes.items()
        if size > LARGE or 0 < size < SMALL
    ]
    if far:
        remedy = (
            "such as by sklearn.preprocessing.MinMaxScaler((-1, 1)), and scale predictions back"
        )
        fault = f"{' and '.join(far)}: {method} hardly learns from such numbers"
        warn(ScaleWarning(f"{fault}; scale them to about -1 to 1, {remedy}"))


def worse_than_mean(network: Network, data: Data, rows: Rows | None, loss: float) -> str:
    """Return how a loss compares with that of always predicting the mean of Y, if it is no better
    and targets are far above the size of 1; "" otherwise.
    """
    if network.loss != "squared_error" or network.reduction != "mean" or not loss > LARGE_LOSS:
        return ""
    Y = data.Y if rows is None else data.Y[rows]
    weight = data.sample_weight if rows is None else data.sample_weight[rows]
    largest = float(max(Y.max(), -Y.min()))
    if len(Y) > ROWS_TO_JUDGE_BY:  # drawn, for every k-th one may be alike
        some = np.random.RandomState(0).randint(len(Y), size=ROWS_TO_JUDGE_BY)
        Y = Y[some]
        weight = weight[some]
    Y = Y.astype(np.float64)
    weight = weight.astype(np.float64)
    if largest <= LARGE or not weight.any():
        return ""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.average(Y, axis=0, weights=weight)
        of_mean = float(np.average((Y - mean) ** 2, axis=0, weights=weight).sum() / 2)
    if loss < of_mean or not math.isfinite(of_mean):
        return ""
    fault = f"the loss, {loss:.3g}, is no better than {of_mean:.3g}, that of always predicting the"
    return f"{fault} mean of Y, whose numbers reach {largest:.3g}"


def check_inputs(
    network: Network,
    X: Any,
    dtype: DTypeLike | None = None,
    assume_finite: bool = False,
    backend: Backend | None = None,
) -> Any:
    """Return X (n, n_inputs), finite, in C order, of `dtype` or else float32 or float64: a
    read-only view or a copy; a sparse one in CSR form, if `backend` is faster on that.
    """
    if type(X) is np.ndarray or not is_sparse(X):
        return _check_matrix("X", X, network.sizes[0], "input", dtype, assume_finite)
    rows = _check_sparse(network, X, dtype, assume_finite)
    return dense(rows) if backend is None else laid_out(rows, backend)


def laid_out(
    X: SparseRows,
    backend: Backend,
    network: Network | None = None,
    optimizer: Optimizer | None = None,
) -> Any:
    """Return rows in CSR form as they are, if the back end is faster on them, else dense.

    Methods of second order and Nguyen and Widrow's initial weights take dense rows, and so does
    every back end without `takes_sparse`. Networks that train side by side, in lanes, would too:
    those on rows in CSR form train one after another.
    """
    spreads = network is not None and network.init == "nguyen_widrow"
    needs_dense = spreads or isinstance(optimizer, Method) or not backend.takes_sparse
    width = 1 if network is None else network.sizes[1]
    return dense(X) if needs_dense or not pays(X, width) else X


def dense(X: SparseRows) -> Array:
    """Return rows in CSR form as an array (n, n_inputs).

    Raises
    ------
    MemoryError
        Before any allocation, if they do not fit the machine.
    """
    needed = len(X) * X.shape[1] * X.dtype.itemsize
    if needed > memory() * MEMORY_LIMIT_FRACTION:
        raise MemoryError(
            f"X is sparse, of shape {X.shape}, and made dense here: this takes {amount(needed)} "
            f"bytes, this machine has {memory():,}"
        )
    return read_only(X.toarray())


def _check_sparse(
    network: Network, X: Any, dtype: DTypeLike | None, assume_finite: bool
) -> SparseRows:
    """Return a sparse X in CSR form."""
    rows = sparse_rows("X", X, dtype)
    if rows.shape[1] != network.sizes[0] or not len(rows):
        _refuse_shape("X", rows, network.sizes[0], "input")
    if not assume_finite and not math.isfinite(sum_of_squares(rows.values)):
        wrong = ~np.isfinite(rows.values)
        if wrong.any():
            k = int(np.argmax(wrong))
            row = int(np.searchsorted(rows.starts, k, side="right")) - 1
            fault = f"X must be finite; X[{row}, {rows.indices[k]}] is {rows.values[k]}"
            raise ValueError(fault + _why_infinite(sparse_rows("X", X, np.float64).values[k], rows))
    return rows


def check_dtype(dtype: DTypeLike | None) -> np.dtype[Any] | None:
    """Return the dtype, float32 or float64, that NumPy makes of `dtype`; None stays None."""
    if dtype is None:
        return None
    if isinstance(dtype, (str, type, np.dtype)):
        with contextlib.suppress(TypeError):  # NumPy knows no such dtype
            if (native := np.dtype(dtype)) in _NATIVE:
                return native
    raise ValueError(f"dtype must be 'float32' or 'float64', not {shown(dtype)}")


def check_data(
    network: Network,
    X: Any,
    Y: Any,
    sample_weight: Any = None,
    assume_finite: bool = False,
    dtype: Any = None,
    stays_sparse: bool = False,
) -> Data:
    """Return inputs, targets and weights in one dtype: `dtype`, or that of X if it is float32, else
    float64.

    Parameters
    ----------
    X : array-like (n, n_inputs)
    Y : array-like (n, n_outputs); (n,) for one output; labels (n,) for cross_entropy
        Labels are whole numbers of any dtype.
    sample_weight : array-like (n,), optional
        Not negative; 0, or so large that one divided by it does not overflow.
    assume_finite : bool
        Whether to skip the search for NaN and infinity.
    stays_sparse : bool
        Whether a sparse X becomes rows in CSR form, and not an array.

    Raises
    ------
    ValueError, TypeError
        For shapes that do not fit (both numbers are named), values that are not finite (the first
        index is named), targets outside the range of the loss, weights that are negative, too small
        or all 0, object or complex arrays.
    """
    if type(X) is not np.ndarray and stays_sparse and is_sparse(X):
        X = _check_sparse(network, X, dtype, assume_finite)
    else:
        X = check_inputs(network, X, dtype, assume_finite)
    n = len(X)
    Y = _check_targets(network, Y, n, X.dtype, assume_finite)
    if sample_weight is None:
        weight = ones_again(n, X.dtype) if n <= FEW_ROWS else ones(n, X.dtype)
    else:
        weight = _as_float("sample_weight", sample_weight, X.dtype, 1)
        if len(weight) != n:
            raise ValueError(f"sample_weight has {len(weight)} numbers, X has {n} rows")
        _check_finite("sample_weight", weight)
        if (weight < 0).any():
            raise ValueError(
                f"sample_weight must not be negative; {_first('sample_weight', weight < 0, weight)}"
            )
        _check_not_tiny(weight, real_array("sample_weight", sample_weight))
        if not weight.any():
            raise ValueError("sample_weight must not be 0 for all rows: nothing would be learned")
        with np.errstate(over="ignore"):
            if math.isinf(weight.sum()):
                fault = f"the sum of sample_weight is infinite in {weight.dtype}"
                raise ValueError(f"{fault}: divide all weights by the same number")
        weight = read_only(weight)
    return Data(X, Y, weight)


def ones(n: int, dtype: np.dtype[Any]) -> Array:
    """Return the weights (n,) of unweighted rows, read-only."""
    return read_only(np.ones(n, dtype))


ones_again = kit.remembered(ones)


def _check_not_tiny(weight: Array, before: Array) -> None:
    """Refuse a weight that is too small for the dtype: it was rounded to 0, or 1 divided by it
    overflows.
    """
    smallest = np.finfo(weight.dtype).tiny
    tiny = (before > 0) & (weight < smallest)
    if tiny.any():
        raise ValueError(
            f"sample_weight must be 0 or at least {smallest:g}, the smallest number that "
            f"{weight.dtype} holds with all digits; {_first('sample_weight', tiny, before)}: "
            "multiply all weights by the same number"
        )


def check_params(network: Network, params: Any, dtype: DTypeLike | None = None) -> Array:
    """Return `params` as a finite vector (n_params,) of `dtype`, else of float32 if it is that,
    else of float64.
    """
    if isinstance(params, (list, tuple)) and any(
        isinstance(part, (list, tuple)) or getattr(part, "ndim", 0) for part in params
    ):
        fault = (
            f"params must be one vector of {network.n_params} numbers, not a "
            f"{class_of(params)} of arrays"
        )
        raise ValueError(f"{fault}: network.pack(weights, biases) makes one of them")
    if dtype is None:
        dtype = (
            np.float32
            if getattr(getattr(params, "dtype", None), "type", None) is np.float32
            else np.float64
        )
    params = _as_float("params", params, dtype, 1)
    if params.size != network.n_params:
        raise ValueError(
            f"params has {params.size} numbers, the network has {network.n_params} parameters"
        )
    _check_finite("params", params)
    return params


def _check_targets(
    network: Network, Y: Any, n: int, dtype: DTypeLike, assume_finite: bool
) -> Array:
    n_outputs = network.sizes[-1]
    are_classes = network.loss_name == "cross_entropy"
    targets = Y if type(Y) is np.ndarray and Y.ndim == 2 else real_array("Y", Y, dtype)
    if are_classes and targets.ndim == 1:
        return _one_hot(targets, n, n_outputs, dtype)
    if are_classes and targets.shape[1:] == (1,):
        raise ValueError(
            f"Y has 1 column, the network has {n_outputs} outputs: integer labels go in as "
            f"Y.ravel()"
        )
    # one column is the target of all outputs
    shares = isinstance(getattr(network.loss, "quantiles", None), tuple)
    if targets.ndim == 1 and (n_outputs == 1 or shares):
        targets = targets[:, None]
    if shares and targets.shape[1:] == (1,):
        targets = np.repeat(targets, n_outputs, axis=1)
    targets = _check_matrix("Y", targets, n_outputs, "output", dtype, assume_finite)
    if len(targets) != n:
        raise ValueError(f"X has {n} rows, Y has {len(targets)}")
    if not assume_finite:
        _check_range(network, targets)
    return targets


def _one_hot(labels: Array, n: int, n_classes: int, dtype: DTypeLike) -> Array:
    """Return the one-hot rows of labels (n,), whole numbers of any dtype."""
    if len(labels) != n:
        raise ValueError(f"X has {n} rows, Y has {len(labels)} labels")
    # NaN is broken too
    if labels.dtype.kind == "f" and (broken := labels != np.trunc(labels)).any():
        fault = (
            f"Y must be integer labels ({n},) or rows of probabilities ({n}, {n_classes}) for "
            f"this loss"
        )
        raise ValueError(
            f"{fault}, cross_entropy; Y has dtype {labels.dtype}, and {_first('Y', broken, labels)}"
        )
    outside = (labels < 0) | (labels >= n_classes)
    if outside.any():
        fault = f"labels must be from 0 to {n_classes - 1}, the network has {n_classes} outputs"
        raise ValueError(f"{fault}; {_first('Y', outside, labels)}")
    Y = np.zeros((n, n_classes), dtype)
    Y[np.arange(n), labels.astype(np.int64)] = 1
    return read_only(Y)


def _check_range(network: Network, Y: Array) -> None:
    """Raise ValueError for targets outside the range of the loss, or of the output."""
    loss = network.loss_name
    line = network.loss_line
    low, high = target_range(network)
    if low == -math.inf and high == math.inf:
        return
    flat = Y.ravel()  # of few numbers, reductions take five times as long
    numbers = flat.tolist() if Y.size <= FEW else [flat[flat.argmin()], flat[flat.argmax()]]
    if min(numbers) < low or max(numbers) > high:
        _refuse_targets(network, Y)
    if loss == "cross_entropy":
        sums = Y.sum(axis=1, dtype=np.float64)
        off = abs(sums - 1)
        if off[off.argmax()] > 1e-3:
            row = int(np.argmax(off > 1e-3))
            raise ValueError(
                f"loss {loss!r} takes {line.targets}; row {row} of Y sums to {sums[row]:g}"
            )


def target_range(network: Network) -> tuple[float, float]:
    """Return the least and the largest target that the loss and the output take."""
    loss = network.loss_line
    output = network.output_line
    return max(loss.low, output.low - SCALING_ERROR), min(loss.high, output.high + SCALING_ERROR)


def _refuse_targets(network: Network, Y: Array) -> None:
    """Raise ValueError for targets of which some are outside the range of the loss, or of the
    output.
    """
    loss = network.loss_line
    output = network.output_line
    wrong = _beyond(Y, loss.low, loss.high)
    if wrong.any():
        raise ValueError(
            f"loss {network.loss_name!r} takes {loss.targets}; {_first('Y', wrong, Y)}"
        )
    wrong = _beyond(Y, output.low - SCALING_ERROR, output.high + SCALING_ERROR)
    bounds = interval(output.low, output.high)
    remedy = "scale Y, or take another output, such as 'identity'"
    if (output.low, output.high) == (0, 1) and (np.trunc(Y) == Y).all():
        remedy = "labels go in as 0 and 1; for other numbers " + remedy
    raise ValueError(
        f"output {network.output!r} gives numbers that are {bounds}; {_first('Y', wrong, Y)}: "
        f"{remedy}"
    )


def _beyond(Y: Array, low: float, high: float) -> Array:
    """Return which targets are below `low` or above `high`; an empty array if both are infinite."""
    return np.zeros(0, bool) if low == -math.inf and high == math.inf else (low > Y) | (high < Y)


def _check_matrix(
    name: str, value: Any, n: int, neuron: str, dtype: DTypeLike | None, assume_finite: bool
) -> Array:
    matrix = _as_float(name, value, dtype, 2, n)
    if matrix.shape[1] != n or not len(matrix):
        _refuse_shape(name, matrix, n, neuron)
    if not assume_finite:
        _check_finite(name, matrix, value)
    # `read_only`, written out: a call takes a hundredth of the time of one row's prediction
    view = matrix.view()
    view.setflags(write=False)
    return view


def _refuse_shape(name: str, matrix: Any, n: int, neuron: str) -> NoReturn:
    """Raise ValueError for rows of another width than the network, or for none."""
    if matrix.shape[1] == n:
        raise ValueError(f"{name} has no rows")
    raise ValueError(
        f"{name} has {counted(matrix.shape[1], 'column')}, the network has {counted(n, neuron)}"
    )


def _as_float(name: str, value: Any, dtype: DTypeLike | None, ndim: int, columns: int = 0) -> Array:
    """Return `value` as an array of `dtype` (None: float32 stays, else float64) that a back end can
    read.
    """
    if (
        type(value) is np.ndarray
        and value.ndim == ndim
        and (value.dtype == dtype if dtype is not None else value.dtype in _NATIVE)
        and value.flags.num & READABLE == READABLE
    ):
        return value  # nothing to convert
    array = real_array(name, value, dtype)
    if array.ndim != ndim:
        dimensions = counted(ndim, "dimension")
        hint = _shape_hint(name, array, columns) if ndim == 2 else ""
        raise ValueError(
            f"{name} must have {dimensions}, not {array.ndim} (shape {array.shape}){hint}"
        )
    if dtype is None:
        dtype = np.float32 if array.dtype.type is np.float32 else np.float64
    with np.errstate(over="ignore"):
        return np.require(array, np.dtype(dtype).newbyteorder("="), ["C", "A"]).view(np.ndarray)


def _shape_hint(name: str, array: Array, columns: int) -> str:
    """Return a hint for errors: how to make an array of shape (n, columns) of this one."""
    if array.ndim != 1 or not array.size:
        return f": here it is (n, {columns})"
    if name == "Y" and (array == np.trunc(array)).all():
        return (
            f": labels go with output='softmax', loss='cross_entropy', or as one-hot rows "
            f"({len(array)}, {columns})"
        )
    if columns == 1:
        return f": {name}[:, None] is one column"
    return f": {name}[None] is one row" if len(array) == columns else f": here it is (n, {columns})"


def _check_finite(name: str, array: Array, before: Any = None) -> None:
    """Raise ValueError unless `array` is finite. `given` is the array before conversion, which may
    have overflowed.
    """
    # A sum is finite only if all its terms are. Of a few numbers, such as one row's, Python's sum
    # is the quickest.
    total = sum(array.ravel().tolist()) if array.size <= FEW else sum_of_squares(array)
    if math.isfinite(total) or np.isfinite(array).all():
        return
    wrong = ~np.isfinite(array)
    first = (array if before is None else real_array(name, before))[wrong][0]
    fault = f"{name} must be finite; {_first(name, wrong, array)}"
    raise ValueError(fault + _why_infinite(first, array))


def _why_infinite(number: Any, array: Any) -> str:
    """Return why a number of an array is not finite, which was this one before, or what to do."""
    if np.isfinite(number):
        return f" in {array.dtype}, which cannot hold {decimal(number)}"
    return ": fill such values in or leave their rows out" if array.ndim == 2 else ""


def _first(name: str, wrong: Array, array: Array) -> str:
    """Say where the first wrong number is: "X[3, 0] is nan"."""
    index = np.unravel_index(int(np.argmax(wrong)), array.shape)
    return f"{name}[{', '.join(map(str, map(int, index)))}] is {array[index]}"


MEMORY_LIMIT_FRACTION = 0.9
"""Share of the machine's memory for parameters, the state of the optimizer and the neurons of a
block."""

LEAST_ROWS = 16
"""Threads that share a step have at least this many of its rows each."""


def check_memory(
    network: Network,
    n_vectors: int,
    rows: int,
    dtype: np.dtype[Any],
    backend: Backend,
    block: int = ROW_BLOCK,
    threads: int | None = 1,
    sparse: bool = False,
) -> None:
    """Raise MemoryError, before any allocation, if a calculation does not fit the machine.

    Count `n_vectors` vectors of parameters and, for each neuron and row (at most `block` of the
    `rows`), three numbers and one for each thread (at most one thread for `LEAST_ROWS` of these
    rows), and three more if threads share a step, because they keep the deltas of all layers. A
    back end with ``whole_batches`` also holds z and a of the other rows. Inputs of `sparse` rows
    are no neurons.
    """
    block = min(rows, block)
    others = rows - block if rows > block and getattr(backend, "whole_batches", False) else 0
    n_threads = 2 if threads is None else min(threads, max(1, block // LEAST_ROWS))
    of_a_neuron = 3 + n_threads + 3 * (n_threads > 1)
    of_rows = of_a_neuron * sum(network.sizes[sparse:]) * block + (
        2 * sum(network.sizes[1:]) * others if others else 0
    )
    needed = (network.n_params * n_vectors + of_rows) * dtype.itemsize
    if needed > memory() * MEMORY_LIMIT_FRACTION:
        raise MemoryError(
            f"a network of sizes {_shortened(network.sizes)} has {amount(network.n_params)} "
            f"parameters; with {n_vectors} vectors of them and {block + others:,} rows at a time "
            f"it takes {amount(needed)} bytes, this machine has {memory():,}"
        )


def _shortened(sizes: tuple[int, ...]) -> str:
    if max(sizes) > MOST_WRITTEN:
        return f"up to {amount(max(sizes))}"
    return (
        str(sizes) if len(sizes) <= 10 else f"({', '.join(map(str, sizes[:5]))}, ..., {sizes[-1]})"
    )


@functools.cache
def memory() -> int:
    """Return the bytes of the machine's memory; if the system does not tell, the addressable
    bytes.
    """
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**47


# --------------------------------------------------------------------------- rows to train on


NO_WEIGHT = "sample_weight is 0 for all rows that are left to train on"


def choose_rows(
    rows: Any, validation_rows: Any, data: Data, stop: Stop
) -> tuple[Rows | None, Rows | None]:
    """Return the rows to train on (None: all of them, in order) and those to validate on (None: the
    stop rules' data).

    Parameters
    ----------
    rows, validation_rows : array-like of int, optional
        Numbers of rows of the data, from 0. If only `validation_rows` are given, all other rows are
        trained on.

    Raises
    ------
    TypeError, ValueError
        For values that are not numbers of rows, for rows on both sides, and for two kinds of
        validation data.
    """
    n = len(data.X)
    train_on = None if rows is None else _checked("rows", rows, n)
    if train_on is not None and not data.sample_weight[train_on].any():
        raise ValueError(NO_WEIGHT)
    if validation_rows is None:
        return train_on, None
    validate_on = _checked("validation_rows", validation_rows, n)
    if stop.validation is not None:
        raise ValueError(
            "validation_rows and Stop(validation=...) are both given: leave one of them out"
        )
    held_out = np.zeros(n, bool)
    held_out[validate_on] = True
    if train_on is None:
        train_on = np.flatnonzero(~held_out).astype(np.int64, copy=False)
        if not train_on.size:
            raise ValueError(f"validation_rows are all {n} rows of X: none is left to train on")
        if not data.sample_weight[train_on].any():
            raise ValueError(NO_WEIGHT)
    elif (both := train_on[held_out[train_on]]).size:
        raise ValueError(
            f"row {both[0]} is in rows and in validation_rows, as are {len(np.unique(both))} in "
            "all: a score of rows that are trained on says little of others; where it is wanted, "
            "say Stop(validation=(X[v], Y[v]))"
        )
    return train_on, validate_on


def _checked(name: str, rows: Any, n: int) -> Rows:
    """Return numbers of rows as a new array."""
    # copied before it is checked: another thread of the caller may write to it
    array = np.array(real_array(name, rows))
    if array.ndim != 1:
        raise ValueError(
            f"{name} must have 1 dimension, not {array.ndim} (shape {array.shape}): the numbers of "
            "rows"
        )
    if not array.size:
        raise ValueError(f"{name} is empty: give the numbers of rows, or leave it out")
    if array.dtype.kind not in "iu":
        hint = f": say {name}=np.flatnonzero(mask)" if array.dtype.kind == "b" else ""
        raise TypeError(f"{name} must hold integers, the numbers of rows, not {array.dtype}{hint}")
    outside = (array < 0) | (array >= n)
    if outside.any():
        i = int(outside.argmax())
        hint = "; negative numbers do not count from the end" if array[i] < 0 else ""
        raise ValueError(f"{name}[{i}] is {array[i]}, the rows of X are 0 to {n - 1}{hint}")
    return array.astype(np.int64, copy=False)


def rows_a_step(batch_size: int | None, n_rows: int) -> int:
    """Return the rows of each batch except the last of an epoch; None, or more than there are,
    stands for all.
    """
    return n_rows if batch_size is None else min(batch_size, n_rows)
